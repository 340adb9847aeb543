package import DecantBytes
internal import Synchronization

extension Tensor {
  /// Creates the dense form of a sparse tensor.
  ///
  /// Nothing is read before an element is needed. The first read then loads all parts, and the gaps are
  /// filled with zeros.
  ///
  /// - Parameters:
  ///   - parts: the parts in the order of ``TensorLayout/partNames``. Indices are integers; values have any
  ///     dtype.
  /// - Throws: ``DecantError`` when shapes and layout do not match. O(rank).
  package static func sparse(
    _ layout: TensorLayout, shape: [Int], parts: [Tensor], limits: Limits = Limits()
  ) throws(DecantError) -> Tensor {
    guard parts.count == layout.partNames.count, let values = parts.last else {
      throw DecantError(
        .damaged, "a tensor of layout \(layout.rawValue) does not have \(Format.count(parts.count, "part"))")
    }
    for (name, part) in zip(layout.partNames, parts) where part.byteCount > part.storage.byteCount {
      throw DecantError(
        .damaged, "the \(name) of a sparse tensor are a view that repeats elements")
    }
    let geometry = try SparseGeometry(layout, shape: shape, parts: parts)
    guard let byteCount = checkedProduct(shape)?.checkedMultiplying(by: values.dtype.byteCount) else {
      throw DecantError(.damaged, "the shape \(shape) is negative or too large")
    }
    guard values.dtype.elementsPerByte == 1 else {
      throw DecantError(
        .unsupportedFormat, "sparse tensors of type \(values.dtype.rawValue) are not supported")
    }
    // Without data (the meta device) there is nothing to read.
    let hasData = parts.allSatisfy { $0.storage.content != nil }
    let content =
      hasData ? SparseContent(geometry, parts: parts, byteCount: byteCount, limits: limits) : nil
    let storage = Storage(
      key: values.storage.key, location: values.storage.location, byteCount: byteCount, content: content,
      entry: values.storage.entry)
    var wide = limits
    // The size of the dense form is checked when it is read, so that a sparse tensor of any size can be
    // listed.
    wide.expansionFloor = .max
    let dense = try Tensor(dtype: values.dtype, shape: shape, storage: storage, limits: wide)
    return dense.with(
      layout: layout,
      parts: zip(layout.partNames, parts).map { TensorPart(name: $0, tensor: $1) })
  }

  /// True when every element can be read within the limits. False for sparse tensors whose dense form is too
  /// large.
  package var isReadable: Bool {
    guard let content = storage.content else { return false }
    return !content.isComputed || (content as? SparseContent)?.isWithinLimits ?? true
  }
}

/// The positions of a sparse tensor's values in its dense form.
///
/// Source: PyTorch `aten/src/ATen/native/sparse`, `torch.sparse_compressed_tensor`.
struct SparseGeometry: Sendable {
  let layout: TensorLayout
  let shape: [Int]
  /// The number of leading batch dimensions, which index separate sparse matrices (compressed layouts).
  let batch: Int
  /// The rows and columns of a block; 1 and 1 for layouts without blocks.
  let block: (rows: Int, columns: Int)
  /// The number of values stored for each batch item.
  let stored: Int
  /// The number of elements of one value: the product of the trailing dense dimensions.
  let dense: Int

  init(_ layout: TensorLayout, shape: [Int], parts: [Tensor]) throws(DecantError) {
    func refuse(_ part: Int) -> DecantError {
      DecantError(
        .damaged,
        "\(layout.partNames[part]) of shape \(parts[part].shape) do not fit a \(layout.rawValue) tensor of shape \(shape)"
      )
    }
    self.layout = layout
    self.shape = shape
    let last = parts.count - 1
    let values = parts[last].shape
    for part in 0..<last where parts[part].dtype != .int64 && parts[part].dtype != .int32 {
      throw DecantError(
        .damaged, "the \(layout.partNames[part]) are \(parts[part].dtype.rawValue), not integers")
    }
    let tail: ArraySlice<Int>
    if layout == .sparseCOO {
      guard parts[0].shape.count == 2, parts[0].shape[0] <= shape.count, values.first == parts[0].shape[1]
      else { throw refuse(0) }
      batch = 0
      block = (1, 1)
      stored = parts[0].shape[1]
      tail = shape[parts[0].shape[0]...]
      guard values.dropFirst().elementsEqual(tail) else { throw refuse(1) }
    } else {
      let rank = parts[0].shape.count - 1
      let blockRank = layout == .sparseBSR || layout == .sparseBSC ? 2 : 0
      guard rank >= 0, shape.count >= rank + 2 else { throw refuse(0) }
      guard parts[1].shape.count == rank + 1, parts[1].shape[..<rank].elementsEqual(shape[..<rank]) else {
        throw refuse(1)
      }
      batch = rank
      stored = parts[1].shape[rank]
      tail = shape[(rank + 2)...]
      guard values.count == rank + 1 + blockRank + tail.count,
        values[..<(rank + 1)].elementsEqual(parts[1].shape),
        values.suffix(tail.count).elementsEqual(tail)
      else { throw refuse(2) }
      block = blockRank == 2 ? (values[rank + 1], values[rank + 2]) : (1, 1)
      guard block.rows > 0, block.columns > 0, shape[rank] % block.rows == 0,
        shape[rank + 1] % block.columns == 0
      else { throw refuse(2) }
      let compressed =
        layout == .sparseCSR || layout == .sparseBSR
        ? shape[rank] / block.rows : shape[rank + 1] / block.columns
      guard parts[0].shape[..<rank].elementsEqual(shape[..<rank]), parts[0].shape[rank] == compressed + 1
      else {
        throw refuse(0)
      }
    }
    guard let dense = checkedProduct(tail) else {
      throw DecantError(.damaged, "the shape \(shape) is too large")
    }
    self.dense = dense
  }

  /// A run of consecutive values: its offset in the dense form and in the values, both in elements.
  struct Run {
    let target: Int
    let source: Int
  }

  /// The number of elements of every run.
  var runLength: Int { block.columns * dense }

  /// Returns every run, in the order of the values. O(stored values).
  ///
  /// - Throws: ``DecantError`` for an index outside the shape.
  func runs(_ parts: [Tensor]) throws -> [Run] {
    layout == .sparseCOO ? try coordinateRuns(parts[0]) : try compressedRuns(parts[0], parts[1])
  }

  private func coordinateRuns(_ indices: Tensor) throws -> [Run] {
    let axes = indices.shape[0]
    let all = try indices.integers()
    let strides = Tensor.contiguousStrides(shape)
    return try (0..<stored).map { value in
      var target = 0
      for axis in 0..<axes { target += try place(all[axis * stored + value], shape[axis]) * strides[axis] }
      return Run(target: target, source: value * dense)
    }
  }

  private func compressedRuns(_ compressed: Tensor, _ plain: Tensor) throws -> [Run] {
    let starts = try compressed.integers()
    let others = try plain.integers()
    let isByRow = layout == .sparseCSR || layout == .sparseBSR
    let rows = shape[batch] / block.rows
    let columns = shape[batch + 1] / block.columns
    let lines = isByRow ? rows : columns
    let items = shape[..<batch].reduce(1, *)
    var runs: [Run] = []
    runs.reserveCapacity(items * stored * block.rows)
    for item in 0..<items {
      let first = item * (lines + 1)
      guard starts[first] == 0, starts[first + lines] == stored else {
        throw DecantError(.damaged, "the \(layout.partNames[0]) do not begin with 0 and end with \(stored)")
      }
      for line in 0..<lines {
        let (from, to) = (starts[first + line], starts[first + line + 1])
        guard 0 <= from, from <= to, to <= stored else {
          throw DecantError(.damaged, "the \(layout.partNames[0]) are not in ascending order")
        }
        for value in from..<to {
          let other = try place(others[item * stored + value], isByRow ? columns : rows)
          let (row, column) = isByRow ? (line, other) : (other, line)
          for inner in 0..<block.rows {
            let line = (item * rows + row) * block.rows + inner
            runs.append(
              Run(
                target: (line * columns + column) * runLength,
                source: ((item * stored + value) * block.rows + inner) * runLength))
          }
        }
      }
    }
    return runs
  }

  private func place(_ index: Int, _ size: Int) throws(DecantError) -> Int {
    guard index >= 0, index < size else {
      throw DecantError(.damaged, "the index \(index) is outside a dimension of \(size)")
    }
    return index
  }
}

/// The dense form of a sparse tensor: values at their indices, zeros elsewhere.
private final class SparseContent: ComputedContent {
  var sources: [Tensor] { parts }
  let byteCount: Int
  var isWithinLimits: Bool { excess == nil }
  /// The limit that the dense form exceeds; nil when it exceeds none.
  private let excess: Limits.Excess?
  private let geometry: SparseGeometry
  private let parts: [Tensor]
  private let filled = Mutex<Filled?>(nil)

  /// The runs in ascending order of their targets, without overlaps, and the bytes of the values.
  private struct Filled {
    let runs: [SparseGeometry.Run]
    let values: [UInt8]
  }

  init(_ geometry: SparseGeometry, parts: [Tensor], byteCount: Int, limits: Limits) {
    self.geometry = geometry
    self.parts = parts
    self.byteCount = byteCount
    let factor = byteCount.dividedRoundingUp(by: parts.map(\.byteCount).saturatingSum)
    excess =
      byteCount <= limits.expansionFloor || factor <= limits.expansion
      ? nil : limits.exceeded(\.expansion, need: factor)
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    try requireInside(offset, buffer.count)
    guard buffer.count > 0 else { return }
    if let excess {
      throw DecantError(
        excess,
        "the dense form of the sparse tensor takes \(Format.count(byteCount, "byte")), \(excess.advised) times as many as are stored"
      )
    }
    let filled = try filled.withLock { known in
      if let known { return known }
      let made = try fill()
      known = made
      return made
    }
    unsafe buffer.initializeMemory(as: UInt8.self, repeating: 0)
    let width = parts[parts.count - 1].dtype.byteCount
    let length = geometry.runLength * width
    // Binary search for the first run that ends after the offset.
    var low = 0
    var high = filled.runs.count
    while low < high {
      let middle = (low + high) / 2
      if filled.runs[middle].target * width + length <= offset { low = middle + 1 } else { high = middle }
    }
    while low < filled.runs.count, filled.runs[low].target * width < offset + buffer.count {
      let run = filled.runs[low]
      let from = max(run.target * width, offset)
      let to = min(run.target * width + length, offset + buffer.count)
      let source = run.source * width + from - run.target * width
      unsafe filled.values.withUnsafeBytes { values in
        unsafe UnsafeMutableRawBufferPointer(rebasing: buffer[(from - offset)..<(to - offset)])
          .copyMemory(from: UnsafeRawBufferPointer(rebasing: values[source..<source + to - from]))
      }
      low += 1
    }
  }

  private func fill() throws -> Filled {
    let values = parts[parts.count - 1]
    var bytes = try values.rowMajorBytes()
    guard geometry.runLength > 0, values.elementCount > 0 else { return Filled(runs: [], values: []) }
    let runs = try geometry.runs(parts)
    // Runs with equal targets keep the file's order, in which PyTorch adds them.
    let order = runs.indices.sorted { (runs[$0].target, $0) < (runs[$1].target, $1) }
    var kept: [SparseGeometry.Run] = []
    kept.reserveCapacity(runs.count)
    for index in order {
      let run = runs[index]
      if let last = kept.last, last.target == run.target {
        try add(run.source, to: last.source, values.dtype, &bytes)
      } else {
        kept.append(run)
      }
    }
    return Filled(runs: kept, values: bytes)
  }

  /// Adds a value to another with the same index. In an uncoalesced tensor repeated indices mean a sum.
  private func add(_ source: Int, to target: Int, _ dtype: DType, _ bytes: inout [UInt8]) throws {
    let length = geometry.runLength
    func add<T: BitwiseCopyable>(_ type: T.Type, _ count: Int, _ sum: (T, T) -> T) {
      unsafe bytes.withUnsafeMutableBytes { bytes in
        let numbers = unsafe bytes.assumingMemoryBound(to: T.self)
        let (from, to) = (source * count, target * count)
        for index in 0..<length * count {
          unsafe numbers[to + index] = sum(numbers[to + index], numbers[from + index])
        }
      }
    }
    switch dtype {
    case .float64: add(Double.self, 1, +)
    case .float32: add(Float.self, 1, +)
    case .complex128: add(Double.self, 2, +)
    case .complex64: add(Float.self, 2, +)
    case .float16: add(UInt16.self, 1) { (Float16(bitPattern: $0) + Float16(bitPattern: $1)).bitPattern }
    case .bfloat16:
      add(UInt16.self, 1) {
        bfloat16Pattern(Float(bitPattern: UInt32($0) << 16) + Float(bitPattern: UInt32($1) << 16))
      }
    case .int64: add(Int64.self, 1, &+)
    case .int32: add(Int32.self, 1, &+)
    case .int16: add(Int16.self, 1, &+)
    case .int8, .uint8: add(UInt8.self, 1, &+)
    case .bool: add(UInt8.self, 1, |)
    default:
      throw DecantError(
        .unsupportedFormat, "the indices repeat, and values of type \(dtype.rawValue) cannot be added up")
    }
  }
}
