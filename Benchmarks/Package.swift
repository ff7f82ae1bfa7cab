// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "halftone-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "halftone", path: "..")],
  targets: [
    .executableTarget(
      name: "ReconstructionBenchmark",
      dependencies: [.product(name: "Halftone", package: "halftone")])
  ]
)
