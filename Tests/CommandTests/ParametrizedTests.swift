import Foundation
import TestSupport
import Testing

/// Commands on files with pruned weights, weight norm and spectral norm. Tests/Peers compares the values with PyTorch's.
@Suite struct ParametrizedTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(
      line.replacing("OUT/", with: folder.url.path + "/").replacing("IN/", with: "fixtures/torch/"),
      in: Fixtures.root)
  }

  private static let note =
    "decant: 13 weights are computed from weight_orig and weight_mask (torch.nn.utils.prune)\n"

  @Test func networksComputeTheWeights() throws {
    let identified = try decant("decant identify IN/pruned.pth --json")
    #expect(identified.status == 0 && identified.errors == Self.note)
    #expect(
      identified.output.contains(
        "\"matched\": 74,\n    \"missing\": 0,\n    \"mismatched\": 0,\n    \"unexpected\": 0"))
    #expect(
      identified.output.contains(
        #"{"method": "torch.nn.utils.prune", "parts": ["weight_orig", "weight_mask"], "weights": 13, "resolved": true}"#
      ))
    let verified = try decant("decant verify IN/pruned.pth")
    #expect(verified.status == 0 && verified.errors.hasPrefix(Self.note))
    #expect(verified.output.contains("74 tensors, all values finite"))
  }

  @Test func runComputesWhatTheWholeNetworkComputes() throws {
    #expect(try decant("decant convert IN/pruned.pth OUT/whole.safetensors --resolve").errors == Self.note)
    for (file, output) in [("IN/pruned.pth", "a"), ("OUT/whole.safetensors", "b")] {
      let run = try decant(
        "decant run \(file) --input fixtures/inputs/input_97x131.npy --output OUT/\(output).npy --engine reference"
      )
      #expect(run.status == 0 && run.errors.contains("are computed from") == (output == "a"))
      let model = try decant("decant convert \(file) OUT/\(output).onnx --check")
      #expect(model.status == 0)
    }
    func bytes(_ name: String) throws -> Data { try Data(contentsOf: URL(filePath: folder.path(name))) }
    #expect(try bytes("a.npy") == bytes("b.npy"))
  }

  /// A weight that is stored in parts has no axes to turn until it is computed.
  @Test func layoutNeedsWholeWeights() throws {
    let parts = try decant("decant convert IN/pruned.pth OUT/h.safetensors --layout nhwc")
    #expect(parts.status == 2 && parts.errors.hasSuffix("Pass --resolve to compute them.\n"))
    let turned = try decant("decant convert IN/pruned.pth OUT/h.safetensors --layout nhwc --resolve")
    #expect(turned.status == 0 && turned.errors.contains("turned 12 convolution weights to channels last"))
    let json = try decant("decant convert IN/pruned.pth OUT/j.safetensors --layout nhwc --resolve --json")
      .output
    #expect(json.contains("\"channels_last\": [\"conv1.weight\"") && json.contains("\"not_turned\": []"))
    let only = "--key . --layout-only 'layer1.*.conv?.weight'"
    let some = try decant("decant convert IN/pruned.pth OUT/s.safetensors --layout nhwc --resolve \(only)")
    #expect(some.status == 0 && some.errors.contains("turned 2 convolution weights"), "\(some.errors)")
    for file in ["h", "s"] {
      let same = try decant("decant diff IN/pruned.pth OUT/\(file).safetensors --resolve")
      #expect(same.status == 0, "\(same.output)")
    }
  }

  @Test func partsAreWrittenUnlessResolved() throws {
    let parts = try decant("decant convert IN/pruned.pth OUT/parts.safetensors --json")
    #expect(
      parts.errors
        == "decant: note: 13 weights are stored as weight_orig and weight_mask (torch.nn.utils.prune), written as they are; --resolve computes the weights\n"
    )
    #expect(parts.output.contains(#""tensors": 87"#) && parts.output.contains(#""resolved": false"#))
    #expect(try decant("decant diff IN/pruned.pth OUT/parts.safetensors").status == 0)
    // Parts that are left out are not mentioned.
    #expect(try decant("decant convert IN/pruned.pth OUT/bn.safetensors --only '*.bn?.*'").errors == "")
    #expect(
      try decant("decant convert OUT/bn.safetensors OUT/again.npz --resolve").errors.contains(
        "--resolve: no weight is stored in several parts"))
  }

  @Test(arguments: ["safetensors", "npz", "gguf", "pth", "npy/"])
  func everyFormatTakesWeights(_ target: String) throws {
    let output = target == "npy/" ? "OUT/folder/" : "OUT/whole.\(target)"
    let run = try decant(
      "decant convert IN/pruned.pth \(output) --resolve --check --only '*weight' --rename 's/weight/w/'")
    #expect(run.status == 0 && run.errors.hasPrefix(Self.note), "\(run.errors)")
    guard target != "npy/" else {
      return #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("folder")).count == 25)
    }
    let listed = try decant("decant inspect \(output)")
    #expect(listed.output.contains("layer1.0.conv1.w ") && !listed.output.contains("_mask"))
  }

  @Test func namesAndFoldingNeedWholeWeights() throws {
    for option in ["--names timm", "--fold-bn"] {
      let refused = try decant("decant convert IN/pruned.pth OUT/out.safetensors \(option)")
      #expect(refused.status == 2 && refused.errors.hasSuffix("Pass --resolve to compute them.\n"))
      #expect(try decant("decant convert IN/pruned.pth OUT/out.safetensors \(option) --resolve").status == 0)
    }
  }

  @Test func inspectListsPartsAndSaysSo() throws {
    let run = try decant("decant inspect IN/pruned.pth")
    #expect(run.output.contains("  layer1.0.conv1.weight_mask "))
    #expect(
      run.output.contains(
        "  parametrised: 13 weights are stored as weight_orig and weight_mask (torch.nn.utils.prune)\n"))
    let json = try decant("decant inspect IN/pruned.pth --json")
    #expect(json.output.contains(#""method":"torch.nn.utils.prune""#))
  }

  @Test func diffComparesWeightsOnRequest() throws {
    _ = try decant("decant convert IN/pruned.pth OUT/whole.safetensors --resolve")
    let same = try decant("decant diff IN/pruned.pth OUT/whole.safetensors --resolve")
    #expect(same.status == 0 && same.output == "the same: 74 tensors, every bit\n")
    let different = try decant("decant diff IN/pruned.pth OUT/whole.safetensors")
    #expect(different.status == 1 && different.errors.contains("--resolve compares the weights"))
  }

  /// The parts of what is not known are written, and a warning names them.
  @Test func othersAreNamed() throws {
    let run = try decant(
      "decant convert IN/parametrised.pth OUT/out.safetensors --key unknown --resolve --json")
    #expect(run.status == 0 && run.output.contains(#""not_resolved""#))
    #expect(
      run.errors.contains(
        "warning: not resolved: the weight of orthogonal is parametrised in a way that is not known: parametrizations.weight.original (float32 3×3), parametrizations.weight.0.base (float32 3×3); its parts are written as they are"
      ))
  }

  @Test func shardedOutputAndDamage() throws {
    #expect(
      try decant("decant convert IN/pruned.pth OUT/s.safetensors --resolve --shard-size 10KB --check").status
        == 0)
    var bytes = try Fixtures.bytes("torch/pruned.pth")
    let start = try #require(bytes.firstRange(of: Array("archive/data/0".utf8)))
    bytes[start.upperBound + 80] ^= 1
    _ = try folder.write("damaged.pth", bytes)
    let run = try decant("decant convert OUT/damaged.pth OUT/out.safetensors --resolve")
    #expect(run.status == 2 && run.errors.contains("CRC-32"))
  }
}
