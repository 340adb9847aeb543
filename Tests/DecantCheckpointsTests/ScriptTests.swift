import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Compares TorchScript archives with `torch.jit.load(FILE).state_dict()`.
@Suite struct ScriptTests {
  static let expected = ExpectedTensor.read("scripts/expected.json")

  @Test(arguments: expected.keys.sorted())
  func stateDict(_ name: String) throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("scripts/" + name))
    #expect(checkpoint.container == .torchscript)
    let found = try checkpoint.tensors.filter { $0.stateDict != nil }.map { entry in
      var record = try ExpectedTensor(entry).withoutPlace
      // The state dict is flat: its keys are the names.
      record.path = "'" + entry.name + "'"
      return record
    }
    #expect(
      found.sorted { $0.path < $1.path }
        == Self.expected[name, default: []].map(\.withoutPlace).sorted { $0.path < $1.path })
    try checkpoint.verifyChecksums(of: checkpoint.tensors)
  }

  @Test func rolesAreThoseOfTheCode() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("scripts/script.pt"))
    func role(_ name: String) -> CheckpointTensor.Role? { checkpoint.tensors.first { $0.name == name }?.role }
    #expect(role("block.conv.weight") == .parameter)
    #expect(role("block.bn.running_mean") == .buffer && role("steps") == .buffer)
    let attribute = try #require(checkpoint.tensors.first { $0.name == "attribute" })
    #expect(attribute.role == nil && attribute.stateDict == nil)
    #expect(
      checkpoint.tensors.map(\.name).contains("tensors.1")
        && checkpoint.tensors.map(\.name).contains("named.a"))
  }

  @Test func constantsStandUnderTheirNamesInTheCode() throws {
    for name in ["frozen.pt", "mobile_frozen.ptl", "trace.pt"] {
      let checkpoint = try Checkpoint(path: Fixtures.path("scripts/" + name))
      let constants = checkpoint.tensors.filter { $0.path.count == 1 && $0.name.hasPrefix("CONSTANTS.c") }
      #expect(constants.count == (name == "trace.pt" ? 3 : 10))
      #expect(constants.allSatisfy { $0.stateDict == nil })
    }
    // Freezing folds the batch norm into the convolution and leaves the linear layer unchanged.
    let whole = try Checkpoint(path: Fixtures.path("scripts/script.pt"))
    let frozen = try Checkpoint(path: Fixtures.path("scripts/frozen.pt"))
    let weight = try #require(whole.tensors.first { $0.name == "fc.weight" }).tensor.sha256()
    #expect(try frozen.tensors.contains { try $0.tensor.sha256() == weight })
  }

  @Test func extraFilesAreListed() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("scripts/extra.pt"))
    let extra = try #require(checkpoint.objects.first { $0.name == "extra/labels.txt" })
    #expect(extra.type == "bytes" && extra.count == 8)
  }

  /// PyTorch 1.0 to 1.3 describe a table of tensors in JSON. No such PyTorch runs here, so the archive is built by
  /// hand from `caffe2/proto/torch.proto`. Real ones are in the corpus.
  @Test func modelsDescribedInJSON() throws {
    let model = """
      {"protoVersion": "3", "producerName": "pytorch", "mainModule": {"name": "net",
       "parameters": [{"isBuffer": false, "tensorId": "0", "name": "weight"}, {"isBuffer": true, "tensorId": "1", "name": "mean"}],
       "submodules": [{"name": "layer", "parameters": [{"tensorId": "2", "name": "bias"}]}]},
       "tensors": [
        {"dims": ["2", "2"], "offset": "0", "strides": ["1", "2"], "requiresGrad": true, "dataType": "FLOAT", "data": {"key": "tensors/0"}, "device": "cpu"},
        {"dims": ["1"], "offset": "3", "strides": ["1"], "requiresGrad": false, "dataType": "FLOAT", "data": {"key": "tensors/0"}, "device": "cpu"},
        {"offset": "0", "requiresGrad": false, "dataType": "INT64", "data": {"key": "tensors/2"}, "device": "cpu"},
        {"dims": ["0"], "offset": "0", "strides": ["1"], "dataType": "DOUBLE", "data": {"key": "tensors/3"}}]}
      """
    let floats = unsafe [Float(1), 2, 3, 4].withUnsafeBytes { unsafe [UInt8]($0) }
    func archive(_ model: String) -> [UInt8] {
      ZipBuilder([
        .init("net/version", Array("1\n".utf8)), .init("net/tensors/0", floats),
        .init("net/tensors/2", [7, 0, 0, 0, 0, 0, 0, 0]), .init("net/tensors/3", []),
        .init("net/model.json", Array(model.utf8)),
      ]).bytes
    }
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint(path: folder.write("net.pt", archive(model)))
    #expect(checkpoint.container == .torchscript)
    #expect(checkpoint.tensors.map(\.name) == ["weight", "mean", "layer.bias", "CONSTANTS.c3"])
    #expect(checkpoint.tensors.map(\.role) == [.parameter, .buffer, .parameter, nil])
    #expect(try checkpoint.tensors[0].tensor.elements(as: Float.self) == [1, 3, 2, 4])
    #expect(try checkpoint.tensors[1].tensor.elements(as: Float.self) == [4])
    for (from, to, code) in [
      ("\"tensorId\": \"2\"", "\"tensorId\": \"9\"", .damaged),
      ("\"offset\": \"3\"", "\"offset\": \"4\"", .damaged), ("FLOAT", "STRING", .unsupportedFormat),
      ("tensors/2", "../version", .damaged),
      ("\"strides\": [\"1\", \"2\"]", "\"strides\": [\"-1\", \"2\"]", .damaged),
    ] as [(String, String, DecantError.Code)] {
      let error = #expect(throws: DecantError.self, "\(to)") {
        _ = try Checkpoint(
          path: folder.write("bad.pt", archive(model.replacingOccurrences(of: from, with: to))))
      }
      #expect(error?.code == code && error?.location.file == folder.path("bad.pt"), "\(to)")
    }
  }
}
