// swift-tools-version: 6.2
import Foundation
import PackageDescription

/// oneDNN is measured beside ours where it is installed.
let hasOneDNN = ["/usr/include/dnnl.h", "/usr/local/include/dnnl.h"].contains {
  FileManager.default.fileExists(atPath: $0)
}

let package = Package(
  name: "halftone-benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "halftone", path: "..")],
  targets: [
    .target(
      name: "COneDNN",
      linkerSettings: hasOneDNN ? [.linkedLibrary("dnnl")] : []),
    .executableTarget(
      name: "AttentionBenchmark",
      dependencies: ["COneDNN", .product(name: "Halftone", package: "halftone")]),
    .executableTarget(
      name: "EncodingBenchmark",
      dependencies: [.product(name: "Halftone", package: "halftone")]),
    .executableTarget(
      name: "ReconstructionBenchmark",
      dependencies: [.product(name: "Halftone", package: "halftone")]),
    .executableTarget(
      name: "SolverBenchmark",
      dependencies: [.product(name: "Halftone", package: "halftone")]),
    .executableTarget(
      name: "ProductsBenchmark",
      dependencies: [.product(name: "Halftone", package: "halftone")]),
  ]
)
