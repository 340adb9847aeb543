import Foundation
import TestSupport
import Testing

@Suite struct ReportTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(
      "decant " + line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  private func text(_ name: String) throws -> String {
    try String(contentsOfFile: folder.path(name), encoding: .utf8)
  }

  @Test func writesAPage() throws {
    let run = try decant("report fixtures/torch/small_basic.pth -o OUT/report.html")
    #expect(run.status == 0 && run.output.isEmpty)
    #expect(run.errors.wholeMatch(of: /decant: \S+\/report\.html: \d+(\.\d)? kB\n/) != nil, "\(run.errors)")
    #expect(folder.names == ["report.html"])
    let page = try text("report.html")
    #expect(page.hasPrefix("<!DOCTYPE html>\n<html lang=\"en\">\n") && page.hasSuffix("</html>\n"))
    let streamed = try decant("report fixtures/torch/small_basic.pth")
    #expect(streamed.output == page && streamed.errors.isEmpty)
  }

  /// The drawing is the same every time, by the option or by the extension.
  @Test(arguments: [("svg", "svg"), ("dot", "gv"), ("mermaid", "mmd")])
  func drawsTheNetwork(format: String, extension suffix: String) throws {
    let run = try decant("report fixtures/torch/small_basic.pth --format \(format)")
    #expect(run.status == 0 && run.errors.isEmpty && run.output.contains("3×224×224"))
    _ = try decant("report fixtures/torch/small_basic.pth -o OUT/drawing.\(suffix)")
    #expect(try text("drawing.\(suffix)") == run.output)
    let full = try decant("report fixtures/torch/small_basic.pth --format \(format) --stride0 1 --size 64")
    #expect(full.output.contains("3×64×64") && full.output.contains("8×64×64"))
  }

  @Test func jsonContract() throws {
    let run = try decant("report fixtures/torch/small_basic.pth -o OUT/drawing.svg --json")
    let object = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["schema"] as? Int == 1 && object["format"] as? String == "svg")
    #expect(object["bytes"] as? Int == (try text("drawing.svg")).utf8.count)
    let files = try #require(object["files"] as? [[String: Any]])
    #expect(files.count == 1 && files[0]["verdict"] as? String == "clean")
    #expect(files[0]["architecture"] is NSNull)
    let streamed = try decant("report fixtures/torch/small_basic.pth --json")
    #expect(streamed.status == 64 && streamed.output.contains("name a file with -o"))
  }

  @Test func comparesTwoFiles() throws {
    _ = try decant("convert fixtures/torch/small_basic.pth OUT/half.safetensors --dtype float16")
    let run = try decant("report fixtures/torch/small_basic.pth OUT/half.safetensors")
    #expect(run.status == 0)
    #expect(run.output.contains("<h1>Two checkpoints</h1>"))
    #expect(run.output.contains("exact float16 rounding"))
    #expect(run.output.contains("<th scope=\"row\">Size</th><td>421 kB</td>"))
    let same = try decant("report fixtures/torch/small_basic.pth fixtures/torch/small_basic.pth --no-values")
    #expect(same.output.contains("<span class=\"badge good\">The same</span> 86 identical, every bit."))
    let other = try decant("report fixtures/torch/small_basic.pth fixtures/torch/without_data.pth")
    #expect(other.status == 0 && other.output.contains("<p>Not compared: "))
  }

  @Test func comparesWithReferenceOutputs() throws {
    let golden = "fixtures/goldens/small_basic.safetensors"
    _ = try decant("convert \(golden) OUT/input.npy --only input")
    let run = try decant(
      "report fixtures/torch/small_basic.pth --stride0 1 --input OUT/input.npy --compare \(golden)")
    let strided = try decant(
      "report fixtures/torch/small_basic.pth --input \(golden) --input-key input --compare \(golden)")
    // The network of the reference outputs has a stride of 2 in its stem.
    #expect(run.status == 2 && run.errors.contains("its reference output has"))
    #expect(strided.status == 0, "\(strided.errors)")
    #expect(
      strided.output.contains("<span class=\"badge good\">Equal</span> Every stage is within the tolerance."))
    for stage in ["stem", "maxpool", "layer1", "layer4", "avgpool", "logits"] {
      #expect(strided.output.contains("<tr><th scope=\"row\">\(stage)</th><td class=\"n\">"))
    }
    let strict = try decant(
      "report fixtures/torch/small_basic.pth --input \(golden) --input-key input --compare \(golden) --tolerance 1e-12"
    )
    #expect(strict.status == 0 && strict.output.contains("<span class=\"bad\">differs</span>"))
  }

  @Test func otherFilesHaveEverythingButTheDrawing() throws {
    let run = try decant("report fixtures/torch/views.pth")
    #expect(run.status == 0)
    #expect(!run.output.contains("id=\"architecture\"") && run.output.contains("id=\"bytes\""))
    #expect(run.output.contains("Not recognised as a ResNet: "))
    let drawing = try decant("report fixtures/torch/views.pth -o OUT/drawing.svg")
    #expect(drawing.status == 1 && folder.names.isEmpty)
    #expect(drawing.errors.hasPrefix("decant: error: fixtures/torch/views.pth: not recognised as a ResNet"))
  }

  /// A report never needs an option; what is missing is said.
  @Test func neverNeedsAnOption() throws {
    let several = try decant("report fixtures/torch/candidates.pth")
    #expect(several.status == 0 && several.output.contains("--key"))
    _ = try decant("synthesize resnet50nodown -o OUT/n.pth")
    let nodown = try decant("report OUT/n.pth --no-values")
    #expect(nodown.status == 0 && nodown.errors.isEmpty)
    #expect(nodown.output.contains("--stride0 1 draws the other"))
    #expect(nodown.output.contains("resnet50, resnet50nodown, resnetaa50, resnetblur50"))
    #expect(nodown.output.utf8.count < 200_000)
  }

  @Test(arguments: [
    ("report", 64, "Missing expected argument '<file>'"),
    ("report a.pth b.pth --format svg", 64, "A drawing is of one checkpoint, not 2."),
    ("report a.pth --compare r.safetensors", 64, "--compare needs --input."),
    ("report a.pth --input x.npy", 64, "--input needs --compare: decant run shows the output."),
    (
      "report a.pth --input x.npy --compare r.safetensors -o d.svg", 64,
      "--compare is for the page: leave out --format svg."
    ),
    ("report missing.pth -o OUT/r.html", 2, "missing.pth: cannot be opened: No such file or directory."),
    ("report fixtures/torch/small_basic.pth -o OUT/none/r.html", 2, "Make the folder first: mkdir -p "),
    ("report fixtures/torch/small_basic.pth --key nothing", 2, "has no key nothing"),
    ("report fixtures/torch/small_basic.pth --size 1 -o OUT/d.svg", 0, ""),
  ])
  func refusals(line: String, status: Int32, message: String) throws {
    let run = try decant(line)
    #expect(run.status == status && (run.errors.contains(message) || message.isEmpty), "\(run.errors)")
    if status != 0 { #expect(folder.names.isEmpty && run.output.isEmpty) }
  }

  /// The source is never replaced by its report, and a failed report leaves the last one.
  @Test func keepsFiles() throws {
    try FileManager.default.copyItem(
      atPath: Fixtures.path("torch/small_basic.pth"), toPath: folder.path("a.pth"))
    let before = try Data(contentsOf: URL(filePath: folder.path("a.pth")))
    let onto = try decant("report OUT/a.pth --format html -o OUT/a.pth")
    #expect(onto.status == 2 && onto.errors.contains("is the file being read"))
    #expect(try Data(contentsOf: URL(filePath: folder.path("a.pth"))) == before)
    _ = try decant("report OUT/a.pth -o OUT/r.html")
    let page = try text("r.html")
    #expect(try decant("report OUT/a.pth --key nothing -o OUT/r.html").status == 2)
    #expect(try text("r.html") == page)
  }
}
