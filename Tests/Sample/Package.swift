// swift-tools-version: 6.3
import PackageDescription

// A separate package that uses Decant as any other package does: it sees only public API.
let package = Package(
  name: "sample",
  dependencies: [.package(name: "decant", path: "../..")],
  targets: [
    .executableTarget(name: "Sample", dependencies: [.product(name: "DecantKit", package: "decant")])
  ]
)
