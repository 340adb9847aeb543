/// The memory and threads of one run at a time, for inputs of one size.
///
/// Values lie where the ``MemoryPlan`` says. Only one run uses it at once, hence `@unchecked Sendable`.
final class Workspace<Scalar: ReferenceScalar>: @unchecked Sendable {
  let inputSizes: [Int]
  let shapes: [ValueShape?]
  let pool: WorkerPool
  private let place: [Int?]
  private let buffers: [AlignedBuffer<Scalar>]
  /// Patches of convolutions, and lines of pools.
  let patches: AlignedBuffer<Scalar>
  /// Products before their epilogue: `productCount` for each worker.
  let products: AlignedBuffer<Scalar>
  let productCount: Int
  /// The input as C×N×H×W.
  let input: AlignedBuffer<Scalar>

  /// Plans and allocates.
  ///
  /// - Throws: ``InferenceError`` when the input does not suit the program, memory or threads are refused.
  init(_ program: Program<Scalar>, inputSizes: [Int], threads: Int) throws(InferenceError) {
    self.inputSizes = inputSizes
    shapes = try program.shapes(input: inputSizes)
    pool = try WorkerPool(width: threads)
    let plan = MemoryPlan(program, shapes)
    place = plan.place
    var patchCount = 0
    var productCount = 0
    for step in program.steps {
      switch step.kernel {
      case .convolution(let convolution, _):
        guard let output = shapes[step.output] else { continue }
        let tiling = ConvolutionTiling(convolution, output: output)
        patchCount = max(patchCount, tiling.patchCount(workers: threads))
        productCount = max(productCount, tiling.workerProductCount)
      case .maxPool:
        guard let width = shapes[step.input]?.width else { continue }
        patchCount = max(patchCount, width * threads)
      default: continue
      }
    }
    self.productCount = productCount
    var buffers: [AlignedBuffer<Scalar>] = []
    for count in plan.capacity { buffers.append(try AlignedBuffer(count: count)) }
    self.buffers = buffers
    patches = try AlignedBuffer(count: patchCount)
    products = try AlignedBuffer(count: productCount * threads)
    input = try AlignedBuffer(count: shapes[0]?.count ?? 0)
  }

  /// Where a value lies; nil for values inside a step.
  func pointer(_ value: Int) -> UnsafeMutablePointer<Scalar>? {
    if value == 0 { return unsafe input.base }
    return unsafe place[value].map { unsafe buffers[$0].base }
  }

  /// Copies the input in, images side by side in each channel.
  func load(_ values: [Scalar]) {
    guard let shape = shapes[0] else { return }
    let area = shape.height * shape.width
    unsafe values.withUnsafeBufferPointer { values in
      guard let source = values.baseAddress else { return }
      for image in 0..<shape.batch {
        for channel in 0..<shape.channels {
          unsafe (input.base + (channel * shape.batch + image) * area)
            .update(from: source + (image * shape.channels + channel) * area, count: area)
        }
      }
    }
  }

  /// Copies a value out, in PyTorch's order.
  func activation(_ value: Int) -> Activation<Scalar>? {
    guard let shape = shapes[value], let source = unsafe pointer(value) else { return nil }
    let area = shape.height * shape.width
    let values = unsafe [Scalar](unsafeUninitializedCapacity: shape.count) { target, count in
      count = shape.count
      guard let target = target.baseAddress else { return }
      if shape.isVector { return unsafe target.update(from: source, count: shape.count) }
      for image in 0..<shape.batch {
        for channel in 0..<shape.channels {
          unsafe (target + (image * shape.channels + channel) * area)
            .update(from: source + (channel * shape.batch + image) * area, count: area)
        }
      }
    }
    return try? Activation(shape: shape.sizes, values: values)
  }
}
