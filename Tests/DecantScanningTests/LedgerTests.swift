import DecantBytes
import DecantScanning
import TestSupport
import Testing

/// Files that run code in Python and hide it in a part that a scanner may leave out, with similar honest files.
@Suite struct LedgerTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    let verdict: ScanVerdict

    init(_ name: String, _ bytes: [UInt8], _ verdict: ScanVerdict = .dangerous) {
      testDescription = name
      self.bytes = bytes
      self.verdict = verdict
    }
  }

  @Test(arguments: polyglots + zips + packages + tars + legacies)
  func isJudged(_ example: Case) {
    let scan = CheckpointScanner().scan(example.bytes, named: "file")
    #expect(
      scan.verdict == example.verdict, "\(scan.findings.map { "\($0.rule.rawValue) \($0.place) \($0.what)" })"
    )
    if scan.verdict == .clean { #expect(scan.isAccounted) }
  }

  // MARK: - Polyglots

  /// `GGUF` is BINFLOAT with its first three bytes. The five bytes after it belong to the version and a count.
  private static let gguf: [UInt8] = Array("GGUF".utf8) + [3, 0, 0, 0, 0]
  private static let call = Stream.name("os", "system") + .text("id") + .tuple1 + "R."
  private static let magic: [UInt8] = [
    0x30, 0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19, 0x2E,
  ]

  /// Three million values, more than the scanner keeps.
  private static let many = [UInt8](repeating: 0x4E, count: 3_000_000)

  static let polyglots = [
    Case("GGUF, then a call", gguf + [0x30] + call.bytes),
    Case("GGUF that is a legacy file", legacyFile(first: gguf + magic, object: Stream.proto4 + call)),
    Case("GGUF that is a harmless legacy file", legacyFile(first: gguf + magic)),
    Case("GGUF, and a second stream behind the first", gguf + [0x2E] + call.bytes),
    Case("GGUF, more values than the limit, then a call", gguf + many + call.bytes),
    Case("GGUF, more values than the limit", gguf + many + [0x2E], .unreadable),
    Case("GGUF, a call and a break", gguf + [0x30] + call.bytes.dropLast() + [0xFF]),
    Case("more values than the limit, then a call", many + call.bytes),
    Case("more values than the limit", many + [0x2E], .unknown),
    Case("a pickle entry that is GGUF and a call", zip(("a.pkl", gguf + [0x30] + call.bytes))),
    Case("a pickle entry that is GGUF", zip(("a.pkl", gguf + [UInt8](repeating: 0, count: 20))), .unknown),
    Case("an entry that announces a pickle and breaks", zip(("a.bin", [0x80, 4, 0x4E, 0xFF])), .unknown),
    Case("an entry with more values than the limit", zip(("a.bin", many + call.bytes))),
    Case("a legacy file in a zip entry", zip(("a.bin", legacyFile(object: Stream.proto4 + call)))),
  ]

  // MARK: - Zips

  private static func torch(_ entries: (String, [UInt8])...) -> [UInt8] {
    zip([("a/data.pkl", Stream.storage(4).bytes), ("a/data/0", [1, 2, 3, 4])] + entries) { _ in }
  }

  static let zips = [
    Case(
      "an honest file", torch(("a/version", [0x33, 0x0A]), ("a/byteorder", Array("little".utf8))), .clean),
    Case(
      "a stored entry of two sizes",
      zip([("a/data.pkl", Stream.clean.bytes + Stream.call.bytes)]) {
        $0[0].inflatedSize = UInt32(Stream.clean.bytes.count)
        $0[0].localSize = 0xFFFF_FFFF
      }),
    Case("names that differ in case", torch(("a/DATA.PKL", Stream.clean.bytes))),
    Case("names of arrays that differ in case", zip(("w.npy", array), ("W.npy", array)), .clean),
    Case("a record in capitals", zip(("a/DATA.PKL", Stream.clean.bytes), ("a/version", [0x33]))),
    Case("a storage that no tensor refers to", torch(("a/data/1", [1, 2, 3, 4])), .unknown),
    Case("a storage that is a pickle", torch(("a/data/1", Stream.clean.bytes)), .unknown),
    Case(
      "a storage that is a pickle with a name",
      torch(("a/data/1", (Stream.proto4 + .name("collections", "OrderedDict") + ".").bytes))),
    Case(
      "a storage that is too long",
      zip(("a/data.pkl", Stream.storage(4).bytes), ("a/data/0", [1, 2, 3, 4, 5])), .unknown),
    Case(
      "a storage of two sizes", zip(("a/data.pkl", twoSizes.bytes), ("a/data/0", [1, 2, 3, 4])), .unknown),
    Case("a version that is no number", torch(("a/version", Array("3; true".utf8))), .unknown),
    Case("a byte order that is none", torch(("a/byteorder", Array("middle".utf8))), .unknown),
    Case("a text under .data", torch(("a/.data/x", Array("text".utf8))), .unknown),
    Case("bytes after a compressed entry", deflatedWithTail()),
    Case("the first bytes of an archive", Array(torch().prefix(20)), .unreadable),
    Case("the first entries of an archive", Array(torch().dropLast(80)), .unknown),
    Case("zeros between entries", spaced([UInt8](repeating: 0, count: 16)), .unknown),
    Case("other bytes between entries", spaced([1, 2, 3, 4])),
  ]

  private static let array = npy("{'descr': '|u1', 'fortran_order': False, 'shape': (1,), }\n", [7])
  private static let twoSizes = Stream.proto4 + .storageID(4) + "0" + .storageID(2) + "."

  /// Returns an archive with bytes between the first entry and the second.
  private static func spaced(_ bytes: [UInt8]) -> [UInt8] {
    var file = torch()
    let second = 30 + 10 + Stream.storage(4).bytes.count
    file.insert(contentsOf: bytes, at: second)
    let count = UInt32(bytes.count)
    let end = file.count - 22
    let start = UInt32(file[end + 16]) | UInt32(file[end + 17]) << 8
    file.replaceSubrange(end + 16..<end + 20, with: ZipBuilder.little(start + count))
    let entry = Int(start + count) + 46 + 10
    file.replaceSubrange(entry + 42..<entry + 46, with: ZipBuilder.little(UInt32(second) + count))
    return file
  }

  /// An entry whose compressed data, a stored block of the clean pickle, ends before its stored bytes do.
  private static func deflatedWithTail() -> [UInt8] {
    let clean = Stream.clean.bytes
    let count = UInt16(clean.count)
    let block = [1] + ZipBuilder.little(count) + ZipBuilder.little(~count) + clean
    return zip([("a.pkl", block + Stream.call.bytes)]) {
      $0[0].method = 8
      $0[0].inflatedSize = UInt32(clean.count)
      $0[0].crc32 = ZipBuilder.crc32(clean)
      $0[0].localSize = 0xFFFF_FFFF
    }
  }

  // MARK: - Packages and programs

  private static let source = Array("import this\n".utf8)

  static let packages = [
    Case("a package in a checkpoint", torch(("a/.data/extern_modules", []), ("a/m/__init__.py", source))),
    Case("the same package alone", package("import this\n"), .unknown),
    Case(
      "a resource of a package that is a pickle",
      zip(("p/.data/extern_modules", []), ("p/m/weights.bin", Stream.call.bytes))),
    Case(
      "a resource of a package that is text", zip(("p/.data/extern_modules", []), ("p/m/a.txt", source)),
      .unknown),
    Case(
      "storages of a package",
      zip(
        ("p/.data/extern_modules", []), ("p/.data/0.storage", [1, 2, 3, 4]),
        ("p/m/model.pkl", Stream.storage(4).bytes)), .clean),
    Case(
      "a storage of a package that no tensor refers to",
      zip(
        ("p/.data/extern_modules", []), ("p/.data/1.storage", [1]), ("p/m/model.pkl", Stream.storage(4).bytes)
      ),
      .unknown),
    Case("sources of AOTInductor", program(("m/data/aotinductor/model/a.cpp", source)), .unknown),
    Case("a library of AOTInductor", program(("m/data/aotinductor/model/a.so", [0x7F])), .unknown),
    Case(
      "flags of AOTInductor",
      program(("m/data/aotinductor/model/a_compile_flags.json", Array("{\"cflags\": [\"O2\"]}".utf8))),
      .unknown),
    Case(
      "flags of AOTInductor that run a command",
      program(("m/data/aotinductor/model/a_compile_flags.json", Array("{\"cflags\": [\"O2; id #\"]}".utf8)))),
    Case(
      "a library of AOTInductor in a checkpoint", torch(("a/data/aotinductor/model/a.so", [0x7F])), .unknown),
  ]

  private static func program(_ entry: (String, [UInt8])) -> [UInt8] {
    zip(("m/archive_format", Array("pt2".utf8)), ("m/byteorder", Array("little".utf8)), entry)
  }

  // MARK: - Tars

  static let tars = [
    Case("an honest archive", tar([("a.pkl", "0", Stream.clean.bytes)]), .clean),
    Case("white space that only Python strips", spacedTar(0x1C)),
    Case(
      "a member that looks like GGUF",
      tar([("pickle", "0", gguf + [0x30] + call.bytes), ("storages", "0", [])])),
    Case(
      "a member named like an array",
      sealed(tar([("\u{1}", "0", call.bytes)])) { $0.replaceSubrange(0..<10, with: Array(array.prefix(10))) }),
    Case("bytes after a member's end", padded(), .dangerous),
    Case(
      "bytes after a name's end", sealed(tar([("a.pkl", "0", Stream.clean.bytes)])) { $0[90] = 1 }, .unknown),
    Case("an old folder that hides members", oldFolder()),
    Case(
      "a wrong checksum",
      {
        var file = tar([("a.pkl", "0", Stream.clean.bytes)]); file[0] = 0x62; return file
      }(), .unknown),
  ]

  /// Changes the first header of a tar and computes its checksum.
  private static func sealed(_ file: [UInt8], _ change: (inout [UInt8]) -> Void) -> [UInt8] {
    var file = file
    change(&file)
    file.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
    let sum = String(file[..<512].reduce(0) { $0 + Int($1) }, radix: 8)
    file.replaceSubrange(
      148..<156, with: Array((String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} ").utf8))
    return file
  }

  /// A tar without magic bytes whose name is a header of GGUF and whose numbers end with white space.
  private static func spacedTar(_ space: UInt8) -> [UInt8] {
    var file = sealed(tar([("pickle", "0", call.bytes)])) {
      $0.replaceSubrange(0..<24, with: Array("GGUF".utf8) + [3] + [UInt8](repeating: 0, count: 19))
      $0.replaceSubrange(257..<265, with: [UInt8](repeating: 0, count: 8))
      $0[135] = space
    }
    file[154] = space
    return file
  }

  private static func padded() -> [UInt8] {
    var file = tar([("a.pkl", "0", Stream.clean.bytes)])
    file[1000] = 1
    return file
  }

  /// Python takes an old member for a folder when its name ends with a slash, and reads a header where its data begins.
  private static func oldFolder() -> [UInt8] {
    let hidden = tar([("pickle", "0", call.bytes)])
    return sealed(tar([("d/", "\u{0}", Array(hidden.dropLast(1024)))])) { _ in }
  }

  // MARK: - Legacy files

  private static func legacy(_ ids: Stream, keys: Stream, _ data: [UInt8]) -> [UInt8] {
    Array(legacyFile(object: ids + ".").dropLast(4)) + [0x80, 2, 0x5D, 0x28] + keys.bytes + [0x65, 0x2E]
      + data
  }
  private static let four = ZipBuilder.little(UInt64(4))

  static let legacies = [
    Case("an honest file", legacy(.storageID(4), keys: .text("0"), four + [1, 2, 3, 4]), .clean),
    Case(
      "a storage of an unknown type",
      legacy(.storageID(4, of: "StrangeStorage"), keys: .text("0"), four + [1, 2, 3, 4]),
      .unknown),
    Case(
      "a storage of an unknown type, then a call",
      legacy(.storageID(4, of: "StrangeStorage"), keys: .text("0"), four + [1, 2, 3, 4] + Stream.call.bytes)),
    Case(
      "a storage of half bytes, then a call",
      legacy(.storageID(4, of: "QUInt4x2Storage"), keys: .text("0"), four + [1, 2, 3, 4] + Stream.call.bytes)),
    Case(
      "a storage of half bytes",
      legacy(.storageID(4, of: "QUInt4x2Storage"), keys: .text("0"), four + [1, 2, 3, 4]),
      .clean),
    Case(
      "a storage of two sizes",
      legacy(.storageID(4) + "0" + .storageID(2), keys: .text("0"), four + [1, 2, 3, 4])),
    Case(
      "a storage of two sizes, then a call",
      legacy(.storageID(40) + "0" + .storageID(4), keys: .text("0"), four + [1, 2, 3, 4] + Stream.call.bytes)),
    Case(
      "another number of elements",
      legacy(.storageID(4), keys: .text("0"), ZipBuilder.little(UInt64(3)) + [1, 2, 3, 4]), .unknown),
    Case("a storage that is not listed", legacy(.storageID(4), keys: "", four + [1, 2, 3, 4])),
    Case("a zip behind the storages", legacyFile() + zip(("a/data.pkl", Stream.clean.bytes))),
    Case("text behind the storages", legacyFile() + Array("cos\nsystem\n.".utf8)),
  ]
}
