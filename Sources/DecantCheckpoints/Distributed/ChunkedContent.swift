internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A tensor's elements in row-major order, read from the items that hold its boxes.
final class ChunkedContent: StorageContent, ChecksummedContent {
  let byteCount: Int
  private let layout: ChunkLayout
  private let items: [any ChunkSource]

  /// - Parameter items: one for each box of the layout, in the same order.
  init(byteCount: Int, layout: ChunkLayout, items: [any ChunkSource]) {
    self.byteCount = byteCount
    self.layout = layout
    self.items = items
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    var done = 0
    while done < buffer.count {
      let run = layout.run(at: offset + done)
      let count = min(run.count, buffer.count - done)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[done..<done + count])
      try unsafe items[run.box].content().read(into: part, at: run.offset)
      done += count
    }
  }

  /// Returns the mapped bytes when a single item holds all elements in order; otherwise nil.
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

/// A source of the elements of one box of a tensor.
protocol ChunkSource: Sendable {
  /// Returns the elements in row-major order.
  func content() throws(DecantError) -> any StorageContent
  /// Returns the zip record whose bytes are exactly the elements in row-major order; nil when there is none.
  func wholeRecord() throws(DecantError) -> ZipRecord?
  /// Returns a checksum error when the data differs from its recorded checksum; nil when it matches. O(bytes).
  func damage() throws -> DecantError?
}

/// A box whose elements are already open. It has no checksum.
struct OpenChunkSource: ChunkSource {
  private let elements: any StorageContent

  init(_ elements: any StorageContent) { self.elements = elements }

  func content() -> any StorageContent { elements }
  func wholeRecord() -> ZipRecord? { nil }
  func damage() -> DecantError? { nil }
}
