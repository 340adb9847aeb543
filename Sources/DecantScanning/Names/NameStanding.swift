/// How a name stands, before anyone looks at what is done with it.
enum NameStanding: Equatable {
  /// A name of tensor files, good for this.
  case known(KnownUse)
  /// A name whose code runs when the file is loaded; nothing more is known of it.
  case unknown(ScanRule, String)
  /// A name that no checkpoint needs.
  case dangerous(ScanRule, String)
  /// A function of PyTorch or NumPy: unknown as a value, dangerous once it is called.
  case dangerousWhenCalled(ScanRule, String)
}

/// What a name of tensor files is good for.
enum KnownUse: Equatable {
  /// A value that is only handed over: a dtype, a storage class.
  case value
  /// A function to be called.
  case function
  /// A class to be called or instantiated.
  case type
}

extension NameStanding {
  /// Judges a name by the tables, the most exact first.
  ///
  /// The last rule is that what no table names is ``unknown(_:_:)``: nothing unnamed is ever known.
  static func of(module: String, name: String) -> NameStanding {
    // Swift's strings are equal when they look alike; among ASCII that is when their bytes are.
    guard isPlain(module), isPlain(name) else {
      // A folder that is imported as it is called may have other letters; nothing spells a space or a slash.
      guard isSpelled(module), isSpelled(name) else {
        return .dangerous(.computedName, "no name that anyone would write")
      }
      return .unknown(.libraryName, "defined by a library: loading imports it and runs its code")
    }
    let full = module + "." + name
    if let use = KnownNames.use(module, name) { return .known(use) }
    let top = String(module.prefix { $0 != "." })
    let leaf = String(name.split(separator: ".").last ?? "")
    if module == "exceptions" || isBuiltins(module), isException(name) {
      return .unknown(.standardValue, "an exception's class")
    }
    if isBuiltins(module) { return builtin(name) }
    if StandardLibrary.modules.contains(top) {
      if StandardLibrary.isInert(module, name) {
        return .unknown(.standardValue, "part of Python's standard library that holds or rebuilds a value")
      }
      if StandardLibrary.isPure(module, name) {
        return .dangerousWhenCalled(.runsCode, "computes a value")
      }
      if let reason = RunningNames.standard[top] { return .dangerous(.runsCode, reason) }
      return .dangerous(.standardLibrary, "part of Python's standard library that no checkpoint needs")
    }
    if let reason = RunningNames.family(full) { return .dangerous(.libraryFunction, reason) }
    let isTypeLike = isTypeName(leaf)
    if name.contains(".") {
      if let reason = inner(name) { return .dangerous(.methodPath, reason) }
      let isNestedType = name.split(separator: ".").allSatisfy { isTypeName(String($0)) }
      if !isNestedType {
        return .dangerousWhenCalled(.methodPath, "reached through dots: a method, or a module inside another")
      }
    }
    if module == "__main__" {
      if RunningNames.leaves.contains(leaf) {
        return .dangerous(.libraryFunction, "named like a function that runs code")
      }
      return .unknown(.mainName, "defined by the program that saved the file")
    }
    if RunningNames.leaves.contains(leaf) {
      return .dangerous(.libraryFunction, "named like a function that runs code, reads or writes")
    }
    if top == "torch" || top == "numpy" {
      let library = top == "torch" ? "PyTorch" : "NumPy"
      if isTypeLike || KnownNames.isInertFunction(full) {
        return .unknown(.torchObject, "part of \(library) beyond tensors: loading runs its code")
      }
      return .dangerousWhenCalled(.libraryFunction, "a function of \(library) that no checkpoint needs")
    }
    if top == "__torch__" {
      return .unknown(.torchscriptCode, "a class of the archive's own TorchScript code")
    }
    return .unknown(.libraryName, "defined by \(top): loading imports it and runs its code")
  }

  /// Why a name with dots is dangerous by the module it leads through: `os.system` of `torch`; nil when it is not.
  private static func inner(_ name: String) -> String? {
    let parts = name.split(separator: ".", omittingEmptySubsequences: false).prefix(32)
    for (place, part) in parts.dropLast().enumerated() {
      let part = String(part)
      if StandardLibrary.modules.contains(part) || isBuiltins(part) {
        return "reached through \(part), a module of Python's standard library"
      }
      if let reason = RunningNames.family(parts.dropFirst(place).joined(separator: ".")) { return reason }
    }
    return nil
  }

  private static func isBuiltins(_ module: String) -> Bool {
    module == "builtins" || module == "__builtin__" || module == "__builtins__"
  }

  private static func builtin(_ name: String) -> NameStanding {
    if name.contains(".") { return .dangerous(.methodPath, "a method of a builtin, reached through dots") }
    if StandardLibrary.inertBuiltins.contains(name) {
      return .unknown(.standardValue, "a builtin that holds a value")
    }
    if StandardLibrary.pureBuiltins.contains(name) {
      return .dangerousWhenCalled(.runsCode, "a builtin that no checkpoint calls")
    }
    return .dangerous(.runsCode, "a builtin that no checkpoint needs")
  }

  /// Exceptions and warnings, of which there are some seventy.
  private static func isException(_ name: String) -> Bool {
    isTypeName(name) && !name.contains(".")
      && ["Error", "Exception", "Warning", "Exit", "Interrupt", "Iteration"].contains { name.hasSuffix($0) }
  }

  /// Whether a text is what an identifier with dots can be: ASCII letters, digits, underscores.
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

  /// Whether a name is spelled like a class: its first letter is a capital.
  static func isTypeName(_ name: String) -> Bool {
    guard let first = name.utf8.first(where: { $0 != 0x5F }) else { return false }
    return first >= 0x41 && first <= 0x5A
  }
}
