package import DecantBytes
package import DecantIO
internal import Synchronization

/// The numbers of a repeated protobuf field as little-endian elements, decoded when they are read.
///
/// The field may be packed or not, and may occur several times. Reading from the first byte to the last decodes each
/// number once; reading an earlier byte starts again.
package final class ProtobufNumbers: StorageContent {
  /// The form of the numbers in the file and in the elements.
  package enum Encoding: Sendable, Equatable {
    /// Floats or doubles: each has `width` bytes in the file and as an element.
    case fixed(width: Int)
    /// Varints, of which each element has the lowest `width` bytes.
    case varint(width: Int)

    /// The number of bytes of one element.
    package var width: Int {
      switch self {
      case .fixed(let width), .varint(let width): width
      }
    }
  }

  /// The number of elements' bytes.
  package let byteCount: Int
  private let message: ProtobufReader
  private let field: Int
  private let encoding: Encoding
  private let state: Mutex<State>

  /// Returns the content of a field of a message. O(bytes of the field) for varints, which are counted.
  ///
  /// - Throws: ``DecantError`` when the field is damaged or cannot be read.
  package static func content(
    of field: Int, in message: Range<Int>, of source: ByteSource, as encoding: Encoding
  ) throws(DecantError) -> any StorageContent {
    let reader = ProtobufReader(source, message)
    let (count, ranges) = try count(field, reader, encoding)
    if case .fixed = encoding, let only = ranges.first, ranges.count == 1 {
      return try ByteRange(source, offset: only.lowerBound, byteCount: only.count)
    }
    guard let byteCount = count.checkedMultiplying(by: encoding.width) else {
      throw DecantError(.damaged, "holds too many numbers", file: source.path, offset: message.lowerBound)
    }
    return ProtobufNumbers(reader, field, encoding, byteCount: byteCount)
  }

  private init(_ message: ProtobufReader, _ field: Int, _ encoding: Encoding, byteCount: Int) {
    self.message = message
    self.field = field
    self.encoding = encoding
    self.byteCount = byteCount
    state = Mutex(State(fields: message))
  }

  /// Counts the numbers of a field.
  ///
  /// - Returns: the number of them, and at most two of the ranges that hold them.
  private static func count(
    _ field: Int, _ message: ProtobufReader, _ encoding: Encoding
  ) throws(DecantError) -> (count: Int, ranges: [Range<Int>]) {
    var fields = message
    var count = 0
    var ranges: [Range<Int>] = []
    while let (number, value) = try fields.next() {
      guard number == field else { continue }
      switch (value, encoding) {
      case (.bytes(let range), .fixed(let width)):
        guard range.count % width == 0 else { throw damaged(message.source, range.lowerBound) }
        count += range.count / width
        if ranges.count < 2 { ranges.append(range) }
      case (.bytes(let range), .varint):
        var packed = ProtobufReader(message.source, range)
        while try packed.nextPacked() != nil { count += 1 }
      case (.number, .varint): count += 1
      case (.number, .fixed): throw damaged(message.source, message.source.byteCount)
      }
    }
    return (count, ranges)
  }

  private static func damaged(_ source: ByteSource, _ offset: Int) -> DecantError {
    DecantError(
      .damaged, "a field of numbers has another form than its type", file: source.path, offset: offset)
  }

  package func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  package func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    let result = state.withLock { state -> DecantError? in
      do throws(DecantError) {
        if offset < state.position { state = State(fields: message) }
        var done = 0
        while done < buffer.count {
          guard let bits = try state.element(field, encoding) else {
            throw Self.damaged(message.source, message.source.byteCount)
          }
          // The last element of the read before this one may have been used in part.
          let start = max(offset - state.position, 0)
          if start < encoding.width {
            let used = min(encoding.width - start, buffer.count - done)
            for place in 0..<used {
              unsafe buffer[done + place] = UInt8(truncatingIfNeeded: bits >> UInt64(8 * (start + place)))
            }
            done += used
            guard start + used == encoding.width else { break }
          }
          state.advance(encoding)
        }
        return nil
      } catch { return error }
    }
    if let result { throw result }
  }

  /// The place up to which a field was decoded.
  private struct State {
    /// The fields after those that were decoded.
    var fields: ProtobufReader
    /// The rest of a packed field.
    private var packed: ProtobufReader?
    /// The rest of a field of floats, and its bytes that were read ahead.
    private var floats: Range<Int> = 0..<0
    private var window: ArraySlice<UInt8> = []
    /// The element at `position`; nil when it is not decoded.
    private var current: UInt64?
    /// The offset of the current element, in bytes of elements.
    private(set) var position = 0

    init(fields: ProtobufReader) { self.fields = fields }

    /// Returns the bits of the current element; nil after the last one.
    mutating func element(_ field: Int, _ encoding: Encoding) throws(DecantError) -> UInt64? {
      if let current { return current }
      current = try decoded(field, encoding)
      return current
    }

    /// Moves to the next element.
    mutating func advance(_ encoding: Encoding) {
      current = nil
      position += encoding.width
    }

    private mutating func decoded(_ field: Int, _ encoding: Encoding) throws(DecantError) -> UInt64? {
      while true {
        if case .fixed(let width) = encoding, !window.isEmpty || !floats.isEmpty {
          if window.isEmpty {
            let count = min(floats.count, 1 << 16)
            window = try fields.source.bytes(at: floats.lowerBound, count: count)[...]
            floats = floats.lowerBound + count..<floats.upperBound
          }
          let bits = window.prefix(width).reversed().reduce(UInt64(0)) { $0 << 8 | UInt64($1) }
          window = window.dropFirst(width)
          return bits
        }
        if let number = try packed?.nextPacked() { return number }
        packed = nil
        guard let (number, value) = try fields.next() else { return nil }
        guard number == field else { continue }
        switch (value, encoding) {
        case (.number(let number), .varint): return number
        case (.bytes(let range), .varint): packed = ProtobufReader(fields.source, range)
        case (.bytes(let range), .fixed): floats = range
        case (.number, .fixed): throw ProtobufNumbers.damaged(fields.source, floats.upperBound)
        }
      }
    }
  }
}
