import ByteParsing
import Checkpoints
import Dispatch
import Glibc
import Scanning
import Synchronization

/// Scans files on several threads and hands the results over in the order of the files.
final class ScanQueue: Sendable {
  typealias Outcome = Result<FileScan, DecantError>

  private struct State {
    var next = 0
    /// Results that wait for an earlier file's.
    var done: [Int: Outcome] = [:]
  }

  private let files: [String]
  private let scanner: CheckpointScanner
  private let state = Mutex(State())
  private let ready = DispatchSemaphore(value: 0)
  /// How many results may wait: a huge folder must not pile them up.
  private let room = DispatchSemaphore(value: 4096)

  init(_ files: [String], _ scanner: CheckpointScanner) {
    self.files = files
    self.scanner = scanner
  }

  /// Runs until every file is done; `take` is called on this thread.
  func run(threads: Int, _ take: (Outcome) -> Void) {
    let workers = min(threads, files.count)
    if workers > 1 { share(among: workers, take) } else { runAlone(take) }
    Progress.clear()
  }

  private func runAlone(_ take: (Outcome) -> Void) {
    for index in files.indices {
      take(scan(index))
      Progress.show(index + 1, of: files.count)
    }
  }

  private func share(among workers: Int, _ take: (Outcome) -> Void) {
    let group = DispatchGroup()
    let queue = DispatchQueue(label: "decant.scan", attributes: .concurrent)
    for _ in 0..<workers { queue.async(group: group) { self.work() } }
    var index = 0
    while index < files.count {
      ready.wait()
      while let outcome = state.withLock({ $0.done.removeValue(forKey: index) }) {
        take(outcome)
        index += 1
        room.signal()
        Progress.show(index, of: files.count)
      }
    }
    group.wait()
  }

  private func work() {
    while true {
      room.wait()
      let index = state.withLock { state in
        state.next += 1
        return state.next - 1
      }
      guard index < files.count else {
        // The semaphore must end as it began.
        room.signal()
        return
      }
      let outcome = scan(index)
      state.withLock { $0.done[index] = outcome }
      ready.signal()
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
  private static let isShown = isatty(STDERR_FILENO) == 1
  private static let step = 64

  static func show(_ done: Int, of count: Int) {
    guard isShown, count > step, done.isMultiple(of: step) else { return }
    write("\r\u{1B}[K\(Spelling.count(done)) of \(Spelling.count(count)) files")
  }

  static func clear() {
    if isShown { write("\r\u{1B}[K") }
  }

  private static func write(_ text: String) {
    let bytes = Array(text.utf8)
    _ = unsafe bytes.withUnsafeBytes { unsafe Glibc.write(STDERR_FILENO, $0.baseAddress, $0.count) }
  }
}
