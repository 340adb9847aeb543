internal import DecantBytes
internal import DecantTensors
internal import Synchronization

/// The elements of a tensor in row-major order, little-endian, as contiguous bytes.
///
/// When the tensor is contiguous, its bytes are those of its storage: they are read directly, and mapped without a
/// copy. Otherwise the elements are gathered by a cursor that moves forwards. A read before the cursor starts again.
final class RowMajorContent: StorageContent {
  let tensor: Tensor
  private let cursor = Mutex<Cursor?>(nil)

  fileprivate struct Cursor: Sendable {
    var reader: RowMajorReader
    /// The number of bytes read so far.
    var position = 0
  }

  init(_ tensor: Tensor) { self.tensor = tensor }

  var byteCount: Int { tensor.byteCount }

  /// True when the storage's bytes from ``start`` on are the tensor's bytes.
  var isPlain: Bool {
    tensor.isContiguous && tensor.storage.byteOrder == .little && !tensor.isConjugated && !tensor.isNegated
  }

  private var start: Int { tensor.storageOffset / tensor.dtype.elementsPerByte * tensor.dtype.byteCount }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    guard buffer.count > 0 else { return }
    if isPlain, let content = tensor.storage.content {
      return try unsafe content.read(into: buffer, at: start + offset)
    }
    try unsafe gather(into: buffer, at: offset)
  }

  func mappedBytes() throws -> UnsafeRawBufferPointer? {
    guard isPlain, let bytes = try unsafe tensor.storage.content?.mappedBytes() else { return nil }
    return unsafe UnsafeRawBufferPointer(rebasing: bytes[start..<start + byteCount])
  }

  private func gather(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    let width = tensor.dtype.byteCount
    let first = offset / width * width
    let end = (offset + buffer.count + width - 1) / width * width
    try cursor.withLock { cursor in
      // The cursor holds a window of the storage, so it is dropped on failure and at the end.
      var current: Cursor
      if let known = cursor, known.position <= first {
        current = known
      } else {
        current = Cursor(reader: try RowMajorReader(tensor))
      }
      cursor = nil
      while current.position < first { _ = try current.next(min(first - current.position, 1 << 16)) }
      if first == offset && end == offset + buffer.count {
        try unsafe current.reader.read(into: buffer)
        current.position = end
      } else {
        var done = 0
        while current.position < end {
          let place = current.position
          let bytes = try current.next(min(end - place, 1 << 16))
          let skipped = max(0, offset - place)
          let count = min(bytes.count - skipped, buffer.count - done)
          for index in 0..<count { unsafe buffer[done + index] = bytes[skipped + index] }
          done += count
        }
      }
      if current.position < tensor.byteCount { cursor = current }
    }
  }
}

extension RowMajorContent.Cursor {
  /// Reads the next bytes: a whole number of elements.
  fileprivate mutating func next(_ count: Int) throws -> [UInt8] {
    let bytes = try unsafe [UInt8](byteCount: count) { try unsafe reader.read(into: $0) }
    position += count
    return bytes
  }
}
