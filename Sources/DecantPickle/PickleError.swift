package import DecantBytes

/// Why a pickle stream was refused, and where.
package struct PickleError: Error, Sendable, Equatable, CustomStringConvertible {
  /// Where the refused opcode begins: bytes from the start of the stream.
  package let offset: Int
  /// The refused opcode; nil where the byte is none, or the stream ends before one.
  package let opcode: PickleOpcode?
  /// One clause, without a full stop, that says what is wrong.
  ///
  /// Bytes and text of the stream are escaped in it.
  package let reason: String
  /// The kind of fault, for programs to decide by.
  package let cause: Cause

  /// The kinds of faults.
  package enum Cause: Sendable, Equatable {
    /// The stream contradicts the format.
    case invalid
    /// The stream ends too early; more bytes could mend it.
    case truncated
    /// The stream is of a protocol that is not read.
    case unsupported
    /// The stream asks for more than this limit allows.
    case limit(Limits.Excess)
  }

  /// Makes an error about the opcode that begins at `offset`.
  package init(offset: Int, opcode: PickleOpcode?, cause: Cause = .invalid, _ reason: String) {
    self.offset = offset
    self.opcode = opcode
    self.cause = cause
    self.reason = reason
  }

  /// Makes the error of a limit that was met; `subject` is the clause before "more than the limit … allows".
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
  /// Makes the library's error of a refused pickle stream.
  ///
  /// - Parameters:
  ///   - file: the file, or nil when the caller adds it.
  ///   - entry: the archive's entry that is the stream.
  ///   - base: the stream's offset in the file or entry.
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
