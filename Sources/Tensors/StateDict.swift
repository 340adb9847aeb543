internal import ByteParsing

/// Named tensors in the file's order, each name once.
public struct StateDict: Sendable {
  /// One name and its tensor.
  public struct Entry: Sendable {
    public let name: String
    public let tensor: Tensor
    /// Makes an entry.
    public init(name: String, tensor: Tensor) {
      self.name = name
      self.tensor = tensor
    }
  }

  public let entries: [Entry]
  private let places: [ExactText: Int]

  /// Takes entries in order.
  ///
  /// - Throws: ``TensorError`` that names the first name that stands twice. O(count).
  public init(_ entries: [Entry]) throws(TensorError) {
    var places: [ExactText: Int] = [:]
    places.reserveCapacity(entries.count)
    for (place, entry) in entries.enumerated() {
      if places.updateValue(place, forKey: ExactText(entry.name)) != nil {
        throw TensorError("two tensors share the name \(entry.name)")
      }
    }
    self.entries = entries
    self.places = places
  }

  /// The tensor of a name. O(1).
  public subscript(name: String) -> Tensor? { places[ExactText(name)].map { entries[$0].tensor } }

  /// The names in order.
  public var names: [String] { entries.map(\.name) }

  /// How many tensors there are.
  public var count: Int { entries.count }

  /// The same tensors under other names, or without those whose new name is nil.
  public func renamed(_ rename: (String) -> String?) throws(TensorError) -> StateDict {
    try StateDict(
      entries.compactMap { entry in rename(entry.name).map { Entry(name: $0, tensor: entry.tensor) } })
  }
}
