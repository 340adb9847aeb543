// swift-tools-version: 6.2
import PackageDescription

let package = Package(
  name: "decant",
  products: [
    .executable(name: "decant", targets: ["DecantCommand"]),
    // A module named Decant would collide with the product `decant` on case-insensitive disks.
    .library(
      name: "DecantLibrary",
      targets: ["ByteParsing", "Pickle", "Tensors", "Checkpoints", "Graphs", "ResNets", "Inference"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // Loaded on first use (docs/adr/0002): a run that needs none of them pays nothing at its start.
    .target(name: "CLibzip", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibcrypto", linkerSettings: [.linkedLibrary("dl")]),
    .systemLibrary(name: "CLibdeflate", pkgConfig: "libdeflate", providers: [.apt(["libdeflate-dev"])]),

    .target(name: "ByteParsing"),
    .target(name: "Pickle", dependencies: ["ByteParsing"]),
    .target(name: "Tensors", dependencies: ["ByteParsing", "CLibcrypto"]),
    .target(name: "Graphs"),
    .target(
      name: "Checkpoints",
      dependencies: ["ByteParsing", "Pickle", "Tensors", "CLibzip", "CLibdeflate", "CLibcrypto"]),
    .target(name: "ResNets", dependencies: ["ByteParsing", "Tensors", "Graphs"]),
    .target(name: "Inference", dependencies: ["ByteParsing", "Tensors", "Graphs", "COpenBLAS"]),
    .executableTarget(
      name: "DecantCommand",
      dependencies: [
        "ByteParsing", "Pickle", "Tensors", "Checkpoints", "Graphs", "ResNets", "Inference",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
  ]
)

let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
]

for target in package.targets where target.type != .system && !target.name.hasPrefix("C") || target.name == "Checkpoints" {
  target.swiftSettings = swiftSettings + (target.type == .test ? [] : [.strictMemorySafety()])
}
