import ByteParsing

/// Why a pickle stream was refused, and where.
package struct PickleError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Where the refused opcode begins: bytes from the start of the stream.
  package let offset: Int
  /// The refused opcode; nil where the byte is none, or the stream ends before one.
  package let opcode: PickleOpcode?
  /// One clause, without a full stop, that says what is wrong.
  ///
  /// Bytes and text of the stream stand in it only as escaped literals.
  package let reason: String

  /// Makes an error about the opcode that begins at `offset`.
  package init(offset: Int, opcode: PickleOpcode?, _ reason: String) {
    self.offset = offset
    self.opcode = opcode
    self.reason = reason
  }

  /// Place, opcode and reason in one clause.
  package var description: String {
    if let opcode {
      "at byte \(offset) of the pickle, \(opcode.name): \(reason)"
    } else {
      "at byte \(offset) of the pickle: \(reason)"
    }
  }
}
