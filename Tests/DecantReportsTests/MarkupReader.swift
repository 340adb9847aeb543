/// An HTML or SVG text as elements, read by rules stricter than a browser's: every element is closed or void, and every
/// attribute is quoted or has no value.
struct MarkupReader {
  struct Element {
    let name: String
    let attributes: [String: String]
    /// The names of the elements around it, the outermost first.
    let ancestors: [String]
    /// The index of the parent; nil for the outermost elements.
    let parent: Int?
    var text = ""
  }

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private(set) var elements: [Element] = []
  private static let void: Set<String> = ["meta", "link", "br", "wbr", "input"]

  init(_ text: String) throws {
    var rest = Substring(text)
    if rest.hasPrefix("<!DOCTYPE html>") { rest = rest.dropFirst("<!DOCTYPE html>".count) }
    var open: [Int] = []
    while let start = rest.firstIndex(of: "<") {
      append(rest[..<start], to: open.last)
      rest = rest[rest.index(after: start)...]
      guard let end = Self.end(of: rest) else { throw Failure(description: "a tag does not end") }
      let tag = rest[..<end]
      rest = rest[rest.index(after: end)...]
      if tag.hasPrefix("/") {
        guard let last = open.popLast(), elements[last].name == tag.dropFirst() else {
          throw Failure(description: "<\(tag)> closes \(open.map { elements[$0].name })")
        }
        continue
      }
      let isClosed = tag.hasSuffix("/")
      let element = try Self.element(
        isClosed ? tag.dropLast() : tag, open.map { elements[$0].name }, open.last)
      elements.append(element)
      if isClosed || Self.void.contains(element.name) { continue }
      open.append(elements.count - 1)
      // Scripts and styles hold no elements.
      if ["script", "style"].contains(element.name) {
        guard let close = rest.firstRange(of: "</\(element.name)>") else {
          throw Failure(description: "\(element.name) does not end")
        }
        append(rest[..<close.lowerBound], to: open.last)
        rest = rest[close.lowerBound...]
      }
    }
    guard open.isEmpty else { throw Failure(description: "not closed: \(open.map { elements[$0].name })") }
  }

  private mutating func append(_ text: Substring, to index: Int?) {
    if let index { elements[index].text += text }
  }

  /// Returns the end of a tag: the first `>` outside of quotes.
  private static func end(of tag: Substring) -> Substring.Index? {
    var isQuoted = false
    return tag.indices.first { index in
      if tag[index] == "\"" { isQuoted.toggle() }
      return tag[index] == ">" && !isQuoted
    }
  }

  private static func element(
    _ tag: Substring, _ ancestors: [String], _ parent: Int?
  ) throws -> Element {
    let name = tag.prefix { !$0.isWhitespace }
    guard !name.isEmpty, name.allSatisfy({ $0.isASCII && ($0.isLetter || $0.isNumber) }) else {
      throw Failure(description: "<\(tag)> is no element")
    }
    var attributes: [String: String] = [:]
    var rest = tag.dropFirst(name.count).drop { $0.isWhitespace }
    while !rest.isEmpty {
      let key = rest.prefix { !$0.isWhitespace && $0 != "=" }
      rest = rest.dropFirst(key.count)
      var value = ""
      if rest.first == "=" {
        guard rest.dropFirst().first == "\"", let end = rest.dropFirst(2).firstIndex(of: "\"") else {
          throw Failure(description: "<\(tag)>: \(key) is not quoted")
        }
        value = String(rest.dropFirst(2)[..<end])
        rest = rest[rest.index(after: end)...]
      }
      guard attributes.updateValue(value, forKey: String(key)) == nil else {
        throw Failure(description: "<\(tag)>: \(key) twice")
      }
      rest = rest.drop { $0.isWhitespace }
    }
    return Element(name: String(name), attributes: attributes, ancestors: ancestors, parent: parent)
  }

  func all(_ name: String) -> [Element] { elements.filter { $0.name == name } }
}
