/// A pattern of parameter names: `layer{s}.{b}.conv{i}.*`.
///
/// - `{s}` matches a decimal number.
/// - `{s+1}` matches that number plus 1.
/// - `{b+1:2}` matches it with at least two digits.
/// - `{i:abc}` matches a letter by its index, counted from 1.
/// - A final `*` matches one or more characters without a dot.
struct NamePattern: Sendable, Equatable {
  private enum Part: Equatable {
    case text([UInt8])
    case number(variable: UInt8, added: Int, digits: Int)
    case letter(variable: UInt8, alphabet: [UInt8])
    case rest
  }

  /// The values of a pattern's variables in one name.
  struct Binding: Equatable {
    fileprivate var numbers: [(variable: UInt8, value: Int)] = []
    fileprivate var rest: [UInt8] = []

    fileprivate subscript(variable: UInt8) -> Int? {
      numbers.first { $0.variable == variable }?.value
    }

    static func == (left: Binding, right: Binding) -> Bool {
      left.rest == right.rest && left.numbers.elementsEqual(right.numbers) { $0 == $1 }
    }
  }

  let text: String
  private let parts: [Part]

  /// Parses a pattern of the built-in tables. Traps when it is not well-formed.
  init(_ text: String) {
    self.text = text
    var parts: [Part] = []
    var rest = Array(text.utf8)[...]
    var literal: [UInt8] = []
    func flush() {
      if !literal.isEmpty { parts.append(.text(literal)) }
      literal = []
    }
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: "{"):
        guard let variable = rest.popFirst(), let end = rest.firstIndex(of: UInt8(ascii: "}")) else {
          preconditionFailure("the pattern \(text) has no closing brace")
        }
        flush()
        parts.append(Self.part(variable, String(decoding: rest[..<end], as: UTF8.self), in: text))
        rest = rest[(end + 1)...]
      case UInt8(ascii: "*"):
        precondition(rest.isEmpty, "the pattern \(text) goes on after *")
        flush()
        parts.append(.rest)
      default: literal.append(byte)
      }
    }
    flush()
    self.parts = parts
  }

  /// Parses the text between a variable and its closing brace: `+1`, `:abc`, `+1:2`.
  private static func part(_ variable: UInt8, _ modifier: String, in text: String) -> Part {
    let halves = modifier.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
    let digits = halves.count == 2 ? Int(halves[1]) : 1
    guard let digits else { return .letter(variable: variable, alphabet: Array(halves[1].utf8)) }
    let added = halves[0].isEmpty ? 0 : Int(halves[0])
    guard let added else { preconditionFailure("the pattern \(text) adds no number") }
    return .number(variable: variable, added: added, digits: digits)
  }

  /// Returns the values of the variables in a name; nil when the name does not match. O(length).
  func binding(of name: Substring.UTF8View) -> Binding? {
    var rest = name
    var binding = Binding()
    for part in parts {
      switch part {
      case .text(let text):
        guard rest.starts(with: text) else { return nil }
        rest = rest.dropFirst(text.count)
      case .number(let variable, let added, let least):
        let digits = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        // No network needs more than five digits. Extra zeros at the front would be lost when the name is written
        // again.
        guard least...5 ~= digits.count, digits.count == least || digits.first != UInt8(ascii: "0") else {
          return nil
        }
        let value = digits.reduce(0) { $0 * 10 + Int($1 - UInt8(ascii: "0")) } - added
        guard value >= 0, binding[variable] == nil || binding[variable] == value else { return nil }
        if binding[variable] == nil { binding.numbers.append((variable, value)) }
        rest = rest.dropFirst(digits.count)
      case .letter(let variable, let alphabet):
        guard let letter = rest.popFirst(), let place = alphabet.firstIndex(of: letter) else { return nil }
        guard binding[variable] == nil || binding[variable] == place + 1 else { return nil }
        if binding[variable] == nil { binding.numbers.append((variable, place + 1)) }
      case .rest:
        guard !rest.isEmpty, !rest.contains(UInt8(ascii: ".")) else { return nil }
        binding.rest = Array(rest)
        rest = rest.dropFirst(rest.count)
      }
    }
    return rest.isEmpty ? binding : nil
  }

  /// Returns the name for the values that another pattern found; nil when this pattern cannot write it.
  func name(_ binding: Binding) -> String? {
    var name: [UInt8] = []
    for part in parts {
      switch part {
      case .text(let text): name += text
      case .number(let variable, let added, let least):
        guard let value = binding[variable], value + added >= 0 else { return nil }
        let digits = String(value + added)
        name += Array(repeating: UInt8(ascii: "0"), count: max(0, least - digits.utf8.count)) + digits.utf8
      case .letter(let variable, let alphabet):
        guard let value = binding[variable], 1...alphabet.count ~= value else { return nil }
        name.append(alphabet[value - 1])
      case .rest:
        guard !binding.rest.isEmpty else { return nil }
        name += binding.rest
      }
    }
    return String(validating: name, as: UTF8.self)
  }
}
