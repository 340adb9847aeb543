import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Turning convolution weights to channels last and back.
@Suite struct LayoutTests {
  private typealias Value = TorchFile.Value
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static let shapes: KeyValuePairs<String, [Int]> = [
    "conv1.weight": [6, 4, 3], "conv2.weight": [5, 3, 2, 2], "up.weight": [3, 5, 2, 2],
    "conv3.weight": [5, 3, 2, 2, 2], "pos_embed": [1, 6, 3, 4], "mask": [1, 1, 4, 4], "fc.weight": [3, 2],
  ]

  private func source() throws -> Checkpoint {
    var file = TorchFile()
    let pairs = Self.shapes.map { (Value.text($0.key), file.tensor($0.value)) }
    return try Checkpoint(path: try folder.write("in.pth", file.bytes(.dictionary(pairs))))
  }

  private func shapes(_ name: String) throws -> [String: [Int]] {
    Dictionary(
      uniqueKeysWithValues: try Checkpoint(path: folder.path(name)).tensors.map { ($0.name, $0.tensor.shape) }
    )
  }

  private func turning() -> WriteOptions {
    var options = WriteOptions()
    options.layout = .channelsLast
    options.layoutOnly = ["conv?.weight"]
    options.layoutTransposed = ["up.*"]
    return options
  }

  @Test(arguments: ["out.safetensors", "out.gguf", "out.npz", "out.pth"])
  func turnsWhatIsNamedAndRecordsIt(_ name: String) throws {
    var options = turning()
    // GGUF has at most four dimensions.
    if name.hasSuffix("gguf") { options.except = ["conv3.weight"] }
    let report = try source().convert(to: folder.path(name), options)
    let found = try shapes(name)
    #expect(found["conv1.weight"] == [6, 3, 4] && found["conv2.weight"] == [5, 2, 2, 3])
    #expect(found["up.weight"] == [5, 2, 2, 3] && found["pos_embed"] == [1, 6, 3, 4])
    #expect(report.channelsLast.count == (options.except.isEmpty ? 4 : 3))
    // The state dict that networks see is in PyTorch's order.
    let weights = try Checkpoint(path: folder.path(name)).stateDict()
    for (key, shape) in Self.shapes where options.except.isEmpty || key != "conv3.weight" {
      #expect(weights[key]?.shape == shape, "\(key)")
    }
  }

  @Test func isNotTurnedTwice() throws {
    _ = try source().convert(to: folder.path("a.safetensors"), turning())
    let turned = try Checkpoint(path: folder.path("a.safetensors"))
    let again = try #require(throws: DecantError.self) {
      try turned.convert(to: folder.path("b.safetensors"), turning())
    }
    #expect(again.code == .invalidArgument && again.advice == .omitLayout)
    var back = WriteOptions()
    back.layout = .channelsFirst
    _ = try turned.convert(to: folder.path("back.safetensors"), back)
    #expect(
      try shapes("back.safetensors")
        == Dictionary(uniqueKeysWithValues: Self.shapes.map { ($0.key, $0.value) }))
    let nothing = try #require(throws: DecantError.self) {
      try Checkpoint(path: folder.path("back.safetensors")).convert(to: folder.path("c.safetensors"), back)
    }
    #expect(nothing.code == .invalidArgument && nothing.advice == .omitLayout)
  }

  /// Each format that records the layout keeps the record of each other, and nothing is turned twice.
  @Test(arguments: ["safetensors", "npz", "pth"]) func everyFormatKeepsTheRecord(_ name: String) throws {
    _ = try source().convert(to: folder.path("a." + name), turning())
    for other in ["safetensors", "npz", "pth"] {
      let turned = try Checkpoint(path: folder.path("a." + name))
      _ = try turned.convert(to: folder.path("b." + other))
      let copy = try Checkpoint(path: folder.path("b." + other))
      #expect(copy.tensors.count { $0.turned != nil } == 4, "\(other)")
      for (key, shape) in Self.shapes { #expect(try copy.stateDict()[key]?.shape == shape, "\(key)") }
      #expect(throws: DecantError.self) { try copy.convert(to: folder.path("c." + other), turning()) }
      var back = WriteOptions()
      back.layout = .channelsFirst
      _ = try copy.convert(to: folder.path("back." + other), back)
      #expect(
        try shapes("back." + other)
          == Dictionary(uniqueKeysWithValues: Self.shapes.map { ($0.key, $0.value) }))
    }
  }

  /// A folder of arrays has the record in a file of its own.
  @Test func foldersKeepTheRecord() throws {
    _ = try source().convert(to: folder.path("a") + "/", turning())
    let turned = try Checkpoint(path: folder.path("a"))
    #expect(turned.container == .npyFolder && turned.tensors.count { $0.turned != nil } == 4)
    #expect(turned.warnings.isEmpty)
    for (key, shape) in Self.shapes { #expect(try turned.stateDict()[key]?.shape == shape, "\(key)") }
    #expect(throws: DecantError.self) { try turned.convert(to: folder.path("b") + "/", turning()) }
    _ = try turned.convert(to: folder.path("c.safetensors"))
    _ = try Checkpoint(path: folder.path("c.safetensors")).convert(to: folder.path("d") + "/")
    #expect(try Checkpoint(path: folder.path("d")).tensors.count { $0.turned != nil } == 4)
    var back = WriteOptions()
    back.layout = .channelsFirst
    _ = try turned.convert(to: folder.path("back") + "/", back)
    #expect(try shapes("back") == Dictionary(uniqueKeysWithValues: Self.shapes.map { ($0.key, $0.value) }))
  }

  /// Formats without a place for the record refuse weights that are channels last already.
  @Test func refusesToLoseTheRecord() throws {
    _ = try source().convert(to: folder.path("a.safetensors"), turning())
    let turned = try Checkpoint(path: folder.path("a.safetensors"))
    var old = WriteOptions()
    old.isLegacy = true
    var one = WriteOptions()
    one.only = ["conv1.weight"]
    for (name, options) in [("out.npy", one), ("old.pth", old)] {
      let error = try #require(throws: DecantError.self) {
        try turned.convert(to: folder.path(name), options)
      }
      #expect(error.code == .notRepresentable && error.advice == .turnBack)
      var back = options
      back.layout = .channelsFirst
      _ = try turned.convert(to: folder.path(name), back)
    }
  }

  /// Each shard records its own weights, and the whole has all of them.
  @Test func shardsRecordTheirOwn() throws {
    var options = turning()
    options.shardByteCount = 400
    let report = try source().convert(to: folder.path("a.safetensors"), options)
    #expect(report.files.count > 3)
    for file in report.files where file.path.hasSuffix(".safetensors") {
      let shard = try Checkpoint(path: file.path)
      #expect(shard.warnings.allSatisfy { $0.contains("is shard") }, "\(file.path)")
      #expect(shard.tensors.allSatisfy { ($0.turned != nil) == report.channelsLast.contains($0.name) })
    }
    let whole = try Checkpoint(path: folder.path("a.safetensors.index.json"))
    #expect(whole.warnings.isEmpty && whole.tensors.count { $0.turned != nil } == 4)
    for (key, shape) in Self.shapes { #expect(try whole.stateDict()[key]?.shape == shape, "\(key)") }
  }

  /// A sparse weight is turned when it becomes dense, and refused by name when it does not.
  @Test func sparseWeights() throws {
    var file = TorchFile()
    func long(_ shape: [Int]) -> Value {
      .call(
        .global("torch._utils", "_rebuild_tensor_v2"),
        [
          file.storage(shape.reduce(1, *), kind: "LongStorage", width: 8), .int(0), .sizes(shape),
          .sizes([shape[1], 1]), .bool(false), .call(.global("collections", "OrderedDict"), []),
        ])
    }
    let sparse = Value.call(
      .global("torch._utils", "_rebuild_sparse_tensor"),
      [
        .call(.global("torch.serialization", "_get_layout"), [.text("torch.sparse_coo")]),
        .tuple([long([4, 1]), file.tensor([1]), .shape([6, 4, 3, 2])]),
      ])
    let checkpoint = try Checkpoint(
      path: try folder.write("in.pth", file.bytes(.mapping(["conv1.weight": sparse]))))
    var options = WriteOptions()
    options.layout = .channelsLast
    options.layoutOnly = ["conv1.weight"]
    let error = try #require(throws: DecantError.self) {
      try checkpoint.convert(to: folder.path("a.safetensors"), options)
    }
    #expect(error.advice == .makeDense && error.reason.contains("conv1.weight"))
    options.makesDense = true
    _ = try checkpoint.convert(to: folder.path("a.safetensors"), options)
    #expect(try shapes("a.safetensors") == ["conv1.weight": [6, 3, 2, 4]])
  }

  /// Other conversions keep the record under the new names.
  @Test func theRecordFollowsTheNames() throws {
    _ = try source().convert(to: folder.path("a.safetensors"), turning())
    var options = WriteOptions()
    options.substitutions = [try NameSubstitution("s/^/net./")]
    options.dtype = .float16
    _ = try Checkpoint(path: folder.path("a.safetensors")).convert(to: folder.path("b.safetensors"), options)
    let weights = try Checkpoint(path: folder.path("b.safetensors")).stateDict()
    for (key, shape) in Self.shapes { #expect(weights["net." + key]?.shape == shape, "\(key)") }
  }

  @Test func refusesToGuess() throws {
    var options = WriteOptions()
    options.layout = .channelsLast
    let error = try #require(throws: DecantError.self) {
      try source().convert(to: folder.path("a.safetensors"), options)
    }
    #expect(error.code == .undetermined && error.advice == .nameConvolutions && folder.names == ["in.pth"])
  }

  /// The modules of a pickled network say which weights are convolutions'. Grouped transposed ones have no such order.
  @Test func readsTheModules() throws {
    func module(_ file: inout TorchFile, _ shape: [Int], transposed: Bool, groups: Int64) -> Value {
      .call(
        .global("lib", "Conv"), [],
        state: .mapping([
          "_parameters": .mapping(["weight": file.tensor(shape)]), "_buffers": .mapping([:]),
          "_modules": .mapping([:]), "in_channels": .int(4), "transposed": .bool(transposed),
          "groups": .int(groups),
        ]))
    }
    var file = TorchFile()
    let root = Value.call(
      .global("lib", "Net"), [],
      state: .mapping([
        "_parameters": .mapping(["pos": file.tensor([1, 6, 3, 4])]), "_buffers": .mapping([:]),
        "_modules": .mapping([
          "a": module(&file, [6, 4, 3, 3], transposed: false, groups: 1),
          "up": module(&file, [4, 6, 2, 2], transposed: true, groups: 1),
          "grouped": module(&file, [4, 3, 2, 2], transposed: true, groups: 2),
        ]),
      ]))
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    var options = WriteOptions()
    options.layout = .channelsLast
    let report = try checkpoint.convert(to: folder.path("a.safetensors"), options)
    let found = try shapes("a.safetensors")
    #expect(report.channelsLast.sorted() == ["a.weight", "up.weight"])
    #expect(found["a.weight"] == [6, 3, 3, 4] && found["up.weight"] == [6, 2, 2, 4])
    #expect(found["grouped.weight"] == [4, 3, 2, 2] && found["pos"] == [1, 6, 3, 4])
  }

  @Test(arguments: [
    "nhwc", "{}", #"{"nhwc": {"ordinary": ["nothing"]}}"#, #"{"nhwc": {"ordinary": ["fc.weight"]}}"#,
  ])
  func aWrongRecordIsAWarning(_ record: String) throws {
    let escaped = record.replacing("\"", with: "\\\"")
    let header =
      #"{"__metadata__":{"decant.layout":""# + escaped
      + #""},"fc.weight":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]}}"#
    let path = try folder.write(
      "a.safetensors",
      ZipBuilder.little(UInt64(header.utf8.count)) + Array(header.utf8) + [UInt8](repeating: 0, count: 8))
    let checkpoint = try Checkpoint(path: path)
    #expect(checkpoint.warnings.contains { $0.contains("decant.layout") })
    #expect(checkpoint.tensors.map(\.tensor.shape) == [[1, 2]])
  }
}
