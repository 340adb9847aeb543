import Checkpoints
import Foundation
import Tensors
import TestSupport
import Testing

/// Pickles by themselves.
@Suite struct BarePickleTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ bytes: [UInt8]) throws -> Checkpoint {
    try Checkpoint(path: try folder.write("f.pkl", bytes))
  }

  private func refusal(_ bytes: [UInt8]) throws -> String {
    do { return "accepted \(try open(bytes).tensors.count)" } catch let error as CheckpointError {
      return error.reason
    }
  }

  /// The same list in protocols 0, 1 and 2 (CPython's own bytes of `pickle.dumps([1, 2.5, 'a'], protocol)`).
  @Test(
    arguments: [
      Array("(lp0\nI1\naF2.5\naVa\np1\na.".utf8),
      [
        0x5D, 0x71, 0, 0x28, 0x4B, 1, 0x47, 0x40, 4, 0, 0, 0, 0, 0, 0, 0x58, 1, 0, 0, 0, 0x61, 0x71, 1, 0x65,
        0x2E,
      ],
      [
        0x80, 2, 0x5D, 0x71, 0, 0x28, 0x4B, 1, 0x47, 0x40, 4, 0, 0, 0, 0, 0, 0, 0x58, 1, 0, 0, 0, 0x61, 0x71,
        1, 0x65,
        0x2E,
      ],
    ] as [[UInt8]])
  func protocols(_ bytes: [UInt8]) throws {
    let checkpoint = try open(bytes)
    #expect(checkpoint.container == .pickle && checkpoint.warnings.isEmpty)
    #expect(checkpoint.objects.map(\.type) == ["int", "float", "str"])
  }

  @Test func severalPickles() throws {
    let one: [UInt8] = [0x80, 2, 0x4B, 1, 0x2E]
    let checkpoint = try open(one + one + [0xFF])
    #expect(checkpoint.objects.count == 1)
    #expect(
      checkpoint.warnings == [
        "6 bytes follow the pickle, at offset 5, and are not listed; decant inspect --pickle shows pickles among them"
      ])
    let streams = try Checkpoint.pickleStreams(path: checkpoint.path)
    #expect(streams.map(\.offset) == [0, 5])
    for stream in streams {
      var lines: [String] = []
      try stream.disassemble { lines.append($0) }
      #expect(
        lines == [
          #"    0: \x80 PROTO      2"#, "    2: K    BININT1    1", "    4: .    STOP",
          "highest protocol among opcodes = 2",
        ])
    }
  }

  @Test func aLongListOfNumbersIsOneEntry() throws {
    let numbers = (0..<1000).flatMap { _ in [0x47, 0x3F, 0xF0, 0, 0, 0, 0, 0, 0] as [UInt8] }
    let checkpoint = try open([0x80, 2, 0x5D, 0x28] + numbers + [0x65, 0x2E])
    #expect(checkpoint.objects.map(\.count) == [1000])
  }

  @Test func aPickleTakenOutOfItsArchive() throws {
    let tensor = PickleBytes.tensor(PickleBytes.storage("0", count: 1), size: 1)
    #expect(
      try refusal(PickleBytes.stream(tensor)) == "the data is in storage 0, which lies outside this pickle")
  }

  /// What is given to `torch.storage._load_from_bytes`.
  @Test func filesInBytes() throws {
    func tensor(_ bytes: [UInt8]) -> [UInt8] {
      PickleBytes.tensor(
        PickleBytes.global("torch.storage", "_load_from_bytes")
          + PickleBytes.tuple([PickleBytes.bytes(bytes)])
          + [0x52], size: 1)
    }
    #expect(
      try refusal(PickleBytes.stream(tensor([1, 2, 3])))
        == "is no checkpoint: it begins with the bytes 01 02 03")
    let whole = try Fixtures.bytes("torch/legacy.pth")
    #expect(
      try refusal(PickleBytes.stream(tensor(whole)))
        == "the tensor's storage is a file within the pickle that holds no storage")
    #expect(
      try refusal(PickleBytes.stream(tensor(Array(whole.dropLast()))))
        .hasPrefix("is cut short: it has"))
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/bare_protocol4.pkl"))
    #expect(checkpoint.tensors.count == 2 && checkpoint.container == .pickle)
    #expect(checkpoint.objects.map(\.name) == ["epoch"])
  }

  @Test(arguments: ["hello, world", "a = 1\n", "I1\n", "(dp0\n", "P6\n# image\n"])
  func textIsNoPickle(_ text: String) throws {
    // What it is instead, other tests say.
    let found = try refusal(Array(text.utf8))
    #expect(found.hasPrefix("is ") && !found.contains("pickle"), "\(found)")
  }
}
