internal import DecantBytes

extension Tensor {
  /// Calls `body` with all elements in row-major order, little-endian, with `conj` and `neg` applied.
  ///
  /// The bytes come in chunks of at most `capacity` bytes, each a whole number of elements. An empty tensor
  /// gives no chunk. Memory: one chunk, plus 20 MiB for a large non-contiguous tensor. O(elements).
  ///
  /// - Throws: ``DecantError`` for a tensor without data. Errors of reading the storage and of `body` are
  ///   rethrown.
  package func readRowMajor(
    capacity: Int = 1 << 18, _ body: (UnsafeMutableRawBufferPointer) throws -> Void
  ) throws {
    var reader = try RowMajorReader(self)
    let piece = min(byteCount, max(capacity / dtype.byteCount, 1) * dtype.byteCount)
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: piece, alignment: 64)
    defer { unsafe buffer.deallocate() }
    var done = 0
    while done < byteCount {
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[..<min(piece, byteCount - done)])
      try unsafe reader.read(into: part)
      try unsafe body(part)
      done += part.count
    }
  }

  /// Returns all elements in row-major order, little-endian, with `conj` and `neg` applied. O(elements).
  package func rowMajorBytes() throws -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    try unsafe readRowMajor { unsafe bytes.append(contentsOf: $0) }
    return bytes
  }

  /// Returns the SHA-256 of ``rowMajorBytes()`` in lower-case hexadecimal, in bounded memory.
  package func sha256() throws -> String {
    let hash = try SHA256()
    try unsafe readRowMajor { unsafe hash.update(UnsafeRawBufferPointer($0)) }
    return hash.finish()
  }
}

/// A reader of a tensor's elements from first to last, in chunks of the caller's size.
package struct RowMajorReader: Sendable {
  private let tensor: Tensor
  private let content: any StorageContent
  /// The reader of a non-contiguous view; nil for a contiguous one.
  private var gather: StridedGather?
  private var done = 0

  /// Creates a reader at the first element. Reads nothing.
  ///
  /// - Throws: ``DecantError`` for a tensor without data.
  package init(_ tensor: Tensor) throws {
    guard let content = tensor.storage.content else {
      throw DecantError(
        .noData, "the tensor has no data (device \(tensor.storage.location.escapedForDisplay))")
    }
    let kind = tensor.dtype.kind
    if (tensor.isNegated || tensor.isConjugated) && kind != .complex && kind != .floatingPoint {
      throw DecantError(
        .unsupportedFormat, "a conj or neg bit on type \(tensor.dtype.rawValue) is not valid")
    }
    self.tensor = tensor
    self.content = content
    gather = tensor.isContiguous ? nil : StridedGather(tensor, content)
  }

  /// True when the elements are exactly all bytes of the storage, unchanged.
  package var isStorageUnchanged: Bool {
    tensor.isContiguous && tensor.byteCount == tensor.storage.byteCount && tensor.storage.byteOrder == .little
      && !tensor.isConjugated && !tensor.isNegated
  }

  /// True when elements can be read in any order, by ``read(into:at:)``, at no further cost.
  package var isRandomAccess: Bool { gather == nil && content.isRandomAccess }

  /// Reads the elements at byte `offset` of a contiguous tensor into `target`, as ``read(into:)`` does.
  ///
  /// - Parameter target: the output, a whole number of elements. It and `offset` must stay inside the tensor.
  package func read(into target: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    precondition(
      gather == nil && target.count % tensor.dtype.byteCount == 0 && offset % tensor.dtype.byteCount == 0
        && offset >= 0 && target.count <= tensor.byteCount - offset,
      "a reader gives whole elements of those there are")
    try unsafe content.read(into: target, at: tensor.byteOffset + offset)
    unsafe resolveBits(target)
  }

  /// Reads the next elements into `target`: row-major, little-endian, with `conj` and `neg` applied.
  ///
  /// - Parameter target: the output, a whole number of elements and no more than are left.
  package mutating func read(into target: UnsafeMutableRawBufferPointer) throws {
    if gather == nil {
      try unsafe read(into: target, at: done)
    } else {
      precondition(
        target.count % tensor.dtype.byteCount == 0 && target.count <= tensor.byteCount - done,
        "a reader gives whole elements, and no more than there are")
      try unsafe gather?.fill(target)
      unsafe resolveBits(target)
    }
    done += target.count
  }

  /// Converts words to little-endian and applies the lazy `conj` and `neg` bits, in place.
  private func resolveBits(_ bytes: UnsafeMutableRawBufferPointer) {
    let word = tensor.dtype.wordByteCount
    if tensor.storage.byteOrder == .big && word > 1 {
      switch word {
      case 2: unsafe bytes.bindMemory(to: UInt16.self).swapBytes()
      case 4: unsafe bytes.bindMemory(to: UInt32.self).swapBytes()
      default: unsafe bytes.bindMemory(to: UInt64.self).swapBytes()
      }
    }
    if tensor.isNegated || tensor.isConjugated {
      // The sign is the top bit of a word's last byte. In a complex pair, neg flips both parts and conj the
      // second.
      let isComplex = tensor.dtype.kind == .complex
      let flipsFirst = tensor.isNegated
      let flipsSecond = isComplex ? tensor.isNegated != tensor.isConjugated : tensor.isNegated
      for (index, place) in stride(from: word - 1, to: bytes.count, by: word).enumerated()
      where isComplex && index % 2 == 1 ? flipsSecond : flipsFirst {
        unsafe bytes[place] ^= 0x80
      }
    }
  }
}

extension UnsafeMutableBufferPointer where Element: FixedWidthInteger {
  fileprivate func swapBytes() {
    for index in indices { unsafe self[index] = self[index].byteSwapped }
  }
}
