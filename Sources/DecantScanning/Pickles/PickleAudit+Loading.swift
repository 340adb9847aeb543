internal import DecantBytes
internal import DecantPickle

/// Checks of what loading costs: values that take years or terabytes to make.
extension PickleAudit {
  /// The number of elements, steps or bytes that no checkpoint asks for.
  private static let most = 1 << 20

  /// Judges what the stream itself costs.
  func judgeLoading() {
    if graph.greatestMemoIndex > graph.byteCount + Self.most {
      report(
        .unknown, .exhaustsLoader, 0,
        "the memo has an index of \(graph.greatestMemoIndex), for which CPython allocates \(Format.count(graph.greatestMemoIndex.multipliedReportingOverflow(by: 16).partialValue, "byte"))"
      )
    }
    if graph.mostDigits > 0 {
      report(
        .unknown, .exhaustsLoader, 0,
        "an integer of \(graph.mostDigits) decimal digits, which old versions of CPython take quadratic time to convert"
      )
    }
    for case .longInteger(let bytes) in graph.nodes where bytes.count > Self.most {
      report(.unknown, .exhaustsLoader, 0, "an integer of \(Format.count(bytes.count, "byte"))")
    }
    let keys = HashCost.total(of: graph)
    if keys.steps > 1e8 {
      report(
        .unknown, .exhaustsLoader, 0,
        "keys are tuples that share each other: hashing them takes \(keys.steps < 1e18 ? "some \(Int(keys.steps))" : "more than 10^18") steps"
      )
    }
    let equal = EqualHashes.largestGroup(in: graph)
    if equal > 0 {
      report(
        .unknown, .exhaustsLoader, 0,
        "\(Format.count(equal)) keys of one container have the same hash, so Python compares each with all others"
      )
    }
    if keys.depth > 10_000 {
      report(
        .unknown, .exhaustsLoader, 0,
        "a key is a tuple nested \(keys.depth) deep, and hashing it overflows CPython's stack")
    }
  }

  /// Judges what a call of a known name makes of its arguments.
  func judgeCost(of object: PickleObject, calling global: PickleGlobal, _ arguments: [PickleValue]) {
    let reason: String?
    switch global.name {
    case "bytes", "bytearray":
      let isCount = if case .int(let count)? = arguments.first { count > Self.most } else { false }
      reason =
        isCount || arguments.contains { isLarge($0) } ? "a few bytes request any amount of memory" : nil
    case "str", "unicode", "str_", "bytes_":
      reason = arguments.contains { isContainer($0) } ? "it spells a container, however large" : nil
    case "int", "long":
      reason = arguments.contains { isLongText($0) } ? "it converts thousands of digits" : nil
    case "range", "xrange", "slice", "encode": reason = nil
    case "_reconstruct":
      let shape = arguments.count > 1 ? graph.tuple(arguments[1]) ?? [] : []
      reason = product(shape) > Self.most ? "its shape requests any amount of memory" : nil
    case "_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3": reason = reach(arguments)
    case _ where global.name.hasSuffix("Tensor"):
      reason = product(arguments) > Self.most ? "a few bytes request any amount of memory" : nil
    default: reason = arguments.contains { isLarge($0) } ? "a few bytes request any amount of memory" : nil
    }
    guard let reason else { return }
    report(
      .unknown, .exhaustsLoader, object.offset, "\(CallFormatter.name(global)): \(reason)",
      call: CallFormatter.call(object, in: graph))
  }

  /// Returns true for a range, and for an integer beyond 64 bits, as something to iterate over or to allocate.
  private func isLarge(_ value: PickleValue) -> Bool {
    switch graph.node(value) {
    case .longInteger: true
    case .object(let object):
      ["range", "xrange"].contains(graph.global(object.callable)?.name ?? "")
    default: false
    }
  }

  private func isContainer(_ value: PickleValue) -> Bool {
    switch graph.node(value) {
    case .list, .tuple, .dictionary, .set, .frozenSet: true
    default: false
    }
  }

  private func isLongText(_ value: PickleValue) -> Bool {
    switch graph.node(value) {
    case .text(let text): text.utf8.count > 4_300
    case .byteString(let bytes), .bytes(let bytes), .byteArray(let bytes): bytes.count > 4_300
    default: false
    }
  }

  private func product(_ sizes: [PickleValue]) -> Int {
    sizes.reduce(1) { result, size in
      switch size {
      case .int(let count): result.multipliedSaturating(by: max(Int(count), 0))
      default: if case .longInteger = graph.node(size) { .max } else { result }
      }
    }
  }

  /// Returns a reason when a tensor reaches far beyond its storage, which `set_` then enlarges.
  private func reach(_ arguments: [PickleValue]) -> String? {
    guard arguments.count >= 4, case .persistentID(let id) = graph.node(arguments[0]),
      let parts = graph.tuple(id), parts.count >= 5, case .int(let count) = parts[4],
      case .int(let offset) = arguments[1], let sizes = elements(arguments[2]),
      let strides = elements(arguments[3]), sizes.count == strides.count
    else { return nil }
    var end = Int(offset).addingSaturating(1)
    for case (.int(let size), .int(let stride)) in zip(sizes, strides) {
      if size <= 0 { return nil }
      end = end.addingSaturating((Int(size) - 1).multipliedSaturating(by: max(Int(stride), 0)))
    }
    guard end > Int(count), end > Self.most else { return nil }
    return "the tensor ends at element \(end) of a storage of \(count)"
  }

  /// Returns the elements of a tuple or of a `torch.Size`.
  private func elements(_ value: PickleValue) -> [PickleValue]? {
    if let parts = graph.tuple(value) { return parts }
    guard let object = graph.object(value), graph.global(object.callable)?.name == "Size" else { return nil }
    return graph.tuple(object.arguments)?.first.flatMap { graph.tuple($0) }
  }
}

extension Int {
  fileprivate func multipliedSaturating(by other: Int) -> Int {
    let (result, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? .max : result
  }

  fileprivate func addingSaturating(_ other: Int) -> Int {
    let (result, overflow) = addingReportingOverflow(other)
    return overflow ? .max : result
  }
}
