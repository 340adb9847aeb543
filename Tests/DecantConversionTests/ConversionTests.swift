import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantIO
import DecantTensors
import Foundation
import TestSupport
import Testing

@Suite struct ConversionTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Options that write the whole file.
  private static let everything = {
    var options = WriteOptions()
    options.key = "."
    return options
  }()

  private func convert(_ name: String, _ options: WriteOptions = everything) throws -> (
    WriteReport, Checkpoint
  ) {
    let target = folder.path("out.safetensors")
    let report = try Checkpoint(path: Fixtures.path("torch/" + name)).convert(to: target, options)
    return (report, try Checkpoint(path: target))
  }

  private func refusal(_ name: String, _ options: WriteOptions = everything) throws
    -> DecantError?
  {
    do {
      _ = try convert(name, options)
      return nil
    } catch let error as DecantError {
      #expect(folder.names.isEmpty)
      return error
    }
  }

  /// A reader of the output gets the elements that PyTorch saved.
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

  /// An option that a format has no use for is refused, and nothing is written.
  @Test func optionsWithoutEffect() throws {
    let folder = try TemporaryFolder()
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    func refuses(_ name: String, _ change: (inout WriteOptions) -> Void) -> Bool {
      var options = Self.everything
      change(&options)
      do { try source.write(to: folder.path(name), options) } catch {
        return (error as? DecantError)?.code == .invalidArgument && folder.names.isEmpty
      }
      return false
    }
    #expect(refuses("out.npz") { $0.recordsSourceDigest = true })
    #expect(refuses("out.gguf") { $0.isLegacy = true })
    #expect(refuses("out.safetensors") { $0.shrinks = true })
    #expect(refuses("out.safetensors") { $0.dropsObjects = true })
    #expect(refuses("out.pth") { $0.shardByteCount = 1 << 20 })
  }

  @Test func metadataAndKey() throws {
    var options = Self.everything
    options.key = "model"
    options.recordsSourceDigest = true
    let (report, output) = try convert("nested.pth", options)
    #expect(output.tensors.map(\.name).contains("0.weight"))
    #expect(
      output.containerMetadata.map(\.label) == [
        "format", "decant.container", "decant.key", "decant.source_sha256",
      ])
    #expect(output.containerMetadata.map(\.text).prefix(3) == ["pt", "torch-zip", "model"])
    let source = try Fixtures.bytes("torch/nested.pth")
    #expect(output.containerMetadata.last?.text.count == 64 && !source.isEmpty)
    #expect(report.droppedObjectCount == 1)
  }

  @Test func casts() throws {
    var options = Self.everything
    options.dtype = .float16
    let (report, output) = try convert("nested.pth", options)
    #expect(Set(output.tensors.map(\.tensor.dtype)) == [.float16, .int64])
    #expect(report.castCount == report.tensorCount - 1)
    #expect(report.uncastCount == 1)
  }

  /// A big-endian file converts, except for a dtype that safetensors lacks.
  @Test func bigEndian() throws {
    let source = try Checkpoint(path: Fixtures.path("torch/big_endian.pth"))
    for entry in source.tensors where entry.tensor.dtype != .complex128 {
      var options = Self.everything
      options.key = entry.name
      let (_, output) = try convert("big_endian.pth", options)
      #expect(try output.tensors.map { try $0.tensor.sha256() } == [try entry.tensor.sha256()])
    }
  }

  @Test func strips() throws {
    var options = Self.everything
    options.stripPrefix = "module."
    let error = try refusal("nested.pth", options)
    #expect(error?.code == .invalidArgument && error?.advice == .keepPrefix)
    #expect(error?.location.tensor == "model.0.weight")
    // A prefix is made of whole components, and the tensors that lack it are named.
    options.stripPrefix = "model"
    let others = try refusal("nested.pth", options)
    #expect(others?.code == .invalidArgument && others?.location.tensor?.hasPrefix("model.") == false)
    options.key = "model"
    options.stripPrefix = nil
    options.only = ["1.*"]
    options.stripPrefix = "1"
    #expect(try convert("nested.pth", options).1.tensors.allSatisfy { !$0.name.hasPrefix("1.") })
  }

  @Test func refusesBeforeWriting() throws {
    let quantized = try refusal("quantized.pth")
    #expect(quantized?.code == .notRepresentable && quantized?.advice == .dequantize)
    let sparse = try refusal("sparse.pth")
    #expect(sparse?.code == .notRepresentable && sparse?.advice == .makeDense)
    let types = try refusal("dtypes.pth")
    #expect(types?.code == .notRepresentable && types?.remedy?.contains("WriteOptions.except") == true)
    #expect(try refusal("same_names.pth")?.code == .duplicateName)
    var options = Self.everything
    options.key = "nothing"
    let absent = try refusal("nested.pth", options)
    #expect(absent?.code == .keyNotFound && absent?.advice == .chooseKey(["model"]))
    options = WriteOptions()
    options.only = ["nothing*"]
    #expect(try refusal("nested.pth", options)?.code == .tensorNotFound)
  }

  @Test func replacesWholeOrNotAtAll() throws {
    let target = try folder.write("out.safetensors", Array("old".utf8))
    let source = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    var options = Self.everything
    options.overwrites = false
    let exists = #expect(throws: DecantError.self) { try source.convert(to: target, options) }
    #expect(
      exists?.code == .outputExists && exists?.advice == .replaceOutput && exists?.location.file == target)
    #expect(throws: DecantError.self) {
      try Checkpoint(path: Fixtures.path("torch/dtypes.pth")).convert(to: target)
    }
    #expect(try String(contentsOfFile: target, encoding: .utf8) == "old")
    _ = try source.convert(to: target, Self.everything)
    #expect(try Checkpoint(path: target).tensors.count == 13)
    #expect(folder.names == ["out.safetensors"])
    let itself = #expect(throws: DecantError.self) { try Checkpoint(path: target).convert(to: target) }
    #expect(itself?.code == .invalidArgument)
    #expect(try Checkpoint(path: target).tensors.count == 13)
  }

  @Test func writesThroughALink() throws {
    let target = try folder.write("real.safetensors", [])
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("link.safetensors"), withDestinationPath: target)
    _ = try Checkpoint(path: Fixtures.path("torch/nested.pth")).convert(
      to: folder.path("link.safetensors"), Self.everything)
    #expect(try Checkpoint(path: target).tensors.count == 13)
    #expect(
      try FileManager.default.destinationOfSymbolicLink(atPath: folder.path("link.safetensors")) == target)
  }

  /// A changed byte in the weights is detected during the conversion, which leaves no output file.
  @Test func aWrongChecksumStopsTheConversion() throws {
    var bytes = try Fixtures.bytes("torch/nested.pth")
    let record = try #require(Data(bytes).range(of: Data("/data/0".utf8))?.upperBound)
    // The data begins at the next multiple of 64 after the local header's padding.
    bytes[(record / 64 + 1) * 64 + 1] ^= 1
    let path = try folder.write("damaged.pth", bytes)
    let checkpoint = try Checkpoint(path: path)
    do {
      _ = try checkpoint.convert(to: folder.path("out.safetensors"), Self.everything)
      Issue.record("the conversion went through")
    } catch let error as DecantError {
      #expect(
        error.code == .checksumMismatch && error.location.entry?.hasSuffix("data/0") == true
          && error.location.tensor == "model.0.weight")
    }
    #expect(folder.names == ["damaged.pth"])
  }
}
