internal import DecantGraphs
internal import DecantIO

extension ReferenceRun where Scalar: KernelScalar {
  /// Normalises every channel by its mean and variance over all images of the batch, summed in Double.
  func normalize(
    _ scale: UnsafePointer<Scalar>, _ bias: UnsafePointer<Scalar>, _ epsilon: Double, _ shape: ValueShape,
    _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>
  ) {
    let count = shape.columns
    workspace.pool.forEach(shape.channels) { channel, _ in
      let values = unsafe source + channel * count
      var sum = 0.0
      for place in 0..<count { unsafe sum += Double(values[place]) }
      let centre = sum / Double(count)
      var squares = 0.0
      for place in 0..<count {
        let difference = unsafe Double(values[place]) - centre
        squares += difference * difference
      }
      let factor = unsafe Double(scale[channel]) / (squares / Double(count) + epsilon).squareRoot()
      let summand = unsafe Double(bias[channel]) - centre * factor
      let result = unsafe target + channel * count
      for place in 0..<count { unsafe result[place] = Scalar(Double(values[place]) * factor + summand) }
    }
  }
}
