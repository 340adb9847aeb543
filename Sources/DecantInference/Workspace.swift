internal import DecantIO
/// The memory and threads of one run at a time, for inputs of one size.
///
/// Values of steps in bands have memory for some of their columns, each its own; those of the others lie where the
/// ``MemoryPlan`` says. Only one run uses it at once, hence `@unchecked Sendable`.
@safe final class Workspace<Scalar: ReferenceScalar>: @unchecked Sendable {
  let inputSizes: [Int]
  let shapes: [ValueShape?]
  let pool: WorkerPool
  /// How the first steps are executed in bands; nil when all values are whole.
  let bands: BandPlan?
  /// See ``ConvolutionTiling/widestTile``.
  let widestTile: Int
  private let place: [Int?]
  private let buffers: [AlignedBuffer<Scalar>]
  /// Numbers between the channels of a value, and the columns that are in memory.
  private let stride: [Int]
  private var columns: [Range<Int>]
  /// Patches of convolutions, and lines of pools.
  let patches: AlignedBuffer<Scalar>
  /// Products before their epilogue: `productCount` for each worker.
  let products: AlignedBuffer<Scalar>
  let productCount: Int
  /// Sums for the mean of all pixels, by the value it makes.
  let sums: [Int: PlaneSums]
  /// Room for an input of several images as C×N×H×W.
  private let input: AlignedBuffer<Scalar>
  /// The input of a run as C×N×H×W.
  private var inputBase: UnsafeMutablePointer<Scalar>?

  /// Plans and allocates.
  ///
  /// - Throws: ``InferenceError`` when the input does not suit the program, memory or threads are refused.
  init(
    _ program: Program<Scalar>, inputSizes: [Int], threads: Int, banding: Banding
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

  /// Where a value lies; nil for values inside a step. Nobody writes to the input.
  private func pointer(_ value: Int) -> UnsafeMutablePointer<Scalar>? {
    if value == 0 { return unsafe inputBase }
    return unsafe place[value].map { unsafe buffers[$0].base }
  }

  /// Where the columns of a value lie that are in memory; nil for values inside a step.
  func held(_ value: Int) -> HeldColumns<Scalar>? {
    guard let base = unsafe pointer(value) else { return nil }
    return unsafe HeldColumns(base: base, stride: stride[value], columns: columns[value])
  }

  /// Whether all columns of a value are in memory when its step is done.
  func isWhole(_ value: Int) -> Bool { bands?.capacity[value].map { $0 == shapes[value]?.columns } ?? true }

  /// Makes room for a band.
  func prepare(_ band: Band, of value: Int) {
    guard let shape = shapes[value], bands?.capacity[value] != nil, let base = unsafe pointer(value) else {
      return
    }
    // A run begins with each value's first column.
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

  /// Calls `body` while the input lies as C×N×H×W: one image where it is, several copied side by side in each channel.
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

  /// Copies a whole value out, in PyTorch's order.
  func activation(_ value: Int) -> Activation<Scalar>? {
    guard let shape = shapes[value], let source = unsafe pointer(value) else { return nil }
    let values = unsafe [Scalar](unsafeUninitializedCapacity: shape.count) { target, count in
      count = shape.count
      guard let target = target.baseAddress else { return }
      if shape.isVector { return unsafe target.update(from: source, count: shape.count) }
      unsafe copy(value, 0..<shape.columns, to: target)
    }
    return try? Activation(shape: shape.sizes, values: values)
  }

  /// Copies some columns of a map to their places in PyTorch's order.
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
