/// What was wrong with some bytes, and where.
package struct ParsingError: Error, Sendable, Equatable {
  /// Bytes from the start of what was being parsed.
  package let offset: Int
  /// One clause, without a full stop, that says what is wrong.
  package let reason: String

  /// Makes an error at `offset`.
  package init(offset: Int, _ reason: String) {
    self.offset = offset
    self.reason = reason
  }
}
