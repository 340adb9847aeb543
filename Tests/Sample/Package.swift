// swift-tools-version: 6.3
import PackageDescription

// A package of its own that uses Decant as any other package would: it sees public API only.
let package = Package(
  name: "sample",
  dependencies: [.package(name: "decant", path: "../..")],
  targets: [
    .executableTarget(name: "Sample", dependencies: [.product(name: "DecantKit", package: "decant")])
  ]
)
