public import Tensors

extension ResNet {
  /// The prefix that wrappers such as `DataParallel` put before every name: `module.`, `backbone.`…
  ///
  /// It is whatever stands before both a four-dimensional `conv1.weight` and a `layer1.0.conv1.weight`; empty
  /// when the names are bare, nil when no ResNet's names are there. The first such prefix in the file's order counts.
  public static func namePrefix(of stateDict: StateDict) -> String? {
    let stem = "conv1.weight"
    for entry in stateDict.entries where entry.name.hasSuffix(stem) && entry.tensor.shape.count == 4 {
      let prefix = String(entry.name.dropLast(stem.count))
      if stateDict[prefix + "layer1.0.conv1.weight"] != nil { return prefix }
    }
    return nil
  }

  /// The tensors whose names begin with a prefix, without it.
  public static func stripping(_ prefix: String, from stateDict: StateDict) throws(TensorError) -> StateDict {
    if prefix.isEmpty { return stateDict }
    return try stateDict.renamed { $0.hasPrefix(prefix) ? String($0.dropFirst(prefix.count)) : nil }
  }
}
