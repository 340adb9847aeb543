internal import DecantBytes
internal import DecantIO
internal import Synchronization

/// How output is presented, as the command line, the environment and the terminal determine it.
struct Presentation {
  /// True when notes and progress are left out.
  var isQuiet = false
  /// True when every detail is listed.
  var isVerbose = false
  /// True when standard output receives JSON.
  var isJSON = false
  /// True when text on standard output has colours.
  var hasColor = false
  /// True when text on standard error has colours.
  var hasColorInErrors = false
  /// The size of the terminal that standard output goes to; nil when it is not a terminal.
  var terminal: TerminalSize?
  /// The command that pages output longer than the terminal; nil when output is not paged.
  var pager: String?

  /// True when details are listed: on request, and where no person reads along.
  var showsDetails: Bool { isVerbose || terminal == nil }

  private static let shared = Mutex(Presentation())

  /// The presentation of this process's output.
  static var current: Presentation {
    get { shared.withLock { $0 } }
    set { shared.withLock { $0 = newValue } }
  }

  private init() {}

  /// Creates the presentation that options ask for.
  init(_ options: PresentationOptions, isJSON: Bool) {
    self.isJSON = isJSON
    isQuiet = options.quiet
    isVerbose = options.verbose
    hasColor = Self.hasColor(options.color, on: .output)
    hasColorInErrors = Self.hasColor(options.color, on: .error)
    terminal = StandardStream.output.terminalSize
    if terminal != nil, !options.noPager { pager = Self.pagerCommand }
  }

  private static func hasColor(_ color: PresentationOptions.Color, on stream: StandardStream) -> Bool {
    func isSet(_ name: String) -> Bool { ProcessControl.environment(name)?.isEmpty == false }
    switch color {
    case .always: return true
    case .never: return false
    case .auto:
      if isSet("NO_COLOR") { return false }
      if isSet("CLICOLOR_FORCE"), ProcessControl.environment("CLICOLOR_FORCE") != "0" { return true }
      return stream.isTerminal && ProcessControl.environment("TERM") != "dumb"
    }
  }

  /// The command in DECANT_PAGER, else in PAGER, else less; nil when it is empty or `cat`.
  private static var pagerCommand: String? {
    let command =
      ProcessControl.environment("DECANT_PAGER") ?? ProcessControl.environment("PAGER") ?? "less -FRX"
    return command.isEmpty || command == "cat" ? nil : command
  }
}

extension Format {
  /// Returns a number of bytes: rounded on a terminal, else exact without a unit.
  static func bytes(_ byteCount: Int) -> String {
    Presentation.current.terminal == nil ? count(byteCount) : size(byteCount)
  }
}

/// A style of text on a terminal. The raw value is the parameter of the escape sequence.
enum TextStyle: String {
  case bold = "1"
  case dim = "2"
  case red = "31"
  case green = "32"
  case yellow = "33"
  case cyan = "36"

  /// Returns the text with the escape sequences of the style, whether or not output has colours.
  func applied(to text: String) -> String { "\u{1B}[\(rawValue)m\(text)\u{1B}[0m" }
}

extension StandardStreams {
  /// Writes a line that begins with an answer up to a colon, such as "yes: …", in green or red.
  static func answer(_ text: String, isYes: Bool) {
    let word = text.prefix { $0 != ":" }
    line(String(word).styled(isYes ? .green : .red) + text.dropFirst(word.count))
  }
}

extension String {
  /// Returns the text in a style where standard output has colours, else the text itself.
  func styled(_ style: TextStyle?) -> String {
    guard let style, !isEmpty, Presentation.current.hasColor else { return self }
    return style.applied(to: self)
  }
}
