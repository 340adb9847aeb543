package import DecantBytes
package import DecantIO

/// Reads the fields of a protobuf message one after another. The contents of bytes fields are read only on request.
///
/// Source: Protocol Buffers, encoding. Groups (wire types 3 and 4) are errors: no model format uses them.
package struct ProtobufReader: Sendable {
  package enum Value: Sendable {
    case number(UInt64)
    /// The byte range of the field in the source: a string, packed numbers, a message, or the bytes of a float.
    case bytes(Range<Int>)
  }

  package let source: ByteSource
  private var offset: Int
  private let end: Int
  private let isHead: Bool
  /// The bytes of the source from `windowOffset` on that were read ahead.
  private var window: [UInt8] = []
  private var windowOffset = 0

  /// Creates a reader of the message at `range`, by default the whole source.
  ///
  /// - Parameter isHead: true when the source is only the head of a message, so that bytes fields may end behind it.
  package init(_ source: ByteSource, _ range: Range<Int>? = nil, isHead: Bool = false) {
    self.source = source
    self.isHead = isHead
    offset = range?.lowerBound ?? 0
    end = min(range?.upperBound ?? .max, source.byteCount)
  }

  /// Returns the next field; nil at the end of the message.
  ///
  /// - Throws: ``DecantError``: `truncated` when a field ends behind the source, `damaged` for another invalid field,
  ///   and when the source cannot be read.
  package mutating func next() throws(DecantError) -> (number: Int, value: Value)? {
    guard offset < end else { return nil }
    let start = offset
    let tag = try varint()
    let number = Int(tag >> 3)
    switch tag & 7 {
    case 0: return (number, .number(try varint()))
    case 1: return (number, .bytes(try skip(8, from: start)))
    case 2: return (number, .bytes(try skip(varint(), from: start)))
    case 5: return (number, .bytes(try skip(4, from: start)))
    default: throw broken(start)
    }
  }

  /// Returns the next number of packed varints; nil at their end.
  package mutating func nextPacked() throws(DecantError) -> UInt64? { offset < end ? try varint() : nil }

  /// Returns the bytes of a field as a string.
  package func text(_ range: Range<Int>) throws(DecantError) -> String {
    String(decoding: try source.bytes(at: range.lowerBound, count: range.count), as: UTF8.self)
  }

  /// Returns the bytes of a field as a string.
  ///
  /// - Throws: ``DecantError`` when it is longer than a text may be.
  package func text(_ range: Range<Int>, _ limits: Limits) throws(DecantError) -> String {
    guard range.count <= limits.textBytes else {
      throw DecantError(
        limits.exceeded(\.textBytes, need: range.count), "a text has \(Format.count(range.count, "byte"))",
        file: source.path,
        offset: range.lowerBound)
    }
    return try text(range)
  }

  /// Moves behind the next `count` bytes and returns their range.
  private mutating func skip(_ count: UInt64, from start: Int) throws(DecantError) -> Range<Int> {
    guard let count = Int(exactly: count), let after = offset.checkedAdding(count) else {
      throw broken(start)
    }
    guard isHead || after <= end else {
      guard end == source.byteCount else { throw broken(start) }
      throw DecantError(
        .truncated,
        "is cut short: a field needs \(Format.count(count, "byte")), but \(Format.count(end - offset)) follow",
        file: source.path,
        offset: start, remedy: "The download or copy was interrupted. Download the file again.")
    }
    defer { offset = after }
    return offset..<after
  }

  private mutating func varint() throws(DecantError) -> UInt64 {
    let start = offset
    let ahead = min(end - offset, 10)
    if offset < windowOffset || offset + ahead > windowOffset + window.count {
      // Reading on after a window, as through packed numbers, takes longer ones.
      let isNext = !window.isEmpty && offset - windowOffset <= window.count && offset >= windowOffset
      let count = isNext ? min(window.count * 4, Self.longestWindow) : Self.shortestWindow
      window = try source.bytes(at: offset, count: min(end - offset, max(count, ahead)))
      windowOffset = offset
    }
    var value: UInt64 = 0
    for place in 0..<ahead {
      let byte = window[start - windowOffset + place]
      value |= UInt64(byte & 0x7F) << UInt64(7 * place)
      if byte < 0x80 {
        offset += place + 1
        return value
      }
    }
    throw broken(start)
  }

  /// Most messages of a model are shorter.
  private static let shortestWindow = 256
  private static let longestWindow = 1 << 16

  private func broken(_ offset: Int) -> DecantError {
    DecantError(.damaged, "is not a protobuf message", file: source.path, offset: offset)
  }
}
