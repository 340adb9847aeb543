internal import DecantBytes
internal import DecantIO
internal import DecantScanning

/// Scans files on several threads and delivers the results in the order of the files.
final class ScanQueue: Sendable {
  typealias Outcome = Result<FileScan, DecantError>

  private struct State {
    /// The index of the first file that no thread has started.
    var next = 0
    /// The results that wait for an earlier file, by file index.
    var done: [Int: Outcome] = [:]
    /// The number of files whose results were delivered.
    var taken = 0
  }

  private let files: [FileTree.File]
  private let scanner: CheckpointScanner
  private let state = Monitor(State())
  /// The maximum number of files started ahead of delivery, so that results of a huge folder do not fill memory.
  private static let room = 4096

  init(_ files: [FileTree.File], _ scanner: CheckpointScanner) {
    self.files = files
    self.scanner = scanner
  }

  /// Scans every file. Calls `take` with each file and its result on the calling thread.
  func run(threads: Int, _ take: (FileTree.File, Outcome) -> Void) {
    let count = min(threads, files.count)
    let workers = count > 1 ? (0..<count).compactMap { _ in WorkerThread { self.work() } } : []
    let progress = ProgressLine()
    for index in files.indices {
      take(files[index], workers.isEmpty ? scan(index) : outcome(of: index))
      progress.update(index + 1, of: files.count, .items("files"))
    }
    for worker in workers { worker.join() }
    progress.clear()
  }

  /// Waits for the result of a file.
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

  /// Returns the index of the next file to scan, or nil at the end. Waits while too many results are undelivered.
  private func nextIndex() -> Int? {
    state.wait { state -> Int?? in
      guard state.next < files.count else { return .some(nil) }
      guard state.next - state.taken < Self.room else { return nil }
      state.next += 1
      return state.next - 1
    }
  }

  private func scan(_ index: Int) -> Outcome {
    do throws(DecantError) { return .success(try scanner.scan(files[index].path)) } catch {
      return .failure(error)
    }
  }
}
