/// Copies the stages that the caller asked for, whole or band by band, and reports them in the graph's order.
final class StageCollector<Scalar: ReferenceScalar> {
  private let workspace: Workspace<Scalar>
  private var pending: [(name: String, value: Int)]
  /// The elements of values with missing bands, N×C×H×W.
  private var parts: [Int: [Scalar]] = [:]
  private var complete: [Int: Activation<Scalar>] = [:]
  private let receive: (String, Activation<Scalar>) -> Void

  init(
    _ stages: [(name: String, value: Int)], _ workspace: Workspace<Scalar>,
    _ receive: @escaping (String, Activation<Scalar>) -> Void
  ) {
    self.workspace = workspace
    pending = stages
    self.receive = receive
  }

  /// Copies columns of a value that have just been computed.
  func take(_ value: Int, _ columns: Range<Int>) {
    guard pending.contains(where: { $0.value == value }), let shape = workspace.shapes[value] else { return }
    if workspace.isWhole(value) {
      guard columns.upperBound == shape.columns else { return }
      complete[value] = workspace.activation(value)
    } else {
      // Removed from the dictionary while it is written, to avoid a copy-on-write copy.
      var numbers = parts.removeValue(forKey: value) ?? [Scalar](repeating: 0, count: shape.count)
      unsafe numbers.withUnsafeMutableBufferPointer { target in
        guard let base = target.baseAddress else { return }
        unsafe workspace.copy(value, columns, to: base)
      }
      if columns.upperBound < shape.columns { return parts[value] = numbers }
      complete[value] = Activation(shape, numbers)
    }
    while let first = pending.first, let activation = complete[first.value] {
      pending.removeFirst()
      if !pending.contains(where: { $0.value == first.value }) { complete[first.value] = nil }
      receive(first.name, activation)
    }
  }
}
