internal import Synchronization

/// Calls `body` for every index below `count` on several threads and returns the results in order.
///
/// The calling thread takes part, so the work is done even when the system cannot start another thread.
/// Indices are assigned in ascending order. Of several failures, the one with the lowest index is thrown,
/// independent of thread timing. By default at most four threads run, which is as fast as memory is read.
package func parallelMap<Result: Sendable>(
  _ count: Int, threads: Int = min(ProcessControl.processorCount, 4),
  _ body: @escaping @Sendable (Int) throws -> Result
) throws -> [Result] {
  guard min(threads, count) > 1 else { return try (0..<max(count, 0)).map(body) }
  let shared = SharedMap<Result>(count)
  runOnThreads(min(threads, count)) { shared.work(body) }
  return try shared.results()
}

/// Runs one closure on several threads at once, including the calling one, and waits for all of them.
///
/// Fewer threads run it when the system cannot start more.
func runOnThreads(_ count: Int, _ body: @escaping @Sendable () -> Void) {
  guard count > 1 else { return body() }
  let other = WorkerThread { runOnThreads(count - 1, body) }
  body()
  other?.join()
}

/// The shared state of one parallel map.
private final class SharedMap<Result: Sendable>: Sendable {
  private struct State {
    var next = 0
    var results: [Result?]
    var failure: (index: Int, error: any Error)?
  }

  private let state: Mutex<State>

  init(_ count: Int) { state = Mutex(State(results: Array(repeating: nil, count: count))) }

  func work(_ body: (Int) throws -> Result) {
    while let index = nextIndex() {
      let outcome = Swift.Result { try body(index) }
      state.withLock { state in
        switch outcome {
        case .success(let result): state.results[index] = result
        case .failure(let error):
          if index < state.failure?.index ?? .max { state.failure = (index, error) }
        }
      }
    }
  }

  /// Returns the next unassigned index; nil at the end and after a failure.
  private func nextIndex() -> Int? {
    state.withLock { state in
      guard state.failure == nil, state.next < state.results.count else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  func results() throws -> [Result] {
    try state.withLock { state in
      if let failure = state.failure { throw failure.error }
      return state.results.compactMap { $0 }
    }
  }
}
