import Checkpoints
import Foundation
import Inference
import Networks
import ResNets
import Tensors
import TestSupport
import Testing

/// The README's example, word for word: ``DocumentationTests/theReadmeExampleRuns()`` compares and runs it.
// README BEGIN
func pour(_ source: String, into target: String) throws {
  let checkpoint = try Checkpoint(path: source)
  for entry in checkpoint.tensors { print(entry.name, entry.tensor.dtype, entry.tensor.shape) }

  let weights = try checkpoint.onlyStateDict()
  let network = try ResNetArchitecture.named("resnet50nodown")!.configuration.graph()
  let verification = try ResNetVerification(of: .only(in: weights.stateDict()), against: network)
  guard verification.isMatch else { fatalError("\(verification.missing.count) tensors are missing") }

  var options = WriteOptions()
  options.key = weights.key
  print(try checkpoint.convert(to: target, options).byteCount, "bytes")
}

func score(_ image: Activation<Float>, with path: String) throws -> [Float] {
  var said = ResNetOverrides()
  said.architecture = ResNetArchitecture.named("resnet50nodown")  // what no file can say
  let network = try ResNet.load(from: path, declaring: said, threads: 2)
  for fact in network.resolution.assumed { print("assumed:", fact.name, fact.value) }
  return try network(image).values  // N×classes; call it again, from any task
}
// README END

/// Every command line shown in the documents is run, and what it prints is what is shown.
@Suite struct DocumentationTests {
  /// A command of a `console` block, and the lines shown under it.
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

  @Test func theReadmeExampleRuns() throws {
    let source = try String(contentsOfFile: #filePath, encoding: .utf8)
    let begin = try #require(source.firstRange(of: "// README BEGIN\n"))
    let end = try #require(source.firstRange(of: "// README END\n"))
    let readme = try String(contentsOf: Fixtures.root.appending(path: "README.md"), encoding: .utf8)
    #expect(
      readme.contains(
        "```swift\nimport Checkpoints\nimport Inference\nimport Networks\nimport ResNets\nimport Tensors\n\n"
          + source[begin.upperBound..<end.lowerBound] + "```"))
    let folder = try TemporaryFolder()
    #expect(try DecantProcess.run(["synthesize", "resnet50nodown", "-o", folder.path("n.pth")]).status == 0)
    try pour(folder.path("n.pth"), into: folder.path("n.safetensors"))
    #expect(try Checkpoint(path: folder.path("n.safetensors")).tensors.count == 320)
    let image = try Activation<Float>(shape: [1, 3, 32, 32], values: Array(repeating: 0.5, count: 3072))
    #expect(try score(image, with: folder.path("n.pth")).allSatisfy(\.isFinite))
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

  /// Whether lines are those shown, where a line `…` stands for any lines.
  private static func matches(_ lines: ArraySlice<String>, _ shown: ArraySlice<String>) -> Bool {
    guard let first = shown.first else { return lines.isEmpty }
    if first == "…" {
      return (lines.startIndex...lines.endIndex).contains { matches(lines[$0...], shown.dropFirst()) }
    }
    guard let line = lines.first, matches(line, first) else { return false }
    return matches(lines.dropFirst(), shown.dropFirst())
  }

  /// Whether a line is the one shown, where `TIME` stands for a duration and `…` for the rest of the line.
  private static func matches(_ line: String, _ shown: String) -> Bool {
    let timed = line.replacing(/\d+\.\d+ m?s/, with: "TIME")
    return shown.hasSuffix("…") ? timed.hasPrefix(shown.dropLast()) : timed == shown
  }
}
