/// What was wrong with some bytes, and where.
public struct ParsingError: Error, Sendable, Equatable {
  /// Bytes from the start of what was being parsed.
  public let offset: Int
  /// One clause, without a full stop, that says what is wrong.
  public let reason: String

  /// Makes an error at `offset`.
  public init(offset: Int, _ reason: String) {
    self.offset = offset
    self.reason = reason
  }
}
