internal import DecantBytes
internal import DecantCheckpoints
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A list of the tensors that a format cannot hold, with reasons, to report them all in one error.
struct RefusedTensors {
  private let all: [PlannedTensor]
  private var reasons: [(reason: String, tensors: [PlannedTensor])] = []
  /// The tensors to leave out, by their index in `all`.
  private var excepted: Set<Int> = []
  private var fit = DecantError.FormatFit()
  /// True when no change of names is known to help.
  private var isUnnamable = false

  /// - Parameter tensors: All tensors that are to be written.
  init(among tensors: [PlannedTensor]) { all = tensors }

  /// Refuses tensors of dtypes that the format lacks. Those that can be cast to float32 need not be left out.
  mutating func refuse(dtypesOf indices: [Int], _ reason: String) {
    add(reason, indices)
    for index in indices {
      let tensor = all[index].tensor
      if tensor.dtype == .float32 || tensor.isCast(to: .float32) {
        fit.isCast = true
      } else {
        excepted.insert(index)
      }
    }
  }

  /// Refuses tensors that no option makes fit.
  mutating func refuse(_ indices: [Int], _ reason: String) {
    add(reason, indices)
    excepted.formUnion(indices)
  }

  /// Refuses tensors by their names.
  ///
  /// - Parameters:
  ///   - isValid: returns true for a name that the format can hold.
  ///   - substitutions: substitutions in names, in sed's form, that may help.
  mutating func refuse(
    namesOf indices: [Int], _ reason: String, isValid: (String) -> Bool, substitutions: [String]
  ) {
    add(reason, indices)
    let others = all.indices.filter { !excepted.contains($0) }
    guard !isUnnamable, indices.contains(where: { !excepted.contains($0) }) else { return }
    var names = others.map { all[$0].name }
    for expression in fit.rename + substitutions where !names.allSatisfy(isValid) {
      guard let substitution = try? NameSubstitution(expression) else { continue }
      let renamed = substitution.applied(to: names)
      if renamed != names, !fit.rename.contains(expression) { fit.rename.append(expression) }
      names = renamed
    }
    isUnnamable = !names.allSatisfy(isValid) || Set(names.map(ExactText.init)).count < names.count
  }

  private mutating func add(_ reason: String, _ indices: [Int]) {
    if !indices.isEmpty { reasons.append((reason, indices.map { all[$0] })) }
  }

  /// - Parameter advice: The remedy; by default the changes after which all tensors can be written.
  /// - Throws: ``DecantError`` that names every tensor that was refused.
  func finish(_ advice: DecantError.Advice? = nil) throws(DecantError) {
    guard !reasons.isEmpty else { return }
    let list = reasons.map { reason, tensors in
      let names = tensors.map { "\($0.name.escapedForDisplay) (\($0.dtype.rawValue))" }.joined(
        separator: ", ")
      return
        "\(reason) \(tensors.count == 1 ? "this tensor" : "these \(Format.count(tensors.count, "tensor"))"): \(names)"
    }
    var fit = fit
    let kept = all.indices.filter { !excepted.contains($0) }
    if kept.isEmpty || isUnnamable {
      fit = DecantError.FormatFit()
    } else {
      fit.except = all.indices.filter(excepted.contains).map { all[$0].source }
        .globs(sparing: kept.map { all[$0].source })
    }
    fit.instead =
      all.allSatisfy { SafetensorsDType($0.dtype) != nil && $0.name != "__metadata__" }
      ? ".safetensors" : ".pth"
    throw DecantError(.notRepresentable, list.joined(separator: "; "), advice: advice ?? .fitFormat(fit))
  }
}

extension [PlannedTensor] {
  /// Returns the indices of the tensors that satisfy a condition.
  func indices(where condition: (PlannedTensor) -> Bool) -> [Int] { indices.filter { condition(self[$0]) } }
}
