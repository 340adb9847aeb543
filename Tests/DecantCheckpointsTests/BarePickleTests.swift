import DecantBytes
import DecantCheckpoints
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Tests of pickle files without a zip archive.
@Suite struct BarePickleTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ bytes: [UInt8]) throws -> Checkpoint {
    try Checkpoint(path: try folder.write("f.pkl", bytes))
  }

  /// Returns the error's code; nil when the file is read.
  private func refusal(_ bytes: [UInt8]) throws -> DecantError.Code? {
    do {
      _ = try open(bytes)
      return nil
    } catch let error as DecantError { return error.code }
  }

  /// The same list in protocols 0, 1 and 2: CPython's output of `pickle.dumps([1, 2.5, 'a'], protocol)`.
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

  /// The reading of weights goes on, as `pickle.loads` does, and names the place.
  @Test func frameThatEndsInsideAnOpcode() throws {
    let bytes: [UInt8] = [0x80, 4, 0x95, 2, 0, 0, 0, 0, 0, 0, 0, 0x5D, 0x4B, 1, 0x61, 0x2E]
    let warning =
      "BININT1 at byte 12 crosses the end of its frame at byte 13, so that CPython may read another program; decant scan judges both"
    let checkpoint = try open(bytes)
    #expect(checkpoint.warnings.count == 1 && checkpoint.warnings[0].hasSuffix(warning))
    #expect(checkpoint.objects.map(\.type) == ["int"])
    let stream = try #require(try Checkpoint.pickleStreams(path: checkpoint.path).first)
    #expect(try stream.frameWarning()?.hasSuffix(warning) == true)
    let zipped = try open(ZipBuilder([.init("a/data.pkl", bytes), .init("a/version", [0x33])]).bytes)
    #expect(zipped.warnings.contains { $0.hasSuffix(warning) })
  }

  @Test func severalPickles() throws {
    let one: [UInt8] = [0x80, 2, 0x4B, 1, 0x2E]
    let checkpoint = try open(one + one + [0xFF])
    #expect(checkpoint.objects.count == 1)
    #expect(
      checkpoint.warnings == ["6 bytes follow the pickle at offset 5 and were skipped"])
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
      try refusal(PickleBytes.stream(tensor)) == .partMissing)
  }

  /// The bytes that `torch.storage._load_from_bytes` receives, which are files themselves.
  @Test func filesInBytes() throws {
    func tensor(_ bytes: [UInt8]) -> [UInt8] {
      PickleBytes.tensor(
        PickleBytes.global("torch.storage", "_load_from_bytes")
          + PickleBytes.tuple([PickleBytes.bytes(bytes)])
          + [0x52], size: 1)
    }
    #expect(
      try refusal(PickleBytes.stream(tensor([1, 2, 3])))
        == .notACheckpoint)
    let whole = try Fixtures.bytes("torch/legacy.pth")
    #expect(
      try refusal(PickleBytes.stream(tensor(whole)))
        == .damaged)
    #expect(
      try refusal(PickleBytes.stream(tensor(Array(whole.dropLast())))) == .truncated)
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/bare_protocol4.pkl"))
    #expect(checkpoint.tensors.count == 2 && checkpoint.container == .pickle)
    #expect(checkpoint.objects.map(\.name) == ["epoch"])
  }

  @Test(arguments: ["hello, world", "a = 1\n", "I1\n", "(dp0\n", "P6\n# image\n"])
  func textIsNoPickle(_ text: String) throws {
    #expect(try refusal(Array(text.utf8)) == .notACheckpoint)
  }

  /// `{10**20: bytearray(b'\x00\xff'), b'': b''}` as CPython 3 pickles it in every protocol, then the bytearray as
  /// Python 2 pickles it.
  @Test(
    arguments: [
      Array(
        "(dp0\nL100000000000000000000L\nc__builtin__\nbytearray\np1\n(c_codecs\nencode\np2\n(V\\u0000".utf8)
        + [0xFF]
        + Array("\np3\nVlatin1\np4\ntp5\nRp6\ntp7\nRp8\nsc__builtin__\nbytes\np9\n(tRp10\ng10\ns.".utf8),
      Array("}q\0(L100000000000000000000L\nc__builtin__\nbytearray\nq\u{1}(c_codecs\nencode\nq\u{2}(X".utf8)
        + [3, 0, 0, 0, 0, 0xC3, 0xBF]
        + Array(
          "q\u{3}X\u{6}\0\0\0latin1q\u{4}tq\u{5}Rq\u{6}tq\u{7}Rq\u{8}c__builtin__\nbytes\nq\t)Rq\nh\nu.".utf8),
      [0x80, 3] + Array("}q\0(".utf8) + wide + Array("cbuiltins\nbytearray\nq\u{1}C\u{2}\0".utf8) + [0xFF]
        + Array("q\u{2}".utf8) + [0x85] + Array("q\u{3}Rq\u{4}C\0q\u{5}h\u{5}u.".utf8),
      [0x80, 5, 0x95, 0x21, 0, 0, 0, 0, 0, 0, 0] + Array("}".utf8) + [0x94, 0x28] + wide
        + [0x96, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0x94, 0x43, 0, 0x94, 0x68, 2, 0x75, 0x2E],
      [0x80, 2] + Array("}q\u{1}(".utf8) + wide + Array("c__builtin__\nbytearray\nq\u{2}X\u{3}\0\0\0\0".utf8)
        + [0xC3, 0xBF] + Array("q\u{3}U\u{7}latin-1q\u{4}".utf8) + [0x86]
        + Array("Rq\u{5}X\0\0\0\0c__builtin__\nbytes\n)Ru.".utf8),
    ] as [[UInt8]])
  func bytesMadeByCallsAndWideKeys(_ bytes: [UInt8]) throws {
    let objects = try open(bytes).objects
    #expect(objects.map(\.name) == ["100000000000000000000", ""])
    #expect(objects.map(\.type) == ["bytearray", "bytes"])
    #expect(objects.map(\.count) == [2, 0])
  }

  /// A call of `bytearray` with other arguments stays listed as a call; an integer key that is too long to print is
  /// shortened.
  @Test func otherCallsOfBytearray() throws {
    func call(_ arguments: String) throws -> [CheckpointObject] {
      try open(Array(("cbuiltins\nbytearray\n" + arguments + "R.").utf8)).objects
    }
    #expect(try call("(I5\nt").map(\.type) == ["builtins.bytearray"])
    #expect(try call("(Va\nVutf-8\nt").map(\.type) == ["builtins.bytearray"])
    #expect(try call("(V\\u0100\nVlatin-1\nt").map(\.type) == ["builtins.bytearray"])
    #expect(try call("(t").map(\.count) == [0])
    let long = [0x80, 2, 0x7D, 0x8A, 65] + [UInt8](repeating: 1, count: 65) + [0x4B, 1, 0x73, 0x2E]
    #expect(try open(long).objects.map(\.name) == ["…"])
  }
}

/// The integer 10**20 in protocol 2 and later.
private let wide: [UInt8] = [0x8A, 9, 0, 0, 0x10, 0x63, 0x2D, 0x5E, 0xC7, 0x6B, 5]
