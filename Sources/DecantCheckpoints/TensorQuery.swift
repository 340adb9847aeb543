package import DecantBytes
internal import DecantIO
package import DecantTensors

/// A choice of tensors by name, and the form to read them in.
package struct TensorQuery: Sendable {
  /// Patterns such as `layer4.*`, one of which a name must match; empty for any name.
  package var only: [String]
  /// Patterns of names to leave out.
  package var except: [String]
  /// True to read quantised tensors as the float32 numbers they represent.
  package var dequantizes: Bool
  /// True to read sparse tensors in full, zeros included.
  package var makesDense: Bool
  /// True to read the weights that PyTorch computes from several tensors instead of these.
  package var resolves: Bool

  /// Creates a query; by default every tensor as it is stored.
  package init(
    only: [String] = [], except: [String] = [], dequantize: Bool = false, makesDense: Bool = false,
    resolves: Bool = false
  ) {
    (self.only, self.except, dequantizes, self.makesDense) = (only, except, dequantize, makesDense)
    self.resolves = resolves
  }

  /// True when the query may leave tensors out.
  package var isPartial: Bool { !only.isEmpty || !except.isEmpty }

  /// Returns true when the patterns select a tensor, given its names relative to the selected key.
  ///
  /// A part of a sharded tensor has two names, its own and its owner's. It is selected by either of them.
  package func selects(_ names: String...) -> Bool {
    func matches(_ globs: [String]) -> Bool {
      globs.contains { glob in names.contains { $0.matches(glob: glob) } }
    }
    return (only.isEmpty || matches(only)) && !matches(except)
  }

  /// Returns a tensor in the form that the query asks for.
  ///
  /// - Throws: ``DecantError`` for a quantised tensor whose scales cannot be read.
  package func form(of entry: CheckpointTensor, in checkpoint: Checkpoint) throws(DecantError) -> Tensor {
    let tensor = entry.tensor
    do {
      if makesDense, tensor.layout != .strided {
        return try Tensor(dtype: tensor.dtype, shape: tensor.shape, storage: tensor.storage)
      }
      return try tensor.quantization == nil || !dequantizes ? tensor : tensor.dequantized()
    } catch {
      throw DecantError(reading: error).located(file: checkpoint.path, tensor: entry.name)
    }
  }
}

extension Selection {
  /// Returns the tensors without wrapper subclasses that have no data of their own, only tensors below them.
  ///
  /// - Returns: the other tensors; and each wrapper with the number of tensors with data below it. O(tensors).
  package func withoutWrappers() -> (
    selection: Selection, wrappers: [(entry: CheckpointTensor, partCount: Int)]
  ) {
    let empty = tensors.filter { $0.subclass != nil && $0.tensor.storage.content == nil }
    guard !empty.isEmpty else { return (self, []) }
    var partCounts: [[PathKey]: Int] = [:]
    for entry in tensors where entry.tensor.storage.content != nil {
      for (index, step) in entry.path.enumerated() where step == .text("__dict__") {
        partCounts[Array(entry.path[..<index]), default: 0] += 1
      }
    }
    let wrappers = empty.compactMap { entry in partCounts[entry.path].map { (entry: entry, partCount: $0) } }
    let paths = Set(wrappers.map(\.entry.path))
    return (
      Selection(path: path, tensors: tensors.filter { !paths.contains($0.path) }, unread: unread), wrappers
    )
  }
}
