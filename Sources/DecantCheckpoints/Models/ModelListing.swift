internal import DecantBytes
internal import DecantTensors

/// The tensors and values of a model in protocol buffers. Their number and their paths are limited.
struct ModelListing {
  private(set) var contents = CheckpointContents()
  /// The model's path in messages.
  let path: String
  private var budget: ListingBudget
  private var paths: Set<[PathKey]> = []

  init(path: String, limits: Limits) {
    self.path = path
    budget = ListingBudget(limits, values: .max)
  }

  /// Adds a tensor.
  ///
  /// - Throws: ``DecantError`` when another one has the same path, or there are too many.
  mutating func add(_ tensor: Tensor, at path: [PathKey], stateDict: [PathKey]?, purpose: Purpose? = nil)
    throws(DecantError)
  {
    try reserve(path)
    contents.tensors.append(
      CheckpointTensor(path: path, tensor: tensor, stateDict: stateDict, purpose: purpose))
  }

  /// Adds a tensor of a type that is not read.
  ///
  /// - Parameter kind: why it is not read, after the type.
  mutating func add(
    unread type: String, _ kind: String, shape: [Int], byteCount: Int?, at path: [PathKey],
    stateDict: [PathKey]?
  ) throws(DecantError) {
    try reserve(path)
    contents.objects.append(
      CheckpointObject(
        path: path, type: type, value: nil, count: nil, unreadTensor: kind, stateDict: stateDict,
        shape: shape,
        byteCount: byteCount))
  }

  /// Adds a value that is not a tensor. Values may share a path.
  mutating func add(_ value: JSONValue?, type: String, at path: [PathKey]) throws(DecantError) {
    try admit(path)
    contents.objects.append(CheckpointObject(path: path, type: type, value: value, count: nil))
  }

  /// Adds how often each operator occurs, in the order of the first occurrences.
  mutating func add(operators: OperatorCounts) throws(DecantError) {
    for (type, count) in operators.counts {
      try add(.exact(Int64(count)), type: "int", at: [.text("operators"), .text(type)])
    }
  }

  /// Counts a path before it is kept.
  ///
  /// - Throws: ``DecantError`` when there are too many paths, or they are too long.
  mutating func admit(_ path: [PathKey]) throws(DecantError) {
    let textBytes = path.reduce(0) { $0 + $1.textByteCount }
    if !budget.admit(visits: 1) || !budget.admit(steps: path.count, textBytes: textBytes),
      let refusal = budget.refusal
    {
      throw refusal.located(file: self.path)
    }
  }

  private mutating func reserve(_ path: [PathKey]) throws(DecantError) {
    try admit(path)
    guard paths.insert(path).inserted else {
      throw DecantError(
        .deceptive, "two tensors have this name, and readers disagree on which one counts", file: self.path,
        tensor: path.joinedName, remedy: "Do not trust the file: it may be malicious.")
    }
  }
}

/// The number of times that each operator occurs.
struct OperatorCounts {
  private(set) var counts: [(type: String, count: Int)] = []
  private var places: [ExactText: Int] = [:]

  /// Counts an operator. Types beyond the first thousand are counted together.
  mutating func add(_ type: String) {
    var type = type
    if counts.count >= 1000, places[ExactText(type)] == nil { type = "others" }
    if let place = places[ExactText(type)] {
      counts[place].count += 1
    } else {
      places[ExactText(type)] = counts.count
      counts.append((type, 1))
    }
  }
}
