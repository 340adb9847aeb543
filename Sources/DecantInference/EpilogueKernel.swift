/// Pointers of an ``Epilogue`` during a run.
@unsafe struct EpilogueKernel<Scalar: KernelScalar> {
  let scale: UnsafePointer<Scalar>?
  let shift: UnsafePointer<Scalar>?
  let residual: HeldColumns<Scalar>?
  let relu: Bool

  /// output = relu(input × scale + shift + residual) over some columns of some channels, each part where asked.
  ///
  /// The input is a matrix of channels × columns at its first channel and column; the residual may be the
  /// output's memory.
  @inline(__always)
  func apply(
    channels: Range<Int>, columns: Range<Int>, from input: UnsafePointer<Scalar>, inputStride: Int,
    to output: HeldColumns<Scalar>
  ) {
    let count = columns.count
    // Comparing with the floor in this direction keeps NaN, as PyTorch does.
    let floor: Scalar = unsafe relu ? 0 : -.infinity
    for (row, channel) in channels.enumerated() {
      let factor = unsafe scale?[channel] ?? 1
      let summand = unsafe shift?[channel] ?? 0
      let from = unsafe input + row * inputStride
      let to = unsafe output.pointer(channel, columns.lowerBound)
      // One plain loop for each case, because the compiler turns only those into vectors: it must know that
      // the residual and the output are either apart or the same.
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
