internal import ByteParsing
internal import Tensors

/// Gathers the tensors that a format cannot hold, each with its reason, to refuse them all at once.
struct UnwritableTensors {
  private var reasons: [(reason: String, tensors: [PlannedTensor])] = []

  /// Notes tensors for one reason: a clause about them, such as `of a type that GGUF lacks`.
  mutating func add(_ reason: String, _ tensors: [PlannedTensor]) {
    if !tensors.isEmpty { reasons.append((reason, tensors)) }
  }

  /// - Throws: ``DecantError`` that names every tensor that was noted.
  func refuse(remedy: String) throws(DecantError) {
    guard !reasons.isEmpty else { return }
    let list = reasons.map { reason, tensors in
      let names = tensors.map { "\($0.name.escapedForDisplay) (\($0.dtype.rawValue))" }.joined(
        separator: ", ")
      return "\(reason) \(tensors.count == 1 ? "this tensor" : "these \(tensors.count) tensors"): \(names)"
    }
    throw DecantError(.unclassified, list.joined(separator: "; "), remedy: remedy + " Nothing was written.")
  }
}
