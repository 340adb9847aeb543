/// Why some bytes give no picture.
public struct ImageError: Error, Sendable, Equatable {
  /// One clause, without a full stop, that says what is wrong.
  public var reason: String
  /// Bytes from the start of the file.
  public var offset: Int?
  /// One sentence that says what to do.
  public var remedy: String?

  /// Makes an error.
  public init(_ reason: String, offset: Int? = nil, remedy: String? = nil) {
    self.reason = reason
    self.offset = offset
    self.remedy = remedy
  }

  /// What ends before it should.
  static func truncated(_ reason: String, at offset: Int? = nil) -> ImageError {
    ImageError(reason, offset: offset, remedy: "The file is truncated: fetch it again.")
  }

  /// What a size may not exceed.
  static func tooLarge(_ what: String, limit name: String, _ limit: Int) -> ImageError {
    ImageError(
      "\(what), more than the \(limit) that the limit \(name) allows",
      remedy: "Allow it with --limit \(name)=NUMBER if you trust the file.")
  }
}
