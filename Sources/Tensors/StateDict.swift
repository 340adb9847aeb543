package import ByteParsing

/// Named tensors in the file's order, each name once.
package struct StateDict: Sendable {
  /// One name and its tensor.
  package struct Entry: Sendable {
    package let name: String
    package let tensor: Tensor
    /// Makes an entry.
    package init(name: String, tensor: Tensor) {
      self.name = name
      self.tensor = tensor
    }
  }

  package let entries: [Entry]
  private let places: [ExactText: Int]

  /// Takes entries in order.
  ///
  /// - Throws: ``DecantError`` that names the first name that stands twice. O(count).
  package init(_ entries: [Entry]) throws(DecantError) {
    var places: [ExactText: Int] = [:]
    places.reserveCapacity(entries.count)
    for (place, entry) in entries.enumerated() {
      if places.updateValue(place, forKey: ExactText(entry.name)) != nil {
        throw DecantError(.unclassified, "two tensors share the name \(entry.name)")
      }
    }
    self.entries = entries
    self.places = places
  }

  /// The tensor of a name. O(1).
  package subscript(name: String) -> Tensor? { places[ExactText(name)].map { entries[$0].tensor } }

  /// The names in order.
  package var names: [String] { entries.map(\.name) }

  /// How many tensors there are.
  package var count: Int { entries.count }

  /// The same tensors under other names, or without those whose new name is nil.
  package func renamed(_ rename: (String) -> String?) throws(DecantError) -> StateDict {
    try StateDict(
      entries.compactMap { entry in rename(entry.name).map { Entry(name: $0, tensor: entry.tensor) } })
  }
}
