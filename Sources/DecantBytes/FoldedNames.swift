/// Several names that differ only in their numbers, as one text: `layer1.{0-2}.conv{1-3}.weight` is nine names.
package struct FoldedNames: Sendable, Equatable {
  /// The text, which describes these names and no others.
  package let text: String
  /// The indices of the names in the folded list, ascending.
  package let indices: [Int]

  /// The largest number of numbers in a name that is folded. It bounds the depth of the recursion.
  private static let mostNumbers = 16

  package init(text: String, indices: [Int]) { (self.text, self.indices) = (text, indices) }

  /// Folds names that have one class and differ only in their numbers. O(bytes of names × numbers in a name).
  ///
  /// Names become one text only if every combination of their numbers is in the list. So `layer1` with three blocks and
  /// `layer2` with four are two texts. Names with more than ``mostNumbers`` numbers are not folded.
  ///
  /// - Parameter classes: the class of each name. Names of two classes are never folded.
  /// - Returns: the folded names, in the order of their first members.
  package static func fold<Class: Hashable>(_ names: [String], classes: [Class]) -> [FoldedNames] {
    var groups: [Pattern<Class>: [Member]] = [:]
    var order: [Pattern<Class>] = []
    var folded: [FoldedNames] = []
    for (index, name) in names.enumerated() {
      let parts = Parts(name)
      guard parts.numbers.count <= mostNumbers else {
        folded.append(FoldedNames(text: name, indices: [index]))
        continue
      }
      let pattern = Pattern(texts: parts.texts, class: classes[index])
      if groups[pattern] == nil { order.append(pattern) }
      groups[pattern, default: []].append(Member(index: index, numbers: parts.numbers))
    }
    for pattern in order { fold(groups[pattern] ?? [], pattern.texts, into: &folded) }
    return folded.sorted { $0.indices[0] < $1.indices[0] }
  }

  /// Groups equal texts of one class, in the order of their first members. O(bytes of texts).
  package static func group<Class: Hashable>(_ texts: [String], classes: [Class]) -> [FoldedNames] {
    var groups: [Pattern<Class>: [Int]] = [:]
    for (index, text) in texts.enumerated() {
      groups[Pattern(texts: [text], class: classes[index]), default: []].append(index)
    }
    return groups.map { FoldedNames(text: $0.key.texts[0], indices: $0.value) }
      .sorted { $0.indices[0] < $1.indices[0] }
  }

  /// Folds names of one pattern: as one when they are all combinations of their numbers, else apart by the first number
  /// that differs.
  private static func fold(_ members: [Member], _ texts: [String], into folded: inout [FoldedNames]) {
    let slots = texts.count - 1
    let values = (0..<slots).map { slot in Set(members.map { $0.numbers[slot] }) }
    let combinations = values.reduce(1) { min($0 * $1.count, Int(UInt32.max)) }
    let isWhole = combinations == members.count && Set(members.map(\.numbers)).count == members.count
    guard !isWhole, let slot = values.firstIndex(where: { $0.count > 1 }) else {
      // Equal names stay apart.
      for group in isWhole ? [members] : members.map({ [$0] }) {
        folded.append(FoldedNames(text: text(group, texts), indices: group.map(\.index)))
      }
      return
    }
    let parts = Dictionary(grouping: members) { $0.numbers[slot] }
    for value in parts.keys { fold(parts[value] ?? [], texts, into: &folded) }
  }

  private static func text(_ members: [Member], _ texts: [String]) -> String {
    var text = texts[0]
    for slot in texts.indices.dropLast() {
      text += list(Set(members.map { $0.numbers[slot] })) + texts[slot + 1]
    }
    return text
  }

  /// Returns numbers as text: `3`, `{0-5}`, `{0,2-4}`, `{000-119}`.
  private static func list(_ numbers: Set<String>) -> String {
    if numbers.count == 1, let only = numbers.first { return only }
    var runs: [(first: String, last: String)] = []
    for number in numbers.sorted(by: { ($0.utf8.count, $0) < ($1.utf8.count, $1) }) {
      if let last = runs.last?.last, let previous = Int(last), let value = Int(number), previous < .max,
        value == previous + 1, number.utf8.count == last.utf8.count || number == String(value)
      {
        runs[runs.count - 1].last = number
      } else {
        runs.append((number, number))
      }
    }
    let texts = runs.map { $0.first == $0.last ? $0.first : $0.first + "-" + $0.last }
    return "{" + texts.joined(separator: ",") + "}"
  }

  private struct Pattern<Class: Hashable>: Hashable {
    let texts: [String]
    let `class`: Class
  }

  private struct Member {
    let index: Int
    /// The numbers in the name, as they are written.
    let numbers: [String]
  }

  /// A name cut into its numbers and the texts around them.
  private struct Parts {
    /// One more than the numbers.
    private(set) var texts = [""]
    private(set) var numbers: [String] = []

    init(_ name: String) {
      var text: [UInt8] = []
      var number: [UInt8] = []
      func string(_ bytes: [UInt8]) -> String { String(decoding: bytes, as: UTF8.self) }
      texts = []
      for byte in name.utf8 {
        if 0x30...0x39 ~= byte {
          number.append(byte)
          continue
        }
        if !number.isEmpty {
          texts.append(string(text))
          numbers.append(string(number))
          (text, number) = ([], [])
        }
        text.append(byte)
      }
      texts.append(string(text))
      if !number.isEmpty {
        numbers.append(string(number))
        texts.append("")
      }
    }
  }
}
