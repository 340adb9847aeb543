internal import DecantBytes

/// Finds expressions of a Jinja template that reach Python's internals when the template is rendered.
///
/// Programs that render chat templates without Jinja's sandbox run such expressions:
/// `{{ ''.__class__.__mro__[1].__subclasses__() }}`. A name that begins with an underscore is needed for that, as an
/// attribute, a subscript, or an argument of a filter. So this type parses the template and follows the texts that
/// become such names: it joins literals, and it remembers which variables hold texts that the template assembles.
///
/// Source: Jinja 3.1 `jinja2/parser.py`, `jinja2/sandbox.py`.
struct JinjaTemplate {
  struct Finding {
    let severity: ScanSeverity
    let offset: Int
    let what: String
  }

  /// The findings in the order of the text, at most one for each place.
  private(set) var findings: [Finding] = []

  private let tokens: [(token: JinjaLexer.Token, offset: Int)]
  private var index = 0
  private var depth = 0
  /// The values that are bound to each variable, and to each attribute as `.name`.
  private var bindings: [String: Value] = [:]
  private var macros: [String: [String]] = [:]
  private var isChanged = false
  private var isReporting = false

  /// The most levels of nested expressions.
  private static let maxDepth = 64
  /// The most passes over a template, each of which follows assignments of variables one step further.
  private static let mostPasses = 8
  private static let mostFindings = 20

  /// Parses a template. O(length).
  init(_ text: [UInt8]) {
    let lexer = JinjaLexer(text)
    tokens = lexer.tokens
    if let fault = lexer.fault {
      add(.unknown, "it cannot be parsed as Jinja does: \(fault.reason)", at: fault.offset)
    }
    for pass in 1...Self.mostPasses {
      isChanged = false
      guard readAll() else { return }
      if !isChanged { break }
      if pass == Self.mostPasses {
        add(.unknown, "its variables are assigned in a longer chain than honest templates have", at: 0)
      }
    }
    isReporting = true
    _ = readAll()
  }

  // MARK: - Values

  /// The known facts about an expression's value: the literal texts that it may be or hold, and other possibilities.
  /// Data from outside the template, and numbers, are the value without either.
  private struct Value: Equatable {
    /// Literal texts: the value itself, or members of it.
    var texts: Set<[UInt8]> = []
    /// True for parts of literal texts, which are single characters, unless they are put together.
    var isPart = false
    /// True for a text made from data without literals, such as `x|string`.
    var isDerived = false
    /// True for a text that the template puts together.
    var isAssembled = false

    static let data = Value()
    static let derived = Value(isDerived: true)
    static let assembled = Value(isAssembled: true)

    private static let mostTexts = 32
    private static let longestText = 256

    static func literal(_ text: [UInt8]) -> Value { Value(texts: [text]) }

    func joined(_ other: Value) -> Value {
      let union = texts.union(other.texts)
      let isLimited = union.count > Value.mostTexts
      return Value(
        texts: isLimited ? [] : union, isPart: isPart || other.isPart,
        isDerived: isDerived || other.isDerived,
        isAssembled: isAssembled || other.isAssembled || isLimited)
    }

    /// Returns the concatenation of two texts or lists.
    func appending(_ other: Value) -> Value {
      if self == .data && other == .data { return .derived }
      guard isLiteral, other.isLiteral, texts.count * other.texts.count <= Value.mostTexts else {
        return joined(other).joined(.assembled)
      }
      let long = texts.flatMap { head in other.texts.map { head + $0 } }
      guard long.allSatisfy({ $0.count <= Value.longestText }) else { return .assembled }
      return joined(other).joined(Value(texts: Set(long)))
    }

    private var isLiteral: Bool { !texts.isEmpty && !isPart && !isDerived && !isAssembled }

    /// The value of one element: of a container, or a character of a text.
    var element: Value {
      var value = self
      if !texts.isEmpty { value.isPart = true }
      return value
    }

    /// The value after an operation that changes texts.
    var changed: Value { self == .data ? .derived : .assembled }
  }

  private mutating func bind(_ name: String, _ value: Value) {
    let new = (bindings[name] ?? .data).joined(value)
    if new != bindings[name] ?? .data {
      bindings[name] = new
      isChanged = true
    }
  }

  // MARK: - Findings

  private mutating func add(_ severity: ScanSeverity, _ what: String, at offset: Int) {
    guard findings.count < Self.mostFindings, !findings.contains(where: { $0.offset == offset }) else {
      return
    }
    findings.append(Finding(severity: severity, offset: offset, what: what))
  }

  private mutating func report(_ severity: ScanSeverity, _ what: String, at offset: Int) {
    if isReporting { add(severity, what, at: offset) }
  }

  /// Attributes of Python's objects without a leading underscore that lead to the interpreter's internals.
  private static let internals: Set<String> = [
    "mro", "func_globals", "func_code", "func_closure", "im_func", "im_self", "im_class", "gi_frame",
    "gi_code",
    "gi_yieldfrom", "cr_frame", "cr_code", "cr_await", "cr_origin", "ag_frame", "ag_code", "ag_await",
    "tb_frame",
    "tb_next", "f_globals", "f_locals", "f_builtins", "f_back", "f_code", "co_code",
  ]

  private static func isInternal(_ name: String) -> Bool { name.hasPrefix("_") || internals.contains(name) }

  /// Judges an attribute that is looked up by a name.
  private mutating func judge(attribute name: String, at offset: Int) {
    if Self.isInternal(name) {
      report(
        .dangerous,
        "it reads the attribute \(String(name.prefix(60)).escapedForDisplay) of Python's internals",
        at: offset)
    }
  }

  /// Judges a value that is used as the name of an attribute. Jinja looks up attributes for texts in brackets.
  private mutating func judge(name value: Value, at offset: Int) {
    for text in value.texts.sorted(by: { $0.lexicographicallyPrecedes($1) }) {
      // Filters split names at dots.
      for part in text.split(separator: 0x2E, omittingEmptySubsequences: false) {
        judge(attribute: String(decoding: part, as: UTF8.self), at: offset)
      }
    }
    if value.isAssembled {
      report(.dangerous, "it looks up an attribute by a name that it puts together", at: offset)
    } else if value.isDerived {
      report(.unknown, "it looks up an attribute by a text that it derives from data", at: offset)
    }
  }

  /// Judges `text.format(…)`, whose fields can read attributes: `'{0.__class__}'`.
  private mutating func judge(format value: Value, at offset: Int) {
    let hides = value.texts.contains { text in
      text.split(separator: 0x7B).dropFirst(text.first == 0x7B ? 0 : 1).contains { field in
        let name = field.prefix { $0 != 0x7D && $0 != 0x3A }
        return name.contains(0x5F) && (name.contains(0x2E) || name.contains(0x5B))
      }
    }
    if hides {
      report(.dangerous, "it reads attributes by the fields of a format", at: offset)
    } else if value.isAssembled {
      report(.dangerous, "it uses a format that it puts together", at: offset)
    } else if value.texts.isEmpty {
      report(.unknown, "it uses data as a format, whose fields can read attributes", at: offset)
    }
  }

  // MARK: - Statements

  private var next: JinjaLexer.Token? { index < tokens.count ? tokens[index].token : nil }

  private var offset: Int { index < tokens.count ? tokens[index].offset : tokens.last?.offset ?? 0 }

  private func fail(_ reason: String) -> ParsingError { ParsingError(offset: offset, reason) }

  private mutating func take(_ symbol: String) -> Bool {
    guard next == .symbol(symbol) else { return false }
    index += 1
    return true
  }

  private mutating func take(word: String) -> Bool {
    guard next == .name(word) else { return false }
    index += 1
    return true
  }

  private mutating func takeName() throws(ParsingError) -> String {
    guard case .name(let name) = next else { throw fail("a name is expected") }
    index += 1
    return name
  }

  private mutating func require(_ symbol: String) throws(ParsingError) {
    guard take(symbol) else { throw fail("\(symbol) is expected") }
  }

  /// Reads every tag. Returns false when one cannot be parsed, which is then a finding.
  private mutating func readAll() -> Bool {
    index = 0
    do throws(ParsingError) {
      while let token = next {
        index += 1
        depth = 0
        if token == .statement { try readStatement() } else { _ = try tuple() }
        guard next == .end else { throw fail("the end of the tag is expected") }
        index += 1
      }
      return true
    } catch {
      judgeTokens()
      add(.unknown, "it cannot be parsed as Jinja does: \(error.reason)", at: error.offset)
      return false
    }
  }

  /// Judges the tokens of a template that cannot be parsed.
  private mutating func judgeTokens() {
    isReporting = true
    for (place, entry) in tokens.enumerated() {
      switch entry.token {
      case .name(let name) where place > 0 && tokens[place - 1].token == .symbol("."):
        judge(attribute: name, at: entry.offset)
      case .text(let text) where place > 0 && tokens[place - 1].token == .symbol("["):
        judge(name: .literal(text), at: entry.offset)
      default: break
      }
    }
  }

  private mutating func readStatement() throws(ParsingError) {
    let start = offset
    let word = try takeName()
    switch word {
    case "for":
      let targets = try target()
      guard take(word: "in") else { throw fail("in is expected") }
      let values = try tuple(allowsCondition: false)
      for target in targets { bind(target, values.element) }
      if take(word: "if") { _ = try expression() }
      _ = take(word: "recursive")
    case "if", "elif": _ = try tuple()
    case "set": try readSet()
    case "macro":
      let name = try takeName()
      macros[name] = try parameters()
      bind(name, .assembled)
    case "call":
      if next == .symbol("(") { _ = try parameters() }
      _ = try expression()
    case "filter":
      // The block's content goes through the filters.
      _ = try filters(of: .assembled, isFirst: true)
    case "with":
      while case .name = next {
        let targets = try target()
        try require("=")
        let value = try expression()
        for target in targets { bind(target, value) }
        if !take(",") { break }
      }
    case "block":
      _ = try takeName()
      while take(word: "scoped") || take(word: "required") {}
    case "print", "do": _ = try tuple()
    case "autoescape": _ = try expression()
    case "else", "endif", "endfor", "endset", "endmacro", "endcall", "endfilter", "endwith", "endautoescape",
      "continue", "break", "generation", "endgeneration":
      break
    case "endblock": if case .name = next { index += 1 }
    case "include", "extends", "import", "from":
      report(.unknown, "it loads another template", at: start)
      while let token = next, token != .end { index += 1 }
    default: throw ParsingError(offset: start, "\(String(word.prefix(40)).escapedForDisplay) is not a tag")
    }
  }

  /// Reads the variables that an assignment sets. Attributes are named `.name`.
  private mutating func target() throws(ParsingError) -> [String] {
    var names: [String] = []
    var open = 0
    while true {
      while take("(") { open += 1 }
      var name = try takeName()
      while take(".") { name = "." + (try takeName()) }
      names.append(name)
      while open > 0, take(")") { open -= 1 }
      guard take(",") else { break }
      if next == .symbol("=") || next == .name("in") { break }
    }
    return names
  }

  private mutating func readSet() throws(ParsingError) {
    let targets = try target()
    if take("=") {
      let value = try tuple()
      for target in targets { bind(target, value) }
    } else {
      // The block up to endset is the value.
      _ = try filters(of: .assembled)
      for target in targets { bind(target, .assembled) }
    }
  }

  private mutating func parameters() throws(ParsingError) -> [String] {
    var names: [String] = []
    try require("(")
    while !take(")") {
      let name = try takeName()
      names.append(name)
      if take("=") { bind(name, try expression()) }
      if !take(",") {
        try require(")")
        break
      }
    }
    return names
  }

  // MARK: - Expressions

  private mutating func nested<Result>(
    _ body: (inout JinjaTemplate) throws(ParsingError) -> Result
  ) throws(ParsingError) -> Result {
    depth += 1
    defer { depth -= 1 }
    guard depth <= Self.maxDepth else { throw fail("it nests more than \(Self.maxDepth) deep") }
    return try body(&self)
  }

  /// Reads expressions separated by commas.
  private mutating func tuple(allowsCondition: Bool = true) throws(ParsingError) -> Value {
    var value = try expression(allowsCondition: allowsCondition)
    while take(",") {
      if next == .end || next == .symbol(")") || next == .symbol("=") { break }
      value = value.joined(try expression(allowsCondition: allowsCondition))
    }
    return value
  }

  private mutating func expression(allowsCondition: Bool = true) throws(ParsingError) -> Value {
    try nested { parser throws(ParsingError) in
      var value = try parser.binary(0)
      while allowsCondition, parser.take(word: "if") {
        _ = try parser.binary(0)
        if parser.take(word: "else") { value = value.joined(try parser.expression()) }
      }
      return value
    }
  }

  /// The operators from the weakest to the strongest.
  private static let levels: [[String]] = [
    ["or"], ["and"], ["not"], ["==", "!=", "<", ">", "<=", ">=", "in", "not in"], ["+", "-"], ["~"],
    ["*", "/", "//", "%"], ["**"],
  ]

  /// Moves past an operator of a level and returns it; nil when another token follows.
  private mutating func takeOperator(_ level: Int) -> String? {
    let operators = Self.levels[level]
    switch next {
    case .symbol(let symbol) where operators.contains(symbol):
      index += 1
      return symbol
    case .name("not") where operators.contains("not in"):
      guard index + 1 < tokens.count, tokens[index + 1].token == .name("in") else { return nil }
      index += 2
      return "not in"
    case .name(let name) where name != "not" && operators.contains(name):
      index += 1
      return name
    default: return nil
    }
  }

  private mutating func binary(_ level: Int) throws(ParsingError) -> Value {
    guard level < Self.levels.count else { return try unary() }
    if level == 2, take(word: "not") {
      return try nested { parser throws(ParsingError) in
        _ = try parser.binary(2)
        return .data
      }
    }
    var value = try binary(level + 1)
    while let symbol = takeOperator(level) {
      let right = try binary(level + 1)
      switch symbol {
      case "or", "and": value = value.joined(right)
      case "~": value = value.appending(right)
      case "+": value = value == .data && right == .data ? .data : value.appending(right)
      case "%", "*": value = value == .data && right == .data ? .data : .assembled
      default: value = .data
      }
    }
    return value
  }

  private mutating func unary() throws(ParsingError) -> Value {
    try nested { parser throws(ParsingError) in
      if parser.take("-") || parser.take("+") {
        _ = try parser.unary()
        return try parser.filters(of: .data)
      }
      let start = parser.index
      let value = try parser.primary()
      return try parser.filters(of: try parser.postfix(value, from: start))
    }
  }

  /// Variables whose texts come with the file, or whose parts are Python's own objects.
  private static func isDerived(_ name: String) -> Bool {
    name.hasSuffix("_token")
      || ["self", "varargs", "kwargs", "caller", "lipsum", "cycler", "joiner", "super"].contains(name)
  }

  private mutating func primary() throws(ParsingError) -> Value {
    switch next {
    case .name(let name):
      index += 1
      if ["true", "false", "none", "True", "False", "None"].contains(name) { return .data }
      if ["if", "else", "in", "and", "or", "is", "not"].contains(name) { throw fail("a value is expected") }
      if let bound = bindings[name] { return bound }
      return Self.isDerived(name) ? .derived : .data
    case .text(let text):
      index += 1
      var all = text
      // Jinja joins adjacent literals.
      while case .text(let more) = next {
        all += more
        index += 1
      }
      // Comparing long texts again and again would take quadratic time, and no attribute has such a name.
      return all.count <= 4_096 ? .literal(all) : .assembled
    case .number:
      index += 1
      return .data
    case .symbol("("):
      index += 1
      if take(")") { return .data }
      let value = try tuple()
      try require(")")
      return value
    case .symbol("["):
      index += 1
      return try items(until: "]")
    case .symbol("{"):
      index += 1
      var value = Value.data
      while !take("}") {
        value = value.joined(try expression())
        try require(":")
        value = value.joined(try expression())
        if !take(",") {
          try require("}")
          break
        }
      }
      return value
    default: throw fail("a value is expected")
    }
  }

  private mutating func items(until end: String) throws(ParsingError) -> Value {
    var value = Value.data
    while !take(end) {
      value = value.joined(try expression())
      if !take(",") {
        try require(end)
        break
      }
    }
    return value
  }

  /// Reads attributes, subscripts and calls after a value that begins at a token.
  private mutating func postfix(_ base: Value, from start: Int) throws(ParsingError) -> Value {
    var value = base
    // The name that is called next, when the value is a plain name or an attribute.
    var name: String?
    if case .name(let first) = tokens[start].token, index == start + 1 { name = first }
    // The variables and attributes that hold the value.
    var owners: Set<String> = []
    if let name { owners.insert(name) }
    while true {
      let place = offset
      if take(".") {
        if next == .number {
          index += 1
          (name, value) = (nil, value.element)
          continue
        }
        let attribute = try takeName()
        judge(attribute: attribute, at: place + 1)
        if let name { owners.insert(name) }
        value = look(up: attribute, in: value, isLiteral: index == start + 3, at: place + 1)
        name = "." + attribute
      } else if take("[") {
        let (subscripted, isSlice) = try subscripts()
        judge(name: subscripted, at: place)
        name = nil
        if isSlice {
          if value != .data { value = value.joined(value.changed) }
        } else {
          let texts = subscripted.texts
          let element = value.element
          value = element
          for text in texts {
            let attribute = String(decoding: text, as: UTF8.self)
            value = value.joined(look(up: attribute, in: element, isLiteral: false, at: place))
            name = "." + attribute
          }
        }
      } else if take("(") {
        value = try call(name, value, of: owners)
        name = nil
      } else {
        return value
      }
    }
  }

  /// Returns the value of an attribute or a member of a value.
  private mutating func look(
    up attribute: String, in value: Value, isLiteral: Bool, at place: Int
  ) -> Value {
    if attribute == "format" || attribute == "format_map",
      next == .symbol("(") || isLiteral && !value.texts.isEmpty
    {
      judge(format: value, at: place)
    }
    return value.element.joined(bindings["." + attribute] ?? .data)
  }

  /// Reads the contents of brackets: an expression, or a slice, which cannot be a name.
  private mutating func subscripts() throws(ParsingError) -> (value: Value, isSlice: Bool) {
    var value = Value.data
    var isSlice = false
    while !take("]") {
      if take(":") {
        isSlice = true
        continue
      }
      value = value.joined(try expression())
      _ = take(",")
    }
    return (isSlice ? .data : value, isSlice)
  }

  /// Methods of texts and lists that return numbers and truth values.
  private static let plainMethods: Set<String> = [
    ".find", ".rfind", ".index", ".rindex", ".count", ".startswith", ".endswith",
  ]
  /// Methods that change the container they belong to.
  private static let changingMethods: Set<String> = [
    ".append", ".extend", ".insert", ".update", ".setdefault",
  ]
  /// Methods of containers that return their members.
  private static let memberMethods: Set<String> = [".items", ".keys", ".values", ".get", ".pop", ".copy"]

  /// Reads the arguments of a call, and returns the value of the call.
  private mutating func call(
    _ name: String?, _ callee: Value, of owners: Set<String>
  ) throws(ParsingError) -> Value {
    let (positional, keywords) = try arguments()
    if name == "namespace" || name == "dict" {
      // Its members are read as attributes.
      for (key, value) in keywords { bind("." + key, value) }
      return positional.reduce(Value.data) { $0.joined($1) }
    }
    let all = (positional + keywords.map(\.value)).reduce(Value.data) { $0.joined($1) }
    if let name, let parameters = macros[name] {
      for (parameter, value) in zip(parameters, positional) { bind(parameter, value) }
      for (parameter, value) in keywords { bind(parameter, value) }
      // A macro reads the arguments beyond its parameters as varargs and kwargs, which are derived anyway.
      return .assembled
    }
    if name == "caller" { return .assembled }
    if let name, bindings[name] == nil {
      if Self.changingMethods.contains(name) {
        for owner in owners { bind(owner, all) }
        for (key, value) in keywords { bind("." + key, value) }
        return callee.joined(all)
      }
      if Self.plainMethods.contains(name) { return .data }
      // The first argument is a key, the second a default.
      if Self.memberMethods.contains(name) {
        return positional.dropFirst().reduce(callee.element) { $0.joined($1) }
      }
    }
    return all == .data && callee == .data ? .data : .assembled
  }

  private mutating func arguments() throws(ParsingError) -> (
    positional: [Value], keywords: [(name: String, value: Value)]
  ) {
    var positional: [Value] = []
    var keywords: [(name: String, value: Value)] = []
    while !take(")") {
      if case .name(let name) = next, index + 1 < tokens.count, tokens[index + 1].token == .symbol("=") {
        index += 2
        keywords.append((name, try expression()))
      } else {
        if !take("**") { _ = take("*") }
        positional.append(try expression())
      }
      if !take(",") {
        try require(")")
        break
      }
    }
    return (positional, keywords)
  }

  /// Filters whose result is a number.
  private static let countingFilters: Set<String> = [
    "length", "count", "wordcount", "int", "float", "abs", "round",
  ]
  /// Filters whose result has elements of their input, whatever their arguments are.
  private static let choosingFilters: Set<String> = [
    "first", "last", "list", "items", "random", "dictsort", "slice", "select", "reject",
    "selectattr",
    "rejectattr", "sort", "unique", "min", "max", "sum", "safe",
  ]

  /// Reads filters, tests and calls after a value.
  private mutating func filters(of base: Value, isFirst: Bool = false) throws(ParsingError) -> Value {
    var value = base
    var isFirst = isFirst
    while true {
      let place = offset
      if isFirst || take("|") {
        isFirst = false
        var name = try takeName()
        while take(".") { name += "." + (try takeName()) }
        value = try filter(name, of: value, at: place)
      } else if take(word: "is") {
        _ = take(word: "not")
        _ = try takeName()
        while take(".") { _ = try takeName() }
        try readTestArguments()
        value = .data
      } else if take("(") {
        value = try call(nil, value, of: [])
      } else {
        return value
      }
    }
  }

  private mutating func filter(_ name: String, of base: Value, at place: Int) throws(ParsingError) -> Value {
    let (positional, keywords) = take("(") ? try arguments() : ([], [])
    let all = (positional + keywords.map(\.value)).reduce(Value.data) { $0.joined($1) }
    for (key, value) in keywords where key == "attribute" { judge(name: value, at: place) }
    switch name {
    case "attr":
      judge(name: all, at: place)
      report(.unknown, "it uses the filter attr, which reads any attribute", at: place)
    case "selectattr", "rejectattr", "groupby":
      if let first = positional.first { judge(name: first, at: place) }
    case "map":
      if let first = positional.first {
        if first.texts.contains(Array("attr".utf8)) {
          report(.dangerous, "it applies the filter attr, which reads any attribute", at: place)
        }
        if first.isAssembled || first.isDerived || first.isPart {
          report(.dangerous, "it applies a filter by a name that it puts together", at: place)
        }
      }
    case "sort", "unique", "min", "max", "sum": for value in positional { judge(name: value, at: place) }
    default: break
    }
    switch name {
    case "default", "d": return base.joined(all)
    case "map" where positional.isEmpty && keywords.count == 1: return base.element
    case _ where Self.countingFilters.contains(name): return .data
    case _ where Self.choosingFilters.contains(name): return base.element
    default: return all == .data ? base.changed : .assembled
    }
  }

  /// Reads the arguments of a test: in parentheses, or one value without them.
  private mutating func readTestArguments() throws(ParsingError) {
    switch next {
    case .symbol("("):
      index += 1
      _ = try arguments()
    case .name(let word) where ["else", "or", "and", "is", "if", "in", "not", "recursive"].contains(word):
      break
    case .name, .text, .number, .symbol("["), .symbol("{"):
      let start = index
      _ = try postfix(try primary(), from: start)
    default: break
    }
  }
}
