import DecantScanning
import TestSupport
import Testing

/// Streams that some unpicklers execute and others refuse or read differently. Every reading is judged.
@Suite struct ReadingTests {
  private static func scan(_ bytes: [UInt8]) -> FileScan {
    CheckpointScanner().scan(bytes, named: "file")
  }

  // MARK: - Frames

  private static func frame(_ length: Int) -> Stream { Stream([0x95] + ZipBuilder.little(UInt64(length))) }

  /// The call of `os.system` through the memo, which no search for names finds.
  private static let hidden: Stream =
    .text("os") + "q\u{5}" + .text("system") + "q\u{6}00" + "h\u{5}h\u{6}\u{93}" + .text("id") + .tuple1 + "R"

  static let crossings: [(name: String, stream: Stream)] = [
    ("a text", frame(7) + Stream([0x58] + ZipBuilder.little(UInt32(4)) + [65, 65]) + "AA0N."),
    ("bytes", frame(3) + Stream([0x43, 3, 1]) + Stream([1, 1]) + "."),
    ("a line", frame(3) + "V12345\n."),
    ("a number", frame(2) + "J\u{1}\u{0}\u{0}\u{0}."),
    ("an opcode at the end", frame(1) + "K\u{1}."),
    ("STOP inside", frame(3) + "N.NN"),
    ("a frame in a frame", frame(12) + frame(2) + "N0N."),
    ("a frame across a frame", frame(10) + frame(2) + "N0N."),
  ]

  @Test(arguments: crossings)
  func crossingIsDangerous(_ name: String, _ stream: Stream) {
    let scan = Self.scan((Stream([0x80, 4]) + stream).bytes)
    #expect(
      scan.findings.contains { $0.rule == .frameCrossed && $0.severity == .dangerous && $0.offset >= 2 },
      "\(name): \(scan.findings)")
  }

  /// An argument of five bytes, two of them in the frame. What drops them finds the call after five other bytes; what
  /// reads on takes the call for a string.
  @Test(arguments: [(Stream([0x58, 5, 0, 0, 0]), "3.8"), (Stream([0x43, 5]), "3.4")])
  func droppedRestIsJudged(_ argument: Stream, _ version: String) {
    let call = Self.hidden + "."
    let stream =
      Stream([0x80, 4]) + Self.frame(argument.bytes.count + 2) + argument + "AABBB"
      + Stream([0x55, UInt8(call.bytes.count)]) + call + "0N."
    let scan = Self.scan(stream.bytes)
    let places = scan.findings.filter { $0.what.hasPrefix("os.system") }.map(\.place)
    #expect(places.contains("as CPython \(version) reads frames"), "\(scan.findings)")
  }

  /// What only a reading that drops bytes imports makes bytes a pickle, wherever they are.
  @Test func droppedRestIsJudgedInside() {
    let call = Self.hidden + "."
    let inner =
      Self.frame(7) + Stream([0x58, 5, 0, 0, 0]) + "AABBB" + Stream([0x55, UInt8(call.bytes.count)]) + call
      + "0I?\n"
    let scan = Self.scan((Stream([0x80, 4]) + .bytes(inner.bytes) + ".").bytes)
    #expect(scan.verdict == .dangerous, "\(scan.findings)")
    #expect(scan.findings.contains { $0.rule == .nestedPickle })
  }

  @Test func contiguousFramesAreClean() {
    // A pickler writes large bytes between two frames.
    let stream =
      Stream([0x80, 4]) + Self.frame(2) + "](" + .bytes([UInt8](repeating: 7, count: 70_000)) + Self.frame(3)
      + "Ne."
    #expect(Self.scan(stream.bytes).verdict == .clean)
  }

  // MARK: - Opcodes

  struct Accepted: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let before: Stream
    init(_ name: String, _ before: Stream) {
      testDescription = name
      self.before = before
    }
  }

  private static let bytearray = Stream([0x96] + ZipBuilder.little(UInt64(3)) + [1, 2, 3])

  private static func digits(_ opcode: Stream) -> Stream {
    opcode + Stream([UInt8](repeating: 0x39, count: 5_000))
  }

  /// What some unpickler executes and another refuses. Each leaves the stack as it was.
  static let accepted = [
    Accepted("a view of a string and more", "U\u{1}a\u{98}0" + bytearray + "K\u{1}a0"),
    Accepted("APPEND on a bytearray", bytearray + "K\u{1}a0"),
    Accepted("APPENDS on a bytearray", bytearray + "(K\u{1}K\u{2}e0"),
    Accepted("SETITEM on a bytearray", bytearray + "K\u{0}K\u{2}s0"),
    Accepted("SETITEM of a slice", "](NNe" + .name("builtins", "slice") + "NNN\u{87}R]s0"),
    Accepted("APPEND on a buffer", "\u{97}K\u{1}a0"),
    Accepted("an integer of 5,000 digits", digits("I") + "\n0"),
    Accepted("a LONG of 5,000 digits", digits("L") + "L\n0"),
    Accepted("an octal LONG of Python 2", "L0755L\n0"), Accepted("an INT with an L", "I5L\n0"),
    Accepted("a STRING followed by a space", "S'a' \n0"),
    Accepted("a memo index of 30 digits", "Np100000000000000000000000000000\n0"),
    Accepted("a memo key that is no number", "Npkey\n0gkey\n0"),
    Accepted("a negative memo index", "Np-1\n0"),
    Accepted("a protocol that weights_only accepts", "\u{80}M"),
    Accepted("an odd number of items", "}(NNNu0"), Accepted("a dictionary of an odd number", "(NNNd0"),
    Accepted("a persistent id beyond ASCII", "P\u{E9}\n0"),
    Accepted("a value below a MARK", "N(\u{85}0"),
    Accepted("a frame that is too long", frame(1_000)),
  ]

  @Test(arguments: accepted)
  func whatFollowsIsJudged(_ example: Accepted) {
    let scan = Self.scan((Stream([0x80, 4]) + example.before + Self.hidden + ".").bytes)
    #expect(
      scan.findings.contains { $0.what.hasPrefix("os.system") && $0.rule == .runsCode }, "\(scan.findings)")
    let harmless = Self.scan((Stream([0x80, 4]) + example.before + "N.").bytes)
    #expect(harmless.verdict != .clean, "\(harmless.findings)")
  }

  /// A name that only its module's import needs, at the end of the stream.
  @Test func nameWithoutNewline() {
    let scan = Self.scan((Stream([0x80, 4]) + "cos\nsystemX").bytes)
    #expect(scan.findings.contains { $0.what.hasPrefix("os.system") }, "\(scan.findings)")
  }

  /// What no unpickler executes ends the stream: a call after it is only searched for.
  @Test(
    arguments: ["Iabc\n0", "Fabc\n0", "Sabc\n0", ")K\u{1}a0", "g9\n0"]
      as [Stream])
  func whatNobodyExecutesStops(_ before: Stream) {
    let scan = Self.scan((Stream([0x80, 4]) + before + Self.hidden + ".").bytes)
    #expect(scan.verdict == .unknown)
    #expect(scan.findings.map(\.rule) == [.brokenPickle], "\(scan.findings)")
  }

  /// REDUCE takes any sequence of arguments in the unpickler in Python.
  @Test func argumentsInAList() {
    let scan = Self.scan(
      (Stream([0x80, 4]) + .name("functools", "partial") + "](" + .name("torch", "manual_seed") + "eR.").bytes
    )
    #expect(scan.verdict == .dangerous, "\(scan.findings)")
  }
}
