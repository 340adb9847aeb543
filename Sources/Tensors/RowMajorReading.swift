internal import ByteParsing

extension Tensor {
  /// Hands every element to `body`, in row-major order, little-endian, `conj` and `neg` resolved.
  ///
  /// The bytes come in pieces of at most `capacity` bytes, each a whole number of elements; an empty tensor
  /// gives none. Memory: one piece, and for a tensor that is not contiguous the part of its storage it spans
  /// (in parts of up to ``gatherBytes``; where even one run spans more, single elements are read, slowly). O(elements).
  ///
  /// - Throws: ``TensorError`` for a tensor without data, and whatever reading the storage or `body` throws.
  public func readRowMajor(
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

  /// Every element's bytes in row-major order, little-endian, `conj` and `neg` resolved; O(elements).
  public func rowMajorBytes() throws -> [UInt8] {
    var bytes: [UInt8] = []
    bytes.reserveCapacity(byteCount)
    try unsafe readRowMajor { unsafe bytes.append(contentsOf: $0) }
    return bytes
  }

  /// The SHA-256 of ``rowMajorBytes()`` in lower-case hexadecimal, without holding them.
  public func sha256() throws -> String {
    let hash = try SHA256()
    try unsafe readRowMajor { unsafe hash.update(UnsafeRawBufferPointer($0)) }
    return hash.finish()
  }

  /// Bytes of a storage that a tensor which is not contiguous may have in memory at once.
  static var gatherBytes: Int { 64 << 20 }
}

/// Reads a tensor's elements from the first to the last, in pieces of the caller's size.
public struct RowMajorReader: Sendable {
  private let tensor: Tensor
  private let content: any StorageContent
  /// Walks the view when it is not contiguous.
  private var gather: Gather?
  private var done = 0

  /// Begins at the first element; reads nothing, or for a tensor that is not contiguous the part of its storage it
  /// spans.
  ///
  /// - Throws: ``TensorError`` for a tensor without data.
  public init(_ tensor: Tensor) throws {
    guard let content = tensor.storage.content else {
      throw TensorError("the tensor has no data (device \(tensor.storage.location.escapedForDisplay))")
    }
    let kind = tensor.dtype.kind
    if (tensor.isNegated || tensor.isConjugated) && kind != .complex && kind != .floatingPoint {
      throw TensorError("a conj or neg bit on \(tensor.dtype.rawValue) has no meaning")
    }
    self.tensor = tensor
    self.content = content
    gather = tensor.isContiguous ? nil : try Gather(tensor, content)
  }

  /// Whether what is read is the storage's bytes as they stand, all of them.
  public var passesStorageUnchanged: Bool {
    tensor.isContiguous && tensor.byteCount == tensor.storage.byteCount && tensor.storage.byteOrder == .little
      && !tensor.isConjugated && !tensor.isNegated
  }

  /// Fills `target` with the next elements: row-major, little-endian, `conj` and `neg` resolved.
  ///
  /// - Parameter target: a whole number of elements, no more than are left.
  public mutating func read(into target: UnsafeMutableRawBufferPointer) throws {
    precondition(
      target.count % tensor.dtype.byteCount == 0 && target.count <= tensor.byteCount - done,
      "a reader gives whole elements, and no more than there are")
    if gather != nil {
      try unsafe gather?.fill(target)
    } else {
      try unsafe content.read(into: target, at: tensor.byteOffset + done)
    }
    unsafe resolveBits(target)
    done += target.count
  }

  /// Puts words in little-endian order and applies the lazy bits, in place.
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
      // A sign is the top bit of a word's last byte. Of a complex pair, neg flips both parts and conj the second.
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

/// Walks a strided view in row-major order.
private struct Gather: Sendable {
  let content: any StorageContent
  let elementBytes: Int
  /// The view's dimensions with neighbours merged where they follow each other without a gap.
  var shape: [Int] = []
  var strides: [Int] = []
  /// The next element's index along every dimension, and where it stands in the storage (in elements).
  var index: [Int]
  var position: Int
  /// The part of the storage in memory, and where it begins (in bytes); empty where single runs are read.
  var window: [UInt8] = []
  var windowStart = 0
  /// How many dimensions are outside of a window, the bytes that those inside span, and how many indices of the dimension
  /// just outside a window has; nil where no window is small and dense enough.
  private let frame: (outerCount: Int, span: Int, batch: Int)?

  init(_ tensor: Tensor, _ content: any StorageContent) throws {
    self.content = content
    elementBytes = tensor.dtype.byteCount
    for (size, stride) in zip(tensor.shape, tensor.strides) where size != 1 {
      if let last = strides.last, last == stride * size {
        shape[shape.count - 1] *= size
        strides[strides.count - 1] = stride
      } else {
        shape.append(size)
        strides.append(stride)
      }
    }
    index = [Int](repeating: 0, count: shape.count)
    position = tensor.storageOffset
    frame = Self.frame(shape, strides, elementBytes)
    try open()
  }

  private static func frame(
    _ shape: [Int], _ strides: [Int], _ size: Int
  ) -> (outerCount: Int, span: Int, batch: Int)? {
    func span(_ outer: Int) -> Int {
      (zip(shape[outer...], strides[outer...]).reduce(0) { $0 + ($1.0 - 1) * $1.1 } + 1) * size
    }
    guard let outer = shape.indices.first(where: { span($0) <= Tensor.gatherBytes }) else { return nil }
    let inner = span(outer)
    let used = shape[outer...].reduce(size, *)
    // Where less than this share of what lies between is used, single runs are less to read.
    func isDense(_ used: Int, _ spanned: Int) -> Bool { spanned / 64 <= used }
    guard isDense(used, inner) else { return nil }
    guard outer > 0, strides[outer - 1] > 0 else { return (outer, inner, 1) }
    let step = strides[outer - 1] * size
    let batch = 1 + (Tensor.gatherBytes - inner) / step
    return (outer, inner, isDense(used, step) ? batch : 1)
  }

  /// Makes sure that the window has the elements that come next, up to the next step of an outer dimension.
  private mutating func open() throws {
    guard let frame else { return }
    let start = position * elementBytes
    if !window.isEmpty, start >= windowStart, start + frame.span <= windowStart + window.count { return }
    var count = frame.span
    if frame.outerCount > 0 {
      let left = shape[frame.outerCount - 1] - index[frame.outerCount - 1]
      count += (min(frame.batch, left) - 1) * strides[frame.outerCount - 1] * elementBytes
    }
    windowStart = start
    window = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      try unsafe content.read(into: UnsafeMutableRawBufferPointer(buffer), at: start)
      filled = count
    }
  }

  mutating func fill(_ target: UnsafeMutableRawBufferPointer) throws {
    var done = 0
    let inner = shape.count - 1
    while done < target.count {
      let stride = strides[inner]
      // A run: elements along the innermost dimension, at once when they are neighbours.
      let count = min(shape[inner] - index[inner], (target.count - done) / elementBytes)
      let whole = stride == 1
      for step in 0..<(whole ? 1 : count) {
        let bytes = whole ? count * elementBytes : elementBytes
        let part = unsafe UnsafeMutableRawBufferPointer(rebasing: target[done..<done + bytes])
        try unsafe copy(part, from: (position + step * stride) * elementBytes)
        done += bytes
      }
      if advance(by: count), index[0] < shape[0] { try open() }
    }
  }

  private func copy(_ target: UnsafeMutableRawBufferPointer, from byte: Int) throws {
    if window.isEmpty {
      try unsafe content.read(into: target, at: byte)
    } else {
      let start = byte - windowStart
      unsafe window.withUnsafeBytes { bytes in
        unsafe target.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[start..<start + target.count]))
      }
    }
  }

  /// Goes on, and tells whether an outer dimension did.
  private mutating func advance(by count: Int) -> Bool {
    var axis = shape.count - 1
    index[axis] += count
    position += count * strides[axis]
    while index[axis] == shape[axis], axis > 0 {
      position -= shape[axis] * strides[axis]
      index[axis] = 0
      axis -= 1
      index[axis] += 1
      position += strides[axis]
    }
    return frame.map { axis < $0.outerCount } ?? false
  }
}
