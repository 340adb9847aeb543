import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Writes every output format and reads it back with this project's readers. `make peers` uses the original readers.
@Suite struct TargetTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func digests(_ checkpoint: Checkpoint) throws -> [String: String] {
    Dictionary(uniqueKeysWithValues: try checkpoint.tensors.map { ($0.name, try $0.tensor.sha256()) })
  }

  @Test(arguments: ["out.safetensors", "out.npz", "out.gguf", "OUT.NPZ"])
  func keepsEveryElement(_ name: String) throws {
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    var options = WriteOptions()
    options.key = "."
    options.checks = true
    let report = try source.convert(to: folder.path(name), options)
    let written = try Checkpoint(path: folder.path(name))
    #expect(try digests(written) == digests(source) && report.tensorCount == 13)
    if !name.hasSuffix(".safetensors") {
      #expect(written.tensors.map(\.name) == source.tensors.map(\.name))
    }
    _ = try source.convert(to: folder.path("again"), as: OutputFormat(path: name), options)
    #expect(
      FileManager.default.contents(atPath: folder.path("again"))
        == FileManager.default.contents(atPath: folder.path(name)))
  }

  @Test func writesAFolderOfArrays() throws {
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    var options = WriteOptions()
    options.key = "."
    let report = try source.convert(to: folder.path("arrays") + "/", options)
    #expect(report.files.count == 13 && folder.names == ["arrays"])
    for entry in source.tensors {
      let array = try NpyArray.read(path: folder.path("arrays/\(entry.name).npy"))
      #expect(try array.sha256() == entry.tensor.sha256() && array.shape == entry.tensor.shape)
    }
    let error = #expect(throws: DecantError.self) { try source.convert(to: folder.path("arrays") + "/") }
    #expect(error?.code == .outputExists && error?.location.file?.hasSuffix("/arrays/") == true)
    options.substitutions = [try NameSubstitution("s/model/..\\/up/")]
    let outside = #expect(throws: DecantError.self) {
      try source.convert(to: folder.path("other") + "/", options)
    }
    #expect(
      outside?.code == .notRepresentable && outside?.remedy?.contains("s#/#_#g") == true
        && folder.names == ["arrays"])
  }

  /// Returns a checkpoint with one tensor of one number.
  private func checkpoint(_ name: String) throws -> Checkpoint {
    let header = "{\(JSONValue.string(name).text):{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"
    let file = ZipBuilder.little(UInt64(header.utf8.count)) + Array(header.utf8) + [0, 0, 0x80, 0x3F]
    return try Checkpoint(path: try folder.write("in.safetensors", file))
  }

  /// Names of tensors become names of entries in `.npz`. None of them leads out of the folder where it is extracted.
  @Test(arguments: ["../up", "/root", "a/../../b", "..", "\\\\server", "a\\..\\b", "/", "a/.."])
  func entriesStayInTheirFolder(_ name: String) throws {
    let source = try checkpoint(name)
    let error = #expect(throws: DecantError.self) { try source.convert(to: folder.path("a.npz")) }
    #expect(error?.code == .notRepresentable && folder.names == ["in.safetensors"])
    #expect(error?.remedy?.contains("--rename") == true || error?.remedy?.contains("substitutions") == true)
    // Other formats keep names outside of entries.
    for target in ["a.pth", "a.safetensors"] { _ = try source.convert(to: folder.path(target)) }
    #expect(try Checkpoint(path: folder.path("a.pth")).tensors.map(\.name) == [name])
    let zip = try #require(FileManager.default.contents(atPath: folder.path("a.pth")))
    #expect(zip.range(of: Data("archive/\(name)".utf8)) == nil)
  }

  @Test(arguments: ["a..b", "..a", "a/b", ".a", "a/.b", "a\\b", "a/"])
  func otherNamesAreKept(_ name: String) throws {
    _ = try checkpoint(name).convert(to: folder.path("a.npz"))
    #expect(try Checkpoint(path: folder.path("a.npz")).tensors.map(\.name) == [name])
  }

  @Test(arguments: [(1, 13), (200, 4), (1 << 20, 1)])
  func dealsIntoShards(_ limit: Int, _ most: Int) throws {
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    var options = WriteOptions()
    options.key = "."
    options.shardByteCount = limit
    let report = try source.convert(to: folder.path("m.safetensors"), options)
    let index = most == 1 ? "m.safetensors" : "m.safetensors.index.json"
    #expect(report.files.count <= most + 1 && folder.names.contains(index))
    #expect(try digests(Checkpoint(path: folder.path(index))) == digests(source))
  }

  @Test(arguments: [
    ("s/a/b/", "banana", "bbnana"), ("s/a/b/g", "banana", "bbnbnb"), ("s|^x\\.||", "x.y", "y"),
    (#"s/layer(\d)\.(.*)/\2.\1/"#, "layer3.bn", "bn.3"), ("s/an/[&]/g", "banana", "b[an][an]a"),
    (#"s/\//./"#, "a/b", "a.b"), (#"s/a/\&\\/"#, "a", #"&\"#),
  ])
  func substitutes(_ expression: String, _ name: String, _ expected: String) throws {
    var options = WriteOptions()
    options.key = "."
    options.substitutions = [try NameSubstitution(expression)]
    let path = folder.path("one.safetensors")
    try SafetensorsFile.write([(name, try Tensor([Float(1)], shape: [1]))], to: path)
    _ = try Checkpoint(path: path).convert(to: folder.path("two.safetensors"), options)
    #expect(try Checkpoint(path: folder.path("two.safetensors")).tensors.map(\.name) == [expected])
  }

  @Test(arguments: ["", "s", "s/", "s/a", "s/a/b", "s/a/b/x", "y/a/b/", #"s/a/\1/"#, "s/(/b/", "saab"])
  func refusesExpressions(_ expression: String) {
    let error = #expect(throws: DecantError.self) { try NameSubstitution(expression) }
    #expect(error?.code == .invalidArgument)
  }

  @Test func namesWhatAFormatCannotHold() throws {
    func refusal(_ name: String, _ target: String) -> DecantError? {
      #expect(throws: DecantError.self) {
        _ = try Checkpoint(path: Fixtures.path("torch/\(name)")).convert(to: folder.path(target))
      }
    }
    for (name, target) in [("dtypes.pth", "o.gguf"), ("dtypes.pth", "o.npz"), ("nested.pth", "o.npy")] {
      #expect(refusal(name, target)?.code == .notRepresentable)
    }
    #expect(folder.names.isEmpty)
  }

  @Test func countsWhatACastLoses() throws {
    let path = folder.path("one.safetensors")
    try SafetensorsFile.write(
      [("x", try Tensor([Float(1e6), -1e-9, 0, .infinity, 1, -7e4], shape: [6]))], to: path)
    for (dtype, overflowed, underflowed) in [
      (DType.float16, 2, 1), (.bfloat16, 0, 0), (.float8_e4m3fn, 2, 1),
    ] {
      var options = WriteOptions()
      options.key = "."
      options.dtype = dtype
      let report = try Checkpoint(path: path).convert(to: folder.path("o.safetensors"), options)
      #expect(report.losses.map(\.overflowed) == (overflowed == 0 ? [] : [overflowed]))
      #expect(report.losses.map(\.underflowed) == (overflowed == 0 ? [] : [underflowed]))
    }
  }
}
