internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A tensor's elements in row-major order, put together from the items that hold boxes of it.
final class ChunkedContent: StorageContent, ChecksummedContent {
  let byteCount: Int
  private let layout: ChunkLayout
  private let items: [any ChunkItem]

  /// - Parameter items: one for each box of the layout, in the same order.
  init(byteCount: Int, layout: ChunkLayout, items: [any ChunkItem]) {
    self.byteCount = byteCount
    self.layout = layout
    self.items = items
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    guard offset >= 0, offset <= byteCount, buffer.count <= byteCount - offset else {
      throw DecantError(
        .invalidArgument, "\(buffer.count) bytes at \(offset) are outside a tensor of \(byteCount) bytes")
    }
    var done = 0
    while done < buffer.count {
      let run = layout.run(at: offset + done)
      let count = min(run.count, buffer.count - done)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
      try unsafe items[run.box].content().read(into: part, at: run.offset)
      done += count
    }
  }

  /// Lends the bytes where one item holds them all in order.
  func mappedBytes() throws -> UnsafeRawBufferPointer? {
    guard items.count == 1, byteCount > 0 else { return nil }
    return try unsafe items[0].content().mappedBytes()
  }

  func wholeRecord() throws -> ZipRecord? { items.count == 1 ? try items[0].wholeRecord() : nil }

  func damage(stopsAtFirst: Bool) throws -> [DecantError] {
    var damaged: [DecantError] = []
    for item in items {
      guard let error = try item.damage() else { continue }
      damaged.append(error)
      if stopsAtFirst { break }
    }
    return damaged
  }
}

/// What holds the elements of one box of a tensor.
protocol ChunkItem: Sendable {
  /// The elements in row-major order.
  func content() throws(DecantError) -> any StorageContent
  /// The record whose bytes, all of them, are the elements in row-major order; nil when there is none.
  func wholeRecord() throws(DecantError) -> ZipRecord?
  /// The error of data that is not what its checksum records; nil when it is. O(bytes).
  func damage() throws -> DecantError?
}

/// A box whose elements are at hand, without a checksum.
struct OpenItem: ChunkItem {
  private let elements: any StorageContent

  init(_ elements: any StorageContent) { self.elements = elements }

  func content() -> any StorageContent { elements }
  func wholeRecord() -> ZipRecord? { nil }
  func damage() -> DecantError? { nil }
}
