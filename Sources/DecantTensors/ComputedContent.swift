package import DecantBytes

/// The content of a storage whose elements are computed from other tensors when they are read.
package protocol ComputedContent: StorageContent {
  /// The tensors that the elements are computed from.
  var sources: [Tensor] { get }
}

extension Tensor {
  /// The tensors whose bytes in the file decide this one's elements: the tensor itself and its parts, or the tensors
  /// that it is computed from.
  package var sources: [Tensor] {
    if let content = storage.content as? any ComputedContent {
      return content.sources.flatMap { [$0] + $0.parts.map(\.tensor) }
    }
    return [self] + parts.map(\.tensor)
  }
}
