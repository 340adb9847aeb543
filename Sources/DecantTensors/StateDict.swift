public import DecantBytes

/// Named tensors in the file's order. Names are unique.
///
///     for (name, tensor) in weights { print(name, tensor.dtype, tensor.shape) }
///     let bias = weights["fc.bias"]
///
/// Tensors are views: their elements stay in the file until they are read.
public struct StateDict: Sendable {
  /// A name and its tensor.
  package struct Entry: Sendable {
    package let name: String
    package let tensor: Tensor
    /// Creates an entry.
    package init(name: String, tensor: Tensor) {
      self.name = name
      self.tensor = tensor
    }
  }

  package let entries: [Entry]
  private let places: [ExactText: Int]
  /// The checkpoint that the tensors were read from; nil for a state dict created in memory.
  package private(set) var source: (any StateDictSource)?

  /// Creates a state dict of entries, in order.
  ///
  /// - Throws: ``DecantError`` with the first duplicate name. O(count).
  package init(_ entries: [Entry]) throws(DecantError) {
    var places: [ExactText: Int] = [:]
    places.reserveCapacity(entries.count)
    for (place, entry) in entries.enumerated() {
      if places.updateValue(place, forKey: ExactText(entry.name)) != nil {
        throw DecantError(
          .duplicateName, "two tensors have the name \(entry.name.escapedForDisplay)")
      }
    }
    self.entries = entries
    self.places = places
  }

  /// Creates a state dict of named tensors, in order, for writing or for a network.
  ///
  /// - Throws: ``DecantError`` with the code `duplicateName` when a name occurs twice. O(count).
  public init(_ tensors: some Sequence<(name: String, tensor: Tensor)>) throws(DecantError) {
    try self.init(tensors.map { Entry(name: $0.name, tensor: $0.tensor) })
  }

  /// Returns the tensor with this name, or nil. O(1).
  public subscript(name: String) -> Tensor? { places[ExactText(name)].map { entries[$0].tensor } }

  /// The names, in order. O(count).
  public var names: [String] { entries.map(\.name) }

  /// Returns the same tensors under other names, without those whose new name is nil.
  ///
  /// The result no longer belongs to a file, so writing it keeps only tensors, no metadata.
  ///
  /// - Throws: ``DecantError`` with the code `duplicateName` when two new names are equal. O(count).
  public func renamed(_ rename: (String) -> String?) throws(DecantError) -> StateDict {
    try StateDict(
      entries.compactMap { entry in rename(entry.name).map { Entry(name: $0, tensor: entry.tensor) } })
  }

  /// Returns the same state dict with another source.
  package func belonging(to source: any StateDictSource) -> StateDict {
    var result = self
    result.source = source
    return result
  }
}

extension StateDict: RandomAccessCollection {
  /// 0.
  public var startIndex: Int { 0 }
  /// The number of tensors.
  public var endIndex: Int { entries.count }
  /// Returns the name and the tensor at a position in the file's order. O(1).
  public subscript(position: Int) -> (name: String, tensor: Tensor) {
    (name: entries[position].name, tensor: entries[position].tensor)
  }
}

/// The checkpoint that a state dict was read from. Only the modules that read and write checkpoints know its
/// type.
package protocol StateDictSource: Sendable {}
