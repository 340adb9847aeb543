import Foundation
import TestSupport
import Testing

/// The format of the output of `identify --measure`. Tests/Peers checks its accuracy on trained networks.
@Suite struct MeasureTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(
      "decant " + line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  private func object(_ run: DecantRun) throws -> [String: Any] {
    try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  @Test func textIsAddedAndNothingElseChanges() throws {
    let plain = try decant("identify fixtures/torch/small_basic.pth")
    let run = try decant("identify fixtures/torch/small_basic.pth --measure")
    #expect(run.status == 0 && run.errors == plain.errors)
    #expect(run.output.hasPrefix(plain.output))
    let added = run.output.dropFirst(plain.output.count).split(separator: "\n")
    #expect(added.count == 4)
    #expect(added.first?.contains("measured") == true && added.first?.hasSuffix("best images") == true)
    for (line, stride) in zip(added.dropFirst(), ["1", "2"]) {
      #expect(
        line.hasPrefix("  stride0 \(stride)  ") && line.contains("  noise 1/f^") && line.hasSuffix(" pixels"))
    }
    #expect(
      added.last?.hasPrefix("  cannot tell: ") == true || added.last?.hasPrefix("  suggests stride0 ") == true
    )
  }

  @Test func jsonContract() throws {
    let plain = try object(decant("identify fixtures/torch/small_basic.pth --json"))
    var whole = try object(decant("identify fixtures/torch/small_basic.pth --measure --json"))
    let measured = try #require(whole.removeValue(forKey: "measured") as? [String: Any])
    #expect(whole as NSDictionary == plain as NSDictionary)
    #expect(Set(measured.keys) == ["stride0", "verdict", "error_rate", "hypotheses"])
    let rate = try #require(measured["error_rate"] as? [String: Int])
    #expect(Set(rate.keys) == ["wrong", "undecided", "networks"])
    let hypotheses = try #require(measured["hypotheses"] as? [[String: Any]])
    #expect(hypotheses.map { $0["stride0"] as? Int } == [1, 2])
    for hypothesis in hypotheses {
      #expect(
        Set(hypothesis.keys) == ["stride0", "divergence", "exponent", "softness", "size", "layers"])
      let layers = try #require(hypothesis["layers"] as? [[String: Any]])
      #expect(layers.map { $0["name"] as? String } == ["layer1.0.bn1", "layer1.0.bn2"])
      #expect(layers.allSatisfy { Set($0.keys) == ["name", "divergence"] })
      let mean = layers.compactMap { $0["divergence"] as? Double }.reduce(0, +) / 2
      #expect(abs(mean - (hypothesis["divergence"] as? Double ?? 0)) < 1e-12)
    }
  }

  @Test func imagesTakeTheNoisesPlace() throws {
    let run = try decant(
      "identify fixtures/torch/small_basic.pth --measure --images fixtures/inputs/input_97x131.npy --json")
    let measured = try #require(try object(run)["measured"] as? [String: Any])
    #expect(measured["error_rate"] is NSNull)
    for hypothesis in try #require(measured["hypotheses"] as? [[String: Any]]) {
      #expect(hypothesis["exponent"] is NSNull && hypothesis["size"] as? [Int] == [97, 131])
      for layer in try #require(hypothesis["layers"] as? [[String: Any]]) {
        #expect((layer["mean"] as? [Double])?.count == (layer["variance"] as? [Double])?.count)
        #expect((layer["variance"] as? [Double])?.allSatisfy { $0 > 0 } == true)
      }
    }
  }

  @Test func refusals() throws {
    #expect(try decant("identify fixtures/torch/small_basic.pth --images a.npy").status == 64)
    _ = try decant("synthesize resnet20 -o OUT/cifar.pth")
    let run = try decant("identify OUT/cifar.pth --measure --json")
    #expect(run.status == 2)
    let error = try JSONError(run.output)
    #expect(error.code == "notMeasurable" && error.file?.hasSuffix("cifar.pth") == true)
  }
}
