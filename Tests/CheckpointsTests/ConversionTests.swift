import ByteParsing
import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

@Suite struct ConversionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func convert(_ name: String, _ options: WriteOptions = WriteOptions()) throws -> (
    WriteReport, Checkpoint
  ) {
    let target = folder.path("out.safetensors")
    let report = try Checkpoint(path: Fixtures.path("torch/" + name)).convert(to: target, options)
    return (report, try Checkpoint(path: target))
  }

  private func refusal(_ name: String, _ options: WriteOptions = WriteOptions()) throws -> String {
    do {
      _ = try convert(name, options)
      return "accepted"
    } catch let error as DecantError {
      #expect(folder.names.isEmpty)
      return error.reason
    }
  }

  /// The elements PyTorch saved are the elements a reader of the output gets.
  @Test(arguments: [
    "nested.pth", "views.pth", "shared_storages.pth", "scalars_and_empty.pth", "old_layout.pth",
    "deflated.pth", "module.pth", "non_finite.pth",
  ])
  func keepsEveryElement(_ name: String) throws {
    let (report, output) = try convert(name)
    let expected = ExpectedTensor.all[name, default: []]
    #expect(report.tensorCount == expected.count)
    #expect(Set(try output.tensors.map { try $0.tensor.sha256() }) == Set(expected.map(\.sha256)))
    #expect(
      Set(output.tensors.map { "\($0.tensor.dtype.rawValue) \($0.tensor.shape)" })
        == Set(expected.map { "\($0.dtype) \($0.shape)" }))
  }

  @Test func ordersBySizeThenSource() throws {
    let (_, output) = try convert("nested.pth")
    let sizes = output.tensors.map(\.tensor.dtype.byteCount)
    #expect(sizes == sizes.sorted(by: >))
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth")).tensors
    let floats = source.filter { $0.tensor.dtype == .float32 }.map(\.name)
    #expect(output.tensors.filter { $0.tensor.dtype == .float32 }.map(\.name) == floats)
  }

  @Test func metadataAndKey() throws {
    var options = WriteOptions()
    options.key = "model"
    options.sourceDigest = true
    let (report, output) = try convert("nested.pth", options)
    #expect(output.tensors.map(\.name).contains("0.weight"))
    #expect(
      output.hints.map(\.label) == ["format", "decant.container", "decant.key", "decant.source_sha256"])
    #expect(output.hints.map(\.text).prefix(3) == ["pt", "torch-zip", "model"])
    let source = try Fixtures.bytes("torch/nested.pth")
    #expect(output.hints.last?.text.count == 64 && !source.isEmpty)
    #expect(report.droppedObjectCount == 1)
  }

  @Test func casts() throws {
    var options = WriteOptions()
    options.dtype = .float16
    let (report, output) = try convert("nested.pth", options)
    #expect(Set(output.tensors.map(\.tensor.dtype)) == [.float16, .int64])
    #expect(report.castCount == report.tensorCount - 1)
    #expect(report.uncastCount == 1)
  }

  /// A big-endian file holds a type that safetensors lacks; everything else of it converts.
  @Test func bigEndian() throws {
    let source = try Checkpoint(path: Fixtures.path("torch/big_endian.pth"))
    for entry in source.tensors where entry.tensor.dtype != .complex128 {
      var options = WriteOptions()
      options.key = entry.name
      let (_, output) = try convert("big_endian.pth", options)
      #expect(try output.tensors.map { try $0.tensor.sha256() } == [try entry.tensor.sha256()])
    }
  }

  @Test func strips() throws {
    var options = WriteOptions()
    options.stripPrefix = "module."
    #expect(
      try refusal("nested.pth", options) == "does not begin with the prefix module. that is to be stripped")
  }

  @Test func refusesBeforeWriting() throws {
    #expect(
      try refusal("quantized.pth").contains(
        "these 9 tensors are quantised, which safetensors cannot hold: qint8 (qint8)"))
    #expect(
      try refusal("sparse.pth").contains(
        "these 9 tensors are sparse, which safetensors cannot hold: coo (float32)"))
    let types = try refusal("dtypes.pth")
    #expect(types.contains("safetensors has no element type for these") && types.contains("complex128"))
    #expect(try refusal("same_names.pth").contains("two tensors would be called"))
    var options = WriteOptions()
    options.key = "nothing"
    #expect(try refusal("nested.pth", options) == "has no key nothing")
  }

  @Test func replacesWholeOrNotAtAll() throws {
    let target = try folder.write("out.safetensors", Array("old".utf8))
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    var options = WriteOptions()
    options.overwrite = false
    #expect(throws: DecantError.self) { try source.convert(to: target, options) }
    #expect(throws: DecantError.self) {
      try Checkpoint(path: Fixtures.path("torch/dtypes.pth")).convert(to: target)
    }
    #expect(try String(contentsOfFile: target, encoding: .utf8) == "old")
    _ = try source.convert(to: target)
    #expect(try Checkpoint(path: target).tensors.count == 13)
    #expect(folder.names == ["out.safetensors"])
    #expect(throws: DecantError.self) { try Checkpoint(path: target).convert(to: target) }
    #expect(try Checkpoint(path: target).tensors.count == 13)
  }

  @Test func writesThroughALink() throws {
    let target = try folder.write("real.safetensors", [])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("link.safetensors"), withDestinationPath: target)
    _ = try Checkpoint(path: Fixtures.path("torch/nested.pth")).convert(
      to: folder.path("link.safetensors"))
    #expect(try Checkpoint(path: target).tensors.count == 13)
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: folder.path("link.safetensors")) == target)
  }

  /// A changed byte in the weights: found on the way, and nothing is left behind.
  @Test func aWrongChecksumStopsTheConversion() throws {
    var bytes = try Fixtures.bytes("torch/nested.pth")
    let record = try #require(Data(bytes).range(of: Data("/data/0".utf8))?.upperBound)
    // The data begins at the next multiple of 64 after the local header's padding.
    bytes[(record / 64 + 1) * 64 + 1] ^= 1
    let path = try folder.write("damaged.pth", bytes)
    let checkpoint = try Checkpoint(path: path)
    do {
      _ = try checkpoint.convert(to: folder.path("out.safetensors"))
      Issue.record("the conversion went through")
    } catch let error as DecantError {
      #expect(
        error.reason.contains("CRC-32") && error.location.entry?.hasSuffix("data/0") == true
          && error.location.tensor == "model.0.weight")
    }
    #expect(folder.names == ["damaged.pth"])
  }
}
