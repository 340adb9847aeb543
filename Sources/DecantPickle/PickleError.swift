package import DecantBytes

/// The reason why a pickle stream was refused, and its offset.
package struct PickleError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The offset of the refused opcode in bytes from the start of the stream.
  package let offset: Int
  /// The refused opcode; nil when the byte is not an opcode or the stream ends before one.
  package let opcode: PickleOpcode?
  /// A clause, without a full stop, that says what is wrong.
  ///
  /// Bytes and text of the stream are escaped.
  package let reason: String
  /// The kind of failure. Programs should decide by it.
  package let cause: Cause

  /// The kinds of failure.
  package enum Cause: Sendable, Equatable {
    /// The stream contradicts the format.
    case invalid
    /// The stream ends too early. More bytes could make it valid.
    case truncated
    /// The stream's protocol is not supported.
    case unsupported
    /// The stream exceeds this limit.
    case limit(Limits.Excess)
  }

  /// Creates an error for the opcode at `offset`.
  package init(offset: Int, opcode: PickleOpcode?, cause: Cause = .invalid, _ reason: String) {
    self.offset = offset
    self.opcode = opcode
    self.cause = cause
    self.reason = reason
  }

  /// Creates an error for an exceeded limit. `subject` is the clause before "more than the limit … allows".
  package init(offset: Int, opcode: PickleOpcode?, _ excess: Limits.Excess, _ subject: String) {
    self.init(offset: offset, opcode: opcode, cause: .limit(excess), "\(subject), \(excess.clause)")
  }

  /// The offset, the opcode and the reason in one clause.
  package var description: String {
    if let opcode {
      "at byte \(offset) of the pickle, \(opcode.name): \(reason)"
    } else {
      "at byte \(offset) of the pickle: \(reason)"
    }
  }
}

extension DecantError {
  /// Converts a pickle error to the library's error.
  ///
  /// - Parameters:
  ///   - file: the file, or nil when the caller adds it.
  ///   - entry: the archive entry that contains the stream.
  ///   - base: the offset of the stream in the file or entry.
  package init(_ error: PickleError, file: String? = nil, entry: String? = nil, at base: Int = 0) {
    let (code, advice): (Code, Advice) =
      switch error.cause {
      case .invalid: (.damaged, .disassemble)
      case .truncated: (.truncated, .disassemble)
      case .unsupported: (.unsupportedFormat, .disassemble)
      case .limit(let excess): (.limitExceeded, .raiseLimit(excess.name, to: excess.advised))
      }
    self.init(
      code, "the pickle: \(error.opcode.map { "\($0.name): " } ?? "")\(error.reason)", file: file,
      entry: entry,
      offset: base + error.offset, advice: advice)
  }
}

extension PickleError: DecantErrorConvertible {
  package var decantError: DecantError { DecantError(self) }
}
