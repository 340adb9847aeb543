import DecantCheckpoints
import DecantInference
import DecantNetworks
import DecantResNets
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Runs every command line shown in the documents and compares its output with the text shown.
@Suite struct DocumentationTests {
  /// A command of a `console` block, and the lines shown below it.
  struct Shown {
    let command: String
    let status: Int32
    var output: [String] = []
  }

  @Test(arguments: ["README.md", "docs/GUIDE.md"])
  func everyCommandLine(_ document: String) throws {
    let shown = try commands(in: document)
    #expect(!shown.isEmpty)
    let folder = try TemporaryFolder()
    try FileManager.default.createSymbolicLink(
      at: folder.url.appending(path: "fixtures"),
      withDestinationURL: Fixtures.root.appending(path: "fixtures"))
    for shown in shown {
      let run = try DecantProcess.shell(shown.command, in: folder.url)
      #expect(run.status == shown.status, "\(shown.command)\n\(run.errors)")
      let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(
        String.init)
      #expect(Self.matches(lines[...], shown.output[...]), "\(shown.command)\n\(run.output)")
    }
  }

  /// The sample is built with the tests, from the source whose beginning the README shows.
  @Test func theReadmeExampleRuns() throws {
    let root = Fixtures.root
    let sample = try String(
      contentsOf: root.appending(path: "Tests/Sample/Sources/Sample/main.swift"), encoding: .utf8)
    let begin = try #require(sample.firstRange(of: "// README BEGIN\n"))
    let end = try #require(sample.firstRange(of: "// README END\n"))
    let readme = try String(contentsOf: root.appending(path: "README.md"), encoding: .utf8)
    #expect(readme.contains("```swift\n" + sample[begin.upperBound..<end.lowerBound] + "```"))
    let folder = try TemporaryFolder()
    #expect(
      try DecantProcess.run(["synthesize", "resnet50nodown", "-o", folder.path("resnet50nodown.pth")]).status
        == 0)
    try FileManager.default.copyItem(
      atPath: root.appending(path: "fixtures/pictures/photo.jpg").path, toPath: folder.path("photo.jpg"))
    let run = try DecantProcess.shell("'\(DecantProcess.sample.path)'", in: folder.url)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("\nlogits [1, 1] ["))
  }

  private func commands(in document: String) throws -> [Shown] {
    let text = try String(contentsOf: Fixtures.root.appending(path: document), encoding: .utf8)
    var found: [Shown] = []
    var isConsole = false
    for line in text.split(separator: "\n", omittingEmptySubsequences: false) {
      if line.hasPrefix("```") {
        isConsole = line == "```console"
      } else if isConsole, line.hasPrefix("$ ") {
        let parts = line.dropFirst(2).split(separator: " # exit ")
        found.append(Shown(command: String(parts[0]), status: parts.count > 1 ? Int32(parts[1]) ?? -1 : 0))
      } else if isConsole, !found.isEmpty {
        found[found.count - 1].output.append(String(line))
      }
    }
    return found
  }

  /// Returns true when lines match the lines shown, in which the line `…` stands for any lines.
  private static func matches(_ lines: ArraySlice<String>, _ shown: ArraySlice<String>) -> Bool {
    guard let first = shown.first else { return lines.isEmpty }
    if first == "…" {
      return (lines.startIndex...lines.endIndex).contains { matches(lines[$0...], shown.dropFirst()) }
    }
    guard let line = lines.first, matches(line, first) else { return false }
    return matches(lines.dropFirst(), shown.dropFirst())
  }

  /// Returns true when a line matches the line shown. Durations may differ, and `…` stands for the rest of the line.
  private static func matches(_ line: String, _ shown: String) -> Bool {
    let duration = /\d+\.\d+ m?s/
    let (timed, expected) = (line.replacing(duration, with: "TIME"), shown.replacing(duration, with: "TIME"))
    return expected.hasSuffix("…") ? timed.hasPrefix(expected.dropLast()) : timed == expected
  }
}
