/// Pointers of an ``Epilogue`` during a run.
@unsafe struct EpilogueKernel<Scalar: KernelScalar> {
  let scale: UnsafePointer<Scalar>?
  let shift: UnsafePointer<Scalar>?
  let residual: UnsafePointer<Scalar>?
  let relu: Bool

  /// output = relu(input × scale + shift + residual) over `count` columns of some channels, each part where asked.
  ///
  /// Input and output are matrices of channels × columns at their first channel and column; the residual lies as
  /// the output does and may be the same memory.
  @inline(__always)
  func apply(
    channels: Range<Int>, count: Int, from input: UnsafePointer<Scalar>, inputStride: Int,
    to output: UnsafeMutablePointer<Scalar>, outputStride: Int, outputOffset: Int
  ) {
    for (row, channel) in channels.enumerated() {
      let factor = unsafe scale?[channel] ?? 1
      let summand = unsafe shift?[channel] ?? 0
      let from = unsafe input + row * inputStride
      let place = channel * outputStride + outputOffset
      let to = unsafe output + place
      if let residual = unsafe residual {
        unsafe line(count, from, factor, summand, residual + place, to)
      } else {
        unsafe line(count, from, factor, summand, nil, to)
      }
    }
  }

  /// Explicit vectors, because the compiler cannot know that residual and output are either apart or the same.
  @inline(__always)
  private func line(
    _ count: Int, _ from: UnsafePointer<Scalar>, _ factor: Scalar, _ summand: Scalar,
    _ residual: UnsafePointer<Scalar>?, _ to: UnsafeMutablePointer<Scalar>
  ) {
    typealias Vector = SIMD8<Scalar>
    let lanes = 8
    let (factors, summands) = (Vector(repeating: factor), Vector(repeating: summand))
    var index = 0
    while index + lanes <= count {
      var vector = unsafe UnsafeRawPointer(from + index).loadUnaligned(as: Vector.self) * factors + summands
      if let residual = unsafe residual {
        unsafe vector += UnsafeRawPointer(residual + index).loadUnaligned(as: Vector.self)
      }
      // Comparing with 0 in this direction keeps NaN, as PyTorch does.
      if unsafe relu { vector.replace(with: 0, where: vector .< 0) }
      unsafe UnsafeMutableRawPointer(to + index).storeBytes(of: vector, as: Vector.self)
      index += lanes
    }
    while index < count {
      var value = unsafe from[index] * factor + summand
      if let residual = unsafe residual { unsafe value += residual[index] }
      if unsafe relu && value < 0 { value = 0 }
      unsafe to[index] = value
      index += 1
    }
  }
}
