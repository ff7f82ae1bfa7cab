// swift-tools-version: 6.2
import Foundation
import PackageDescription

let libraries = [
  "HalftoneTensor", "HalftoneSchemes", "HalftoneLayers", "HalftoneModels", "HalftoneTokenizers",
  "HalftoneCheckpoints", "HalftoneMethods", "HalftoneInference", "HalftoneEvaluation",
  "HalftonePipeline", "HalftoneReport",
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
    .executable(name: "halftone", targets: ["HalftoneCLI"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", from: "6.2.2"),
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

    // Products
    .target(name: "Halftone", dependencies: libraries.map { .byName(name: $0) }),
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
