// swift-tools-version: 6.2
import Foundation
import PackageDescription

let libraries = [
  "HalftoneTensor", "HalftoneSchemes", "HalftoneLayers", "HalftoneModels", "HalftoneTokenizers",
  "HalftoneCheckpoints", "HalftoneMethods", "HalftoneInference", "HalftoneEvaluation",
  "HalftonePipeline", "HalftoneReport", "HalftoneServer",
]

/// The folder of golden files of a test target, if it has one; tests read it where it lies.
func golden(_ target: String) -> [String] {
  let folder = "\(Context.packageDirectory)/Tests/\(target)/Golden"
  return FileManager.default.fileExists(atPath: folder) ? ["Golden"] : []
}

let package = Package(
  name: "halftone",
  platforms: [.macOS(.v15)],
  products: [
    .library(name: "Halftone", targets: ["Halftone"]),
    .library(name: "HalftoneServer", targets: ["HalftoneServer"]),
    .executable(name: "halftone", targets: ["HalftoneCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
    .package(url: "https://github.com/hummingbird-project/hummingbird", from: "2.28.1", traits: []),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.0"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.13.0"),
  ],
  targets: [
    // C and system libraries
    .target(
      name: "CHalftoneKernels",
      linkerSettings: [.linkedLibrary("m", .when(platforms: [.linux]))]),
    .systemLibrary(
      name: "COpenBLAS", pkgConfig: "openblas",
      providers: [.apt(["libopenblas-dev"]), .brew(["openblas"])]),

    // Numbers
    .target(name: "HalftoneTensor", dependencies: ["CHalftoneKernels", "COpenBLAS"]),
    .target(name: "HalftoneSchemes", dependencies: ["HalftoneTensor", "CHalftoneKernels"]),

    // Networks
    .target(
      name: "HalftoneLayers",
      dependencies: ["CHalftoneKernels", "HalftoneTensor", "HalftoneSchemes"]),
    .target(name: "HalftoneModels", dependencies: ["HalftoneTensor", "HalftoneLayers"]),
    .target(
      name: "HalftoneTokenizers",
      dependencies: [.product(name: "HeapModule", package: "swift-collections")]),
    .target(name: "HalftoneCheckpoints", dependencies: ["HalftoneTensor", "HalftoneSchemes"]),

    // Methods
    .target(
      name: "HalftoneMethods",
      dependencies: ["HalftoneTensor", "HalftoneSchemes", "HalftoneLayers"]),
    .target(
      name: "HalftoneInference",
      dependencies: [
        "CHalftoneKernels", "HalftoneTensor", "HalftoneSchemes", "HalftoneLayers",
        "HalftoneModels", "HalftoneTokenizers",
      ]),
    .target(
      name: "HalftoneEvaluation",
      dependencies: [
        "HalftoneTensor", "HalftoneLayers", "HalftoneModels", "HalftoneTokenizers",
        "HalftoneInference",
      ]),
    .target(
      name: "HalftonePipeline",
      dependencies: [
        "HalftoneTensor", "HalftoneSchemes", "HalftoneLayers", "HalftoneModels",
        "HalftoneTokenizers", "HalftoneCheckpoints", "HalftoneMethods", "HalftoneInference",
        "HalftoneReport",
        .product(name: "Yams", package: "Yams"),
      ]),
    .target(name: "HalftoneReport"),
    .target(
      name: "HalftoneServer",
      dependencies: [
        "HalftoneTokenizers", "HalftoneCheckpoints", "HalftoneInference",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "HummingbirdCore", package: "hummingbird"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "UnixSignals", package: "swift-service-lifecycle"),
      ]),

    // Products
    .target(
      name: "Halftone",
      dependencies: libraries.filter { $0 != "HalftoneServer" }.map { .byName(name: $0) }),
    .executableTarget(
      name: "HalftoneCLI",
      dependencies: libraries.map { .byName(name: $0) } + [
        .product(name: "ArgumentParser", package: "swift-argument-parser")
      ]),

    // Tests
    .target(
      name: "HalftoneTestSupport",
      dependencies: ["HalftoneTensor", "HalftoneSchemes", "HalftoneLayers"],
      path: "Tests/HalftoneTestSupport"),
    .testTarget(name: "CHalftoneKernelsTests", dependencies: ["CHalftoneKernels"]),
  ]
    + libraries.map { library in
      .testTarget(
        name: "\(library)Tests",
        dependencies: [.byName(name: library), "HalftoneTestSupport"]
          + libraries.filter { $0 != library }.map { .byName(name: $0) },
        exclude: golden("\(library)Tests"))
    }
    + [
      .testTarget(
        name: "HalftoneCLITests", dependencies: ["HalftoneCLI", "Halftone", "HalftoneTestSupport"],
        exclude: golden("HalftoneCLITests"))
    ]
)

for target in package.targets where target.type != .system && !target.name.hasPrefix("C") {
  target.swiftSettings = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .treatAllWarnings(as: .error),
  ]
}
