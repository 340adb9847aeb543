import DecantBytes
import DecantScanning
import TestSupport
import Testing

/// The work of scanning files that repeat or share what they hold, in values judged. None of these tests takes time.
@Suite struct WorkTests {
  struct Shape: Sendable, CustomTestStringConvertible {
    let testDescription: String
    let stream: Stream
    /// The work that is enough.
    let most: Int
    init(_ name: String, _ stream: Stream, most: Int) {
      testDescription = name
      self.stream = .proto4 + stream + "N."
      self.most = most
    }
  }

  private static func put(_ index: UInt8) -> Stream { Stream([0x71, index]) }
  private static func get(_ index: UInt8) -> Stream { Stream([0x68, index]) }
  private static func times(_ count: Int, _ stream: Stream) -> Stream {
    Stream(Array(repeatElement(stream.bytes, count: count).joined()))
  }
  private static func long(_ count: Int) -> Stream {
    Stream([0x58] + ZipBuilder.little(UInt32(count)) + [UInt8](repeating: 0x78, count: count))
  }

  private static let dictionary = Stream.name("collections", "OrderedDict")
  private static let loader = Stream.name("torch.storage", "_load_from_bytes")
  private static let payload = Stream.bytes(
    (Stream.proto4 + "(" + times(20_000, "N") + "l.").bytes)

  /// Lists or dictionaries that hold the one before `breadth` times.
  private static func nested(_ open: Stream, _ item: Stream, _ close: Stream, breadth: Int, depth: Int)
    -> Stream
  {
    var stream = "N" + put(0) + "0"
    for _ in 0..<depth { stream = stream + open + times(breadth, item + get(0)) + close + put(0) + "0" }
    return stream
  }

  static let shapes = [
    Shape(
      "a state of dictionaries in dictionaries",
      nested("(", "N", "d", breadth: 200, depth: 3)
        + times(20, dictionary + ")R" + dictionary + get(0) + "\u{85}Rb0"), most: 20_000),
    Shape(
      "a state of lists in lists",
      nested("(", "", "l", breadth: 200, depth: 3)
        + times(20, dictionary + ")R" + dictionary + get(0) + "\u{85}Rb0"), most: 20_000),
    Shape(
      "one text for many calls",
      long(100_000) + put(0) + "0" + .name("_codecs", "encode") + put(1) + "0" + .text("latin1") + put(2)
        + "0"
        + times(1_000, get(1) + get(0) + get(2) + "\u{86}R0"), most: 20_000),
    Shape(
      "one text as many attributes",
      long(100_000) + put(0) + "0" + .name("builtins", "getattr") + put(1) + "0" + .name("a", "B") + put(2)
        + "0"
        + times(1_000, get(1) + get(2) + get(0) + "\u{86}R0"), most: 20_000),
    Shape(
      "one text as many names", long(100_000) + put(0) + "0" + times(1_000, get(0) + get(0) + "\u{93}0"),
      most: 20_000),
    Shape(
      "one dictionary as many states",
      "(" + times(1_000, .text("k") + "N") + "d" + put(0) + "0"
        + times(1_000, dictionary + ")R" + get(0) + "b0"),
      most: 20_000),
    Shape(
      "one payload that is loaded again and again",
      payload + put(0) + "0" + loader + put(1) + "0" + times(1_000, get(1) + get(0) + "\u{85}R0"),
      most: 150_000),
    Shape("copies of a payload", times(50, payload + "0"), most: 150_000),
    Shape(
      "a name of dots", Stream([0x63] + Array("torch\n".utf8)) + times(100_000, "a.") + "a\n)R0", most: 10_000
    ),
    Shape(
      "equal calls", .name("os", "system") + put(0) + "0" + times(10_000, get(0) + ")R0"), most: 60_000),
  ]

  @Test(arguments: shapes)
  func isJudgedOnce(_ shape: Shape) {
    let scan = CheckpointScanner().scan(shape.stream.bytes, named: "file")
    #expect(scan.work <= shape.most, "\(scan.work) of \(shape.stream.bytes.count) bytes")
  }

  /// Equal calls are one finding with their number.
  @Test func equalCallsAreCounted() {
    let stream = .proto4 + Self.times(500, .name("os", "system") + .text("id") + .tuple1 + "R0") + "N."
    let twice = .proto4 + .name("os", "system") + Self.put(0) + Self.times(500, Self.get(0) + ")R0") + "N."
    for bytes in [stream.bytes, twice.bytes] {
      let found = CheckpointScanner().scan(bytes, named: "file").findings.filter { $0.rule == .runsCode }
      #expect(found.map(\.count) == [500])
    }
  }

  /// Pickles that inflate to a thousand times their size: what was found is kept, and the rest is not judged.
  @Test func exhaustingIsDangerous() {
    let values = Stream.proto4 + "(" + Self.times(20_000, "]") + "l."
    let streams = Stream(Array(repeatElement(values.bytes, count: 4).joined()))
    let call = Stream.name("library", "f") + ")R0"
    let many = (Stream.proto4 + call + "N.").bytes + streams.bytes
    var limits = CheckpointScanner.defaultLimits
    limits.scanWork = 30_000
    let bySize = CheckpointScanner(limits: limits).scan(many, named: "file")
    #expect(bySize.verdict == .unknown)
    #expect(bySize.findings.contains { $0.rule == .limit && $0.what.contains("--limit scanWork=") })
    #expect(bySize.findings.contains { $0.what.hasPrefix("library.f") })
    #expect(bySize.work < 250_000)
    let all = CheckpointScanner().scan(many, named: "file")
    #expect(!all.findings.contains { $0.rule == .limit })

    // Two hundred entries of a directory are one pickle.
    var archive = ZipBuilder([ZipBuilder.Entry("a/data.pkl", values.bytes)])
    for index in 0..<200 {
      var entry = ZipBuilder.Entry("a/\(index).pkl", [])
      entry.headerOffset = 0
      entry.size = UInt32(values.bytes.count)
      entry.localSize = 0
      archive.entries.append(entry)
    }
    limits.scanWork = 1_000_000
    let shared = CheckpointScanner(limits: limits).scan(archive.bytes, named: "file")
    #expect(
      shared.findings.contains { $0.rule == .exhaustsScanner && $0.severity == .dangerous },
      "\(shared.findings)")
    #expect(shared.work < 1_200_000)
  }
}
