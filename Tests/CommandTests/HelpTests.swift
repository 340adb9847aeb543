import Foundation
import TestSupport
import Testing

/// The help pages and manual pages: what is in them, their width, and that their examples run.
@Suite struct HelpTests {
  private static let commands = [
    "inspect", "identify", "verify", "diff", "convert", "run", "scan", "report", "synthesize",
  ]

  private static func lines(_ words: String...) throws -> [String] {
    let run = try DecantProcess.run(words)
    #expect(run.status == 0 && run.errors.isEmpty, "\(words): \(run.errors)")
    return run.output.split(separator: "\n", omittingEmptySubsequences: false).map(String.init)
  }

  @Test func rootPage() throws {
    #expect(
      try Self.lines("--help").joined(separator: "\n") == """
        Inspect, verify, convert and run PyTorch checkpoints without Python. Never
        executes code from a file.

        Usage: decant FILE… [options]
               decant COMMAND [options]

        Examples:
          decant model.pth                            say what is in a file
          decant inspect model.pth                    list its tensors and values
          decant scan model.pth                       show what loading it would execute
          decant convert model.pth model.safetensors  write the weights as safetensors

        Commands:
          inspect     List everything in a checkpoint: tensors and other values
          identify    Name the ResNet in a checkpoint, with the evidence
          verify      Check names, shapes, types and values against an architecture
          diff        Compare the tensors of two checkpoints
          convert     Write the tensors in another format, or the network as ONNX
          run         Run the network on images or tensors, and compare its stages
          scan        Report code that loading a file would execute
          report      Write a page about a checkpoint, or the drawing of its network
          synthesize  Write a checkpoint with random weights, for demos and tests

        Options:
          -h, --help            Show this page
              --version         Show the version

        Exit codes: 0 success or yes, 1 the answer is no, 2 an error in a file or option
        value, 64 a wrong command line.

        decant COMMAND --help has examples and options of a command.

        """)
  }

  @Test func commandPage() throws {
    #expect(
      try Self.lines("synthesize", "--help-all").joined(separator: "\n") == """
        Write a checkpoint with random weights, for demos and tests.

        Usage: decant synthesize ARCHITECTURE -o FILE.pth [options]

        Examples:
          decant synthesize resnet50 -o model.pth                   random weights
          decant synthesize resnet18 -o model.pth --num-classes 10  a smaller head

        Contents:
          -o, --output FILE     The .pth file to write
              --num-classes N   Number of classes
              --seed N          Random seed (default 7)
          -k, --key KEY         Key of the state dict (default model)
              --epoch N         Value to store under the key epoch

        General:
              --json            Print JSON
          -q, --quiet           Print no notes and no progress
          -v, --verbose         List every default and every difference
          -h, --help            Show this page
              --color WHEN      Colours: auto, always or never
              --no-pager        Do not page long output


        """)
  }

  /// All ways to ask for a page give the same one.
  @Test(arguments: commands) func waysToAsk(_ command: String) throws {
    let page = try Self.lines(command, "--help")
    #expect(try Self.lines("help", command) == page)
    #expect(try Self.lines(command, "-h") == page)
    #expect(try Self.lines(command, "x.pth", "--help") == page)
    #expect(page.count <= 60)
    #expect(try Self.lines(command, "--help-all").count >= page.count)
  }

  /// Every option has one line of at most 80 columns on the page of all options.
  @Test(arguments: commands) func everyOptionHasALine(_ command: String) throws {
    let page = try Self.lines(command, "--help-all")
    for line in page { #expect(line.count <= 80, "\(command): \(line)") }
    for line in try Self.lines(command, "--help") { #expect(line.count <= 80, "\(command): \(line)") }
    let dump = try DecantProcess.run([command, "--experimental-dump-help"]).output
    let tool = try #require(try JSONSerialization.jsonObject(with: Data(dump.utf8)) as? [String: Any])
    let arguments = (tool["command"] as? [String: Any])?["arguments"] as? [[String: Any]] ?? []
    var count = 0
    for argument in arguments where argument["kind"] as? String != "positional" {
      let names = argument["names"] as? [[String: String]] ?? []
      let long = try #require(names.first { $0["kind"] == "long" }?["name"])
      if long == "version" { continue }
      let lines = page.filter {
        $0.hasPrefix("      --\(long) ") || $0.hasPrefix("  -") && $0.dropFirst(4).hasPrefix(", --\(long) ")
      }
      #expect(lines.count == 1, "\(command) --\(long): \(lines)")
      count += 1
    }
    #expect(count > 5)
  }

  /// `--limit` is the last option of every page that has it.
  @Test(arguments: commands) func limitIsLast(_ command: String) throws {
    let options = try Self.lines(command, "--help-all").filter { $0.contains(/^  (-.,|   ) --/) }
    #expect(options.contains { $0.contains("--limit") } == (command != "synthesize"))
    if command != "synthesize" { #expect(options.last?.hasPrefix("      --limit ") == true) }
  }

  /// Every example of a page runs.
  @Test(arguments: commands + ["--help"]) func examplesRun(_ command: String) throws {
    let folder = try TemporaryFolder()
    for name in ["photo.jpg", "x.npy"] {
      let source = name == "x.npy" ? "inputs/input_97x131.npy" : "pictures/photo.jpg"
      try FileManager.default.copyItem(
        atPath: Fixtures.root.appending(path: "fixtures/\(source)").path, toPath: folder.path(name))
    }
    let begin = try DecantProcess.shell(
      """
      decant synthesize resnet20 -o model.pth && cp model.pth before.pth && mkdir models \
      && decant synthesize resnet20 --seed 8 -o after.pth && decant convert model.pth half.pth --dtype half \
      && decant run model.pth --input x.npy --stages stages.safetensors \
      && decant convert model.pth model.safetensors
      """, in: folder.url)
    #expect(begin.status == 0, "\(begin.errors)")
    let page = try command == "--help" ? Self.lines("--help") : Self.lines(command, "--help")
    let start = try #require(page.firstIndex(of: "Examples:"))
    let examples = page[(start + 1)...].prefix { !$0.isEmpty }
    #expect(examples.count >= 2)
    for example in examples {
      let line = try #require(example.dropFirst(2).split(separator: "  ").first)
      let run = try DecantProcess.shell(String(line), in: folder.url)
      #expect(run.status < 2, "\(line): \(run.errors)")
    }
  }

  /// A manual page has every option, no date, and no line that troff would take for a request.
  @Test(arguments: commands + ["decant"]) func manualPage(_ command: String) throws {
    let run = try DecantProcess.run(["--generate-manual-page", command])
    #expect(run.status == 0)
    #expect(run.output == (try DecantProcess.run(["--generate-manual-page", command]).output))
    let name = command == "decant" ? "DECANT" : "DECANT-\(command.uppercased())"
    let version = try #require(try Self.lines("--version").first)
    #expect(run.output.hasPrefix(".TH \(name) 1 \"\" \"decant \(version)\" \"User Commands\"\n.SH NAME\n"))
    let requests = run.output.split(separator: "\n").filter { $0.hasPrefix(".") || $0.hasPrefix("'") }
    for request in requests {
      #expect(request.contains(/^\.(TH|SH|SS|TP|PP|B|BR|br)\b/), "\(request)")
    }
    if command != "decant" {
      for line in try Self.lines(command, "--help-all") {
        guard let option = line.firstMatch(of: /^  (?:-., |    )--([a-z0-9-]+)/)?.1 else { continue }
        #expect(run.output.contains("\\fB\\-\\-\(option.replacing("-", with: "\\-"))\\fR"), "\(option)")
      }
    }
  }

  /// The tool knows the version. The changelog begins with it.
  @Test func versionOfTheChangelog() throws {
    let version = try #require(try Self.lines("--version").first)
    let changelog = try String(contentsOf: Fixtures.root.appending(path: "CHANGELOG.md"), encoding: .utf8)
    let heading = try #require(changelog.split(separator: "\n").first { $0.hasPrefix("## ") })
    #expect(heading.hasPrefix("## \(version)"))
  }

  @Test func headingsAreBoldOnATerminal() throws {
    let run = try DecantProcess.terminal(["synthesize", "--help"])
    #expect(run.output.contains("\u{1B}[1mExamples:\u{1B}[0m"))
  }
}
