import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Reads files of PyTorch before 1.6, built byte by byte, and refuses damaged ones.
@Suite struct LegacyTests {
  private let folder: TemporaryFolder
  private static let one: [UInt8] = [0, 0, 0x80, 0x3F]

  init() throws { folder = try TemporaryFolder() }

  /// Returns a file: the five pickles and the bytes that follow them.
  private func file(_ object: [UInt8], keys: [String], _ tail: [UInt8], version: Int64 = 1001) -> [UInt8] {
    let magic: [UInt8] = [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19]
    let pickles = [
      magic, PickleBytes.integer(version), [0x7D], object, PickleBytes.list(keys.map(PickleBytes.text)),
    ]
    return pickles.flatMap(PickleBytes.stream) + tail
  }

  private func record(_ count: Int64, _ bytes: [UInt8]) -> [UInt8] { ZipBuilder.little(count) + bytes }

  private func open(_ bytes: [UInt8]) throws -> Checkpoint {
    try Checkpoint(path: try folder.write("f.pth", bytes))
  }

  /// Returns the code of the error; nil when the file is read.
  private func refusal(_ bytes: [UInt8]) throws -> DecantError.Code? {
    do {
      try open(bytes).requireIntact()
      return nil
    } catch let error as DecantError {
      #expect(error.location.file == folder.path("f.pth"))
      return error.code
    }
  }

  private let tensor = PickleBytes.tensor(PickleBytes.storage("0", count: 1), size: 1)

  @Test func theSmallest() throws {
    let checkpoint = try open(file(tensor, keys: ["0"], record(1, Self.one)))
    #expect(checkpoint.container == .torchLegacy && checkpoint.warnings.isEmpty)
    #expect(try checkpoint.tensors.map { try $0.tensor.elements(as: Float.self) } == [[1]])
  }

  @Test func countsThatLie() throws {
    for count in [0, 2, -1, .max, .min] as [Int64] {
      #expect(
        try refusal(file(tensor, keys: ["0"], record(count, Self.one)))
          == .damaged)
    }
  }

  @Test func countsThatAreHuge() throws {
    func huge(_ count: Int64) -> [UInt8] {
      file(
        PickleBytes.tensor(PickleBytes.storage("0", count: count), size: 1), keys: ["0"],
        record(count, Self.one))
    }
    #expect(try refusal(huge(.max)) == .damaged)
    #expect(try refusal(huge(1 << 60)) == .truncated)
    #expect(try refusal(huge(2)) == .truncated)
    #expect(try open(huge(2)).tensors.map(\.state) == [.whole])
  }

  @Test func swappedCounts() throws {
    let checkpoint = try open(file(tensor, keys: ["0"], record(Int64(1).byteSwapped, Self.one)))
    #expect(try checkpoint.tensors.map { try $0.tensor.elements(as: Float.self) } == [[1]])
    #expect(checkpoint.warnings.count == 1 && checkpoint.warnings[0].contains("big-endian"))
  }

  @Test func keys() throws {
    let data = record(1, Self.one)
    #expect(try refusal(file(tensor, keys: [], [])) == .damaged)
    #expect(try refusal(file(tensor, keys: ["0", "0"], data + data)) == .deceptive)
    #expect(try refusal(file(tensor, keys: ["00"], data)) == .damaged)
    #expect(
      try refusal(file(tensor, keys: ["0", "1"], data)) == .truncated)
    let pickles = [
      [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19], PickleBytes.integer(1001),
      [0x7D],
      tensor, PickleBytes.integer(3),
    ]
    #expect(
      try refusal(pickles.flatMap(PickleBytes.stream) + data) == .damaged)
  }

  /// PyTorch refuses these files. Only the bytes after such a storage show its length.
  @Test func storagesThatNothingRefersTo() throws {
    let data = record(1, Self.one)
    let behind = try open(file(tensor, keys: ["0", "a"], data + record(3, [UInt8](repeating: 0, count: 6))))
    #expect(behind.warnings == ["storage a, 6 bytes, is listed, but nothing in the pickle refers to it"])
    let before = try open(file(tensor, keys: ["a", "0"], record(1, [7, 7]) + data))
    #expect(before.warnings == ["storage a, 2 bytes, is listed, but nothing in the pickle refers to it"])
    #expect(try before.tensors.map { try $0.tensor.elements(as: Float.self) } == [[1]])
    #expect(
      try refusal(file(tensor, keys: ["a", "0"], record(1, [7, 7, 7]) + data))
        == .damaged)
    #expect(
      try refusal(file(tensor, keys: ["a", "0"], record(0, []) + data)) == nil, "no width, no doubt")
  }

  @Test func views() throws {
    func views(_ views: [(key: String, offset: Int64, count: Int64)], keys: [String] = ["0"]) -> [UInt8] {
      let tensors = views.map {
        PickleBytes.tensor(PickleBytes.storage("0", count: 3, view: $0), size: 1)
      }
      return file(
        PickleBytes.list(tensors), keys: keys, record(3, Self.one + [0, 0, 0, 0x40] + [0, 0, 0x40, 0x40]))
    }
    let checkpoint = try open(views([("v", 1, 2), ("v", 1, 2), ("w", 2, 1), ("e", 3, 0)].dropLast()))
    #expect(try checkpoint.tensors.map { try $0.tensor.elements(as: Float.self) } == [[2], [2], [3]])
    #expect(Aliases(checkpoint.tensors.map(\.tensor)).first(of: 1) == 0)
    #expect(checkpoint.tensors[0].tensor.storage === checkpoint.tensors[1].tensor.storage)
    for (offset, count) in [(1, 3), (4, 0), (3, 1), (Int64.max / 4, 1)] as [(Int64, Int64)] {
      #expect(try refusal(views([("v", offset, count)])) == .damaged)
    }
    for (offset, count) in [(-1, 1), (0, -1), (.max, 1), (0, .max)] as [(Int64, Int64)] {
      #expect(
        try refusal(views([("v", offset, count)])) == .damaged)
    }
    #expect(
      try refusal(views([("v", 0, 1), ("v", 1, 1)])) == .deceptive)
    #expect(
      try refusal(views([("0", 0, 1)])) == .deceptive)
  }

  @Test func referencesThatDisagree() throws {
    let two = PickleBytes.list([tensor, PickleBytes.tensor(PickleBytes.storage("0", count: 2), size: 1)])
    #expect(
      try refusal(file(two, keys: ["0"], record(1, Self.one)))
        == .damaged)
  }

  /// Storages on `meta` have no data. Untyped storages count bytes.
  @Test func kindsOfStorages() throws {
    let meta = PickleBytes.tensor(PickleBytes.storage("0", count: 1, location: "meta"), size: 1)
    let checkpoint = try open(file(meta, keys: [], []))
    #expect(checkpoint.tensors.count == 1 && checkpoint.tensors[0].tensor.storage.content == nil)
    for (module, name, count) in [
      ("torch.storage", "UntypedStorage", 4), ("torch.cuda", "FloatStorage", 1),
    ] as [(String, String, Int64)] {
      let storage = PickleBytes.storage(
        "0", count: count, kind: PickleBytes.global(module, name), location: "cuda:1")
      let one = PickleBytes.tuple([PickleBytes.integer(1)])
      let tensor =
        PickleBytes.global("torch._utils", "_rebuild_tensor_v3")
        + PickleBytes.tuple([
          storage, PickleBytes.integer(0), one, one, [0x89], [0x4E], PickleBytes.global("torch", "float32"),
        ]) + [0x52]
      let found = try open(file(tensor, keys: ["0"], record(count, Self.one)))
      #expect(try found.tensors.map { try $0.tensor.elements(as: Float.self) } == [[1]])
      #expect(found.tensors[0].tensor.storage.location == "cuda:1")
    }
  }

  /// Reads the instances of PyTorch 0.1 to 0.3, in each way that pickle makes one.
  @Test(arguments: ["REDUCE", "NEWOBJ", "__newobj__", "_reconstructor"])
  func instances(_ way: String) throws {
    func made(_ module: String, _ name: String, _ arguments: [[UInt8]], _ state: [[UInt8]]) -> [UInt8] {
      let kind = PickleBytes.global(module, name)
      let instance: [UInt8] =
        switch way {
        case "REDUCE": kind + PickleBytes.tuple(arguments) + [0x52]
        case "NEWOBJ": kind + PickleBytes.tuple(arguments) + [0x81]
        case "__newobj__":
          PickleBytes.global("copy_reg", "__newobj__") + PickleBytes.tuple([kind] + arguments) + [0x52]
        default:
          PickleBytes.global("copy_reg", "_reconstructor")
            + PickleBytes.tuple([kind, PickleBytes.global("__builtin__", "object"), [0x4E]]) + [0x52]
        }
      return instance + PickleBytes.tuple(state) + [0x62]
    }
    let one = PickleBytes.tuple([PickleBytes.integer(1)])
    let storage = PickleBytes.storage("0", count: 1)
    let tensor = made("torch.cuda", "FloatTensor", [], [storage, [0x4B, 0], one, one])
    let variable = made("torch.autograd.variable", "Variable", [], [tensor, [0x4E], [0x4E], [0x88], [0x89]])
    var values = [tensor, variable]
    if way != "_reconstructor" {
      values.append(made("torch.nn.parameter", "Parameter", [tensor], [[0x88], [0x89], [0x4E]]))
    }
    let checkpoint = try open(file(PickleBytes.list(values), keys: ["0"], record(1, Self.one)))
    #expect(try checkpoint.tensors.map { try $0.tensor.elements(as: Float.self) } == values.map { _ in [1] })
    #expect(checkpoint.tensors.map(\.tensor.requiresGrad) == Array([false, true, true].prefix(values.count)))
    #expect(checkpoint.tensors.dropFirst(2).allSatisfy { $0.role == .parameter })
    let wrong = made("torch", "DoubleTensor", [], [storage, [0x4B, 0], one, one])
    #expect(
      try refusal(file(wrong, keys: ["0"], record(1, Self.one)))
        == .damaged)
  }

  /// Protocols 0 and 1 make modules through copy_reg. The class may be stored with its source code.
  @Test func aModuleMadeByCopyReg() throws {
    let kind =
      PickleBytes.tuple([
        PickleBytes.text("module"), PickleBytes.global("net", "Net"), PickleBytes.text("net.py"),
        PickleBytes.text("class Net: pass"),
      ]) + [0x51]
    let parameters = [0x7D] + PickleBytes.text("weight") + tensor + [0x73]
    let state =
      [0x7D, 0x28] + PickleBytes.text("_parameters") + parameters + PickleBytes.text("_modules") + [
        0x7D, 0x75,
      ]
    let module =
      PickleBytes.global("copy_reg", "_reconstructor")
      + PickleBytes.tuple([kind, PickleBytes.global("__builtin__", "object"), [0x4E]]) + [0x52] + state + [
        0x62
      ]
    let checkpoint = try open(file(module, keys: ["0"], record(1, Self.one)))
    #expect(checkpoint.tensors.map(\.name) == ["weight"])
    #expect(checkpoint.objects.map(\.type) == ["net.Net"])
    #expect(checkpoint.moduleSources.map(\.text) == ["class Net: pass"])
  }

  @Test func instancesInInstances() throws {
    let kind = PickleBytes.global("torch.nn.parameter", "Parameter")
    let deep =
      [[UInt8]](repeating: kind, count: 10_000).joined() + tensor
      + [[UInt8]](repeating: [0x85, 0x52], count: 10_000).joined()
    #expect(
      try refusal(file(Array(deep), keys: ["0"], record(1, Self.one)))
        == .limitExceeded)
  }

  /// Each use of a shared text is counted, because repeating a long text takes few bytes in the stream.
  @Test func longTextsSharedOften() throws {
    let long = PickleBytes.text(String(repeating: "k", count: 1 << 20)) + [0x71, 0]
    let often = (0..<100_000).map { _ in [0x68, 0] as [UInt8] }
    let pickles = [
      [0x8A, 10, 0x6C, 0xFC, 0x9C, 0x46, 0xF9, 0x20, 0x6A, 0xA8, 0x50, 0x19], PickleBytes.integer(1001),
      [0x7D],
      tensor, PickleBytes.list([long] + often),
    ]
    #expect(
      try refusal(pickles.flatMap(PickleBytes.stream)) == .damaged)
    let kind = PickleBytes.global("torch", "FloatStorage")
    let ids = (0..<100_000).flatMap { _ in
      [0x28] + PickleBytes.text("storage") + kind + [0x68, 0] + PickleBytes.text("cpu") + [
        0x4B, 1, 0x74, 0x51,
      ]
        as [UInt8]
    }
    let found = try open(file([0x5D, 0x28] + long + ids + [0x65], keys: [], []))
    #expect(found.objects.count == 100_001)
    let sources = (0..<100_000).flatMap { _ in
      [0x28] + PickleBytes.text("module") + kind + [0x68, 0, 0x68, 0, 0x74, 0x51] as [UInt8]
    }
    #expect(
      try refusal(file([0x5D, 0x28] + long + sources + [0x65], keys: [], []))
        == .limitExceeded)
  }

  @Test func bytesBehindTheLastStorage() throws {
    let checkpoint = try open(file(tensor, keys: ["0"], record(1, Self.one) + [1, 2, 3]))
    #expect(checkpoint.warnings.count == 1)
    #expect(checkpoint.warnings[0].hasPrefix("3 bytes follow the last storage, at offset "))
  }

  @Test func sources() throws {
    for name in ["legacy_module.pth", "legacy_early.pth", "tar.pth"] {
      let sources = try Checkpoint(path: Fixtures.path("torch/" + name)).moduleSources
      #expect(sources.map(\.className) == ["old_layouts.Scale", "old_layouts.Shift"])
      #expect(sources.allSatisfy { $0.file == "old_layouts.py" && $0.text?.utf8.count == $0.byteCount })
      #expect(sources[0].text?.hasPrefix("class Scale(torch.nn.Module):\n") == true)
    }
    var limits = Limits()
    limits.textBytes = 16
    let sources = try Checkpoint(path: Fixtures.path("torch/tar.pth"), limits: limits).moduleSources
    #expect(sources.allSatisfy { $0.text == nil && $0.byteCount == 90 })
  }

  @Test func rolesInModulesWithSources() throws {
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/legacy_module.pth"))
    #expect(
      checkpoint.tensors.map { "\($0.name) \($0.role.map(\.rawValue) ?? "-")" } == [
        "model.factor parameter", "model.frozen parameter", "model.before.by buffer", "model.after.by buffer",
      ])
    #expect(checkpoint.tensors.map(\.tensor.requiresGrad) == [true, false, false, false])
    #expect(checkpoint.objects.first { $0.name == "model" }?.type == "old_layouts.Scale")
  }

  /// Every prefix of a file is refused when all of the data is required. SalvageTests checks what can still be read.
  @Test(arguments: ["legacy.pth", "legacy_early.pth"])
  func truncated(_ name: String) throws {
    let whole = try Fixtures.bytes("torch/" + name)
    for count in stride(from: 200, to: whole.count, by: 7) {
      #expect(throws: DecantError.self) { try open(Array(whole[..<count])).requireIntact() }
    }
  }

  /// Changing any byte gives an answer or a typed error, never a crash.
  @Test(arguments: ["legacy_early.pth", "legacy_protocol4.pth", "tar.pth", "bare_protocol0.pkl"])
  func anyByteWrong(_ name: String) throws {
    let whole = try Fixtures.bytes("torch/" + name)
    var answered = 0
    for place in stride(from: 0, to: whole.count, by: 3) {
      var bytes = whole
      bytes[place] ^= [0xFF, 0x01, 0x80][place % 3]
      let path = try folder.write("f", bytes)
      do throws(DecantError) { _ = try Checkpoint(path: path) } catch { #expect(!error.reason.isEmpty) }
      answered += 1
    }
    #expect(answered > 100)
  }
}
