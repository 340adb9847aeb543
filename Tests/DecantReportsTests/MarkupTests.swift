import DecantReports
import Testing

@Suite struct MarkupTests {
  @Test(arguments: [
    ("conv1.weight", "conv1.weight"),
    ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
    ("\" onload=\"x", "&quot; onload=&quot;x"),
    ("' onload='x", "&#39; onload=&#39;x"),
    ("&lt;b&gt;", "&amp;lt;b&amp;gt;"),
    ("a\u{202E}b", "a\\u{202e}b"),
    ("\u{2066}a\u{2069}", "\\u{2066}a\\u{2069}"),
    ("a\nb\u{0}", "a\\nb\\x00"),
    ("größe 64×3", "größe 64×3"),
  ])
  func escapesTexts(text: String, expected: String) {
    let element: Markup = "<td>\(text)</td>"
    #expect(element.text == "<td>\(expected)</td>")
    let attribute: Markup = "<td title=\"\(text.dropFirst(0))\">"
    #expect(attribute.text == "<td title=\"\(expected)\">")
  }

  /// A message is escaped for display already: its backslashes stay single, and its markup is still escaped.
  @Test func escapesMessagesOnce() {
    let markup: Markup = "<p>\(escaped: #"a\nb <i> & 'c'"#)</p>"
    #expect(markup.text == #"<p>a\nb &lt;i&gt; &amp; &#39;c&#39;</p>"#)
  }

  @Test func keepsMarkup() {
    let items = ["a", "<"].map { "<li>\($0)</li>" as Markup }
    let list: Markup = "<ul>\(items)\("<li>c</li>" as Markup)</ul>"
    #expect(list.text == "<ul><li>a</li><li>&lt;</li><li>c</li></ul>")
  }

  @Test(arguments: [
    (0.0, "0"), (-0.001, "0"), (12.0, "12"), (0.5, "0.5"), (-3.256, "-3.26"), (100.0, "100"), (1e20, "1e+20"),
  ])
  func shortensCoordinates(value: Double, expected: String) {
    let markup: Markup = "\(value)"
    #expect(markup.text == expected)
  }
}
