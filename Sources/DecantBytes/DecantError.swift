/// An error with its cause, its location and a remedy. Every public function throws it.
///
/// Functions that take a closure, such as `write` and `withBytes`, also rethrow the closure's errors.
///
/// Programs should decide by ``code``, which is stable. ``reason`` and ``remedy`` are for people, and their
/// wording may change.
///
///     do { let checkpoint = try Checkpoint(path: path) } catch where error.code == .truncated {
///       print("download it again:", error)
///     }
///
/// docs/ERRORS.md lists the codes.
public struct DecantError: Error, Sendable, Equatable {
  /// The kind of failure. Programs should decide by it.
  public let code: Code
  /// The location in the file, as far as it is known.
  public var location: Location
  /// A clause, without a full stop, that says what is wrong. Text from the file is escaped.
  public var reason: String
  /// The remedy in a form that the library and the command line each put into words; nil when nothing helps.
  package var advice: Advice?

  /// The remedy in terms of the library, in one or two sentences; nil when there is none.
  public var remedy: String? { advice?.libraryText }

  /// Creates an error. Callers that know more about the location add it with ``located(file:entry:tensor:)``.
  package init(
    _ code: Code, _ reason: String, file: String? = nil, entry: String? = nil, offset: Int? = nil,
    tensor: String? = nil, advice: Advice? = nil
  ) {
    self.code = code
    self.reason = reason
    self.advice = advice
    location = Location(file: file, entry: entry, offset: offset, tensor: tensor)
  }

  /// Creates an error whose remedy has the same text in the library and on the command line.
  package init(
    _ code: Code, _ reason: String, file: String? = nil, entry: String? = nil, offset: Int? = nil,
    tensor: String? = nil, remedy: String?
  ) {
    self.init(
      code, reason, file: file, entry: entry, offset: offset, tensor: tensor, advice: remedy.map { .text($0) }
    )
  }

  /// Creates an error for an exceeded limit. `subject` is the clause before "more than the limit … allows".
  package init(
    _ excess: Limits.Excess, _ subject: String, file: String? = nil, entry: String? = nil, offset: Int? = nil,
    tensor: String? = nil
  ) {
    self.init(
      .limitExceeded, "\(subject), \(excess.clause)", file: file, entry: entry, offset: offset,
      tensor: tensor,
      advice: .raiseLimit(excess.name, to: excess.advised))
  }

  /// Returns the error with missing parts of its location filled in.
  package func located(file: String? = nil, entry: String? = nil, tensor: String? = nil) -> DecantError {
    var error = self
    error.location.file = location.file ?? file
    error.location.entry = location.entry ?? entry
    error.location.tensor = location.tensor ?? tensor
    return error
  }

  /// Returns the error with another remedy.
  package func advising(_ advice: Advice) -> DecantError {
    var error = self
    error.advice = advice
    return error
  }

  /// Runs `body` and converts any error that it throws to a `DecantError`.
  package static func mapping<T>(_ body: () throws -> T) throws(DecantError) -> T {
    do { return try body() } catch let error as any DecantErrorConvertible { throw error.decantError } catch {
      throw DecantError(.readFailed, "cannot be read: \(error)")
    }
  }

  /// The location in a file that an error refers to.
  public struct Location: Sendable, Equatable {
    /// The file's path, as the caller passed it.
    public var file: String?
    /// The name of the archive entry.
    public var entry: String?
    /// The offset in bytes from the start of the entry, or of the file when there is no entry.
    public var offset: Int?
    /// The full name of the tensor.
    public var tensor: String?
  }
}

/// An error that the public API converts to a ``DecantError``.
package protocol DecantErrorConvertible: Error {
  /// The same failure as a ``DecantError``.
  var decantError: DecantError { get }
}

extension DecantError: DecantErrorConvertible {
  package var decantError: DecantError { self }
}

extension DecantError: CustomStringConvertible {
  /// The location, the reason and the remedy in one paragraph. Text from files is escaped.
  public var description: String { text(remedy: remedy) }

  /// Returns ``description`` with another remedy, such as the command line's.
  package func text(remedy: String?) -> String {
    var place: [String] = []
    if let file = location.file { place.append(file.escapedForDisplay) }
    if let entry = location.entry { place.append("entry \(entry.escapedForDisplay)") }
    if let tensor = location.tensor {
      place.append(tensor.isEmpty ? "the tensor at the root" : "tensor \(tensor.escapedForDisplay)")
    }
    if let offset = location.offset { place.append("offset \(offset)") }
    let whole =
      (place.isEmpty ? "" : place.joined(separator: ", ") + ": ") + reason
      + (reason.hasSuffix("?") ? "" : ".")
    return remedy.map { whole + " " + $0 } ?? whole
  }
}
