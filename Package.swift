// swift-tools-version: 6.3
import PackageDescription

let package = Package(
  name: "decant",
  products: [
    .executable(name: "decant", targets: ["DecantCommand"]),
    // A module named Decant would collide with the product `decant` on case-insensitive disks.
    .library(name: "DecantKit", targets: ["DecantKit"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2")
  ],
  targets: [
    // Loaded at run time on first use (docs/adr/0002), so a run that needs none of them starts as fast.
    .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "COneDNN", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibcrypto", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibdeflate", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CDecompression", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibzip", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CImageCodecs", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CArguments"),
    .target(name: "CNarrowing"),
    .target(name: "CStandard"),
    .systemLibrary(name: "CFallocate"),

    .target(name: "DecantBytes"),
    .target(
      name: "DecantIO",
      dependencies: [
        "DecantBytes", "CDecompression", "CLibdeflate", "CLibzip",
        .target(name: "CFallocate", condition: .when(platforms: [.linux])),
      ]),
    .target(name: "DecantPickle", dependencies: ["DecantBytes"]),
    .target(name: "DecantFormats", dependencies: ["DecantBytes", "DecantIO", "DecantPickle"]),
    .target(name: "DecantTensors", dependencies: ["DecantBytes", "CLibcrypto", "CNarrowing", "CStandard"]),
    .target(name: "DecantGraphs"),
    .target(name: "DecantImages", dependencies: ["DecantBytes", "CImageCodecs"]),
    .target(
      name: "DecantCheckpoints",
      dependencies: ["DecantBytes", "DecantIO", "DecantPickle", "DecantFormats", "DecantTensors"]),
    .target(
      name: "DecantConversion",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantPickle", "DecantFormats", "DecantTensors", "DecantCheckpoints",
      ]),
    .target(
      name: "DecantScanning",
      dependencies: ["DecantBytes", "DecantIO", "DecantPickle", "DecantFormats", "CStandard"]),
    .target(name: "DecantResNets", dependencies: ["DecantBytes", "DecantTensors", "DecantGraphs"]),
    .target(
      name: "DecantInference",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantTensors", "DecantGraphs", "COpenBLAS", "COneDNN", "CStandard",
      ]),
    .target(
      name: "DecantComparing",
      dependencies: ["DecantBytes", "DecantIO", "DecantTensors", "DecantCheckpoints", "DecantResNets"]),
    .target(
      name: "DecantNetworks",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantTensors", "DecantCheckpoints", "DecantGraphs", "DecantImages",
        "DecantResNets", "DecantInference", "CStandard",
      ]),
    .target(
      name: "DecantONNX",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantTensors", "DecantGraphs", "DecantCheckpoints",
      ]),
    .target(
      name: "DecantReports",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantTensors", "DecantGraphs", "DecantCheckpoints", "DecantScanning",
        "DecantResNets", "DecantInference", "DecantComparing", "DecantNetworks",
      ]),
    .target(
      name: "DecantKit",
      dependencies: [
        "DecantBytes", "DecantTensors", "DecantCheckpoints", "DecantConversion", "DecantScanning",
        "DecantGraphs", "DecantResNets", "DecantInference", "DecantComparing", "DecantImages",
        "DecantNetworks", "DecantONNX",
      ]),
    .executableTarget(
      name: "DecantCommand",
      dependencies: [
        "DecantKit", "DecantBytes", "DecantIO", "DecantPickle", "DecantTensors", "DecantCheckpoints",
        "DecantConversion", "DecantScanning", "DecantGraphs", "DecantResNets", "DecantInference",
        "DecantComparing", "DecantImages", "DecantNetworks", "DecantONNX", "DecantReports", "CArguments",
        "CStandard",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // Uses the public API only, like another package. Tests/Sample is also a package of its own.
    .executableTarget(
      name: "Sample", dependencies: ["DecantKit"], path: "Tests/Sample/Sources/Sample", packageAccess: false),
    .target(name: "CTestLibraries", path: "Tests/CTestLibraries", linkerSettings: [.linkedLibrary("dl")]),
    .target(
      name: "TestSupport", dependencies: ["DecantBytes", "DecantResNets", "CTestLibraries"],
      path: "Tests/TestSupport"),
    // Shared with the fuzzer, which is a separate package (Tests/Fuzzing/Package.swift).
    .target(
      name: "FuzzTargets",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "DecantGraphs",
        "DecantImages", "DecantPickle", "DecantResNets", "DecantScanning", "DecantTensors", "TestSupport",
      ],
      path: "Tests/Fuzzing/Targets"),
    .testTarget(name: "DecantBytesTests", dependencies: ["DecantBytes"]),
    .testTarget(name: "DecantPickleTests", dependencies: ["DecantBytes", "DecantPickle", "TestSupport"]),
    .testTarget(name: "DecantTensorsTests", dependencies: ["DecantBytes", "DecantTensors"]),
    .testTarget(
      name: "DecantCheckpointsTests",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "CLibdeflate",
        "CTestLibraries", "FuzzTargets", "DecantTensors", "TestSupport",
      ]),
    .testTarget(
      name: "DecantConversionTests",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantTensors", "DecantCheckpoints", "DecantConversion", "TestSupport",
      ]),
    .testTarget(
      name: "DecantScanningTests",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "DecantPickle",
        "DecantScanning", "TestSupport",
      ]),
    .testTarget(
      name: "DecantResNetsTests",
      dependencies: ["DecantBytes", "DecantGraphs", "DecantResNets", "DecantTensors", "TestSupport"]),
    .testTarget(
      name: "DecantInferenceTests",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "DecantGraphs",
        "DecantInference", "DecantResNets", "DecantTensors", "TestSupport",
      ],
      exclude: ["pytorch_cases.py"]),
    .testTarget(
      name: "DecantNetworksTests",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "DecantGraphs",
        "DecantInference", "DecantNetworks", "DecantResNets", "DecantTensors", "TestSupport",
      ]),
    .testTarget(
      name: "DecantONNXTests",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "DecantGraphs",
        "DecantONNX", "DecantTensors",
      ]),
    .testTarget(
      name: "DecantReportsTests",
      dependencies: [
        "DecantBytes", "DecantCheckpoints", "DecantGraphs", "DecantReports", "DecantResNets", "DecantTensors",
        "TestSupport",
      ]),
    .testTarget(name: "DecantImagesTests", dependencies: ["DecantBytes", "DecantImages", "TestSupport"]),
    // Depends on the tool so that `swift test` builds the binary that the tests run.
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "Sample", "DecantBytes", "DecantIO", "DecantCommand", "DecantConversion", "DecantCheckpoints",
        "DecantInference", "DecantNetworks", "DecantResNets", "DecantTensors", "TestSupport",
        "CTestLibraries",
      ],
      exclude: ["messages.txt", "remedies.txt"]),
  ]
)

let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
]
// Set by the gate only: a newer compiler's warnings must not break a build elsewhere.
let strictness: [SwiftSetting] =
  Context.environment["WARNINGS_ARE_ERRORS"] == nil ? [] : [.treatAllWarnings(as: .error)]

for target in package.targets
where target.type != .system
  && ![
    "COpenBLAS", "CLibcrypto", "CLibdeflate", "CLibzip", "CTestLibraries", "CImageCodecs", "CNarrowing",
    "CArguments", "CDecompression", "CStandard",
  ]
  .contains(target.name)
{
  // Tests pass unsafe C buffers on purpose. In the library, strict memory safety requires marking each use.
  let isTest = target.type == .test || ["TestSupport", "FuzzTargets", "Sample"].contains(target.name)
  target.swiftSettings =
    swiftSettings + strictness + (isTest ? [] : [.strictMemorySafety()])
}
