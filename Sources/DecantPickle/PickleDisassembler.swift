package import DecantBytes

/// Disassembles a pickle stream as CPython 3.11's `pickletools.dis` does.
///
/// Lines equal those of `pickletools.dis` byte for byte. Where it raises an exception, this throws an error
/// with the same text. Only the kinds of the values on the stack are tracked; no values are built.
package struct PickleDisassembler: ~Escapable {
  private var reader: PickleArgumentReader
  private let limits: Limits
  private var stack: [PickleStackKind] = []
  /// The stream offset of each open MARK.
  private var marks: [Int] = []
  private var memo: [PickleArgumentReader.MemoKey: PickleStackKind] = [:]
  private var highestProtocol = -1

  @_lifetime(copy bytes)
  private init(_ bytes: RawSpan, limits: Limits) {
    reader = PickleArgumentReader(bytes)
    self.limits = limits
  }

  /// Disassembles the stream at the start of `bytes`, up to its STOP.
  ///
  /// `line` is called with each line, without its newline, as soon as the line is known. The last line has
  /// the highest protocol. O(length) in time. Memory follows the depth of the stack and the number of memo
  /// entries.
  ///
  /// - Parameters:
  ///   - bytes: The stream. Offsets are relative to its first byte.
  ///   - limits: The resource limits for the stream.
  ///   - line: Called with each line.
  /// - Throws: ``PickleError`` where `pickletools.dis` raises, with the exception's text as its `reason`, or
  ///   where a limit is exceeded. Errors of `line` are rethrown.
  package static func disassemble(
    _ bytes: RawSpan, limits: Limits = Limits(), line: (String) throws -> Void
  ) throws {
    var disassembler = PickleDisassembler(bytes, limits: limits)
    while let next = try disassembler.nextLine() {
      try line(next.text)
      if let error = next.error { throw error }
    }
    try line("highest protocol among opcodes = \(disassembler.highestProtocol)")
    try disassembler.checkEmpty()
  }

  /// A line and the error of its opcode. `dis` prints the line before it raises.
  private struct Line {
    let text: String
    var error: PickleError?
  }

  private var isStopped = false

  /// Returns the next line; nil after STOP.
  @_lifetime(self: copy self)
  private mutating func nextLine() throws(PickleError) -> Line? {
    if isStopped { return nil }
    let start = reader.offset
    let (opcode, argument) = try reader.next()
    highestProtocol = max(highestProtocol, opcode.protocolVersion)
    let indentation = String(repeating: " ", count: 4 * marks.count)

    var fault: String?
    var note: String?
    var toTake = opcode.stackUse.count
    if opcode.stackUse.isMarkPopped || opcode == .pop && stack.last == .mark {
      if let mark = marks.popLast() {
        note = "(MARK at \(mark))"
        guard let place = stack.lastIndex(of: .mark) else {
          // An opcode popped the MARK as a value. Here `dis` indexes past the end of its list.
          throw PickleError(offset: start, opcode: opcode, "list index out of range")
        }
        stack.removeSubrange(place...)
        if opcode == .pop { toTake = 0 }
      } else {
        fault = "no MARK exists on stack"
        note = fault
      }
    }

    var result = opcode.stackResult
    switch opcode {
    case .put, .binPut, .longBinPut, .memoize:
      let key = argument?.memoKey ?? .index(Int64(memo.count))
      if opcode == .memoize { note = "(as \(memo.count))" }
      if memo[key] != nil {
        fault = "memo key \(argument?.text ?? "None") already defined"
      } else if let top = stack.last {
        if top == .mark { fault = "can't store markobject in the memo" } else { memo[key] = top }
      } else {
        fault = "stack is empty -- can't store into memo"
      }
    case .get, .binGet, .longBinGet:
      if let key = argument?.memoKey, let known = memo[key] {
        result = known
      } else {
        fault = "memo key \(argument?.text ?? "None") has never been stored into"
      }
    default: break
    }

    let line = format(start, opcode, indentation, argument?.text, note)
    if let fault { return Line(text: line, error: PickleError(offset: start, opcode: opcode, fault)) }
    if stack.count < toTake {
      return Line(
        text: line,
        error: PickleError(
          offset: start, opcode: opcode,
          "tries to pop \(toTake) items from stack with only \(stack.count) items"))
    }
    stack.removeLast(toTake)
    if opcode == .mark { marks.append(start) }
    // Each open MARK indents all later lines, so a few bytes could print gigabytes.
    guard marks.count <= limits.depth else {
      throw PickleError(
        offset: start, opcode: opcode, limits.exceeded(\.depth), "at least \(marks.count) MARKs are open")
    }
    if let result { stack.append(result) }
    if opcode == .dup { stack.append(.any) }
    guard stack.count <= limits.pickleStack else {
      throw PickleError(
        offset: start, opcode: opcode, limits.exceeded(\.pickleStack),
        "at least \(stack.count) values are on the stack")
    }
    guard memo.count <= limits.pickleMemo else {
      throw PickleError(
        offset: start, opcode: opcode, limits.exceeded(\.pickleMemo),
        "at least \(memo.count) values are memoised")
    }
    isStopped = opcode == .stop
    return Line(text: line)
  }

  private func format(
    _ start: Int, _ opcode: PickleOpcode, _ indentation: String, _ argument: String?, _ note: String?
  ) -> String {
    let place = String(start)
    var line = String(repeating: " ", count: max(0, 5 - place.utf8.count)) + place + ": "
    if opcode.rawValue < 0x80 {
      line.unicodeScalars.append(Unicode.Scalar(opcode.rawValue))
      line += "    "
    } else {
      line += "\\x" + String(opcode.rawValue, radix: 16) + " "
    }
    line += indentation + opcode.name
    if argument != nil || note != nil {
      line += String(repeating: " ", count: max(0, 10 - opcode.name.utf8.count))
      if let argument { line += " " + argument }
      if let note { line += " " + note }
    }
    return line
  }

  private func checkEmpty() throws(PickleError) {
    guard stack.isEmpty else {
      let rest = stack.prefix(1_000).map(\.rawValue).joined(separator: ", ")
      throw PickleError(
        offset: reader.offset - 1, opcode: .stop,
        "stack not empty after STOP: [\(rest)\(stack.count > 1_000 ? ", …" : "")]")
    }
  }
}
