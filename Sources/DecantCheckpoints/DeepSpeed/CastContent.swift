internal import DecantBytes
internal import DecantIO
internal import DecantTensors

/// A tensor's elements in row-major order, cast to another floating-point type when they are read.
struct CastContent: StorageContent, ChecksummedContent {
  let byteCount: Int
  private let elements: RowMajorContent
  private let cast: Cast
  private let check: StorageCheck?

  /// The number of elements that are cast at once.
  private static let count = 1 << 12

  init(_ tensor: Tensor, _ cast: Cast, check: StorageCheck?) {
    elements = RowMajorContent(tensor)
    self.cast = cast
    self.check = check
    byteCount = tensor.elementCount * cast.target.byteCount
  }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    var cast = cast
    let (size, sourceSize) = (cast.target.byteCount, cast.source.byteCount)
    try unsafe withUnsafeTemporaryAllocation(byteCount: Self.count * (size + sourceSize), alignment: 64) {
      var done = 0
      while done < buffer.count {
        let first = (offset + done) / size
        let skipped = offset + done - first * size
        let count = min(Self.count, (skipped + buffer.count - done + size - 1) / size)
        let source = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[..<(count * sourceSize)])
        let start = Self.count * sourceSize
        let target = unsafe UnsafeMutableRawBufferPointer(rebasing: $0[start..<start + count * size])
        try unsafe elements.read(into: source, at: first * sourceSize)
        unsafe cast.convert(UnsafeRawBufferPointer(source), into: target)
        let copied = min(count * size - skipped, buffer.count - done)
        for index in 0..<copied { unsafe buffer[done + index] = target[skipped + index] }
        done += copied
      }
    }
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }
  func wholeRecord() -> ZipRecord? { nil }
  func damage(stopsAtFirst: Bool) throws -> [DecantError] { try check?.damage().map { [$0] } ?? [] }
}
