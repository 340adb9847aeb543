import Foundation
import TestSupport
import Testing

/// The options of every command that say how its output is presented: colour, notes and the pager.
@Suite struct PresentationTests {
  private static let commands = [
    ["inspect", "fixtures/torch/nested.pth"], ["identify", "fixtures/torch/whole_nodown.pth"],
    ["verify", "fixtures/torch/whole_nodown.pth"],
    ["diff", "fixtures/torch/nested.pth", "fixtures/torch/nested.pth"],
    ["scan", "fixtures/torch/nested.pth"],
    ["convert", "fixtures/torch/nested.pth", "out.safetensors"], ["synthesize", "resnet20", "-o", "out.pth"],
  ]

  private func folder() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try FileManager.default.createSymbolicLink(
      at: folder.url.appending(path: "fixtures"),
      withDestinationURL: Fixtures.root.appending(path: "fixtures"))
    return folder
  }

  /// Every command accepts the options. Off a terminal, without `--color always`, its output has no escape sequence.
  @Test(arguments: commands) func everyCommand(_ command: [String]) throws {
    let folder = try folder()
    for options in [["--quiet", "--no-pager"], ["-q"], ["-v", "--color", "auto"], ["--color", "never"]] {
      let run = try DecantProcess.run(command + options, in: folder.url)
      #expect(run.status == 0, "\(command) \(options): \(run.errors)")
      #expect(!run.output.contains("\u{1B}") && !run.output.isEmpty)
      if options[0].hasPrefix("-q") || options[0] == "--quiet" { #expect(run.errors.isEmpty) }
    }
  }

  /// A red word before an error shows whether there are colours.
  @Test(
    arguments: [
      ([], [:], true), ([], ["NO_COLOR": "1"], false), ([], ["NO_COLOR": ""], true),
      ([], ["TERM": "dumb"], false), ([], ["CLICOLOR_FORCE": "1", "TERM": "dumb"], true),
      ([], ["NO_COLOR": "1", "CLICOLOR_FORCE": "1"], false), (["--color", "never"], [:], false),
      (["--color", "always"], ["NO_COLOR": "1"], true),
    ] as [([String], [String: String], Bool)])
  func color(_ options: [String], _ environment: [String: String], _ expected: Bool) throws {
    let run = try DecantProcess.terminal(
      ["inspect", "missing.pth"] + options, in: Fixtures.root, environment: environment)
    #expect(run.status == 2)
    #expect(
      run.output
        == (expected ? "\u{1B}[31mdecant: error:\u{1B}[0m" : "decant: error:")
        + " missing.pth: cannot be opened: No such file or directory. Check the path.\n")
  }

  @Test func colorOffATerminal() throws {
    for (options, environment, expected) in [
      ([], [:], false), (["--color", "always"], [:], true), ([], ["CLICOLOR_FORCE": "1"], true),
      ([], ["CLICOLOR_FORCE": "0"], false),
    ] as [([String], [String: String], Bool)] {
      let run = try DecantProcess.run(
        ["inspect", "missing.pth"] + options, in: Fixtures.root,
        environment: ["NO_COLOR": ""].merging(environment) { $1 })
      #expect(run.errors.contains("\u{1B}") == expected)
    }
  }

  /// The pager is started for output that is longer than the terminal only, and shows the notes, too.
  @Test func pager() throws {
    let command = ["inspect", "fixtures/torch/no_crc.pth"]
    func output(_ rows: Int, _ options: [String] = [], _ environment: [String: String] = [:]) throws
      -> [String]
    {
      let run = try DecantProcess.terminal(
        command + options + ["--color", "never"], rows: rows, in: Fixtures.root,
        environment: ["DECANT_PAGER": "sed s/^/page:/"].merging(environment) { $1 })
      #expect(run.status == 0)
      return run.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
    }
    let plain = try output(1000)
    #expect(plain.last == "decant: warning: the archive has no CRC-32, so damaged data cannot be detected")
    #expect(plain.allSatisfy { !$0.hasPrefix("page:") })
    #expect(try output(plain.count) == plain)
    #expect(try output(plain.count - 1) == plain.map { "page:" + $0 })
    #expect(try output(5, ["--no-pager"]) == plain)
    for pager in ["", "cat", "no-such-program"] {
      #expect(try output(5, [], ["DECANT_PAGER": pager]) == plain)
    }
    // A command line for the shell.
    #expect(try output(5, [], ["DECANT_PAGER": "head -n 1 | sed 's/^/one /'"]) == ["one " + plain[0]])
  }

  /// `PAGER` is for all programs and `DECANT_PAGER` for this one. `less` leaves short text on the screen.
  @Test func whichPager() throws {
    func firstLine(_ environment: [String: String]) throws -> String {
      let run = try DecantProcess.terminal(
        ["inspect", "fixtures/torch/nested.pth", "--color", "never"], rows: 5, in: Fixtures.root,
        environment: environment)
      return String(run.output.prefix { $0 != "\n" })
    }
    #expect(try firstLine(["PAGER": "sed s/^/p:/"]) == "p:fixtures/torch/nested.pth")
    #expect(
      try firstLine(["PAGER": "sed s/^/p:/", "DECANT_PAGER": "sed s/^/d:/"]) == "d:fixtures/torch/nested.pth")
    #expect(try firstLine(["PAGER": "echo $LESS"]) == "FRX")
    #expect(try firstLine(["PAGER": "echo $LESS", "LESS": "i"]) == "i")
  }

  /// An exit code other than 0 stays one when output is paged.
  @Test func exitCodes() throws {
    let run = try DecantProcess.terminal(
      ["scan", "fixtures/torch", "--no-pager"], rows: 5, in: Fixtures.root)
    let paged = try DecantProcess.terminal(
      ["scan", "fixtures/torch"], rows: 5, in: Fixtures.root, environment: ["PAGER": "sed -n $="])
    #expect(run.status == 1 && paged.status == 1)
  }

  /// Notes come after the answer. Before an error, only warnings are printed.
  @Test func notesComeLast() throws {
    let folder = try folder()
    let line = "convert fixtures/torch/nested_adam.pth out.safetensors"
    let run = try DecantProcess.shell("decant \(line) 2>&1", in: folder.url)
    let lines = run.output.split(separator: "\n")
    #expect(lines.count == 3 && lines[0].hasPrefix("8 tensors, 844 bytes"))
    #expect(lines[1].hasPrefix("decant: using model (8 tensors); left out: optimizer"))
    #expect(try DecantProcess.shell("decant \(line) --quiet", in: folder.url).errors.isEmpty)
    let refused = try DecantProcess.shell("decant \(line) --no-clobber", in: folder.url)
    #expect(refused.errors.hasPrefix("decant: error: ") && refused.status == 2)
  }
}
