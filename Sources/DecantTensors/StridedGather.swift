internal import DecantBytes
/// A row-major reader of a non-contiguous view, which works on one slab of elements at a time.
///
/// A slab is read in storage order: elements that are close together are read at once, and each is then
/// copied to its row-major offset. Memory: a slab and a window.
struct StridedGather: Sendable {
  private let content: any StorageContent
  private let elementBytes: Int
  /// The offset of the view in its storage, in elements.
  private let start: Int
  /// The view's sizes and strides, with neighbouring dimensions merged where they are contiguous.
  private let shape: [Int]
  private let strides: [Int]
  /// The dimension that slabs divide, and the number of its indices in one slab. A slab has one index of each
  /// outer dimension and all indices of the inner ones.
  private let axis: Int
  private let batch: Int
  /// The index of the next slab along the dimensions up to `axis`.
  private var index: [Int]
  private var slab: [UInt8] = []
  /// The number of bytes of the slab that were already returned.
  private var done = 0

  private static let slabBytes = 16 << 20

  init(_ tensor: Tensor, _ content: any StorageContent) {
    self.content = content
    elementBytes = tensor.dtype.byteCount
    start = tensor.storageOffset
    var (shape, strides): ([Int], [Int]) = ([], [])
    for (size, stride) in zip(tensor.shape, tensor.strides) where size != 1 {
      if let last = strides.last, last == stride * size {
        shape[shape.count - 1] *= size
        strides[strides.count - 1] = stride
      } else {
        shape.append(size)
        strides.append(stride)
      }
    }
    var axis = shape.count - 1
    var inner = elementBytes
    while axis > 0, inner * shape[axis] <= Self.slabBytes {
      inner *= shape[axis]
      axis -= 1
    }
    (self.shape, self.strides, self.axis) = (shape, strides, axis)
    batch = max(1, Self.slabBytes / inner)
    index = [Int](repeating: 0, count: axis + 1)
  }

  /// Reads the next elements into `target`, in their stored format.
  mutating func fill(_ target: UnsafeMutableRawBufferPointer) throws {
    var filled = 0
    while filled < target.count {
      if done == slab.count { try load() }
      let count = min(target.count - filled, slab.count - done)
      let part = unsafe UnsafeMutableRawBufferPointer(rebasing: target[filled..<filled + count])
      unsafe slab.withUnsafeBytes {
        unsafe part.copyMemory(from: UnsafeRawBufferPointer(rebasing: $0[done..<done + count]))
      }
      filled += count
      done += count
    }
  }

  /// Reads the next slab.
  private mutating func load() throws {
    var lanes: [Slab.Lane] = []
    var bytes = elementBytes
    for inner in shape.indices.dropFirst(axis + 1).reversed() {
      lanes.append(Slab.Lane(count: shape[inner], stored: strides[inner] * elementBytes, placed: bytes))
      bytes *= shape[inner]
    }
    let count = min(batch, shape[axis] - index[axis])
    lanes.append(Slab.Lane(count: count, stored: strides[axis] * elementBytes, placed: bytes))
    let position = zip(index, strides).reduce(start) { $0 + $1.0 * $1.1 }
    let reader = Slab(content, lanes, elementBytes)
    slab = try unsafe [UInt8](byteCount: count * bytes) {
      try unsafe reader.read(at: position * elementBytes, into: $0)
    }
    done = 0
    index[axis] += count
    var outer = axis
    while outer > 0, index[outer] == shape[outer] {
      index[outer] = 0
      outer -= 1
      index[outer] += 1
    }
  }
}

/// A part of a view, gathered in memory.
private struct Slab {
  /// A dimension: the element count, and the stride in bytes in the storage and in the slab.
  struct Lane {
    let count: Int
    let stored: Int
    let placed: Int
  }

  private let content: any StorageContent
  /// The dimensions, largest storage stride first.
  private let lanes: [Lane]
  private let elementBytes: Int
  /// For every lane, and after the last one, the bytes that it and the later lanes span in the storage and
  /// fill in the slab.
  private let spans: [Int]
  private let used: [Int]

  /// The largest number of bytes that one read covers.
  private static let windowBytes = 4 << 20

  init(_ content: any StorageContent, _ lanes: [Lane], _ elementBytes: Int) {
    self.content = content
    self.lanes = lanes.sorted { $0.stored > $1.stored }
    self.elementBytes = elementBytes
    var (spans, used) = ([elementBytes], [elementBytes])
    for lane in self.lanes.reversed() {
      spans.append(spans[spans.count - 1] + (lane.count - 1) * lane.stored)
      used.append(used[used.count - 1] * lane.count)
    }
    (self.spans, self.used) = (spans.reversed(), used.reversed())
  }

  /// Gathers the slab from the storage, starting at `offset`.
  func read(at offset: Int, into slab: UnsafeMutableRawBufferPointer) throws {
    let window = UnsafeMutableRawBufferPointer.allocate(
      byteCount: min(Self.windowBytes, spans[0]), alignment: 64)
    defer { unsafe window.deallocate() }
    guard let base = slab.baseAddress else { return }
    try unsafe read(0, offset, base, window)
  }

  private func read(
    _ place: Int, _ offset: Int, _ target: UnsafeMutableRawPointer, _ window: UnsafeMutableRawBufferPointer
  ) throws {
    guard place < lanes.count else {
      let element = unsafe UnsafeMutableRawBufferPointer(start: target, count: elementBytes)
      return try unsafe content.read(into: element, at: offset)
    }
    let lane = lanes[place]
    let inner = spans[place + 1]
    if inner <= window.count {
      let fitting = lane.stored == 0 ? lane.count : 1 + (window.count - inner) / lane.stored
      let batch = min(lane.count, fitting)
      // When less than 1/64 of the spanned bytes is used, smaller reads cost less.
      if (inner + (batch - 1) * lane.stored) / 64 <= used[place + 1] * batch {
        for first in stride(from: 0, to: lane.count, by: batch) {
          let count = min(batch, lane.count - first)
          let part = unsafe UnsafeMutableRawBufferPointer(
            rebasing: window[..<(inner + (count - 1) * lane.stored)])
          try unsafe content.read(into: part, at: offset + first * lane.stored)
          guard let source = UnsafeRawPointer(part.baseAddress) else { return }
          unsafe scatter(place, count, source, target + first * lane.placed)
        }
        return
      }
    }
    for number in 0..<lane.count {
      try unsafe read(place + 1, offset + number * lane.stored, target + number * lane.placed, window)
    }
  }

  /// Copies `count` elements of a lane, with all later lanes, to their offsets in the slab.
  private func scatter(
    _ place: Int, _ count: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
  ) {
    let lane = lanes[place]
    guard place == lanes.count - 1 else {
      for number in 0..<count {
        unsafe scatter(
          place + 1, lanes[place + 1].count, source + number * lane.stored, target + number * lane.placed)
      }
      return
    }
    if lane.stored == elementBytes, lane.placed == elementBytes {
      return unsafe target.copyMemory(from: source, byteCount: count * elementBytes)
    }
    switch elementBytes {
    case 1: unsafe copy(UInt8.self, lane, count, source, target)
    case 2: unsafe copy(UInt16.self, lane, count, source, target)
    case 4: unsafe copy(UInt32.self, lane, count, source, target)
    case 8: unsafe copy(UInt64.self, lane, count, source, target)
    default:
      for number in 0..<count {
        unsafe (target + number * lane.placed).copyMemory(
          from: source + number * lane.stored, byteCount: elementBytes)
      }
    }
  }

  private func copy<W: FixedWidthInteger & BitwiseCopyable>(
    _ word: W.Type, _ lane: Lane, _ count: Int, _ source: UnsafeRawPointer, _ target: UnsafeMutableRawPointer
  ) {
    for number in 0..<count {
      let element = unsafe source.loadUnaligned(fromByteOffset: number * lane.stored, as: W.self)
      unsafe target.storeBytes(of: element, toByteOffset: number * lane.placed, as: W.self)
    }
  }
}
