import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Tests of folders of `.npy` files as one checkpoint.
@Suite struct NpyFolderTests {
  private static func failure(_ path: String) -> DecantError? {
    do {
      _ = try Checkpoint(path: path)
      return nil
    } catch { return error }
  }

  /// Returns the path of a folder that was written from a state dict.
  private static func written(in folder: TemporaryFolder) throws -> String {
    let source = try Checkpoint(path: Fixtures.path("torch/small_basic.pth"))
    var options = WriteOptions()
    options.key = "model"
    _ = try source.convert(to: folder.path("weights") + "/", options)
    return folder.path("weights")
  }

  @Test func decantReadsWhatItWrote() throws {
    let folder = try TemporaryFolder()
    let checkpoint = try Checkpoint(path: Self.written(in: folder))
    let source = try Checkpoint(path: Fixtures.path("torch/small_basic.pth")).stateDict(at: "model")
    #expect(checkpoint.container == .npyFolder && checkpoint.warnings.isEmpty)
    #expect(checkpoint.tensors.map(\.name).sorted() == source.entries.map(\.name).sorted())
    for entry in checkpoint.tensors {
      let tensor = try #require(source[entry.name])
      #expect(entry.tensor.dtype == tensor.dtype && entry.tensor.shape == tensor.shape)
      #expect(try entry.tensor.sha256() == tensor.sha256())
    }
    #expect(try checkpoint.onlyStateDict().path.isEmpty)
    let back = try checkpoint.convert(to: folder.path("back.safetensors"))
    #expect(back.tensorCount == source.entries.count && back.droppedObjectCount == 0)
  }

  @Test func otherFilesMakeItATree() throws {
    let folder = try TemporaryFolder()
    let path = try Self.written(in: folder)
    _ = try folder.write("weights/README.md", Array("text".utf8))
    let error = Self.failure(path)
    #expect(error?.code == .notAFile && error?.reason.contains("README.md") == true)
    try FileManager.default.removeItem(atPath: path + "/README.md")
    try FileManager.default.createDirectory(atPath: path + "/more", withIntermediateDirectories: true)
    #expect(Self.failure(path)?.code == .notAFile)
    try FileManager.default.removeItem(atPath: path + "/more")
    _ = try folder.write("weights/.DS_Store", [0])
    #expect(try Checkpoint(path: path).warnings.isEmpty)
    _ = try folder.write("weights/._conv1.weight.npy", [0])
    #expect(try Checkpoint(path: path).warnings.count == 1)
  }

  @Test func aDamagedArrayIsNamed() throws {
    let folder = try TemporaryFolder()
    let path = try Self.written(in: folder)
    _ = try folder.write("weights/fc.bias.npy", [0x93])
    let error = Self.failure(path)
    #expect(error?.location.file?.hasSuffix("weights/fc.bias.npy") == true)
  }

  @Test func foldersThatAreNoCheckpoint() throws {
    let folder = try TemporaryFolder()
    for name in ["runs/one", "runs/two"] {
      try FileManager.default.createDirectory(atPath: folder.path(name), withIntermediateDirectories: true)
    }
    let error = Self.failure(folder.path("runs"))
    #expect(error?.code == .notAFile && error?.remedy?.contains(folder.path("runs/one")) == true)
    _ = try folder.write("runs/one/coremldata.bin", [1])
    #expect(Self.failure(folder.path("runs/one"))?.code == .unsupportedFormat)
  }
}
