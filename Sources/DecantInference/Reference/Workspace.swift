internal import DecantIO
/// The memory and threads of one run at a time, for inputs of one size.
///
/// Values of steps that run in bands have their own memory, for some of their columns. Other values use the buffers of
/// the ``MemoryPlan``. Only one run uses a workspace at a time, hence `@unchecked Sendable`.
@safe final class Workspace<Scalar: ReferenceScalar>: @unchecked Sendable {
  let inputSizes: [Int]
  let shapes: [ValueShape?]
  let pool: WorkerPool
  /// The band plan of the first steps; nil when all values are whole.
  let bands: BandPlan?
  /// See ``ConvolutionTiling/widestTile``.
  let widestTile: Int
  private let place: [Int?]
  private let buffers: [AlignedBuffer<Scalar>]
  /// The number of elements between the channels of each value, by value index.
  private let stride: [Int]
  private var columns: [Range<Int>]
  /// Memory for im2col patches of convolutions, and for merged lines of max pools.
  let patches: AlignedBuffer<Scalar>
  /// The matrix products before their epilogue: `productCount` elements for each worker.
  let products: AlignedBuffer<Scalar>
  let productCount: Int
  /// The sums of global average pooling, by the index of the value it computes.
  let sums: [Int: PlaneSums]
  /// Memory for an input of several images as C×N×H×W.
  private let input: AlignedBuffer<Scalar>
  /// The input of the current run as C×N×H×W.
  private var inputBase: UnsafeMutablePointer<Scalar>?

  /// Plans and allocates the memory of a run.
  ///
  /// - Throws: ``InferenceError`` when the input does not fit the program, or memory or threads are not available.
  init(
    _ program: Program<Scalar>, inputSizes: [Int], threads: Int, banding: BandSettings
  ) throws(InferenceError) {
    self.inputSizes = inputSizes
    let shapes = try program.shapes(input: inputSizes)
    self.shapes = shapes
    guard let pool = WorkerPool(width: threads) else { throw .threads(threads) }
    self.pool = pool
    widestTile = banding.widestTile
    bands = banding.plan(program, shapes, threads: threads)
    let plan = MemoryPlan(program, shapes, from: bands?.steps.count ?? 0)
    var (place, capacity, sums) = (plan.place, plan.capacity, [Int: PlaneSums]())
    var stride = shapes.map { $0?.columns ?? 0 }
    for step in bands?.steps ?? [] {
      guard let shape = shapes[step.output] else { continue }
      if let held = bands?.capacity[step.output] { stride[step.output] = held }
      place[step.output] = capacity.count
      capacity.append(step.isStored ? shape.channels * stride[step.output] : shape.count)
    }
    var patchCount = 0
    var productCount = 0
    for step in program.steps {
      switch step.kernel {
      case .convolution(let convolution, _):
        guard let output = shapes[step.output] else { continue }
        let tiling = ConvolutionTiling(convolution, output: output, widestTile: banding.widestTile)
        patchCount = max(patchCount, tiling.patchCount(workers: threads))
        productCount = max(productCount, tiling.workerProductCount)
      case .maxPool:
        guard let width = shapes[step.input]?.width else { continue }
        patchCount = max(patchCount, width * threads)
      case .globalAveragePool:
        guard let shape = shapes[step.input] else { continue }
        sums[step.output] = try PlaneSums(shape)
      default: continue
      }
    }
    self.productCount = productCount
    self.sums = sums
    self.place = place
    self.stride = stride
    columns = shapes.map { 0..<($0?.columns ?? 0) }
    var buffers: [AlignedBuffer<Scalar>] = []
    for count in capacity { buffers.append(try AlignedBuffer(count: count)) }
    self.buffers = buffers
    patches = try AlignedBuffer(count: patchCount)
    products = try AlignedBuffer(count: productCount * threads)
    input = try AlignedBuffer(count: inputSizes[0] > 1 ? shapes[0]?.count ?? 0 : 0)
  }

  /// Returns the address of a value; nil for values inside a step. The input is read-only.
  private func pointer(_ value: Int) -> UnsafeMutablePointer<Scalar>? {
    if value == 0 { return unsafe inputBase }
    return unsafe place[value].map { unsafe buffers[$0].base }
  }

  /// Returns the columns of a value that are in memory; nil for values inside a step.
  func held(_ value: Int) -> ColumnWindow<Scalar>? {
    guard let base = unsafe pointer(value) else { return nil }
    return unsafe ColumnWindow(base: base, stride: stride[value], columns: columns[value])
  }

  /// Returns true when all columns of a value are in memory after its step is done.
  func isWhole(_ value: Int) -> Bool { bands?.capacity[value].map { $0 == shapes[value]?.columns } ?? true }

  /// Moves the kept columns of a value to the front of its memory, to make room for a band.
  func prepare(_ band: Band, of value: Int) {
    guard let shape = shapes[value], bands?.capacity[value] != nil, let base = unsafe pointer(value) else {
      return
    }
    // A run starts with the first column of each value.
    var first = band.columns.lowerBound == 0 ? 0 : columns[value].lowerBound
    if let kept = band.kept {
      let (count, stride, distance) = (kept.count, stride[value], kept.lowerBound - first)
      if count > 0, distance > 0 {
        pool.forEach(shape.channels) { channel, _ in
          let front = unsafe base + channel * stride
          unsafe front.update(from: front + distance, count: count)
        }
      }
      first = kept.lowerBound
    }
    columns[value] = first..<band.columns.upperBound
  }

  /// Calls `body` with the input as C×N×H×W: one image without a copy, several copied side by side in each channel.
  func withInput(_ values: [Scalar], _ body: () -> Void) {
    guard let shape = shapes[0] else { return }
    let area = shape.height * shape.width
    unsafe values.withUnsafeBufferPointer { values in
      guard let source = values.baseAddress else { return }
      unsafe inputBase = shape.batch > 1 ? input.base : UnsafeMutablePointer(mutating: source)
      for image in 0..<shape.batch where shape.batch > 1 {
        for channel in 0..<shape.channels {
          unsafe (input.base + (channel * shape.batch + image) * area)
            .update(from: source + (image * shape.channels + channel) * area, count: area)
        }
      }
      body()
      unsafe inputBase = nil
    }
  }

  /// Returns a copy of a whole value, N×C×H×W or N×C.
  func activation(_ value: Int) -> Activation<Scalar>? {
    guard let shape = shapes[value], let source = unsafe pointer(value) else { return nil }
    let values = unsafe [Scalar](unsafeUninitializedCapacity: shape.count) { target, count in
      count = shape.count
      guard let target = target.baseAddress else { return }
      if shape.isVector { return unsafe target.update(from: source, count: shape.count) }
      unsafe copy(value, 0..<shape.columns, to: target)
    }
    return Activation(shape, values)
  }

  /// Copies some columns of a feature map to their positions in an N×C×H×W array.
  func copy(_ value: Int, _ columns: Range<Int>, to target: UnsafeMutablePointer<Scalar>) {
    guard let shape = shapes[value], let held = unsafe held(value) else { return }
    let area = shape.height * shape.width
    var begin = columns.lowerBound
    while begin < columns.upperBound {
      let (image, pixel) = begin.quotientAndRemainder(dividingBy: area)
      let count = min(columns.upperBound - begin, area - pixel)
      for channel in 0..<shape.channels {
        unsafe (target + ((image * shape.channels + channel) * area + pixel))
          .update(from: held.pointer(channel, begin), count: count)
      }
      begin += count
    }
  }
}
