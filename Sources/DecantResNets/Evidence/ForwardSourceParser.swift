internal import DecantBytes

/// A reader of the Python source of a block's class, which PyTorch before 1.6 stored with a pickled module.
///
/// It matches a few forms of one addition, line by line. It executes nothing, and other forms count as no evidence.
enum ForwardSourceParser {
  private static let shortcuts = ["downsample", "shortcut", "skip", "identity", "proj", "residual"]

  /// Returns true when a module's name is one that shortcuts have.
  static func isShortcutName(_ name: some StringProtocol) -> Bool {
    shortcuts.contains { name.hasPrefix($0) }
  }

  /// Returns true when the `forward` of a class adds its input, or its shortcut's result, to another result.
  static func addsShortcut(_ text: String) -> Bool {
    guard let start = text.firstRange(of: "def forward(self,"),
      let parameters = PythonSource.arguments(text[start.upperBound...]), let first = parameters.first
    else { return false }
    let input = String(first.prefix { $0 != ":" && $0 != "=" }.trimmed)
    guard input.isPythonName else { return false }
    let indent = text[..<start.lowerBound].reversed().prefix { $0 == " " }.count
    var inputs: Set<String> = [input]
    // Variables that hold the result of a layer or a function.
    var results: Set<String> = []
    func isResult(_ spelled: String) -> Bool {
      results.contains(spelled)
        || spelled.hasSuffix(")") && ["self.", "F.", "torch."].contains { spelled.hasPrefix($0) }
    }
    func isSum(_ one: String, _ other: String) -> Bool {
      isShortcut(one) && isResult(other) && !isShortcut(other)
        || isShortcut(other) && isResult(one) && !isShortcut(one)
    }
    func isShortcut(_ spelled: String) -> Bool {
      if inputs.contains(spelled) { return true }
      guard spelled.hasPrefix("self."), let open = spelled.firstIndex(of: "("), spelled.hasSuffix(")") else {
        return false
      }
      let module = spelled[spelled.index(spelled.startIndex, offsetBy: 5)..<open]
      guard isShortcutName(module), module.isPythonName else { return false }
      return inputs.contains(String(spelled[spelled.index(after: open)...].dropLast()))
    }
    for line in text[start.upperBound...].split(separator: "\n").dropFirst() {
      // A line without deeper indentation ends the function.
      if line.prefix(while: { $0 == " " }).count <= indent, !line.allSatisfy({ $0 == " " }) { break }
      let statement = line.prefix { $0 != "#" }.trimmed
      if let plus = statement.firstRange(of: " += ") {
        let left = String(statement[..<plus.lowerBound])
        let right = String(statement[plus.upperBound...])
        if isSum(left, right) { return true }
      }
      guard let equal = statement.firstRange(of: " = ") else {
        if let (left, right) = operands(statement), isSum(left, right) { return true }
        continue
      }
      let name = String(statement[..<equal.lowerBound])
      let value = String(statement[equal.upperBound...])
      if let (left, right) = operands(value), isSum(left, right) { return true }
      let (isInput, isMade) = (isShortcut(value), isResult(value))
      inputs.remove(name)
      results.remove(name)
      if isInput { inputs.insert(name) } else if isMade { results.insert(name) }
    }
    return false
  }

  /// Returns the operands of `a + b`: alone, returned, or as the only argument of a call.
  private static func operands(_ spelled: String) -> (String, String)? {
    var sum = spelled.hasPrefix("return ") ? String(spelled.dropFirst(7)) : spelled
    if let open = sum.firstIndex(of: "("), sum.hasSuffix(")"),
      let arguments = PythonSource.arguments(sum[sum.index(after: open)...]), arguments.count == 1,
      sum[..<open].unicodeScalars.allSatisfy({ $0.isPythonName || $0 == "." })
    {
      sum = arguments[0]
    }
    guard let plus = sum.firstRange(of: " + ") else { return nil }
    return (String(sum[..<plus.lowerBound]), String(sum[plus.upperBound...]))
  }
}
