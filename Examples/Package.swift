// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "examples",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "halftone", path: "..")],
  targets: [
    .executableTarget(
      name: "Continue", dependencies: [.product(name: "Halftone", package: "halftone")])
  ]
)
