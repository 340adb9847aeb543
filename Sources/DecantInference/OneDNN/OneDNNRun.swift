internal import COneDNN

/// One execution of a plan.
@safe struct OneDNNRun {
  let plan: OneDNNPlan
  /// At least ``OneDNNPlan/memoryByteCount`` bytes.
  let memory: UnsafeMutableRawPointer
  /// The addresses of the caller's values.
  let given: [UnsafeMutableRawPointer]

  /// Executes all instructions in order.
  ///
  /// - Parameter finished: called for each result as soon as it is complete.
  func perform(
    finished: (OneDNNPlan.Result) throws(InferenceError) -> Void = { (_) throws(InferenceError) in }
  ) throws(InferenceError) {
    var results = plan.results[...]
    for done in 0...plan.instructions.count {
      while let result = results.first, result.instructionCount == done {
        results.removeFirst()
        try finished(result)
      }
      guard done < plan.instructions.count else { break }
      let instruction = plan.instructions[done]
      switch instruction.work {
      case .zero(let place, let byteCount):
        unsafe address(place).initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
      case .execute(let operation, let operands):
        let arguments = unsafe operands.map {
          unsafe conednn_argument(what: $0.role.rawValue, layout: $0.layout.handle, memory: address($0.place))
        }
        guard unsafe operation.execute(arguments) else { throw Self.failure(instruction.name) }
      }
    }
  }

  /// Returns a copy of a value, N×C×H×W or N×C.
  func activation(_ result: OneDNNPlan.Result) throws(InferenceError) -> Activation<Float> {
    let plain = OneDNNLayout.rowMajor(result.shape.mapSizes)
    var outcome = Swift.Result<Bool, InferenceError>.success(false)
    let values = unsafe [Float](unsafeUninitializedCapacity: result.shape.count) { target, count in
      guard let base = target.baseAddress, let plain else { return }
      do throws(InferenceError) {
        outcome = .success(try unsafe result.layout.copy(address(result.place), to: base, as: plain))
      } catch { outcome = .failure(error) }
      count = result.shape.count
    }
    guard try outcome.get() else { throw Self.failure("output") }
    return try Activation(shape: result.shape.sizes, values: values)
  }

  private func address(_ place: OneDNNPlan.Place) -> UnsafeMutableRawPointer {
    switch place {
    case .given(let index, let offset): unsafe given[index] + offset
    case .memory(let offset): unsafe memory + offset
    case .constant(let buffer): unsafe UnsafeMutableRawPointer(buffer.base)
    }
  }

  static func failure(_ node: String) -> InferenceError {
    .unsupportedGraph(node: node, reason: "oneDNN failed to execute it")
  }
}
