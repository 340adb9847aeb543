internal import DecantBytes
package import DecantTensors

/// A verdict on the differences of two files in one line: a rounding, a drift, unrelated weights.
package struct DiffVerdict: Sendable {
  /// The kind of the differences.
  package enum Kind: Sendable, Equatable {
    /// The values are equal; only dtypes differ.
    case equalValues
    /// The values of one file are the other's, rounded once to a coarser dtype.
    case rounding(DType)
    /// The weights are nearly the same: computed in another way, averaged or trained on.
    case drift
    /// The weights are similar.
    case related
    /// The weights have nothing in common.
    case unrelated
  }

  package let kind: Kind
  package let maxAbsolute: Double
  package let maxRelative: Double
  /// The mean of the cosine similarities of the weights that differ; nil when none is defined.
  ///
  /// Only tensors of two axes or more count, if there are any: scales and variances are positive numbers, which are
  /// similar in all networks.
  package let meanCosine: Double?

  /// The least mean cosine similarity of weights that are nearly the same, and of those that are similar.
  ///
  /// Independent random weights of n elements have a similarity of about 1/√n.
  private static let leastCosineOfDrift = 0.9
  private static let leastCosineOfRelated = 0.1

  /// Creates the verdict on tensors that differ; nil when they tell nothing: none of them could be measured, one side is
  /// all zeros, or only scales and biases differ, by much.
  package init?(_ changed: [DiffResult.Compared]) {
    let all = changed.compactMap { pair in pair.difference.map { (pair: pair, difference: $0) } }
    guard !all.isEmpty else { return nil }
    // A counter of batches that differs says nothing about the weights beside it.
    let floats = all.filter { $0.pair.left.tensor.dtype.kind == .floatingPoint }
    let measured = floats.isEmpty ? all : floats
    maxAbsolute = measured.map(\.difference.maxAbsolute).max() ?? 0
    maxRelative = measured.map(\.difference.maxRelative).max() ?? 0
    func cosines(_ pairs: [(pair: DiffResult.Compared, difference: TensorDifference)]) -> [Double] {
      pairs.compactMap(\.difference.cosine)
    }
    let ofWeights = cosines(measured.filter { $0.pair.left.tensor.shape.count { $0 > 1 } > 1 })
    let counted = ofWeights.isEmpty ? cosines(measured) : ofWeights
    let mean = counted.isEmpty ? nil : counted.reduce(0, +) / Double(counted.count)
    meanCosine = mean
    let coarser = Set(
      measured.map { DType.coarser($0.pair.left.tensor.dtype, $0.pair.right.tensor.dtype) })
    if measured.allSatisfy({ $0.difference.differingCount == 0 }) {
      kind = .equalValues
    } else if coarser.count == 1, let dtype = coarser.first, measured.allSatisfy(\.difference.isRoundedCopy) {
      kind = .rounding(dtype)
    } else {
      guard let mean, mean >= Self.leastCosineOfDrift || !ofWeights.isEmpty else { return nil }
      kind =
        mean >= Self.leastCosineOfDrift ? .drift : mean >= Self.leastCosineOfRelated ? .related : .unrelated
    }
  }
}

extension DiffVerdict {
  /// The verdict as text, such as "mean cosine 0.000: unrelated weights".
  package var text: String {
    let decimals = kind == .drift ? 9 : 3
    let cosine = meanCosine.map { ["mean cosine " + Format.fixed($0, decimals)] } ?? []
    switch kind {
    case .equalValues: return "equal values in another dtype"
    case .rounding(let dtype): return "exact \(dtype.rawValue) rounding"
    case .drift:
      let measures = [
        "max abs " + Format.scientific(maxAbsolute), "max rel " + Format.scientific(maxRelative),
      ]
      return "drift, " + (measures + cosine).joined(separator: ", ")
    case .related: return (cosine + ["related weights"]).joined(separator: ": ")
    case .unrelated: return (cosine + ["unrelated weights"]).joined(separator: ": ")
    }
  }
}
