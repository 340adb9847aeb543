internal import Dispatch
internal import Synchronization

/// Calls `body` for every index below `count` on several threads, and returns the results in order.
///
/// Indices are handed out in order, so of several failures the one of the least index is thrown, whatever the threads do.
package func parallelMap<Result: Sendable>(
  _ count: Int, threads: Int, _ body: @escaping @Sendable (Int) throws -> Result
) throws -> [Result] {
  let workers = min(threads, count)
  guard workers > 1 else { return try (0..<max(count, 0)).map(body) }
  let state = Mutex(ParallelState<Result>(count))
  let group = DispatchGroup()
  let queue = DispatchQueue(label: "decant.map", attributes: .concurrent)
  let shared = ParallelShared(state)
  for _ in 0..<workers { queue.async(group: group) { shared.work(body) } }
  group.wait()
  return try shared.results()
}

/// What the threads of one map share.
private final class ParallelShared<Result: Sendable>: Sendable {
  private let state: Mutex<ParallelState<Result>>

  package init(_ state: consuming sending Mutex<ParallelState<Result>>) { self.state = state }

  package func work(_ body: (Int) throws -> Result) {
    while let index = state.withLock({ $0.take() }) {
      let outcome = Swift.Result { try body(index) }
      state.withLock { $0.put(outcome, index) }
    }
  }

  package func results() throws -> [Result] {
    try state.withLock { state in
      if let failure = state.failure { throw failure.error }
      return state.results.compactMap { $0 }
    }
  }
}

private struct ParallelState<Result: Sendable> {
  private var next = 0
  package private(set) var results: [Result?]
  package private(set) var failure: (index: Int, error: any Error)?

  package init(_ count: Int) { results = [Result?](repeating: nil, count: count) }

  /// The next index nobody has; nil at the end, and after a failure.
  package mutating func take() -> Int? {
    guard failure == nil, next < results.count else { return nil }
    next += 1
    return next - 1
  }

  package mutating func put(_ outcome: Swift.Result<Result, any Error>, _ index: Int) {
    switch outcome {
    case .success(let result): results[index] = result
    case .failure(let error):
      if failure.map({ index < $0.index }) ?? true { failure = (index, error) }
    }
  }
}
