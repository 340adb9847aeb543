/// A thread that runs closures one after the other, for as long as the process lives.
///
/// It is shared: a thread of its own for each output would keep freed memory in an allocator's arena of its own.
package final class BackgroundThread: Sendable {
  /// The only one. Its thread starts with the first closure.
  package static let shared = BackgroundThread()

  private struct State {
    var thread: WorkerThread?
    var jobs: [@Sendable () -> Void] = []
  }

  private let state = Monitor(State())

  /// Appends a closure; false when the system cannot start the thread.
  package func run(_ job: @escaping @Sendable () -> Void) -> Bool {
    state.withLock { state in
      if state.thread == nil { state.thread = WorkerThread { self.work() } }
      guard state.thread != nil else { return false }
      state.jobs.append(job)
      return true
    }
  }

  private func work() -> Never {
    while true {
      let job = state.wait { $0.jobs.isEmpty ? nil : $0.jobs.removeFirst() }
      job()
    }
  }
}
