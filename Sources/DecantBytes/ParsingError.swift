/// What was wrong with some bytes, and where.
package struct ParsingError: Error, Sendable, Equatable {
  /// The kinds of faults.
  package enum Cause: Sendable, Equatable {
    /// The bytes contradict their format.
    case invalid
    /// The bytes end too early.
    case truncated
    /// The values nest too deep to be read.
    case tooDeep
  }

  /// Bytes from the start of what was being parsed.
  package let offset: Int
  /// The kind of fault, for programs to decide by.
  package let cause: Cause
  /// One clause, without a full stop, that says what is wrong.
  package let reason: String

  /// Makes an error at `offset`.
  package init(offset: Int, cause: Cause = .invalid, _ reason: String) {
    self.offset = offset
    self.cause = cause
    self.reason = reason
  }
}

extension DecantError {
  /// Makes the library's error of bytes that could not be parsed.
  ///
  /// - Parameters:
  ///   - part: the part of the file that was parsed, such as `the header`; the reason begins with it.
  ///   - base: the offset of that part in the file or entry.
  package init(
    _ error: ParsingError, in part: String? = nil, file: String? = nil, entry: String? = nil, at base: Int = 0
  ) {
    let code: Code =
      switch error.cause {
      case .invalid: .damaged
      case .truncated: .truncated
      case .tooDeep: .limitExceeded
      }
    self.init(
      code, (part.map { $0 + ": " } ?? "") + error.reason, file: file, entry: entry,
      offset: base + error.offset)
  }
}

extension ParsingError: DecantErrorConvertible {
  package var decantError: DecantError { DecantError(self) }
}
