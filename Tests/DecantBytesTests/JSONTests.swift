import DecantBytes
import Foundation
import Testing

@Suite struct JSONTests {
  private func parse(_ text: String) throws -> JSONValue {
    let bytes = Array(text.utf8)
    return try JSONValue(parsing: bytes.span.bytes)
  }

  @Test func keepsOrderAndNumbers() throws {
    let value = try parse(#" {"b": 1, "a": [true, null, -2.5e3, "x\u00e9\ud83d\ude00\n"], "c": {}} "#)
    #expect(value.text == #"{"b":1,"a":[true,null,-2500.0,"xé😀\n"],"c":{}}"#)
    #expect(value["b"]?.size == 1)
  }

  @Test(arguments: [
    "", "{", "[1,]", "{\"a\":1,}", "01", "+1", ".5", "1.", "1e", "nul", "\"\u{1}\"", "\"\\x\"", "\"\\ud800\"",
    "[1] 2",
    "{\"a\":1 \"b\":2}", "{1:2}", "1e999", "\"open",
  ])
  func refuses(_ text: String) {
    #expect(throws: ParsingError.self) { try parse(text) }
  }

  @Test func refusesDuplicateKeys() {
    #expect(throws: ParsingError(offset: 8, "the key \"a\" appears twice")) { try parse(#"{"a":1, "a":2}"#) }
  }

  @Test func refusesDepthWithoutRecursingIntoIt() {
    #expect { try parse(String(repeating: "[", count: 100_000)) } throws: {
      ($0 as? ParsingError).map { DecantError($0).code } == .limitExceeded
    }
  }

  @Test func spellsWhatJSONCannotHoldAsText() {
    #expect(JSONValue.exact(Double.nan).text == "\"NaN\"")
    #expect(JSONValue.exact(-Double.infinity).text == "\"-Infinity\"")
    #expect(JSONValue.exact(Int64(1) << 53).text == "9007199254740992")
    #expect(JSONValue.exact((Int64(1) << 53) + 1).text == "\"9007199254740993\"")
  }

  /// Foundation's JSON reader checks the output.
  @Test func writesWhatAnotherReaderReads() throws {
    let value: JSONValue = [
      "text": "quote \" slash \\ tab \t escape \u{1b} bidi \u{202e} emoji 😀", "numbers": [1, 2],
    ]
    let object = try JSONSerialization.jsonObject(with: Data(value.text.utf8)) as? [String: Any]
    #expect(object?["text"] as? String == "quote \" slash \\ tab \t escape \u{1b} bidi \u{202e} emoji 😀")
    #expect(!value.text.unicodeScalars.contains { $0.value < 0x20 || $0.value == 0x202E })
  }
}

@Suite struct UntrustedTextTests {
  @Test(arguments: [
    ("plain.name", "plain.name"), ("é漢", "é漢"), ("a\nb", "a\\nb"), ("\u{1b}[31m", "\\x1b[31m"),
    ("\\", "\\\\"),
    ("\u{202e}x\u{2066}", "\\u{202e}x\\u{2066}"), ("\u{85}\u{2028}\u{200b}", "\\x85\\u{2028}\\u{200b}"),
    ("\r\n", "\\r\\n"), ("\u{7f}\u{0}", "\\x7f\\x00"),
  ])
  func escapes(_ text: String, _ expected: String) {
    #expect(text.escapedForDisplay == expected)
  }
}
