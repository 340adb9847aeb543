import DecantBytes
import Testing

/// Names that differ only in their numbers, folded into one text.
struct FoldedNamesTests {
  private func fold(_ names: [String]) -> [String] {
    FoldedNames.fold(names, classes: names.map { _ in 0 }).map { "\($0.text) \($0.indices)" }
  }

  @Test func allCombinationsAreOne() {
    let names = (0..<2).flatMap { block in (1...3).map { "layer1.\(block).conv\($0).weight" } }
    #expect(fold(names) == ["layer1.{0-1}.conv{1-3}.weight [0, 1, 2, 3, 4, 5]"])
  }

  @Test func aMissingCombinationIsNeverInTheText() {
    #expect(fold(["a1.b1", "a1.b2", "a2.b1"]) == ["a1.b{1-2} [0, 1]", "a2.b1 [2]"])
    #expect(fold(["x1", "x2", "x4", "x10"]) == ["x{1-2,4,10} [0, 1, 2, 3]"])
  }

  @Test func numbersAreTexts() {
    #expect(fold(["x1", "x01", "x2"]) == ["x{1-2,01} [0, 1, 2]"])
    #expect(fold(["p008", "p009", "p010"]) == ["p{008-010} [0, 1, 2]"])
    #expect(fold(["x99999999999999999999", "x9223372036854775807"]).count == 1)
    #expect(fold(["", "7", "8", "7"]) == [" [0]", "7 [1]", "8 [2]", "7 [3]"])
  }

  @Test func namesOfManyNumbersAreNotFolded() {
    let names = (0..<3).map { String(repeating: "\($0).", count: 100_000) }
    #expect(FoldedNames.fold(names, classes: [0, 0, 0]).map(\.text) == names)
  }

  @Test func classesStayApart() {
    let folded = FoldedNames.fold(["x1", "x2", "x3"], classes: ["a", "b", "a"])
    #expect(folded.map(\.text) == ["x{1,3}", "x2"])
  }
}
