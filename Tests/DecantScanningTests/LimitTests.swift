import DecantBytes
import DecantScanning
import TestSupport
import Testing

/// Files that exceed limits are judged in part, and never called clean.
@Suite struct LimitTests {
  private func findings(_ bytes: [UInt8], _ change: (inout Limits) -> Void) -> [ScanFinding] {
    var limits = CheckpointScanner.defaultLimits
    change(&limits)
    return CheckpointScanner(limits: limits).scan(bytes, named: "file").findings
  }

  @Test func values() {
    let stream = Stream.proto4.bytes + [UInt8](repeating: 0x4E, count: 100) + [0x2E]
    #expect(findings(stream) { _ in }.isEmpty)
    #expect(findings(stream) { $0.pickleValues = 50 }.map(\.rule) == [.limit])
  }

  @Test func entries() {
    let file = zip(("a.pkl", Stream.clean.bytes), ("b.pkl", Stream.call.bytes))
    let found = findings(file) { $0.zipEntries = 1 }
    #expect(found.contains { $0.rule == .limit })
  }

  @Test func depth() {
    var file = zip(("a.pkl", Stream.call.bytes))
    for _ in 0..<6 { file = zip(("inner.zip", file)) }
    let scan = CheckpointScanner().scan(file, named: "file")
    #expect(scan.findings.map(\.rule).contains(.limit))
    #expect(scan.verdict != .clean)
  }

  /// An entry that claims to inflate to 3 GB gets no such buffer.
  @Test func inflation() {
    let file = zip([("a.pkl", [3, 0])]) {
      $0[0].method = 8
      $0[0].size = 2
      $0[0].localSize = 2
    }
    #expect(findings(file) { _ in }.map(\.rule) == [.zipBroken])
    #expect(findings(file) { $0.inflatedBytes = 1 }.map(\.rule) == [.limit])
  }

  /// With any number of findings, dangerous ones are kept and the rest are counted.
  @Test func findingsAreBounded() {
    var stream = Stream.proto4
    for index in 0..<3_000 { stream.bytes += Stream.name("library\(index)", "Class").bytes + [0x30] }
    stream = stream + .name("os", "system") + "."
    let scan = CheckpointScanner().scan(stream.bytes, named: "file")
    #expect(scan.findings.count == CheckpointScanner.findingLimit)
    #expect(scan.leftOut == 3_001 - CheckpointScanner.findingLimit)
    #expect(scan.findings.first?.what.hasPrefix("os.system") == true)
  }

  /// Every prefix of a hostile file, and the file with any byte changed, gets a verdict.
  @Test func mutations() {
    let files = [
      Stream.call.bytes, legacyFile(), zip(("a/data.pkl", Stream.call.bytes), ("a/version", [0x33])),
      tar([("pickle", "0", Stream.call.bytes), ("storages", "0", Stream.clean.bytes)]),
      npy("{'descr': '|O', 'shape': (1,)}\n", Stream.call.bytes),
      safetensors("{\"__metadata__\":{\"a\":\"eval(\"}}"),
    ]
    var verdicts = 0
    for file in files {
      for count in 0..<min(file.count, 700) {
        verdicts +=
          CheckpointScanner().scan(Array(file.prefix(count)), named: "file").findings.isEmpty ? 0 : 1
        for value: UInt8 in [0, 0x2E, 0x63, 0x80, 0xFF] {
          var changed = file
          changed[count] = value
          verdicts += CheckpointScanner().scan(changed, named: "file").findings.isEmpty ? 0 : 1
        }
      }
    }
    #expect(verdicts > 1_000)
  }
}
