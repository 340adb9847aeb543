import DecantBytes
import DecantScanning
import DecantIO

/// Scans files on several threads and hands the results over in the order of the files.
final class ScanQueue: Sendable {
  typealias Outcome = Result<FileScan, DecantError>

  private struct State {
    /// The first file that no thread has taken.
    var next = 0
    /// Results that wait for an earlier file's.
    var done: [Int: Outcome] = [:]
    /// Files whose results were handed over.
    var taken = 0
  }

  private let files: [String]
  private let scanner: CheckpointScanner
  private let state = Monitor(State())
  /// Results that may wait: those of a huge folder must not pile up.
  private static let room = 4096

  init(_ files: [String], _ scanner: CheckpointScanner) {
    self.files = files
    self.scanner = scanner
  }

  /// Runs until every file is done; `take` is called on this thread.
  func run(threads: Int, _ take: (Outcome) -> Void) {
    let count = min(threads, files.count)
    let workers = count > 1 ? (0..<count).compactMap { _ in WorkerThread { self.work() } } : []
    for index in files.indices {
      take(workers.isEmpty ? scan(index) : outcome(of: index))
      Progress.show(index + 1, of: files.count)
    }
    for worker in workers { worker.join() }
    Progress.clear()
  }

  /// Waits for a file's result.
  private func outcome(of index: Int) -> Outcome {
    state.wait { state in
      guard let outcome = state.done.removeValue(forKey: index) else { return nil }
      state.taken = index + 1
      return outcome
    }
  }

  private func work() {
    while let index = nextIndex() {
      let outcome = scan(index)
      state.withLock { $0.done[index] = outcome }
    }
  }

  /// The next file that no thread has; nil at the end. Waits while too many results wait.
  private func nextIndex() -> Int? {
    state.wait { state -> Int?? in
      guard state.next < files.count else { return .some(nil) }
      guard state.next - state.taken < Self.room else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  private func scan(_ index: Int) -> Outcome {
    do throws(DecantError) { return .success(try scanner.scan(path: files[index])) } catch {
      return .failure(error)
    }
  }
}

/// How far a scan is, on a terminal's standard error only.
private enum Progress {
  private static let isShown = StandardStream.error.isTerminal
  private static let step = 64

  static func show(_ done: Int, of count: Int) {
    guard isShown, count > step, done.isMultiple(of: step) else { return }
    StandardStreams.raw("\r\u{1B}[K\(Spelling.count(done)) of \(Spelling.count(count)) files")
  }

  static func clear() {
    if isShown { StandardStreams.raw("\r\u{1B}[K") }
  }
}
