import Testing
@testable import DecantBytes

@Suite struct NearestNameTests {
  private static let names = ["resnet18", "resnet34", "resnet50", "resnet50_gn", "wide_resnet50_2", "cifar"]

  @Test(
    arguments: [
      ("resent50", ["resnet50"]), ("ResNet50", ["resnet50"]), ("resnet-50", ["resnet50"]),
      ("resnet_50", ["resnet50"]), ("resnet5", ["resnet50"]), ("resnet14", ["resnet18", "resnet34"]),
      ("wideresnet502", ["wide_resnet50_2"]), ("wide", ["wide_resnet50_2"]), ("wi", []),
      ("ciffar", ["cifar"]), ("cifar", []),
      ("transformer", []), ("", []), ("-", []), (String(repeating: "r", count: 300), []),
    ] as [(String, [String])])
  func nearest(_ word: String, _ expected: [String]) {
    #expect(NearestName.all(to: word, among: Self.names) == expected)
  }

  @Test func noMoreThanThree() {
    let layers = (1...9).map { "layer\($0)" }
    #expect(NearestName.all(to: "layer0", among: layers) == ["layer1", "layer2", "layer3"])
    #expect(
      NearestName.question(for: "layer0", among: layers) == "did you mean layer1, layer2 or layer3?")
  }

  @Test func questions() {
    #expect(NearestName.question(for: "modle", among: ["model"]) == "did you mean model?")
    #expect(NearestName.question(for: "modle", among: ["model", "models"]) == "did you mean model?")
    #expect(NearestName.question(for: "optimizer", among: ["model"]) == nil)
    // Text from a file is escaped.
    #expect(NearestName.question(for: "modle", among: ["mod\u{1B}el"]) == "did you mean mod\\x1bel?")
  }
}
