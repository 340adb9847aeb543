/// A family of parameter names: `layer{s}.{b}.conv{i}.*`.
///
/// `{s}` stands for a decimal number, `{s+1}` for the same number as it is spelled here, one larger; `{i:abc}` for the
/// letter at that place, counted from 1; a last `*` for one or more characters without a dot.
struct NamePattern: Sendable, Equatable {
  private enum Part: Equatable {
    case text([UInt8])
    case number(variable: UInt8, added: Int)
    case letter(variable: UInt8, alphabet: [UInt8])
    case rest
  }

  /// What the variables of a pattern stand for in one name.
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

  /// Reads a pattern of the program's own tables.
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
        let modifier = rest[..<end]
        rest = rest[(end + 1)...]
        if modifier.first == UInt8(ascii: ":") {
          parts.append(.letter(variable: variable, alphabet: Array(modifier.dropFirst())))
        } else {
          let added = Int(String(decoding: modifier, as: UTF8.self)) ?? 0
          precondition(modifier.isEmpty || added != 0, "the pattern \(text) adds no number")
          parts.append(.number(variable: variable, added: added))
        }
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

  /// What the variables stand for in a name; nil when it is not of this family. O(length).
  func binding(of name: Substring.UTF8View) -> Binding? {
    var rest = name
    var binding = Binding()
    for part in parts {
      switch part {
      case .text(let text):
        guard rest.starts(with: text) else { return nil }
        rest = rest.dropFirst(text.count)
      case .number(let variable, let added):
        let digits = rest.prefix { UInt8(ascii: "0")...UInt8(ascii: "9") ~= $0 }
        // Five digits are more than any network has, and a leading zero would not come back.
        guard 1...5 ~= digits.count, digits.count == 1 || digits.first != UInt8(ascii: "0") else {
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

  /// The name that a binding of another pattern has here; nil when this pattern cannot spell it.
  func name(_ binding: Binding) -> String? {
    var name: [UInt8] = []
    for part in parts {
      switch part {
      case .text(let text): name += text
      case .number(let variable, let added):
        guard let value = binding[variable], value + added >= 0 else { return nil }
        name += Array(String(value + added).utf8)
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
