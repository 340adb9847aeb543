internal import DecantBytes
internal import DecantTensors

/// A list of the tensors that a format cannot hold, with reasons, to report them all in one error.
struct RefusedTensors {
  private var reasons: [(reason: String, tensors: [PlannedTensor])] = []

  /// Adds tensors with one reason: a clause about them, such as `of a type that GGUF lacks`.
  mutating func add(_ reason: String, _ tensors: [PlannedTensor]) {
    if !tensors.isEmpty { reasons.append((reason, tensors)) }
  }

  /// - Throws: ``DecantError`` that names every tensor that was added.
  func refuse(_ advice: DecantError.Advice) throws(DecantError) {
    guard !reasons.isEmpty else { return }
    let list = reasons.map { reason, tensors in
      let names = tensors.map { "\($0.name.escapedForDisplay) (\($0.dtype.rawValue))" }.joined(
        separator: ", ")
      return "\(reason) \(tensors.count == 1 ? "this tensor" : "these \(tensors.count) tensors"): \(names)"
    }
    throw DecantError(.notRepresentable, list.joined(separator: "; "), advice: advice)
  }

  /// Returns the advice for tensors of dtypes that a format lacks: only floating-point ones can be cast.
  static func advice(onTypesOf tensors: [PlannedTensor]) -> DecantError.Advice {
    !tensors.isEmpty && tensors.allSatisfy { $0.dtype.kind == .floatingPoint } ? .cast : .chooseTensors
  }
}
