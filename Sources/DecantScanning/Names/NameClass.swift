/// The class of a name, regardless of how the file uses it.
enum NameClass: Equatable {
  /// A name that tensor files use, with its use.
  case known(NameUse)
  /// A name whose code runs when the file is loaded. Nothing more is known about it.
  case unknown(ScanRule, String)
  /// A name that no checkpoint needs.
  case dangerous(ScanRule, String)
  /// A function that is unknown as a value and dangerous when called, such as a function of PyTorch or NumPy.
  case dangerousWhenCalled(ScanRule, String)
}

/// The use of a name in tensor files.
enum NameUse: Equatable {
  /// A value that is only passed on, such as a dtype or storage class.
  case value
  /// A function to call.
  case function
  /// A class to call or instantiate.
  case type
}

extension NameClass {
  /// The maximum length in bytes of a module and a name together. No program has longer ones.
  static let longest = 1_000

  /// Classifies a name by the tables, the most specific first.
  ///
  /// A name that no table lists is ``unknown(_:_:)``, never known.
  static func of(module: String, name: String) -> NameClass {
    guard module.utf8.count + name.utf8.count <= longest else {
      return .dangerous(
        .computedName, "a name of \(module.utf8.count + name.utf8.count) bytes, which no program has")
    }
    // Swift compares strings by canonical equivalence. For ASCII this is equality of bytes.
    guard isPlain(module), isPlain(name) else {
      // A folder can be imported under its own name and have other letters, but never a space or a slash.
      guard isSpelled(module), isSpelled(name) else {
        return .dangerous(.computedName, "an unusual name that is probably computed")
      }
      return .unknown(.libraryName, "defined by a library: loading imports it and runs its code")
    }
    let full = module + "." + name
    if let use = TensorFileNames.use(module, name) { return .known(use) }
    let top = String(module.prefix { $0 != "." })
    let leaf = String(name.split(separator: ".").last ?? "")
    if module == "exceptions" || isBuiltins(module), isException(name) {
      return .unknown(.standardValue, "an exception class")
    }
    if isBuiltins(module) { return builtin(name) }
    if StandardLibrary.modules.contains(top) {
      if StandardLibrary.isInert(module, name) {
        return .unknown(.standardValue, "a standard library class or function that holds or rebuilds a value")
      }
      if StandardLibrary.isPure(module, name) {
        return .dangerousWhenCalled(.runsCode, "computes a value")
      }
      if let reason = DangerousNames.standard[top] { return .dangerous(.runsCode, reason) }
      return .dangerous(.standardLibrary, "a part of Python's standard library that no checkpoint needs")
    }
    if let reason = DangerousNames.family(full) { return .dangerous(.libraryFunction, reason) }
    let isTypeLike = isTypeName(leaf)
    if name.contains(".") {
      if let reason = inner(name) { return .dangerous(.methodPath, reason) }
      let isNestedType = name.split(separator: ".").allSatisfy { isTypeName(String($0)) }
      if !isNestedType {
        return .dangerousWhenCalled(.methodPath, "a dotted name: a method, or a module inside another")
      }
    }
    if module == "__main__" {
      if DangerousNames.leaves.contains(leaf) {
        return .dangerous(.libraryFunction, "named like a function that runs code")
      }
      return .unknown(.mainName, "defined by the program that saved the file")
    }
    if DangerousNames.leaves.contains(leaf) {
      return .dangerous(.libraryFunction, "named like a function that runs code, reads or writes")
    }
    if top == "torch" || top == "numpy" {
      let library = top == "torch" ? "PyTorch" : "NumPy"
      if isTypeLike || TensorFileNames.isInertFunction(full) {
        return .unknown(.torchObject, "a part of \(library) other than tensors: loading runs its code")
      }
      return .dangerousWhenCalled(.libraryFunction, "a function of \(library) that no checkpoint needs")
    }
    if top == "sympy" || top == "mpmath", !isTypeLike {
      // Nearly all of them evaluate the text that they are given.
      return .dangerousWhenCalled(.libraryFunction, "a function of \(top), which evaluates text")
    }
    if top == "__torch__" {
      return .unknown(.torchscriptCode, "a class of the archive's own TorchScript code")
    }
    return .unknown(.libraryName, "defined by \(top): loading imports it and runs its code")
  }

  /// Returns why a dotted name is dangerous by the module it leads through, such as `os.system` of `torch`; nil when it
  /// is not.
  private static func inner(_ name: String) -> String? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).prefix(32)
    for (place, part) in parts.dropLast().enumerated() {
      let part = String(part)
      if StandardLibrary.modules.contains(part) || isBuiltins(part) {
        return "reached through \(part), a module of Python's standard library"
      }
      if let reason = DangerousNames.family(parts.dropFirst(place).joined(separator: ".")) { return reason }
    }
    return nil
  }

  private static func isBuiltins(_ module: String) -> Bool {
    module == "builtins" || module == "__builtin__" || module == "__builtins__"
  }

  private static func builtin(_ name: String) -> NameClass {
    if name.contains(".") { return .dangerous(.methodPath, "a method of a builtin") }
    if StandardLibrary.inertBuiltins.contains(name) {
      return .unknown(.standardValue, "a builtin that holds a value")
    }
    if StandardLibrary.pureBuiltins.contains(name) {
      return .dangerousWhenCalled(.runsCode, "a builtin that no checkpoint calls")
    }
    return .dangerous(.runsCode, "a builtin that no checkpoint needs")
  }

  /// Returns true for the names of exceptions and warnings, of which there are about seventy.
  private static func isException(_ name: String) -> Bool {
    isTypeName(name) && !name.contains(".")
      && ["Error", "Exception", "Warning", "Exit", "Interrupt", "Iteration"].contains { name.hasSuffix($0) }
  }

  /// Returns true when a text can be a dotted identifier: ASCII letters, digits, underscores, dots and angle brackets.
  static func isPlain(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { isPlain($0) }
  }

  private static func isSpelled(_ text: String) -> Bool {
    !text.isEmpty && text.utf8.allSatisfy { $0 >= 0x80 || $0 == 0x2D || isPlain($0) }
  }

  static func isPlain(_ byte: UInt8) -> Bool {
    byte >= 0x61 && byte <= 0x7A || byte >= 0x41 && byte <= 0x5A || byte >= 0x30 && byte <= 0x39
      || byte == 0x5F || byte == 0x2E || byte == 0x3C || byte == 0x3E
  }

  /// Returns true when a name is written like a class: its first letter is a capital.
  static func isTypeName(_ name: String) -> Bool {
    guard let first = name.utf8.first(where: { $0 != 0x5F }) else { return false }
    return first >= 0x41 && first <= 0x5A
  }
}
