// swift-tools-version: 6.3
import PackageDescription

// A package of its own, so that the sanitizers and libFuzzer's coverage apply to every module of Decant and nothing
// else of the project is built. Sources and TestSupport are symbolic links to those folders of the project.
let package = Package(
  name: "fuzzing",
  products: [.executable(name: "decant-fuzz", targets: ["Driver"])],
  targets: [
    .target(name: "CLibcrypto", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibdeflate", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CDecompression", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CLibzip", linkerSettings: [.linkedLibrary("dl")]),
    .target(name: "CImageCodecs", linkerSettings: [.linkedLibrary("dl")]),
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
      name: "TestSupport", dependencies: ["DecantBytes", "DecantResNets"], path: "TestSupport",
      exclude: ["DecantProcess.swift", "ExpectedTensor.swift", "Fixtures.swift", "SyntheticImage.swift"],
      sources: ["ZipBuilder.swift"]),
    .target(
      name: "FuzzTargets",
      dependencies: [
        "DecantBytes", "DecantIO", "DecantFormats", "DecantCheckpoints", "DecantConversion", "DecantGraphs",
        "DecantImages", "DecantPickle", "DecantResNets", "DecantScanning", "DecantTensors", "TestSupport",
      ],
      path: "Targets"),
    .executableTarget(
      name: "Driver", dependencies: ["FuzzTargets"], path: "Driver",
      // libFuzzer provides the main function.
      swiftSettings: [.unsafeFlags(["-parse-as-library"])],
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address"])]),
  ]
)

// `swift build --sanitize fuzzer` leaves the main function to libFuzzer. The address sanitizer is named here, with it:
// the compiler obeys the last such option alone, so a second `--sanitize` would turn off one of the two, by chance.
let inC = [
  "CDecompression", "CLibcrypto", "CLibdeflate", "CLibzip", "CImageCodecs", "CNarrowing", "CStandard",
]
for target in package.targets where inC.contains(target.name) {
  // Undefined behaviour traps, which needs no sanitizer library. Swift on Linux has no such check.
  target.cSettings = [
    .unsafeFlags(["-fsanitize=fuzzer-no-link,address,undefined", "-fsanitize-trap=undefined"])
  ]
}
for target in package.targets
where target.type != .system && !inC.contains(target.name) {
  target.swiftSettings =
    (target.swiftSettings ?? []) + [
      .unsafeFlags(["-sanitize=fuzzer,address"]),
      .swiftLanguageMode(.v6),
      .enableUpcomingFeature("ExistentialAny"),
      .enableUpcomingFeature("InternalImportsByDefault"),
      .enableUpcomingFeature("MemberImportVisibility"),
      .enableExperimentalFeature("Lifetimes"),
    ]
}
