/// Describes what went wrong, where, and what to do about it. Every public function throws it.
/// `write` and `withBytes` also pass on what the caller's own closure throws.
///
/// Programs decide by ``code``, which is stable; people read ``reason`` and ``remedy``, whose wording may change.
///
///     do { let checkpoint = try Checkpoint(path: path) } catch where error.code == .truncated {
///       print("download it again:", error)
///     }
///
/// docs/ERRORS.md lists the codes.
public struct DecantError: Error, Sendable, Equatable {
  /// The kind of failure, for programs to decide by.
  public let code: Code
  /// The place in the file, as far as it is known.
  public var location: Location
  /// One clause that says what is wrong, without a full stop. Text from the file is escaped in it.
  public var reason: String
  /// A way past the error; nil when there is none.
  package var advice: Advice?

  /// One or two sentences that say what to do, in terms of the library; nil when there is nothing to advise.
  public var remedy: String? { advice?.libraryText }

  /// Makes an error; callers that know more about the place add it with ``located(file:entry:tensor:)``.
  package init(
    _ code: Code, _ reason: String, file: String? = nil, entry: String? = nil, offset: Int? = nil,
    tensor: String? = nil, advice: Advice? = nil
  ) {
    self.code = code
    self.reason = reason
    self.advice = advice
    location = Location(file: file, entry: entry, offset: offset, tensor: tensor)
  }

  /// Makes an error whose remedy reads the same in the library and on the command line.
  package init(
    _ code: Code, _ reason: String, file: String? = nil, entry: String? = nil, offset: Int? = nil,
    tensor: String? = nil, remedy: String?
  ) {
    self.init(
      code, reason, file: file, entry: entry, offset: offset, tensor: tensor, advice: remedy.map { .text($0) }
    )
  }

  /// Makes the error of a limit that was met; `subject` is the clause before "more than the limit … allows".
  package init(
    _ excess: Limits.Excess, _ subject: String, file: String? = nil, entry: String? = nil, offset: Int? = nil,
    tensor: String? = nil
  ) {
    self.init(
      .limitExceeded, "\(subject), \(excess.clause)", file: file, entry: entry, offset: offset,
      tensor: tensor,
      advice: .raiseLimit(excess.name, to: excess.advised))
  }

  /// Returns the same error with the parts of its location that were not yet known.
  package func located(file: String? = nil, entry: String? = nil, tensor: String? = nil) -> DecantError {
    var error = self
    error.location.file = location.file ?? file
    error.location.entry = location.entry ?? entry
    error.location.tensor = location.tensor ?? tensor
    return error
  }

  /// Returns the same error with other advice.
  package func advising(_ advice: Advice) -> DecantError {
    var error = self
    error.advice = advice
    return error
  }

  /// Runs what throws errors of several types, and throws only this one.
  package static func mapping<T>(_ body: () throws -> T) throws(DecantError) -> T {
    do { return try body() } catch let error as any DecantErrorConvertible { throw error.decantError } catch {
      throw DecantError(.readFailed, "cannot be read: \(error)")
    }
  }

  /// The place in a file that an error is about.
  public struct Location: Sendable, Equatable {
    /// The file, as the caller named it.
    public var file: String?
    /// The archive's entry.
    public var entry: String?
    /// Bytes from the start of the entry, or of the file when there is no entry.
    public var offset: Int?
    /// The tensor's full name.
    public var tensor: String?
  }
}

/// An error that becomes a ``DecantError`` where it reaches a caller of the library.
package protocol DecantErrorConvertible: Error {
  /// The same failure for the library's callers.
  var decantError: DecantError { get }
}

extension DecantError: DecantErrorConvertible {
  package var decantError: DecantError { self }
}

extension DecantError: CustomStringConvertible {
  /// The place, the reason and the remedy in one paragraph. Text from files is escaped.
  public var description: String { text(remedy: remedy) }

  /// Returns the paragraph with another remedy, such as the command line's.
  package func text(remedy: String?) -> String {
    var place: [String] = []
    if let file = location.file { place.append(file.escapedForDisplay) }
    if let entry = location.entry { place.append("entry \(entry.escapedForDisplay)") }
    if let tensor = location.tensor {
      place.append(tensor.isEmpty ? "the tensor at the root" : "tensor \(tensor.escapedForDisplay)")
    }
    if let offset = location.offset { place.append("offset \(offset)") }
    let whole = (place.isEmpty ? "" : place.joined(separator: ", ") + ": ") + reason + "."
    return remedy.map { whole + " " + $0 } ?? whole
  }
}
