/// A parsing failure and its offset.
package struct ParsingError: Error, Sendable, Equatable {
  /// The kinds of failure.
  package enum Cause: Sendable, Equatable {
    /// The bytes contradict their format.
    case invalid
    /// The bytes end too early.
    case truncated
    /// The values are nested too deep.
    case tooDeep
  }

  /// The offset in bytes from the start of the parsed bytes.
  package let offset: Int
  /// The kind of failure. Programs should decide by it.
  package let cause: Cause
  /// A clause, without a full stop, that says what is wrong.
  package let reason: String

  /// Creates an error at `offset`.
  package init(offset: Int, cause: Cause = .invalid, _ reason: String) {
    self.offset = offset
    self.cause = cause
    self.reason = reason
  }
}

extension DecantError {
  /// Converts a parsing error to the library's error.
  ///
  /// - Parameters:
  ///   - part: the part of the file that was parsed, such as `the header`. The reason begins with it.
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
