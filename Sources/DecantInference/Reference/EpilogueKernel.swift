/// The pointers of an ``Epilogue`` during a run.
@unsafe struct EpilogueKernel<Scalar: KernelScalar> {
  let scale: UnsafePointer<Scalar>?
  let shift: UnsafePointer<Scalar>?
  let residual: ColumnWindow<Scalar>?
  let relu: Bool

  /// Computes output = relu(input × scale + shift + residual) for some columns of some channels. Parts that are nil or
  /// false are skipped.
  ///
  /// The input is a matrix of channels × columns that begins at the first of both. The residual may be the same memory
  /// as the output.
  @inline(__always)
  func apply(
    channels: Range<Int>, columns: Range<Int>, from input: UnsafePointer<Scalar>, inputStride: Int,
    to output: ColumnWindow<Scalar>
  ) {
    let count = columns.count
    // This direction of the comparison keeps NaN, as PyTorch does.
    let floor: Scalar = unsafe relu ? 0 : -.infinity
    for (row, channel) in channels.enumerated() {
      let factor = unsafe scale?[channel] ?? 1
      let summand = unsafe shift?[channel] ?? 0
      let from = unsafe input + row * inputStride
      let to = unsafe output.pointer(channel, columns.lowerBound)
      // The compiler vectorises only plain loops in which it knows that the residual and the output are either
      // disjoint or the same memory. So each case has its own loop.
      if let residual = unsafe residual, unsafe residual.base != output.base {
        let other = unsafe residual.pointer(channel, columns.lowerBound)
        for index in 0..<count {
          let value = unsafe from[index] * factor + summand + other[index]
          unsafe to[index] = value < floor ? floor : value
        }
      } else if unsafe residual != nil {
        for index in 0..<count {
          let value = unsafe from[index] * factor + summand + to[index]
          unsafe to[index] = value < floor ? floor : value
        }
      } else {
        for index in 0..<count {
          let value = unsafe from[index] * factor + summand
          unsafe to[index] = value < floor ? floor : value
        }
      }
    }
  }
}
