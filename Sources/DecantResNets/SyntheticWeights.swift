public import DecantBytes
package import DecantGraphs
public import DecantTensors

/// Seeded weights for any graph: not trained, but with activations of order one in every stage.
///
/// The bits are those of `fixtures/synthesis.py`. Its constants were calibrated with PyTorch over networks of 18 to 152
/// layers.
package enum SyntheticWeights {
  /// A distribution of values: `centre + unit × spread`, rounded to float32 after each operation.
  struct Rule: Equatable, Sendable {
    var centre: Float = 0
    var spread: Float

    static let normalizationScale = Rule(centre: 1, spread: 0.25)
    static let normalizationBias = Rule(spread: 0.25)
    /// The scale of the last norm of a branch: small, so that the sum of many branches stays of order one.
    static let lastScale = Rule(centre: 0.1875, spread: 0.0625)
    /// The bias of the last norm of a branch: mostly negative, so that the ReLU after the sum does not let it drift
    /// upwards.
    static let lastBias = Rule(centre: -0.125, spread: 0.25)
    static let runningMean = Rule(spread: 0.25)
    static let runningVariance = Rule(centre: 1, spread: 0.5)
    static let linearBias = Rule(spread: 0.25)

    /// Creates the distribution of uniform weights whose variance is `gain / 3` divided by the fan-in.
    init(gain: Double, fanIn: Int) {
      centre = 0
      spread = Float((gain / Double(fanIn)).squareRoot())
    }

    init(centre: Float = 0, spread: Float) {
      self.centre = centre
      self.spread = spread
    }
  }

  static let batchCounter: Int64 = 1000

  /// Returns every parameter and buffer of a graph, in the graph's order, each in its own storage. O(parameters).
  ///
  /// Values are computed when they are read, so none are held in memory.
  ///
  /// - Throws: ``DecantError`` when the graph names a parameter twice or a parameter does not fit the address space.
  package static func stateDict(_ graph: Graph, seed: UInt64) throws(DecantError) -> StateDict {
    let parameters = graph.parameters
    let names = Set(parameters.map(\.name))
    var entries: [StateDict.Entry] = []
    for (index, parameter) in parameters.enumerated() {
      let rule = rule(parameter, names: names)
      let dtype: DType = rule == nil ? .int64 : .float32
      guard let byteCount = checkedProduct(parameter.shape + [dtype.byteCount]) else {
        throw DecantError(
          .invalidArgument, "\(parameter.name) of shape \(parameter.shape) is too large")
      }
      let content: any StorageContent
      if let rule {
        let hash = CounterHash(seed: seed, name: parameter.name)
        content = HashedContent(byteCount: byteCount, hash: hash, rule: rule)
      } else {
        content = unsafe withUnsafeBytes(of: batchCounter.littleEndian) { unsafe BytesInMemory($0) }
      }
      let storage = Storage(key: String(index), byteCount: byteCount, content: content)
      let tensor = try Tensor(dtype: dtype, shape: parameter.shape, storage: storage)
      entries.append(StateDict.Entry(name: parameter.name, tensor: tensor))
    }
    return try StateDict(entries)
  }

  /// Returns the distribution of a parameter's values; nil for the batch counter.
  private static func rule(_ parameter: Parameter, names: Set<String>) -> Rule? {
    switch parameter.role {
    case .convolutionWeight, .squeezeWeight, .excitationWeight:
      Rule(gain: 6, fanIn: parameter.shape.dropFirst().reduce(1, &*))
    case .linearWeight: Rule(gain: 3, fanIn: parameter.shape.dropFirst().reduce(1, &*))
    case .queryWeight, .keyWeight, .valueWeight:
      Rule(gain: 3, fanIn: parameter.shape.dropFirst().reduce(1, &*))
    case .linearBias, .squeezeBias, .excitationBias, .channelConvolutionWeight, .convolutionBias, .positions,
      .queryBias, .keyBias, .valueBias:
      .linearBias
    case .opaque: .normalizationScale
    case .normalizationScale: isLastOfBranch(parameter.name, names) ? .lastScale : .normalizationScale
    case .normalizationBias: isLastOfBranch(parameter.name, names) ? .lastBias : .normalizationBias
    case .runningMean: .runningMean
    case .runningVariance: .runningVariance
    case .batchCounter: nil
    }
  }

  /// Returns true for a parameter of the norm before a block's addition: `bn3`, or `bn2` in blocks without `bn3`.
  private static func isLastOfBranch(_ name: String, _ names: Set<String>) -> Bool {
    let path = name.split(separator: ".", omittingEmptySubsequences: false)
    guard path.count > 2 else { return false }
    let block = path.dropLast(2).joined(separator: ".")
    switch path[path.count - 2] {
    case "bn3": return true
    case "bn2": return !names.contains(block + ".bn3.weight")
    default: return false
    }
  }
}

/// The float32 values of one parameter, little-endian, computed when they are read.
private struct HashedContent: StorageContent {
  let byteCount: Int
  let hash: CounterHash
  let rule: SyntheticWeights.Rule

  func read(into buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws {
    let count = buffer.count
    try requireInside(offset, count)
    // A read may begin and end inside an element. The whole elements between are stored four bytes at a time.
    let head = min((4 - offset % 4) % 4, count)
    for place in 0..<head { unsafe buffer[place] = byte(at: offset + place) }
    let whole = (count - head) / 4
    let first = UInt64((offset + head) / 4)
    for step in 0..<whole {
      let pattern = value(first + UInt64(step)).bitPattern.littleEndian
      unsafe buffer.storeBytes(of: pattern, toByteOffset: head + step * 4, as: UInt32.self)
    }
    for place in head + whole * 4..<count { unsafe buffer[place] = byte(at: offset + place) }
  }

  func mappedBytes() -> UnsafeRawBufferPointer? { nil }

  @inline(__always)
  private func value(_ index: UInt64) -> Float { rule.centre + hash.unit(index) * rule.spread }

  private func byte(at offset: Int) -> UInt8 {
    UInt8(truncatingIfNeeded: value(UInt64(offset / 4)).bitPattern >> UInt32(offset % 4 * 8))
  }
}

extension ResNetArchitecture {
  /// Returns seeded weights for this network, for tests and demos: not trained, with activations of order one.
  ///
  /// The same seed gives the same bits everywhere. Values are computed when they are read. O(parameters).
  ///
  /// - Throws: ``DecantError`` when the network cannot be built.
  public func syntheticWeights(seed: UInt64 = 7) throws(DecantError) -> StateDict {
    try SyntheticWeights.stateDict(try configuration.graph(), seed: seed)
  }
}
