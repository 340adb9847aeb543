internal import DecantBytes
internal import DecantIO

/// A progress line on the terminal for long runs. Prints nothing without a terminal or for short runs.
///
/// Not thread-safe: call it from one thread.
final class ProgressLine: @unchecked Sendable {
  private let clock = ContinuousClock()
  private let start: ContinuousClock.Instant
  private var shown: ContinuousClock.Instant
  private let isShown = StandardStream.error.isTerminal && !Presentation.current.isQuiet
  private var isVisible = false

  init() {
    start = clock.now
    // Shorter runs need no progress line.
    shown = start + .milliseconds(400)
  }

  /// Reports the number of bytes done, or throws when a signal was received. The first call starts catching signals.
  func watch(_ done: Int, of total: Int) throws {
    if done == 0 { Interruption.watch() }
    try Interruption.check()
    update(done, of: total)
  }

  /// Reports the number of bytes done, several times a second.
  func update(_ done: Int, of total: Int) {
    guard let (rate, left) = pace(done, of: total) else { return }
    show("\(done * 100 / total) %, \(Format.fixed(rate / 1e6, 0)) MB/s, \(Format.fixed(left, 0)) s left")
  }

  /// Reports the number of images done, several times a second.
  func update(images done: Int, of total: Int) {
    guard let (rate, left) = pace(done, of: total) else { return }
    show("\(done) of \(total) images, \(Format.fixed(rate, 1)) a second, \(Format.fixed(left, 0)) s left")
  }

  /// Reports the number of files done, several times a second.
  func update(files done: Int, of total: Int) {
    guard pace(done, of: total) != nil else { return }
    show("\(Format.count(done)) of \(Format.count(total)) files")
  }

  /// Returns the amount done per second and the seconds left, or nil when the last report is too recent.
  private func pace(_ done: Int, of total: Int) -> (rate: Double, left: Double)? {
    guard isShown, total > 0, !StandardStreams.isPaged else { return nil }
    let now = clock.now
    guard now - shown > .milliseconds(100) else { return nil }
    shown = now
    let rate = Double(done) / Format.seconds(now - start)
    return (rate, rate > 0 ? Double(total - done) / rate : 0)
  }

  private func show(_ text: String) {
    isVisible = true
    StandardStreams.raw("\r\(text)\u{1B}[K")
  }

  /// Erases the line.
  func clear() {
    if isVisible { StandardStreams.raw("\r\u{1B}[K") }
    isVisible = false
  }
}
