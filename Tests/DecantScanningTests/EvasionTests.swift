import DecantScanning
import TestSupport
import Testing

/// Files that run code in Python and that an earlier version of the scanner called clean or unknown, with similar
/// files.
@Suite struct EvasionTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let bytes: [UInt8]
    init(_ name: String, _ bytes: [UInt8]) {
      testDescription = name
      self.bytes = bytes
    }
    init(_ name: String, _ stream: Stream) { self.init(name, (Stream.proto4 + stream + ".").bytes) }
  }

  @Test(arguments: numbers + arrays + archives + handed + attributes + programs)
  func isDangerous(_ example: Case) {
    let scan = CheckpointScanner().scan(example.bytes, named: "file")
    #expect(scan.verdict == .dangerous, "\(scan.findings.map { "\($0.rule.rawValue) \($0.what)" })")
  }

  @Test(arguments: benign)
  func isNotDangerous(_ example: Case) {
    let scan = CheckpointScanner().scan(example.bytes, named: "file")
    #expect(
      scan.verdict == .clean || scan.verdict == .unknown,
      "\(scan.findings.map { "\($0.rule.rawValue) \($0.what)" })")
  }

  // MARK: - Streams

  /// `os.system` through the memo, so that a text search after a broken opcode cannot find it.
  private static let hidden: Stream =
    .text("os") + "\u{94}" + .text("system") + "\u{94}00" + "h\u{0}h\u{1}\u{93}" + .text("id") + .tuple1 + "R"

  static let numbers = [
    Case("INT ends at NUL", "I5\u{0}x\n0" + hidden), Case("INT of a NUL", "I\u{0}\n0" + hidden),
    Case("LONG ends at NUL", "L5\u{0}xL\n0" + hidden), Case("FLOAT ends at NUL", "F5\u{0}x\n0" + hidden),
    Case(
      "an integer of 1 MB",
      Stream([0x8B] + ZipBuilder.little(UInt32(1 << 20 + 9)) + [UInt8](repeating: 1, count: 1 << 20 + 9))
        + "0"
        + hidden),
  ]

  // MARK: - Arrays

  private static let call = (Stream.proto4 + .name("os", "system") + .text("id") + .tuple1 + "R.").bytes

  static let arrays = [
    Case(
      "a comment hides a quote", npy("{'descr': # '\n'|O', 'fortran_order': False, 'shape': (1,)}\n", call)),
    Case("a header behind a space", npy(" {'descr': '|O', 'fortran_order': False, 'shape': (1,)}\n", call)),
    Case("a header in brackets", npy("({'descr': '|O', 'fortran_order': False, 'shape': (1,)})\n", call)),
    Case("a header of 2 MB", wideNpy()),
    Case("an array whose field says ustar", ustarNpy()),
  ]

  private static func wideNpy() -> [UInt8] {
    let header = "{'descr': '|O', 'shape': (1,)" + String(repeating: " ", count: 2 << 20) + "}"
    return [0x93] + Array("NUMPY".utf8) + [2, 0] + ZipBuilder.little(UInt32(header.utf8.count))
      + Array(header.utf8) + call
  }

  private static func ustarNpy() -> [UInt8] {
    let start = "{'shape': (1,), 'descr': [('"
    let field = String(repeating: "a", count: 257 - 10 - start.utf8.count) + "ustar"
    return npy(start + field + "', 'O')]" + String(repeating: " ", count: 300) + "}\n", call)
  }

  // MARK: - Archives

  static let archives = [
    Case("a wide end record in the comment", wideEndInComment()),
    Case("a directory in the first of two archives", directoryInFirst()),
    Case("a directory in an archive that broke off", directoryInBroken()),
    Case("a tar without magic bytes", oldTar([("storages", "0"), ("pickle", "0")])),
    Case("a tar in the bytes of a pickle", pickledTar()),
    Case("a tar named GGUF", oldTar([("GGUF\u{3}\u{0}", "0"), ("pickle", "0")])),
    Case("a folder that hides members by its size", folderTar()),
    Case("a member of no type", tar([("pickle", "Z", call)])),
    Case(
      "a header that resizes the next", tar([("x", "x", Array("15 size=123456\n".utf8)), ("a", "0", [])])),
    Case("a size to the base of 256", wideTar()),
    Case("two wide end records, one of them far away", twoWideEnds()),
  ]

  /// Another archive is in the end record's comment. A Zip64 locator in the last entry's comment points to it.
  private static func wideEndInComment() -> [UInt8] {
    let clean = ZipBuilder([.init("x/data.pkl", Stream.clean.bytes), .init("x/version", [0x33])]).bytes
    let evil = ZipBuilder([.init("x/data.pkl", call), .init("x/version", [0x33])]).bytes
    let base = clean.count + 20
    let directory = Int(evil[evil.count - 6]) + Int(evil[evil.count - 5]) << 8
    let size = evil.count - 22 - directory
    var moved = Array(evil.dropLast(22))
    // The offsets in the central directory count from the start of the file.
    for place in directory..<moved.count where Array(moved[place...].prefix(4)) == [0x50, 0x4B, 1, 2] {
      let old = UInt32(moved[place + 42]) + UInt32(moved[place + 43]) << 8
      moved.replaceSubrange(place + 42..<place + 46, with: ZipBuilder.little(old + UInt32(base)))
    }
    let wide =
      ZipBuilder.little(UInt32(0x0606_4B50)) + ZipBuilder.little(UInt64(44)) + [45, 0, 45, 0]
      + [UInt8](repeating: 0, count: 8) + ZipBuilder.little(UInt64(2)) + ZipBuilder.little(UInt64(2))
      + ZipBuilder.little(UInt64(size)) + ZipBuilder.little(UInt64(base + directory))
    let locator =
      ZipBuilder.little(UInt32(0x0706_4B50)) + ZipBuilder.little(UInt32(0))
      + ZipBuilder.little(UInt64(base + moved.count)) + ZipBuilder.little(UInt32(1))
    var file = Array(clean.dropLast(22))
    var end = Array(clean.suffix(22))
    let last = file.count - 46 - 9
    file.replaceSubrange(last + 32..<last + 34, with: [20, 0])
    end.replaceSubrange(12..<16, with: ZipBuilder.little(UInt32(end[12]) + 20))
    end.replaceSubrange(20..<22, with: ZipBuilder.little(UInt16(moved.count + wide.count)))
    return file + locator + end + moved + wide
  }

  /// The last archive's central directory offset, counted from the start of the file, points into the first archive's
  /// storage data.
  private static func directoryInFirst() -> [UInt8] {
    let header = 30 + 8
    var directory = [0x50, 0x4B, 1, 2] + [UInt8](repeating: 0, count: 60)
    directory[10] = 0
    let second = zip(("x/data.pkl", Stream.clean.bytes), ("x/version", [0x33, 0x0A]))
    let offset = Int(second[second.count - 6])
    let storage = [UInt8](repeating: 0, count: offset - header) + directory
    return zip(("x/data/0", storage), ("x/data.pkl", Stream.clean.bytes), ("x/version", [0x33])) + second
  }

  /// Like ``directoryInFirst()``, in a file without a central directory of its own whose last entry is a zip.
  private static func directoryInBroken() -> [UInt8] {
    let header = 30 + 8
    let second = zip(("x/data.pkl", Stream.clean.bytes), ("x/version", [0x33, 0x0A]))
    let storage =
      [UInt8](repeating: 0, count: Int(second[second.count - 6]) - header) + [0x50, 0x4B, 1, 2]
      + [UInt8](repeating: 0, count: 60)
    return zip(("x/data/0", storage), ("x/data/1", second)).prefix(
      header + storage.count + header + second.count) + []
  }

  /// Returns a header of seventh edition tar, which has no magic bytes but only a checksum.
  private static func sealed(_ header: ArraySlice<UInt8>) -> [UInt8] {
    var header = Array(header)
    header.replaceSubrange(257..<265, with: [UInt8](repeating: 0, count: 8))
    header.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
    let sum = String(header.reduce(0) { $0 + Int($1) }, radix: 8)
    let text = String(repeating: "0", count: 6 - sum.count) + sum + "\u{0} "
    header.replaceSubrange(148..<156, with: text.utf8)
    return header
  }

  private static func oldTar(_ members: [(String, Character)]) -> [UInt8] {
    var file: [UInt8] = []
    for (name, kind) in members {
      let member = tar([(name, kind, name == "pickle" ? call : [])]).dropLast(1024)
      file += sealed(member.prefix(512)) + member.dropFirst(512)
    }
    return file + [UInt8](repeating: 0, count: 1024)
  }

  private static func pickledTar() -> [UInt8] {
    let rest = oldTar([("storages", "0"), ("pickle", "0")])
    var first = Array(tar([("x", "0", [])]).prefix(512))
    let prefix = [0x80, 4, 0x8E] + ZipBuilder.little(UInt64(512 - 11 + rest.count))
    first.replaceSubrange(0..<prefix.count, with: prefix)
    return sealed(first[...]) + rest + [0x2E]
  }

  private static func folderTar() -> [UInt8] {
    let members = tar([("storages", "0", []), ("pickle", "0", call)])
    var folder = Array(tar([("d", "5", [])]).prefix(512))
    folder.replaceSubrange(124..<136, with: "00000004000\u{0}".utf8)
    return folder + members
  }

  private static func wideTar() -> [UInt8] {
    var file = tar([("pickle", "0", call)])
    file.replaceSubrange(
      124..<136, with: [0x80] + [UInt8](repeating: 0, count: 10) + [UInt8(call.count)])
    return file
  }

  private static func twoWideEnds() -> [UInt8] {
    let file = zip(("a/data.pkl", Stream.clean.bytes))
    func wide(_ offset: UInt64) -> [UInt8] {
      ZipBuilder.little(UInt32(0x0606_4B50)) + ZipBuilder.little(UInt64(44)) + [45, 0, 45, 0]
        + [UInt8](repeating: 0, count: 8) + ZipBuilder.little(UInt64(1)) + ZipBuilder.little(UInt64(1))
        + ZipBuilder.little(UInt64(56)) + ZipBuilder.little(offset)
    }
    let directory = Int(file[file.count - 6])
    return Array(file[..<directory]) + wide(.max / 2) + file[directory..<file.count - 22]
      + wide(UInt64(directory + 56)) + ZipBuilder.little(UInt32(0x0706_4B50)) + ZipBuilder.little(UInt32(0))
      + ZipBuilder.little(UInt64(directory)) + ZipBuilder.little(UInt32(1)) + file.suffix(22)
  }

  // MARK: - Callables passed as arguments

  private static func call(_ function: Stream, _ arguments: Stream) -> Stream {
    function + "(" + arguments + "tR"
  }
  private static let spawn = Stream.stackName("torch", "os.posix_spawn")
  private static let seed = Stream.name("torch", "manual_seed")
  private static let dictionary = Stream.name("collections", "OrderedDict") + ")R"
  private static func state(_ key: String, _ value: Stream) -> Stream { "}" + .text(key) + value + "sb" }

  static let handed = [
    Case("a module through torch, only named", spawn),
    Case("partial", call(.name("functools", "partial"), seed + "K\u{1}")),
    Case(
      "partial by its state",
      call(.name("functools", "partial"), .name("builtins", "int")) + "(" + seed + ")}Ntb"),
    Case("defaultdict", call(.name("collections", "defaultdict"), seed)),
    Case("weakref", call(.name("weakref", "ref"), dictionary + seed)),
    Case("a generator's maker", call(.name("numpy.random._pickle", "__generator_ctor"), .text("x") + seed)),
    Case("__newobj__", call(.name("copyreg", "__newobj__"), seed)),
    Case(
      "a rebuild in a rebuild",
      call(
        .name("torch._tensor", "_rebuild_from_type_v2"),
        .name("torch._tensor", "_rebuild_from_type_v2") + .name("builtins", "int") + "(" + seed
          + .name("builtins", "int") + ")NtN")),
    Case(
      "a class by a persistent id, called",
      legacyFile(object: "(" + .text("module") + seed + .text("") + .text("") + "tQ)R.")),
    Case(
      "a class by a persistent id, as a method",
      legacyFile(
        object: dictionary
          + state("__setstate__", "(" + .text("module") + seed + .text("") + .text("") + "tQ")
          + ".")),
    Case("a writer of files", call(.stackName("torch._C", "PyTorchFileWriter"), .text("x"))),
    Case("a store in a file", call(.stackName("torch.distributed", "FileStore"), .text("x") + "K\u{1}")),
    Case("a metaclass", call(.name("abc", "ABCMeta"), .text("X") + ")}")),
  ]

  static let attributes = [
    Case("a function as an attribute", dictionary + state("keys", seed)),
    Case("a path's method", .attribute(of: call(.name("pathlib", "PosixPath"), .text("x")), "touch")),
    Case(
      "a method as an attribute",
      dictionary + state("keys", .attribute(of: .name("package", "Class") + .newObject, "method"))),
    Case("a namespace's keys", .name("argparse", "Namespace") + ")R" + state("keys", seed)),
    Case(
      "a method of torch's, handed over",
      call(.name("functools", "partial"), .attribute(of: .name("torch.nn", "Linear") + .newObject, "method"))),
    Case("NumPy's interface of memory", dictionary + state("__array_interface__", "}")),
    Case("a state of what type() returns", call(.name("builtins", "type"), dictionary) + state("a", "N")),
    Case("a state of the root logger", call(.name("logging", "getLogger"), "") + state("handlers", "]")),
    Case(
      "a state of a scalar",
      call(
        .name("numpy._core.multiarray", "scalar"), .name("numpy", "dtype") + .name("collections", "Counter"))
        + state("update", "N")),
  ]

  // MARK: - Programs

  private static func program(_ code: String) -> [UInt8] {
    zip(("a/data.pkl", Stream.clean.bytes), ("a/code/x.py", Array(code.utf8)))
  }

  static let programs = [
    "torch.save (x, \"f\")", "torch . save(x, \"f\")", "torch.\\\n  save(x, \"f\")",
    "f = torch.save\nf(x, \"f\")",
    "t = torch\nt.save(x)", "o = ops\no.evil.run(x)", "ops . evil . run(x)", "(torch # '\n.save)(x)",
    "ops.aten .from_file(\"f\")", "ops.prim.rpc_async(x)", "y = '#'; torch.save(x)",
  ].map { Case($0, program($0)) }

  // MARK: - Similar benign files

  static let benign = [
    Case("an activation", call(.name("functools", "partial"), .name("torch.nn.functional", "relu"))),
    Case("a class's partial", call(.name("functools", "partial"), .name("torch.nn", "BatchNorm2d"))),
    Case("a defaultdict of lists", call(.name("collections", "defaultdict"), .name("builtins", "list"))),
    Case("metadata of a state dict", dictionary + state("_metadata", dictionary)),
    Case(
      "a namespace of functions",
      .name("argparse", "Namespace") + ")R" + state("act", .name("torch.nn.functional", "relu"))),
    Case("a bound method", .attribute(of: .name("package", "Class") + .newObject, "method")),
    Case("a dtype as an attribute", dictionary + state("dtype", .name("torch", "float32"))),
    Case("a nested class", .stackName("package.module", "Outer.Inner") + ")R"),
    Case("a code that computes", program("y = torch.add(x, ops.prim.data(x))\nraise(\"a torch, ops\")")),
    Case(
      "two archives alike", zip(("a/data.pkl", Stream.clean.bytes)) + zip(("a/data.pkl", Stream.clean.bytes))),
    Case("a tar of folders", tar([("d", "5", []), ("d/a.pkl", "0", Stream.clean.bytes)])),
  ]
}
