#if canImport(Glibc)
  internal import Glibc
#elseif canImport(Musl)
  internal import Musl
#elseif canImport(Darwin)
  internal import Darwin
#endif

/// The size of a terminal in characters.
package struct TerminalSize: Sendable, Equatable {
  package let columns: Int
  package let rows: Int
}

extension StandardStream {
  /// The size of the terminal that the stream goes to; nil when it is not a terminal.
  ///
  /// The variables COLUMNS and LINES have precedence. A terminal that does not say its size has 80 columns and 24 rows.
  package var terminalSize: TerminalSize? {
    guard isTerminal else { return nil }
    var size = winsize()
    let isKnown = unsafe ioctl(rawValue, UInt(TIOCGWINSZ), &size) == 0
    func choose(_ name: String, _ measured: UInt16, _ usual: Int) -> Int {
      if let value = ProcessControl.environment(name).flatMap({ Int($0) }), 1...10_000 ~= value {
        return value
      }
      return isKnown && measured > 0 ? Int(measured) : usual
    }
    return TerminalSize(
      columns: choose("COLUMNS", size.ws_col, 80), rows: choose("LINES", size.ws_row, 24))
  }
}
