import DecantBytes
import DecantCommand
import Foundation
import TestSupport
import Testing

/// docs/ERRORS.md, generated from the codes and advice: `UPDATE_DOCS=1 swift test --filter ErrorDocumentation`.
@Suite struct ErrorDocumentationTests {
  private static let path = Fixtures.root.appending(path: "docs/ERRORS.md")
  private static let source = Fixtures.root.appending(path: "Sources/DecantBytes/DecantError+Code.swift")

  @Test func thePageIsThatOfTheCode() throws {
    let page = Self.page
    if ProcessInfo.processInfo.environment["UPDATE_DOCS"] != nil {
      try page.write(to: Self.path, atomically: true, encoding: .utf8)
    }
    let found = try String(contentsOf: Self.path, encoding: .utf8)
    #expect(found == page, "UPDATE_DOCS=1 swift test --filter ErrorDocumentation writes it anew")
  }

  /// The documentation comments and the page have the same text.
  @Test func everyCauseIsItsComment() throws {
    let source = try String(contentsOf: Self.source, encoding: .utf8)
    for code in DecantError.Code.allCases {
      #expect(
        source.contains(
          "    /// \(code.cause.replacing("`Limits`", with: "``Limits``"))\n    case \(code.rawValue)\n"),
        "\(code)")
    }
  }

  /// The command line's remedies can be typed, and the library's name no command line option.
  @Test func adviceIsSpelledTwice() {
    for advice in DecantError.Advice.samples {
      #expect(!advice.libraryText.contains("--") && !advice.libraryText.contains("decant "))
      #expect(!advice.commandText.contains("Options.") && advice.commandText.hasSuffix("."))
    }
  }

  private static func exitCode(_ code: DecantError.Code) -> String {
    switch code {
    case .mismatch: "1"
    case .notAResNet, .unsupportedNetwork: "2; 1 from `decant identify`, for which it is an answer"
    case .unknownOutputFormat: "64, with the code `usage`, since the command line is wrong"
    default: "2"
    }
  }

  private static var page: String {
    var lines = [
      "# Errors", "",
      "Every public function of the library throws `DecantError`. Its `code` says what kind of failure it is, its",
      "`location` where it happened (file, entry, byte offset, tensor), its `reason` what is wrong, and its `remedy`",
      "what to do. Codes are stable; the wording of reasons and remedies may change.", "",
      "The command prints the sentence on standard error. With `--json`, standard output has the same error:",
      "",
      "    {\"schema\": 1, \"error\": {\"code\": \"truncated\", \"message\": \"…\", \"file\": \"model.pth\"}}",
      "",
      "`entry`, `offset`, `tensor` and `remedy` are present when they are known. A command line that is wrong has the code",
      "`usage` and exit code 64. `decant scan --json` lists files that it cannot read in `errors`, and `decant run --json`",
      "with several inputs lists those that it cannot read in `failures`, each with its `code`.", "",
      "This page is written from the code: `UPDATE_DOCS=1 swift test --filter ErrorDocumentation`.",
    ]
    let source = (try? String(contentsOf: source, encoding: .utf8)) ?? ""
    // The MARK sections of the source file of the codes.
    var sections: [(title: String, codes: [DecantError.Code])] = []
    for line in source.split(separator: "\n").map({ $0.trimmingCharacters(in: .whitespaces) }) {
      if line.hasPrefix("// MARK: ") {
        sections.append((String(line.dropFirst("// MARK: ".count)), []))
      } else if line.hasPrefix("case "), let code = DecantError.Code(rawValue: String(line.dropFirst(5))),
        !sections.isEmpty
      {
        sections[sections.count - 1].codes.append(code)
      }
    }
    for section in sections {
      lines += ["", "## \(section.title)"]
      for code in section.codes {
        let advice = code.usualAdvice
        lines += ["", "### `\(code.rawValue)`", "", code.cause, "", "- Thrown by: \(code.origin)."]
        for remedy in advice {
          let (library, command) = (remedy.libraryText, remedy.commandText)
          lines.append(
            library == command ? "- Remedy: \(library)" : "- Remedy: \(library) Command line: \(command)")
        }
        lines.append("- Exit code: \(exitCode(code)).")
      }
    }
    lines += [
      "", "## Remedies", "", "One way out has two spellings.", "", "| library | command |", "|---|---|",
    ]
    for advice in DecantError.Advice.samples {
      lines.append("| \(advice.libraryText) | \(advice.commandText) |")
    }
    return lines.joined(separator: "\n") + "\n"
  }
}
