internal import ByteParsing

/// What is wrong with a file, where, and what to do about it.
public struct CheckpointError: Error, Sendable, Equatable {
  /// The file, as the caller named it.
  public var file: String?
  /// The archive's entry.
  public var entry: String?
  /// Bytes from the start of the entry, or of the file when there is no entry.
  public var offset: Int?
  /// The tensor's full name.
  public var tensor: String?
  /// One clause that says what is wrong.
  public var reason: String
  /// One sentence that says what to do.
  public var remedy: String?

  /// Whether the file's directory is lost or damaged, and its contents may still be found without it.
  var mayBeSalvaged = false

  /// Makes an error; whoever knows more about the place adds it with ``located(file:entry:tensor:)``.
  public init(
    _ reason: String, file: String? = nil, entry: String? = nil, offset: Int? = nil, tensor: String? = nil,
    remedy: String? = nil
  ) {
    self.reason = reason
    self.file = file
    self.entry = entry
    self.offset = offset
    self.tensor = tensor
    self.remedy = remedy
  }

  /// The same error, of a file whose contents may still be found.
  var salvageable: CheckpointError {
    var error = self
    error.mayBeSalvaged = true
    return error
  }

  /// The same error with what was not yet known of its place.
  public func located(file: String? = nil, entry: String? = nil, tensor: String? = nil) -> CheckpointError {
    var error = self
    error.file = error.file ?? file
    error.entry = error.entry ?? entry
    error.tensor = error.tensor ?? tensor
    return error
  }
}

extension CheckpointError: CustomStringConvertible {
  /// One paragraph: the place, the reason, the remedy. Text from files is escaped.
  public var description: String {
    var place: [String] = []
    if let file { place.append(file.escapedForDisplay) }
    if let entry { place.append("entry \(entry.escapedForDisplay)") }
    if let tensor {
      place.append(tensor.isEmpty ? "the tensor at the root" : "tensor \(tensor.escapedForDisplay)")
    }
    if let offset { place.append("offset \(offset)") }
    let whole = (place.isEmpty ? "" : place.joined(separator: ", ") + ": ") + reason + "."
    return remedy.map { whole + " " + $0 } ?? whole
  }
}
