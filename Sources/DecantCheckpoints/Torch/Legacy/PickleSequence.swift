internal import DecantBytes
internal import DecantIO
internal import DecantPickle

/// Pickles and numbers that follow one another in a file. Each begins where the one before ends.
///
/// Only the bytes of the pickles themselves are read, however long the file is: from the mapping, or in growing
/// pieces.
package struct PickleSequence {
  /// A pickle that was read, or the one at which reading failed.
  package struct Stream {
    package let title: String
    /// The byte offset from the start of the source.
    package let offset: Int
    package let byteCount: Int
  }

  let source: ByteSource
  let limits: Limits
  /// The offset of the next item.
  private(set) var offset: Int
  /// The offset of the sequence's end.
  let end: Int
  /// Every pickle that was requested, in order.
  private(set) var streams: [Stream] = []
  /// Frames that end inside an opcode.
  private(set) var warnings: [String] = []

  /// Creates a sequence that begins at `offset` and ends at `end`, or at the end of the source.
  init(_ source: ByteSource, from offset: Int = 0, to end: Int? = nil, limits: Limits) {
    self.source = source
    self.limits = limits
    self.offset = offset
    self.end = min(end ?? source.byteCount, source.byteCount)
  }

  /// The number of bytes that remain.
  var bytesLeft: Int { max(0, end - offset) }

  /// Reads one pickle. Errors call it `title`.
  ///
  /// - Throws: ``DecantError`` when the stream is broken or longer than `Limits.pickleBytes`.
  mutating func next(_ title: String) throws(DecantError) -> PickleGraph {
    let count = min(bytesLeft, limits.pickleBytes)
    let (graph, error) = try interpret(count: count)
    guard let graph, error == nil else {
      streams.append(Stream(title: title, offset: offset, byteCount: count))
      let opcode = error?.opcode.map { $0.name + ": " } ?? ""
      let reason = "\(title): \(opcode)\(error?.reason ?? "nothing is left to read")"
      if count < bytesLeft, error?.cause == .truncated {
        throw DecantError(
          limits.exceeded(\.pickleBytes), "the pickle has at least \(Format.count(count, "byte"))",
          file: source.path,
          offset: offset + (error?.offset ?? 0))
      }
      var failure =
        error.map { DecantError($0, file: source.path, at: offset) }
        ?? DecantError(.truncated, reason, file: source.path, offset: offset, advice: .disassemble)
      failure.reason = reason
      throw failure
    }
    streams.append(Stream(title: title, offset: offset, byteCount: graph.byteCount))
    if let crossing = graph.frameCrossing { warnings.append(crossing.warning("\(title) at byte \(offset)")) }
    offset += graph.byteCount
    return graph
  }

  private func interpret(count: Int) throws(DecantError) -> (PickleGraph?, PickleError?) {
    if let mapped = try unsafe source.mapped() {
      let bytes = unsafe UnsafeRawBufferPointer(rebasing: mapped[offset..<offset + count])
      do throws(PickleError) {
        return (try PickleMachine.interpret(unsafe bytes.bytes, limits: limits), nil)
      } catch {
        return (nil, error)
      }
    }
    var piece = 1 << 16
    while true {
      let bytes = try source.bytes(at: offset, count: min(piece, count))
      do throws(PickleError) {
        return (try PickleMachine.interpret(unsafe bytes.span.bytes, limits: limits), nil)
      } catch {
        if piece >= count { return (nil, error) }
        piece *= 4
      }
    }
  }

  /// Reads a little-endian number.
  mutating func number<T: FixedWidthInteger>(_ type: T.Type) throws(DecantError) -> T {
    let bytes = try source.bytes(at: offset, count: min(MemoryLayout<T>.size, bytesLeft))
    guard bytes.count == MemoryLayout<T>.size else {
      throw DecantError(
        .truncated, "ends inside a number of \(MemoryLayout<T>.size) bytes", file: source.path,
        offset: offset,
        remedy: "The file is truncated. Download it again.")
    }
    offset += bytes.count
    return bytes.reversed().reduce(0) { $0 << 8 | T(truncatingIfNeeded: $1) }
  }

  /// Skips bytes; at most those that remain.
  mutating func skip(_ count: Int) {
    offset += min(max(count, 0), bytesLeft)
  }
}
