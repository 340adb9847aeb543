import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Reads tar files that are built byte by byte.
@Suite struct TarTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Returns one member: a header block and its bytes, padded.
  private func member(
    _ name: String, _ bytes: [UInt8], size: [UInt8]? = nil, kind: Character = "0", checksum: Int? = nil
  ) -> [UInt8] {
    func octal(_ value: Int, _ digits: Int) -> [UInt8] {
      let text = String(value, radix: 8)
      return Array((String(repeating: "0", count: digits - text.utf8.count) + text).utf8) + [0]
    }
    var block = [UInt8](repeating: 0, count: 512)
    block.replaceSubrange(0..<name.utf8.count, with: name.utf8)
    block.replaceSubrange(124..<136, with: size ?? octal(bytes.count, 11))
    block.replaceSubrange(148..<156, with: [UInt8](repeating: 0x20, count: 8))
    block[156] = kind.asciiValue ?? 0
    block.replaceSubrange(257..<265, with: Array("ustar\0".utf8) + Array("00".utf8))
    let sum = checksum ?? block.reduce(0) { $0 + Int($1) }
    block.replaceSubrange(148..<155, with: octal(sum, 6))
    return block + bytes + [UInt8](repeating: 0, count: (512 - bytes.count % 512) % 512)
  }

  private let end = [UInt8](repeating: 0, count: 1024)
  private let description = PickleBytes.tuple([
    PickleBytes.integer(7), PickleBytes.text("cpu"), PickleBytes.global("torch", "FloatStorage"),
  ])

  private func storages(
    _ count: Int64 = 2, elements: Int64 = 2, views: [[UInt8]] = [], description: [UInt8]? = nil
  ) -> [UInt8] {
    let one =
      PickleBytes.stream(description ?? self.description) + ZipBuilder.little(elements)
      + [0, 0, 0x80, 0x3F, 0, 0, 0, 0x40]
    return PickleBytes.stream(PickleBytes.integer(count)) + one
      + PickleBytes.stream(PickleBytes.list(views))
  }

  private func tensors(
    key: Int64 = 1, storage: [UInt8] = PickleBytes.integer(7), rank: Int32 = 1,
    _ numbers: [Int64] = [2, 1, 0],
    count: Int64 = 1
  ) -> [UInt8] {
    PickleBytes.stream(PickleBytes.integer(count))
      + PickleBytes.stream(
        PickleBytes.tuple([PickleBytes.integer(key), storage, PickleBytes.global("torch", "FloatTensor")]))
      + ZipBuilder.little(rank) + [9, 9, 9, 9] + numbers.flatMap { ZipBuilder.little($0) }
  }

  private let pickle = PickleBytes.stream(PickleBytes.text("1") + [0x51])

  private func archive(storages: [UInt8]? = nil, tensors: [UInt8]? = nil, pickle: [UInt8]? = nil) -> [UInt8] {
    member("pickle", pickle ?? self.pickle) + member("tensors", tensors ?? self.tensors())
      + member("storages", storages ?? self.storages(1)) + end
  }

  private func open(_ bytes: [UInt8]) throws -> Checkpoint {
    try Checkpoint(path: try folder.write("f.pth", bytes))
  }

  /// Returns the code of the error; nil when the file is read.
  private func refusal(_ bytes: [UInt8]) throws -> DecantError.Code? {
    do {
      #expect(try open(bytes).tensors.count == 1)
      return nil
    } catch let error as DecantError {
      #expect(error.location.file == folder.path("f.pth"))
      return error.code
    }
  }

  @Test func theSmallest() throws {
    let checkpoint = try open(archive())
    #expect(checkpoint.container == .torchTar && checkpoint.warnings.isEmpty)
    #expect(try checkpoint.tensors.map { try $0.tensor.elements(as: Float.self) } == [[1, 2]])
  }

  /// An ID is an integer, or text of an integer, because Python's `int` accepts both.
  @Test func ids() throws {
    #expect(try refusal(archive(pickle: PickleBytes.stream(PickleBytes.integer(1) + [0x51]))) == nil)
    let storage = try open(archive(pickle: PickleBytes.stream(PickleBytes.integer(7) + [0x51])))
    #expect(storage.tensors.isEmpty && storage.objects.map(\.type) == ["torch.FloatStorage"])
    let unknown = try open(archive(pickle: PickleBytes.stream(PickleBytes.integer(8) + [0x51])))
    #expect(unknown.objects.map(\.type) == ["persistent id"])
    #expect(
      try refusal(archive(tensors: tensors(key: 7))) == .deceptive)
  }

  @Test func headers() throws {
    let whole = archive()
    func with(_ size: String, _ name: String = "x") throws -> DecantError.Code? {
      try refusal(
        member("pickle", pickle) + member(name, [], size: Array((size + "\0").utf8.prefix(12)))
          + whole)
    }
    #expect(try with("77777777777") == .truncated)
    #expect(try with("0000000008z") == .damaged)
    #expect(try with("-0000000001") == .damaged)
    #expect(try with("           ") == .damaged)
    let large = member("x", [], size: [0x80] + [UInt8](repeating: 0xFF, count: 11))
    #expect(try refusal(large + whole) == .damaged)
    let negative = member("x", [], size: [UInt8](repeating: 0xFF, count: 12))
    #expect(try refusal(negative + whole) == .damaged)
    let most = member("x", [], size: [0x80, 0, 0, 0, 0x7F] + [UInt8](repeating: 0xFF, count: 7))
    #expect(try refusal(most + whole) == .truncated)
    let small = member("x", [1, 2], size: [0x80] + [UInt8](repeating: 0, count: 10) + [2])
    #expect(try refusal(small + whole) == nil)
    #expect(
      try refusal(member("x", [], checksum: 1) + whole) == .damaged)
    #expect(
      try refusal(whole + [UInt8](repeating: 1, count: 512)) == nil,
      "what follows the end is padding")
    #expect(
      try refusal(member("pickle", pickle) + whole) == .deceptive)
    #expect(
      try refusal(member("pickle", pickle) + end)
        == .notACheckpoint)
  }

  /// The pax records before a member give its name and size. Other records are ignored.
  @Test func pax() throws {
    func pax(_ text: String) -> [UInt8] { member("h", Array(text.utf8), kind: "x") }
    let renamed = pax("15 path=pickle\n20 mtime=1484000000.5\n".replacing("20 ", with: "22 "))
    #expect(
      try refusal(
        renamed + member("p", pickle) + member("tensors", tensors()) + member("storages", storages(1)))
        == nil)
    let sized = pax(
      "12 size=\(pickle.count)\n".replacing("12 ", with: "\(9 + String(pickle.count).utf8.count) "))
    #expect(
      try refusal(
        sized + member("pickle", pickle, size: Array("00000000000\0".utf8)) + member("tensors", tensors())
          + member("storages", storages(1))) == nil)
    for text in [
      "99 size=1\n", "0 \n", "8 size=1\n", "10 size=-1\n", "x", "6 abc\n", "9223372036854775808 a=b\n",
    ] {
      #expect(try refusal(pax(text) + archive()) == .damaged, "\(text)")
    }
  }

  @Test func storagesThatLie() throws {
    #expect(try refusal(archive(storages: storages(2))) == .damaged)
    #expect(try refusal(archive(storages: storages(-1))) == .damaged)
    #expect(try refusal(archive(storages: storages(1, elements: 1 << 62))) == .damaged)
    #expect(try refusal(archive(storages: storages(1, elements: -1))) == .damaged)
    let swapped = try open(archive(storages: storages(1, elements: Int64(2).byteSwapped)))
    #expect(swapped.warnings == ["storage 7 has a big-endian element count"])
    let twice =
      PickleBytes.stream(PickleBytes.integer(2))
      + Array((storages(1).dropFirst(PickleBytes.stream(PickleBytes.integer(1)).count)).dropLast(6))
    #expect(
      try refusal(archive(storages: twice + Array(storages(1).dropFirst(13)))) == .deceptive)
  }

  @Test(
    arguments: [
      (1, 1, nil), (0, 2, nil), (2, 0, nil), (1, 2, .damaged), (.max, 1, .damaged), (-1, 1, .damaged),
    ] as [(Int64, Int64, DecantError.Code?)])
  func views(_ offset: Int64, _ count: Int64, _ code: DecantError.Code?) throws {
    let view = PickleBytes.tuple([8, 7, offset, count].map(PickleBytes.integer))
    #expect(try refusal(archive(storages: storages(1, views: [view]))) == code)
  }

  @Test func aViewOfAView() throws {
    let views = [[8, 7, 0, 2], [9, 8, 0, 1]].map {
      PickleBytes.tuple($0.map { PickleBytes.integer(Int64($0)) })
    }
    #expect(
      try refusal(archive(storages: storages(1, views: views)))
        == .damaged)
  }

  @Test func tensorsThatLie() throws {
    func found(_ tensors: [UInt8]) throws -> DecantError.Code? { try refusal(archive(tensors: tensors)) }
    #expect(try found(tensors(rank: 65)) == .limitExceeded)
    #expect(try found(tensors(rank: -1)) == .damaged)
    #expect(try found(tensors([3, 1, 0])) == .damaged)
    #expect(try found(tensors([2, 1, 1])) == .damaged)
    #expect(try found(tensors([2, -1, 0])) == .damaged)
    #expect(try found(tensors([.max, .max, 0])) == .damaged)
    #expect(try found(tensors([2, 1])) == .truncated)
    #expect(try found(tensors(count: 2)) == .truncated)
    #expect(
      try found(tensors(storage: PickleBytes.integer(6))) == .damaged)
  }

  /// A tensor of PyTorch 0.1 without storage or dimensions has no elements.
  @Test func tensorsWithoutElements() throws {
    let checkpoint = try open(archive(tensors: tensors(storage: [0x4E], rank: 0, [0])))
    #expect(checkpoint.tensors.map(\.tensor.shape) == [[0]])
  }

  @Test func truncated() throws {
    let whole = try Fixtures.bytes("torch/tar.pth")
    let last = 0x2600 + 578  // end of the last member's data
    for count in stride(from: 600, to: last, by: 211) {
      #expect(throws: DecantError.self) { try open(Array(whole[..<count])) }
    }
  }
}
