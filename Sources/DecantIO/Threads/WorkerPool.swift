internal import Synchronization

#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// A small pool of threads that run parallel loops, one loop at a time.
///
/// A ResNet-50 is about a hundred short loops. A worker spins briefly for the next loop before it sleeps, which starts
/// a loop within a microsecond. Only one thread may call the pool at a time.
package final class WorkerPool {
  /// The number of threads, including the caller's.
  package let width: Int
  private let shared = Shared()
  private var threads: [WorkerThread] = []

  /// Starts `width - 1` threads.
  ///
  /// Nil when the system has fewer threads to give, or `width` is not between 1 and 1,024.
  package init?(width: Int) {
    guard 1...1024 ~= width else { return nil }
    self.width = width
    for worker in 1..<max(width, 1) {
      guard let thread = WorkerThread({ [shared] in shared.work(as: worker) }) else {
        stop()
        return nil
      }
      threads.append(thread)
    }
  }

  deinit { stop() }

  /// Calls `body(task, worker)` once for every task below `count`, and returns when all calls have returned.
  ///
  /// The assignment of tasks to workers is not deterministic. A result must not depend on it.
  package func forEach(_ count: Int, _ body: (_ task: Int, _ worker: Int) -> Void) {
    if threads.isEmpty || count <= 1 {
      for task in 0..<max(count, 0) { body(task, 0) }
      return
    }
    withoutActuallyEscaping(body) { shared.run(count, others: threads.count, $0) }
  }

  private func stop() {
    shared.stop()
    for thread in threads { thread.join() }
    threads = []
  }
}

/// The state that the threads of a pool share.
///
/// `body` and `count` are written only while every worker waits, and published by `generation`, hence `@unchecked
/// Sendable`.
@safe private final class Shared: @unchecked Sendable {
  private var body: ((Int, Int) -> Void)?
  private var count = 0
  private var isStopped = false
  /// The number of loops announced so far.
  private let generation = Atomic<Int>(0)
  /// The next task that no worker has taken.
  private let next = Atomic<Int>(0)
  /// The number of workers that have not finished this loop.
  private let busy = Atomic<Int>(0)
  private let sleepers = Atomic<Int>(0)
  private let wake = Monitor(())

  /// The number of polls before a worker sleeps: some 50 µs, longer than the pause between two layers.
  private static let maximumPollCount = 200

  func run(_ count: Int, others: Int, _ body: @escaping (Int, Int) -> Void) {
    self.body = body
    self.count = count
    next.store(0, ordering: .relaxed)
    busy.store(others, ordering: .relaxed)
    announce()
    takeTasks(as: 0)
    while busy.load(ordering: .acquiring) > 0 { sched_yield() }
    self.body = nil
  }

  func stop() {
    isStopped = true
    announce()
  }

  func work(as worker: Int) {
    var seen = 0
    while true {
      waitForChange(of: seen)
      seen = generation.load(ordering: .acquiring)
      if isStopped { return }
      takeTasks(as: worker)
      busy.subtract(1, ordering: .acquiringAndReleasing)
    }
  }

  private func takeTasks(as worker: Int) {
    guard let body else { return }
    while true {
      let task = next.add(1, ordering: .relaxed).oldValue
      if task >= count { return }
      body(task, worker)
    }
  }

  /// Starts the next generation and wakes sleeping workers.
  ///
  /// Both sides are sequentially consistent. Either this sees the sleeper, or the sleeper, which checks again before
  /// it sleeps, sees the new generation.
  private func announce() {
    generation.add(1, ordering: .sequentiallyConsistent)
    guard sleepers.load(ordering: .sequentiallyConsistent) > 0 else { return }
    wake.withLock { _ in }
  }

  private func waitForChange(of seen: Int) {
    for _ in 0..<Self.maximumPollCount {
      if generation.load(ordering: .acquiring) != seen { return }
      sched_yield()
    }
    sleepers.add(1, ordering: .sequentiallyConsistent)
    wake.wait { _ in generation.load(ordering: .sequentiallyConsistent) == seen ? nil : () }
    sleepers.subtract(1, ordering: .sequentiallyConsistent)
  }
}
