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
    // Loaded on first use (docs/adr/0002): a run that needs none of them pays nothing at its start.
    .target(name: "COpenBLAS", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "COneDNN", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibcrypto", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibdeflate", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CImageCodecs", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CArguments"),
    .target(name: "CNarrowing"),
    .systemLibrary(name: "CFallocate"),

    .target(name: "ByteParsing"),
    .target(name: "Threads"),
    .target(name: "Pickle", dependencies: ["ByteParsing"]),
    .target(name: "Tensors", dependencies: ["ByteParsing", "CLibcrypto", "CNarrowing"]),
    .target(name: "Graphs"),
    .target(
      name: "Checkpoints",
      dependencies: [
        "ByteParsing", "Threads", "Pickle", "Tensors", "CFallocate", "CLibdeflate", "CLibcrypto",
      ]),
    .target(name: "Scanning", dependencies: ["ByteParsing", "Pickle", "Checkpoints"]),
    .target(name: "ResNets", dependencies: ["ByteParsing", "Tensors", "Graphs"]),
    .target(
      name: "Inference",
      dependencies: ["ByteParsing", "Threads", "Tensors", "Graphs", "COpenBLAS", "COneDNN"]),
    .target(
      name: "Comparing", dependencies: ["ByteParsing", "Threads", "Tensors", "Checkpoints", "ResNets"]),
    .target(
      name: "Networks",
      dependencies: ["ByteParsing", "Tensors", "Checkpoints", "Graphs", "Images", "ResNets", "Inference"]),
    .target(name: "Measuring", dependencies: ["ByteParsing", "Tensors", "Graphs", "ResNets", "Inference"]),
    .target(name: "ONNX", dependencies: ["ByteParsing", "Tensors", "Graphs", "Checkpoints"]),
    .target(name: "Images", dependencies: ["ByteParsing", "CImageCodecs"]),
    .target(
      name: "DecantKit",
      dependencies: [
        "ByteParsing", "Tensors", "Checkpoints", "Scanning", "Graphs", "ResNets", "Inference", "Comparing",
        "Images",
        "Networks", "ONNX",
      ]),
    .executableTarget(
      name: "DecantCommand",
      dependencies: [
        "ByteParsing", "Threads", "Comparing", "DecantKit", "Pickle", "Tensors", "Checkpoints", "Scanning",
        "Graphs",
        "ResNets", "Inference",
        "Measuring", "ONNX", "Images", "Networks", "CArguments",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),

    // Sees public API only, as another package would; Tests/Sample is also a package of its own.
    .executableTarget(
      name: "Sample", dependencies: ["DecantKit"], path: "Tests/Sample/Sources/Sample", packageAccess: false),
    .target(name: "CTestLibraries", path: "Tests/CTestLibraries", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "TestSupport", path: "Tests/TestSupport"),
    // Shared with the fuzzer, which is a package of its own (Tests/Fuzzing/Package.swift).
    .target(
      name: "FuzzTargets",
      dependencies: [
        "ByteParsing", "Checkpoints", "Graphs", "Images", "Pickle", "ResNets", "Scanning",
        "Tensors",
        "TestSupport",
      ],
      path: "Tests/Fuzzing/Targets"),
    .testTarget(name: "ByteParsingTests", dependencies: ["ByteParsing"]),
    .testTarget(name: "PickleTests", dependencies: ["ByteParsing", "Pickle", "TestSupport"]),
    .testTarget(name: "TensorsTests", dependencies: ["ByteParsing", "Tensors"]),
    .testTarget(
      name: "CheckpointsTests",
      dependencies: [
        "ByteParsing", "Checkpoints", "CLibdeflate", "CTestLibraries", "FuzzTargets", "Tensors",
        "TestSupport",
      ]),
    .testTarget(
      name: "ScanningTests",
      dependencies: ["ByteParsing", "Checkpoints", "Pickle", "Scanning", "TestSupport"]),
    .testTarget(
      name: "ResNetsTests", dependencies: ["ByteParsing", "Graphs", "ResNets", "Tensors", "TestSupport"]),
    .testTarget(
      name: "InferenceTests",
      dependencies: [
        "ByteParsing", "Checkpoints", "Graphs", "Inference", "ResNets", "Tensors", "TestSupport",
      ],
      exclude: ["pytorch_cases.py"]),
    .testTarget(
      name: "NetworksTests",
      dependencies: [
        "ByteParsing", "Checkpoints", "Inference", "Networks", "ResNets", "Tensors", "TestSupport",
      ]),
    .testTarget(
      name: "MeasuringTests",
      dependencies: ["ByteParsing", "Graphs", "Inference", "Measuring", "ResNets", "Tensors"]),
    .testTarget(
      name: "ONNXTests", dependencies: ["ByteParsing", "Checkpoints", "Graphs", "ONNX", "Tensors"]),
    .testTarget(name: "ImagesTests", dependencies: ["ByteParsing", "Images", "TestSupport"]),
    // Depends on the tool so that `swift test` builds the binary the tests run.
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "Sample", "ByteParsing", "DecantCommand", "Checkpoints", "Inference", "Networks", "ResNets",
        "Tensors",
        "TestSupport",
      ],
      exclude: ["messages.txt"]),
  ]
)

let swiftSettings: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableExperimentalFeature("Lifetimes"),
]

for target in package.targets
where target.type != .system
  && ![
    "COpenBLAS", "CLibcrypto", "CLibdeflate", "CTestLibraries", "CImageCodecs", "CNarrowing", "CArguments",
  ]
  .contains(target.name)
{
  // Tests hand C buffers about on purpose; the library marks every such place.
  let isTest = target.type == .test || ["TestSupport", "FuzzTargets", "Sample"].contains(target.name)
  target.swiftSettings = swiftSettings + (isTest ? [] : [.strictMemorySafety()])
}
