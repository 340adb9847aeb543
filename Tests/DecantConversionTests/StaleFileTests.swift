import DecantCheckpoints
import DecantConversion
import Foundation
import TestSupport
import Testing

/// Tests of files of an earlier conversion that lie next to new ones of the same name.
@Suite struct StaleFileTests {
  private static func convert(to path: String, shards: Int?) throws -> WriteReport {
    var options = WriteOptions()
    (options.key, options.shardByteCount) = ("model", shards)
    return try Checkpoint(path: Fixtures.path("torch/small_basic.pth")).convert(to: path, options)
  }

  @Test func aSingleFileBesideNewShards() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("model.safetensors")
    #expect(try Self.convert(to: path, shards: nil).staleFiles.isEmpty)
    let report = try Self.convert(to: path, shards: 40_000)
    #expect(report.files.count > 2 && report.staleFiles == [path])
    let opened = try Checkpoint(path: path + ".index.json")
    #expect(
      opened.warnings.count == 1 && opened.warnings[0].hasPrefix("model.safetensors in the same folder"))
    let single = try Checkpoint(path: path)
    #expect(single.warnings.count == 1 && single.warnings[0].hasPrefix("model.safetensors.index.json"))
    try FileManager.default.removeItem(atPath: path)
    #expect(try Checkpoint(path: path + ".index.json").warnings.isEmpty)
  }

  @Test func shardsBesideANewSingleFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("model.safetensors")
    let shards = try Self.convert(to: path, shards: 40_000).files.map(\.path)
    #expect(try Self.convert(to: path, shards: nil).staleFiles == shards.sorted())
    // One limit that everything fits into writes the single file, too.
    #expect(try Self.convert(to: path, shards: 1 << 30).staleFiles == shards.sorted())
  }

  @Test func shardsOfAnotherCount() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("model.safetensors")
    let many = try Self.convert(to: path, shards: 40_000).files.map(\.path)
    let few = try Self.convert(to: path, shards: 150_000)
    #expect(few.files.count > 2 && few.files.count < many.count)
    #expect(Set(few.staleFiles) == Set(many).subtracting([path + ".index.json"]))
    #expect(try Checkpoint(path: folder.url.path).warnings.count == 1)
  }

  @Test func otherNamesAreNotOfTheFamily() throws {
    let folder = try TemporaryFolder()
    for name in ["model2.safetensors", "model-1-of-2.safetensors", "model-00001-of-00002.bin", "model.pth"] {
      _ = try folder.write(name, [0])
    }
    #expect(try Self.convert(to: folder.path("model.safetensors"), shards: nil).staleFiles.isEmpty)
  }
}
