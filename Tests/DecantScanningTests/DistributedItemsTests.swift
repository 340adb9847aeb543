import DecantScanning
import TestSupport
import Testing

/// Metadata of torch.distributed.checkpoint, whose items are judged where it says that they are.
@Suite struct DistributedItemsTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// An item: its name, the kind of its metadata, and its place.
  private typealias Item = (name: String, kind: String, path: String, offset: Int, length: Int)

  /// Returns the findings about items, without those about the metadata's own classes.
  private func findings(_ items: [Item]) throws -> [ScanFinding] {
    let path = try folder.write(".metadata", metadata(items).bytes)
    return try CheckpointScanner().scan(path: path).findings.filter { $0.rule != .torchObject }
  }

  private func metadata(_ items: [Item]) -> Stream {
    let names = items.map { Stream.text($0.name) + object("metadata", $0.kind, [:]) }
    let places = items.map {
      object("metadata", "MetadataIndex", ["fqn": .text($0.name)])
        + object(
          "filesystem", "_StorageInfo",
          ["relative_path": .text($0.path), "offset": number($0.offset), "length": number($0.length)])
    }
    return .proto4
      + object(
        "metadata", "Metadata",
        ["state_dict_metadata": dictionary(names), "storage_data": dictionary(places)])
      + "."
  }

  private func number(_ value: Int) -> Stream { Stream([0x4A] + ZipBuilder.little(Int32(value))) }

  private func dictionary(_ pairs: [Stream]) -> Stream { "}(" + pairs.reduce("") { $0 + $1 } + "u" }

  private func object(_ module: String, _ name: String, _ fields: [String: Stream]) -> Stream {
    .name("torch.distributed.checkpoint." + module, name) + .newObject
      + dictionary(fields.map { .text($0.key) + $0.value }) + "b"
  }

  private let tensor = "TensorStorageMetadata"
  private let object = "BytesStorageMetadata"

  /// A file whose tensor has the bytes of a call, after a first byte that is no opcode.
  private func hostileFile() -> (bytes: [UInt8], place: Int) {
    let call = [0xFF] + Stream.call.bytes + [UInt8](repeating: 0, count: 39 - Stream.call.bytes.count)
    let file = zip(("a/data.pkl", Stream.storage(40).bytes), ("a/data/0", call))
    return (file, 30 + 10 + Stream.storage(40).bytes.count + 30 + 8 + 1)
  }

  @Test func honestItems() throws {
    let one = zip(("a/data.pkl", Stream.storage(4).bytes), ("a/data/0", [1, 2, 3, 4]))
    let two = zip(("a/data.pkl", Stream.clean.bytes))
    _ = try folder.write("__0_0.distcp", one + two)
    #expect(
      try findings([
        ("w", tensor, "__0_0.distcp", 0, one.count), ("step", object, "__0_0.distcp", one.count, two.count),
      ]).isEmpty)
  }

  /// A data file alone is compared with the metadata beside it: its items have to be all of its bytes.
  @Test(arguments: [".metadata", "__3.metadata"])
  func aDataFileAlone(_ name: String) throws {
    let one = zip(("a/data.pkl", Stream.storage(4).bytes), ("a/data/0", [1, 2, 3, 4]))
    let two = zip(("a/data.pkl", Stream.clean.bytes))
    let path = try folder.write("__3_0.distcp", one + two)
    func verdict(_ items: [Item]) throws -> ScanVerdict {
      _ = try folder.write(name, metadata(items).bytes)
      return try CheckpointScanner().scan(path: path).verdict
    }
    let first = ("w", tensor, "__3_0.distcp", 0, one.count)
    let second = ("step", object, "__3_0.distcp", one.count, two.count)
    #expect(try CheckpointScanner().scan(path: path).verdict == .unknown)
    #expect(try verdict([second, first]) == .clean)
    #expect(try verdict([first]) == .unknown)
    #expect(try verdict([first, ("step", object, "__3_0.distcp", one.count + 1, two.count - 1)]) == .unknown)
    #expect(try verdict([first, ("step", object, "other.distcp", one.count, two.count)]) == .unknown)
    let hostile = zip(("a/data.pkl", Stream.call.bytes))
    _ = try folder.write("__3_0.distcp", one + hostile)
    #expect(try verdict([first, ("step", object, "__3_0.distcp", one.count, hostile.count)]) == .dangerous)
  }

  /// A tensor's data is never read as a pickle, until an object's place is in it.
  @Test func anObjectInATensor() throws {
    let (file, place) = hostileFile()
    _ = try folder.write("__0_0.distcp", file)
    #expect(file[place] == 0x80)
    #expect(try findings([("w", tensor, "__0_0.distcp", 0, file.count)]).isEmpty)
    let found = try findings([
      ("w", tensor, "__0_0.distcp", 0, file.count),
      ("o", object, "__0_0.distcp", place, Stream.call.bytes.count),
    ])
    #expect(found.contains { $0.rule == .runsCode && $0.severity == .dangerous })
    #expect(found.contains { $0.rule == .zipOverlap && $0.severity == .dangerous })
    // Old loaders read tensors without the safe loader too.
    let old = try findings([("w", tensor, "__0_0.distcp", place, Stream.call.bytes.count)])
    #expect(old.contains { $0.rule == .runsCode })
  }

  /// A loader reads the attributes of any object.
  @Test(arguments: ["Namespace", "Metadata"])
  func placesInOtherObjects(_ name: String) throws {
    let place = Stream.name("argparse", "Namespace") + .newObject + "}b"
    let root =
      name == "Metadata"
      ? object("metadata", name, ["storage_data": dictionary([.text("o") + place])]) : place
    let stream = Stream.proto4 + .name("torch.distributed.checkpoint.metadata", object) + "0" + root + "."
    let path = try folder.write(".metadata", stream.bytes)
    #expect(try CheckpointScanner().scan(path: path).findings.contains { $0.rule == .unaccounted })
  }

  @Test(arguments: [
    ("missing.distcp", ScanSeverity.unknown), ("../x.distcp", .dangerous), ("/etc/passwd", .dangerous),
    ("short.distcp", .unknown), ("text.distcp", .unknown),
  ])
  func badPlaces(_ path: String, _ severity: ScanSeverity) throws {
    _ = try folder.write("short.distcp", [1])
    _ = try folder.write("text.distcp", Array("this text is not a file of torch.save".utf8))
    #expect(try findings([("o", object, path, 0, 10)]).map(\.severity) == [severity])
  }
}
