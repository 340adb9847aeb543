internal import CStandard
internal import DecantGraphs
internal import DecantIO

/// CLIP's attention pooling with its parameters: the mean of all pixels is the query, the mean and the pixels are the
/// keys and values.
///
/// Source: Radford et al. 2021, section 2.4; CLIP `model.py`.
struct AttentionPool<Scalar: ReferenceScalar>: Sendable {
  let channels: Int
  let tokens: Int
  let heads: Int
  let outputs: Int
  private let positions: WeightBuffer<Scalar>
  private let query: Layer
  private let key: Layer
  private let value: Layer
  private let output: Layer

  private struct Layer: Sendable {
    let weights: WeightBuffer<Scalar>
    let bias: WeightBuffer<Scalar>
  }

  init(
    _ pooling: AttentionPooling, _ node: Node, _ binding: ParameterBinding<Scalar>
  ) throws(InferenceError) {
    (channels, tokens, heads, outputs) = (pooling.channels, pooling.tokens, pooling.heads, pooling.outputs)
    guard 1...channels ~= heads, channels.isMultiple(of: heads) else {
      throw .unsupportedGraph(
        node: node.name, reason: "\(channels) channels do not divide into \(heads) heads")
    }
    func layer(_ weight: Parameter.Role, _ bias: Parameter.Role) throws(InferenceError) -> Layer {
      Layer(weights: try binding.buffer(node, weight), bias: try binding.buffer(node, bias))
    }
    positions = try binding.buffer(node, .positions)
    query = try layer(.queryWeight, .queryBias)
    key = try layer(.keyWeight, .keyBias)
    value = try layer(.valueWeight, .valueBias)
    output = try layer(.linearWeight, .linearBias)
  }
}

extension AttentionPool where Scalar: KernelScalar {
  /// Pools a C×N×H×W feature map to N×outputs.
  func apply(
    _ shape: ValueShape, _ source: UnsafePointer<Scalar>, _ target: UnsafeMutablePointer<Scalar>,
    _ pool: WorkerPool
  ) {
    let area = shape.height * shape.width
    let size = channels / heads
    for image in 0..<shape.batch {
      // Token 0 is the mean, the others are the pixels. Each token gets its positional embedding.
      var rows = [Scalar](repeating: 0, count: tokens * channels)
      for channel in 0..<channels {
        let plane = unsafe source + (channel * shape.batch + image) * area
        unsafe rows[channel] = mean(plane, count: area) + positions.base[channel]
        for pixel in 0..<area {
          let place = (pixel + 1) * channels + channel
          unsafe rows[place] = plane[pixel] + positions.base[place]
        }
      }
      let queries = apply(query, to: Array(rows.prefix(channels)), rows: 1, outputs: channels, pool)
      let keys = apply(key, to: rows, rows: tokens, outputs: channels, pool)
      let values = apply(value, to: rows, rows: tokens, outputs: channels, pool)
      var mixed = [Scalar](repeating: 0, count: channels)
      for head in 0..<heads {
        let own = head * size..<(head + 1) * size
        let scores = (0..<tokens).map { token in
          own.reduce(0.0) { $0 + Double(queries[$1]) * Double(keys[token * channels + $1]) }
            / Double(size).squareRoot()
        }
        let largest = scores.max() ?? 0
        let weights = scores.map { cstandard_exp($0 - largest) }
        let total = weights.reduce(0, +)
        for channel in own {
          let sum = weights.indices.reduce(0.0) { $0 + weights[$1] * Double(values[$1 * channels + channel]) }
          mixed[channel] = Scalar(sum / total)
        }
      }
      let result = apply(output, to: mixed, rows: 1, outputs: outputs, pool)
      for (index, number) in result.enumerated() { unsafe target[image * outputs + index] = number }
    }
  }

  /// Applies a linear layer: rows×channels to rows×outputs.
  private func apply(
    _ layer: Layer, to values: [Scalar], rows: Int, outputs: Int, _ pool: WorkerPool
  ) -> [Scalar] {
    unsafe [Scalar](unsafeUninitializedCapacity: rows * outputs) { result, count in
      count = rows * outputs
      guard let target = result.baseAddress else { return }
      unsafe values.withUnsafeBufferPointer { values in
        guard let base = values.baseAddress else { return }
        pool.forEach(rows) { row, _ in
          for output in 0..<outputs {
            unsafe target[row * outputs + output] =
              dot(layer.weights.base + output * channels, base + row * channels, count: channels)
              + layer.bias.base[output]
          }
        }
      }
    }
  }
}
