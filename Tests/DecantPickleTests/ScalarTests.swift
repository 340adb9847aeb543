import DecantPickle
import Testing

/// Tests of numbers and strings. Expected values are those of CPython 3.11's unpickler for the same bytes.
struct ScalarTests {
  @Test(
    arguments: [
      ("N.", "None"), ("\u{88}.", "True"), ("\u{89}.", "False"),
      ("K\u{FF}.", "255"), ("M\u{FF}\u{FF}.", "65535"), ("J\u{FE}\u{FF}\u{FF}\u{FF}.", "-2"),
      ("I00\n.", "False"), ("I01\n.", "True"), ("I0\n.", "0"), ("I1\n.", "1"), ("I000\n.", "0"),
      ("I-12\n.", "-12"), ("I +7 \n.", "7"), ("I1_000\n.", "1000"), ("I0x1F\n.", "31"), ("I0b101\n.", "5"),
      ("I010\n.", "8"),
      // C's number parsers stop at a NUL.
      ("I5\u{0}x\n.", "5"), ("I\u{0}\n.", "0"), ("I1\u{0}\n.", "True"), ("I1\u{0}x\n.", "1"),
      ("L5\u{0}xL\n.", "5"), ("F5\u{0}x\n.", "5.0"), ("Np5\u{0}x\n0g5\u{0}y\n.", "None"),
      ("I9223372036854775807\n.", "9223372036854775807"),
      ("I9223372036854775808\n.", "long 000000000000008000"),
      ("L-9223372036854775808L\n.", "-9223372036854775808"),
      ("L-9223372036854775809L\n.", "long ffffffffffffff7fff"),
      ("L12\n.", "12"), ("L18446744073709551616L\n.", "long 000000000000000001"),
      ("L0x10000000000000000L\n.", "long 000000000000000001"),
      ("\u{8A}\u{0}.", "0"), ("\u{8A}\u{1}\u{80}.", "-128"), ("\u{8A}\u{2}\u{80}\u{0}.", "128"),
      ("\u{8A}\u{9}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}.", "-1"),
      ("\u{8A}\u{9}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{0}.", "long ffffffffffffffff00"),
      ("\u{8A}\u{A}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{80}\u{0}\u{0}.", "long 000000000000008000"),
      ("\u{8B}\u{2}\u{0}\u{0}\u{0}\u{0}\u{80}.", "-32768"),
      ("G\u{BF}\u{F4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}.", "-1.25"),
      ("F-1.25\n.", "-1.25"), ("F.5\n.", "0.5"), ("F5.\n.", "5.0"), ("F 1_0e-1_0 \n.", "1e-09"),
      ("Finf\n.", "inf"), ("F-Infinity\n.", "-inf"), ("FNaN\n.", "nan"), ("F1e999\n.", "inf"),
      ("F-0\n.", "-0.0"),
      ("F1e-400\n.", "0.0"),
    ] as [(Stream, String)])
  func number(_ stream: Stream, _ expected: String) throws {
    #expect(try stream.result() == expected)
  }

  @Test(
    arguments: [
      ("I\n.", "b'' is not an integer"), ("I5x\n.", "b'5x' is not an integer"),
      ("I1__0\n.", "b'1__0' is not an integer"),
      ("I_1\n.", "b'_1' is not an integer"), ("I0x\n.", "b'0x' is not an integer"),
      ("I089\n.", "b'089' is not an integer"),
      ("L010L\n.", "b'010' is not an integer"), ("L5LL\n.", "b'5L' is not an integer"),
      ("L5L\u{0}\n.", "b'5L' is not an integer"), ("L\u{0}\n.", "b'' is not an integer"),
      ("I5", "its argument does not end with a newline"),
      ("F\n.", "b'' is not a number"), ("F0x1p3\n.", "b'0x1p3' is not a number"),
      ("F1_\n.", "b'1_' is not a number"),
      ("F1e\n.", "b'1e' is not a number"), ("F.\n.", "b'.' is not a number"),
      ("F1 2\n.", "b'1 2' is not a number"),
      ("J\u{0}", "its argument needs 4 bytes, but 1 are left"),
      ("\u{8A}\u{3}\u{0}", "its argument needs 3 bytes, but 1 are left"),
      ("\u{8B}\u{FF}\u{FF}\u{FF}\u{FF}.", "its length, -1, is negative"),
    ] as [(Stream, String)])
  func wrongNumber(_ stream: Stream, _ reason: String) {
    let text = refusal(stream)
    #expect(text.hasSuffix(": " + reason), "\(text)")
  }

  @Test func decimalsAreBoundedAsInCPython() throws {
    let digits = [UInt8](repeating: UInt8(ascii: "9"), count: 4300)
    let longest: Stream = "I" + Stream(digits) + "\n."
    guard case .longInteger(let bytes) = try longest.interpret().nodes.first else {
      Issue.record("no long integer")
      return
    }
    // 10^4300 - 1 takes 14,285 bits; its lowest eight are those of -1 mod 256.
    #expect(bytes.count == 1786)
    #expect(bytes.first == 0xFF)
    #expect(
      refusal("L" + Stream(digits) + "9L\n.").hasSuffix(
        "an integer of 4301 decimal digits exceeds CPython's limit of 4300"))
  }

  @Test(
    arguments: [
      ("U\u{3}a\u{FF}b.", "s'61ff62'"), ("T\u{1}\u{0}\u{0}\u{0}z.", "s'7a'"),
      (#"S'a\n\x41\101\q\'"'"# + "\n.", "s'610a41415c712722'"), ("S\"it's\"\n.", "s'69742773'"),
      ("S''\n.", "s''"),
      (#"S'\777'"# + "\n.", "s'ff'"),
      ("C\u{2}\u{0}\u{FF}.", "b'00ff'"), ("B\u{1}\u{0}\u{0}\u{0}a.", "b'61'"),
      ("\u{8E}\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}a.", "b'61'"),
      ("\u{96}\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}a.", "bytearray'61'"),
      ("\u{8C}\u{2}\u{C3}\u{A9}.", "'é'"), ("X\u{1}\u{0}\u{0}\u{0}a.", "'a'"),
      ("\u{8D}\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}a.", "'a'"),
      ("Vcaf\u{E9}\n.", "'café'"), (#"Va\u00e9\U0001F600\n\\u0041"# + "\n.", #"'aé😀\n\\u0041'"#),
      ("V\\\n.", "'\\'"),
    ] as [(Stream, String)])
  func string(_ stream: Stream, _ expected: String) throws {
    #expect(try stream.result() == expected)
  }

  @Test(
    arguments: [
      ("Sabc\n.", "b'abc' is not quoted"), ("S'abc\n.", #"b"'abc" is not quoted"#),
      ("S'\n.", #"b"'" is not quoted"#),
      (#"S'\x4'"# + "\n.", #"its text is not valid at byte 0 (invalid \x escape at position 0)"#),
      (#"Va\u12"# + "\n.", #"its text is not valid at byte 1 (truncated \uXXXX escape)"#),
      (#"V\U00110000"# + "\n.", #"its text is not valid at byte 0 (\Uxxxxxxxx out of range)"#),
      ("\u{8C}\u{2}a\u{FF}.", "its text is not UTF-8 at byte 1 (invalid start byte)"),
      ("\u{8C}\u{2}\u{C0}\u{80}.", "its text is not UTF-8 at byte 0 (invalid start byte)"),
      (
        "\u{8C}\u{3}\u{E0}\u{80}\u{80}.", "its text is not UTF-8 at byte 0 (invalid continuation byte)"
      ),
      ("\u{8C}\u{1}\u{C3}.", "its text is not UTF-8 at byte 0 (unexpected end of data)"),
      ("T\u{FF}\u{FF}\u{FF}\u{FF}.", "its length, -1, is negative"),
      ("X\u{FF}\u{FF}\u{FF}\u{FF}.", "its argument needs 4,294,967,295 bytes, but 1 are left"),
      (
        "\u{8E}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}.",
        "its argument needs 18,446,744,073,709,551,615 bytes, but 1 are left"
      ),
    ] as [(Stream, String)])
  func wrongString(_ stream: Stream, _ reason: String) {
    let text = refusal(stream)
    #expect(text.hasSuffix(": " + reason), "\(text)")
  }

  @Test func loneSurrogatesPass() throws {
    let graph = try Stream("\u{8C}\u{4}\u{ED}\u{A0}\u{80}x.").interpret()
    guard case .text(let text) = graph.node(graph.root) else {
      Issue.record("no text")
      return
    }
    #expect(text.utf8 == [0xED, 0xA0, 0x80, 0x78])
    let escaped = try (#"V\ud800x"# + "\n." as Stream).interpret()
    #expect(escaped.nodes.count == 1)
    if case .text(let other) = escaped.node(escaped.root) { #expect(other == text) }
  }

  @Test func pythonTwoTextIsUTF8ElseLatin1() throws {
    let utf8 = try Stream("U\u{2}\u{C3}\u{A9}.").interpret()
    #expect(utf8.text(utf8.root) == "é")
    let latin1 = try Stream("U\u{1}\u{E9}.").interpret()
    #expect(latin1.text(latin1.root) == "é")
  }
}
