import DecantBytes
import DecantIO

/// A line on the terminal that says how far a long run is; silent where there is no terminal, and for short runs.
///
/// One thread calls.
final class ProgressLine: @unchecked Sendable {
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var shown: ContinuousClock.Instant
  private let isOnTerminal = StandardStream.error.isTerminal
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
    guard let (rate, left) = pace(done, of: total) else { return }
    show("\(done * 100 / total) %, \(Spelling.fixed(rate / 1e6, 0)) MB/s, \(Spelling.fixed(left, 0)) s left")
  }

  /// Says how many images are done, several times a second.
  func update(images done: Int, of total: Int) {
    guard let (rate, left) = pace(done, of: total) else { return }
    show("\(done) of \(total) images, \(Spelling.fixed(rate, 1)) a second, \(Spelling.fixed(left, 0)) s left")
  }

  /// How much is done in a second, and the seconds that are left; nil when it is too soon to say it again.
  private func pace(_ done: Int, of total: Int) -> (rate: Double, left: Double)? {
    guard isOnTerminal, total > 0 else { return nil }
    let now = clock.now
    guard now - shown > .milliseconds(100) else { return nil }
    shown = now
    let rate = Double(done) / Spelling.seconds(now - start)
    return (rate, rate > 0 ? Double(total - done) / rate : 0)
  }

  private func show(_ text: String) {
    isVisible = true
    StandardStreams.raw("\r\(text)\u{1B}[K")
  }

  /// Takes the line away.
  func clear() {
    if isVisible { StandardStreams.raw("\r\u{1B}[K") }
    isVisible = false
  }
}
