internal import DecantBytes
internal import DecantIO
internal import Synchronization

/// A progress line on the terminal for long runs: share, rate and time left. Prints nothing without a terminal or for
/// short runs.
final class ProgressLine: Sendable {
  /// The unit that progress is counted in.
  enum Unit {
    case bytes
    /// Things with a plural noun, such as "images".
    case items(String)
  }

  private struct State {
    var shown: ContinuousClock.Instant
    var isVisible = false
    /// The amount that ``advance(by:of:_:)`` has counted.
    var done = 0
  }

  private let start: ContinuousClock.Instant
  private let state: Mutex<State>
  private let isShown = StandardStream.error.isTerminal && !Presentation.current.isQuiet

  init() {
    start = ContinuousClock.now
    // Shorter runs need no progress line.
    state = Mutex(State(shown: start + .milliseconds(400)))
  }

  /// Reports the number of bytes done, or throws when a signal was received. The first call starts catching signals.
  func watch(_ done: Int, of total: Int) throws {
    if done == 0 { Interruption.watch() }
    try Interruption.check()
    update(done, of: total)
  }

  /// Reports an amount that is done in addition.
  func advance(by amount: Int, of total: Int, _ unit: Unit = .bytes) {
    let done = state.withLock { state in
      state.done = state.done.checkedAdding(amount) ?? .max
      return state.done
    }
    update(min(done, total), of: total, unit)
  }

  /// Reports the amount done, several times a second.
  func update(_ done: Int, of total: Int, _ unit: Unit = .bytes) {
    guard isShown, total > 0 else { return }
    let now = ContinuousClock.now
    let rate = Double(done) / Format.seconds(now - start)
    let left = Format.fixed(rate > 0 ? Double(total - done) / rate : 0, 0) + " s left"
    let text =
      switch unit {
      case .bytes:
        "\(min(99, Int(Double(done) * 100 / Double(total)))) %, \(Format.fixed(rate / 1e6, 0)) MB/s, \(left)"
      case .items(let noun):
        "\(Format.count(done)) of \(Format.count(total)) \(noun), \(Format.fixed(rate, 1)) a second, \(left)"
      }
    state.withLock { state in
      guard now - state.shown > .milliseconds(100), !StandardStreams.isPaged else { return }
      state.shown = now
      state.isVisible = true
      StandardStreams.raw("\r\(text)\u{1B}[K")
    }
  }

  /// Erases the line.
  func clear() {
    state.withLock { state in
      if state.isVisible { StandardStreams.raw("\r\u{1B}[K") }
      state.isVisible = false
    }
  }
}
