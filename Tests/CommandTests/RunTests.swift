import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

@Suite struct RunTests {
  private let folder: TemporaryFolder

  /// Extracts the inputs, which are in the reference output files, to `.npy` files.
  init() throws {
    folder = try TemporaryFolder()
    for name in ["small_nodown", "small_basic"] {
      let golden = try Checkpoint(path: Fixtures.path("goldens/\(name).safetensors"))
      let input = try #require(golden.tensors.first { $0.name == "input" }).tensor
      try NpyArray.write(
        try input.elements(as: Float.self), shape: input.shape, to: folder.path("\(name).npy"))
    }
  }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  /// Compares with PyTorch's activations of every stage, for two small networks saved by PyTorch.
  @Test(arguments: [("small_nodown", "--stride0 1"), ("small_basic", "")])
  func agreesWithPyTorch(_ name: String, _ options: String) throws {
    let line =
      "decant run fixtures/torch/\(name).pth \(options) --input OUT/\(name).npy --compare fixtures/goldens/\(name).safetensors"
    let run = try decant(line)
    #expect(run.status == 0, "\(run.errors)")
    #expect(run.output.contains("8 of 8 stages agree within 1.00e-05 of the stage's largest value"))
    let double = try decant(line + " --float64 --tolerance 1e-12")
    #expect(double.status == 0, "\(double.output)")
  }

  /// A wrong stride gives plausible logits; the comparison with the reference output finds it.
  @Test func theWrongStrideDiffers() throws {
    let run = try decant(
      "decant run fixtures/torch/small_basic.pth --stride0 1 --input OUT/small_basic.npy --compare fixtures/goldens/small_basic.safetensors --json"
    )
    #expect(try run.status == 2 && JSONError(run.output).code == "invalidInput")
    let loose = try decant(
      "decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --compare fixtures/goldens/small_basic.safetensors --tolerance 1e-10"
    )
    #expect(loose.status == 1 && loose.output.contains("DIFFERS"))
  }

  @Test func oneOutputNeedsAWord() throws {
    let run = try decant("decant run fixtures/torch/small_nodown.pth --input OUT/small_nodown.npy --json")
    #expect(run.status == 2)
    let error = try JSONError(run.output)
    #expect(error.code == "undetermined" && error.remedy?.contains("--stride0") == true)
  }

  @Test func theConvertedFileGivesTheSameBits() throws {
    let convert = try decant("decant convert fixtures/torch/small_basic.pth OUT/b.safetensors --key model")
    #expect(convert.status == 0, "\(convert.errors)")
    for (source, target) in [("fixtures/torch/small_basic.pth", "a.npy"), ("OUT/b.safetensors", "b.npy")] {
      let run = try decant("decant run \(source) --input OUT/small_basic.npy --output OUT/\(target)")
      #expect(run.status == 0, "\(run.errors)")
    }
    #expect(
      try Data(contentsOf: folder.url.appending(path: "a.npy"))
        == Data(contentsOf: folder.url.appending(path: "b.npy")))
  }

  @Test func writesStages() throws {
    let run = try decant(
      "decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --stages OUT/s.safetensors --output OUT/y.npy --stage layer4"
    )
    #expect(run.status == 0, "\(run.errors)")
    let listing = try decant("decant inspect OUT/s.safetensors")
    for stage in ["stem", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "logits"] {
      #expect(listing.output.contains("\n  \(stage) "))
    }
    // The written stages are a reference output that the same run reproduces exactly.
    let same = try decant(
      "decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --compare OUT/s.safetensors --tolerance 0"
    )
    #expect(same.status == 0)
  }

  @Test func jsonSaysWhatWasAssumed() throws {
    let run = try decant("decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect((object["assumed"] as? [String: Any])?["stride0"] as? Int == 2)
    #expect((object["logits"] as? [[Double]])?.count == 2)
    #expect(object["preprocessing"] as? String == "none")
    // What is in the document is not said again.
    #expect(!run.errors.contains("defaults used"))
    let text = try decant("decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy")
    #expect(text.errors.hasSuffix("decant: 9 defaults used; --verbose lists them\n"))
    // The result comes first.
    #expect(text.output.hasPrefix("  image 0:\n    class "))
    let verbose = try decant(
      "decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --verbose")
    #expect(verbose.errors.contains("decant: 9 defaults used: stem stride 2; "))
  }

  /// A network with 1,000 classes has ImageNet's names; a file of names replaces them.
  @Test func classNames() throws {
    #expect(try decant("decant synthesize resnet18 -o OUT/r18.pth").status == 0)
    let command = "decant run OUT/r18.pth --input OUT/small_basic.npy --top 1000"
    let run = try decant(command + " --json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    let images = try #require(object["images"] as? [[String: Any]])
    let top = try #require(images.first?["top"] as? [[String: Any]])
    var names: [Int: String] = [:]
    for entry in top { names[entry["class"] as? Int ?? -1] = entry["label"] as? String }
    #expect(names.count == 1000 && Set(names.values).count == 1000)
    for (number, name) in [
      (0, "tench"), (134, "crane (bird)"), (281, "tabby"), (517, "crane (machine)"), (638, "maillot"),
      (639, "tank suit"), (817, "sports car"), (999, "toilet tissue"),
    ] { #expect(names[number] == name) }
    let text = try decant(command)
    #expect(text.output.contains(/\n    281 +tabby +-?\d+\.\d+/))
    #expect(text.errors.contains("decant: class names are ImageNet's; --labels FILE gives others\n"))
    let lines = (0..<1000).map { "name \($0)" }.joined(separator: "\n")
    _ = try folder.write("names.txt", Array(lines.utf8))
    let other = try decant(command + " --labels OUT/names.txt")
    #expect(other.output.contains(/\n    281 +name 281\s/) && !other.errors.contains("ImageNet"))
  }

  @Test func repeatEndsWithTheMedian() throws {
    let run = try decant("decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --repeat 3")
    let last = run.output.split(separator: "\n").last.map(String.init) ?? ""
    #expect(last.wholeMatch(of: /median \d+\.\d ms/) != nil)
  }

  @Test func jsonHoldsTheMedianAndNothingFollowsIt() throws {
    let run = try decant(
      "decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --repeat 2 --json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["median_ms"] as? Double != nil)
  }

  @Test func enginesAreComparedStageByStage() throws {
    let run = try decant(
      "decant run fixtures/torch/small_basic.pth --input OUT/small_basic.npy --engine both --validate --json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["engine"] as? String == "onednn" && object["numerics"] as? String == "exact")
    let validation = try #require(object["validation"] as? [String: Any])
    #expect(validation["truth"] as? String == "the reference engine in float64")
    #expect(validation["rounding"] as? Bool == true)
    let stages = try #require(validation["stages"] as? [[String: Any]])
    #expect(Set(stages.compactMap { $0["by"] as? String }) == ["onednn", "reference"])
    #expect(stages.allSatisfy { ($0["max_relative"] as? Double ?? 1) < 1e-5 })
  }

  @Test func theWrongNetworkIsRefused() throws {
    let run = try decant(
      "decant run fixtures/torch/small_basic.pth --arch resnet50 --input OUT/small_basic.npy --json")
    #expect(try run.status == 1 && JSONError(run.output).code == "mismatch")
  }
}
