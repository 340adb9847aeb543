import DecantPickle
import Testing

/// Tests against reference output of CPython 3.11's `pickletools.dis`.
struct DisassemblyTests {
  @Test func fixturesArePresent() {
    #expect(Fixtures.names.count > 200)
  }

  @Test(arguments: Fixtures.names)
  func equalsPickletools(_ name: String) throws {
    let lines = try Fixtures.stream(name).disassembly()
    let golden = try Fixtures.golden(name)
    for (line, expected) in zip(lines, golden) { #expect(line == expected) }
    #expect(lines.count == golden.count)
  }

  @Test func fixturesHoldEveryOpcode() throws {
    var seen: Set<String> = []
    for name in Fixtures.names {
      for line in try Fixtures.golden(name) {
        let words = line.split(separator: " ", omittingEmptySubsequences: true)
        if words.count > 2 { seen.insert(String(words[2])) }
      }
    }
    #expect(PickleOpcode.allCases.map(\.name).filter { !seen.contains($0) } == [])
  }

  /// Error texts of CPython 3.11.7.
  @Test(
    arguments: [
      ("", ["!! pickle exhausted before seeing STOP"]),
      ("N", ["    0: N    NONE", "!! pickle exhausted before seeing STOP"]),
      ("\u{FF}", [#"!! at position 0, opcode b'\xff' unknown"#]),
      ("t.", ["    0: t    TUPLE      no MARK exists on stack", "!! no MARK exists on stack"]),
      ("I5x\n.", ["!! invalid literal for int() with base 10: b'5x'"]),
      ("Fx\n.", ["!! could not convert string to float: b'x'"]),
      ("S'a\n.", [#"!! strinq quote b"'" not found at both ends of b"'a""#]),
      ("Sa\n.", ["!! no string quotes around b'a'"]),
      (#"S'\x4'"# + "\n.", [#"!! invalid \x escape at position 0"#]),
      (
        #"V\u12"# + "\n.",
        [
          #"!! 'rawunicodeescape' codec can't decode bytes in position 0-3: truncated \uXXXX escape"#
        ]
      ),
      (
        "X\u{1}\u{0}\u{0}\u{0}\u{FF}.",
        ["!! 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"]
      ),
      ("U\u{5}ab", ["!! expected 5 bytes in a string1, but only 2 remain"]),
      ("h\u{7}.", ["    0: h    BINGET     7", "!! memo key 7 has never been stored into"]),
      (
        "NN.",
        [
          "    0: N    NONE", "    1: N    NONE", "    2: .    STOP", "highest protocol among opcodes = 0",
          "!! stack not empty after STOP: [None]",
        ]
      ),
      (
        "(\u{85}t.",
        [
          "    0: (    MARK", #"    1: \x85     TUPLE1"#, "!! list index out of range",
        ]
      ),
    ] as [(Stream, [String])])
  func stopsWherePickletoolsRaises(_ stream: Stream, _ lines: [String]) {
    #expect(stream.disassembly() == lines)
  }

  @Test func stopsWhenTheClosureThrows() {
    struct Enough: Error {}
    var count = 0
    #expect(throws: Enough.self) {
      try PickleDisassembler.disassemble(Stream("NN0.").bytes.span.bytes) { _ in
        count += 1
        if count == 2 { throw Enough() }
      }
    }
    #expect(count == 2)
  }
}
