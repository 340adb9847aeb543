internal import DecantBytes
internal import DecantTensors

/// Gathers the tensors that a format cannot hold, each with its reason, to refuse them all at once.
struct UnwritableTensors {
  private var reasons: [(reason: String, tensors: [PlannedTensor])] = []

  /// Notes tensors for one reason: a clause about them, such as `of a type that GGUF lacks`.
  mutating func add(_ reason: String, _ tensors: [PlannedTensor]) {
    if !tensors.isEmpty { reasons.append((reason, tensors)) }
  }

  /// - Throws: ``DecantError`` that names every tensor that was noted.
  func refuse(_ advice: DecantError.Advice) throws(DecantError) {
    guard !reasons.isEmpty else { return }
    let list = reasons.map { reason, tensors in
      let names = tensors.map { "\($0.name.escapedForDisplay) (\($0.dtype.rawValue))" }.joined(
        separator: ", ")
      return "\(reason) \(tensors.count == 1 ? "this tensor" : "these \(tensors.count) tensors"): \(names)"
    }
    throw DecantError(.notRepresentable, list.joined(separator: "; "), advice: advice)
  }

  /// Returns what to do about tensors of types that a format lacks: only floating-point ones can be cast.
  static func advice(onTypesOf tensors: [PlannedTensor]) -> DecantError.Advice {
    !tensors.isEmpty && tensors.allSatisfy { $0.dtype.kind == .floatingPoint } ? .cast : .chooseTensors
  }
}
