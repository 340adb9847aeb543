internal import CStandard
internal import DecantIO

/// Group normalization (Wu & He 2018) with its parameters.
struct GroupNormalization<Scalar: ReferenceScalar>: Sendable {
  let channels: Int
  let groups: Int
  let epsilon: Double
  let scale: WeightBuffer<Scalar>
  let shift: WeightBuffer<Scalar>
}

extension GroupNormalization where Scalar: KernelScalar {
  /// Normalises by the mean and variance over the channels of a group and all pixels of one image, summed in Double.
  func apply(
    _ shape: ValueShape, _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>,
    _ pool: WorkerPool
  ) {
    let area = shape.height * shape.width
    let share = channels / groups
    pool.forEach(groups * shape.batch) { task, _ in
      let (group, image) = task.quotientAndRemainder(dividingBy: shape.batch)
      let members = group * share..<(group + 1) * share
      func start(_ channel: Int) -> Int { (channel * shape.batch + image) * area }
      var sum = 0.0
      for channel in members {
        for place in start(channel)..<start(channel) + area { unsafe sum += Double(source[place]) }
      }
      let mean = sum / Double(share * area)
      var squares = 0.0
      for channel in members {
        for place in start(channel)..<start(channel) + area {
          let difference = unsafe Double(source[place]) - mean
          squares += difference * difference
        }
      }
      let deviation = (squares / Double(share * area) + epsilon).squareRoot()
      for channel in members {
        let factor = unsafe Double(scale.base[channel]) / deviation
        let summand = unsafe Double(shift.base[channel]) - mean * factor
        for place in start(channel)..<start(channel) + area {
          unsafe target[place] = Scalar(Double(source[place]) * factor + summand)
        }
      }
    }
  }
}

/// Layer normalization of vectors (Ba et al. 2016) with its parameters.
struct LayerNormalization<Scalar: ReferenceScalar>: Sendable {
  let channels: Int
  let epsilon: Double
  let scale: WeightBuffer<Scalar>
  let shift: WeightBuffer<Scalar>
}

extension LayerNormalization where Scalar: KernelScalar {
  /// Normalises each vector by its own mean and variance, summed in Double.
  func apply(batch: Int, _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>) {
    for image in 0..<batch {
      let range = image * channels..<(image + 1) * channels
      var sum = 0.0
      for place in range { unsafe sum += Double(source[place]) }
      let mean = sum / Double(channels)
      var squares = 0.0
      for place in range {
        let difference = unsafe Double(source[place]) - mean
        squares += difference * difference
      }
      let deviation = (squares / Double(channels) + epsilon).squareRoot()
      for place in range {
        let channel = place - range.lowerBound
        unsafe target[place] = Scalar(
          (Double(source[place]) - mean) / deviation * Double(scale.base[channel])
            + Double(shift.base[channel]))
      }
    }
  }
}

/// Returns `x × sigmoid(x)`, computed in Double.
@inline(__always)
func silu<Scalar: KernelScalar>(_ value: Scalar) -> Scalar {
  Scalar(Double(value) / (1 + cstandard_exp(-Double(value))))
}
