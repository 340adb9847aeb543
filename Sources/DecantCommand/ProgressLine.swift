import Glibc

/// A line on the terminal that says how far a long run is; silent where there is no terminal, and for short runs.
///
/// One thread calls.
final class ProgressLine: @unchecked Sendable {
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var shown: ContinuousClock.Instant
  private let isOnTerminal = isatty(STDERR_FILENO) == 1
  private var isVisible = false

  init() {
    start = clock.now
    // Who waits less than this needs no line.
    shown = start + .milliseconds(400)
  }

  /// Ends the work when a signal has come, else says how many bytes are done. From the first call on signals are waited for.
  func watch(_ done: Int, of total: Int) throws {
    if done == 0 { Interruption.watch() }
    try Interruption.check()
    update(done, of: total)
  }

  /// Says how many bytes are done, several times a second.
  func update(_ done: Int, of total: Int) {
    guard isOnTerminal, total > 0 else { return }
    let now = clock.now
    guard now - shown > .milliseconds(100) else { return }
    shown = now
    isVisible = true
    let seconds = Spelling.seconds(now - start)
    let rate = Double(done) / seconds
    let left = rate > 0 ? Double(total - done) / rate : 0
    let percent = done * 100 / total
    StandardStreams.raw(
      "\r\(percent) %, \(Spelling.fixed(rate / 1e6, 0)) MB/s, \(Spelling.fixed(left, 0)) s left\u{1B}[K")
  }

  /// Takes the line away.
  func clear() {
    if isVisible { StandardStreams.raw("\r\u{1B}[K") }
    isVisible = false
  }
}
