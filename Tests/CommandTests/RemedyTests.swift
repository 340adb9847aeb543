import DecantCommand
import Foundation
import TestSupport
import Testing
@testable import DecantBytes

/// Every remedy is run by ``MessageTests``, or is listed in `remedies.txt` with the reason why it is no command.
///
/// The list may only shrink: a remedy that is added names a command, and a message in ``MessageTests`` shows and runs it.
/// Where that cannot be, the reason has to be a good one, and ``most`` is raised with it.
@Suite struct RemedyTests {
  /// The number of remedies that are no command.
  private static let most = 163

  @Test func theListOnlyShrinks() throws {
    let listed = try Self.listed()
    #expect(listed.count == Self.most, "fewer: lower `most`; more: name a command in the remedy instead")
    #expect(Set(listed).count == listed.count)
  }

  /// Every sentence of the sources that is a remedy is in the list, or was run.
  @Test func everyTextIsRunOrListed() throws {
    let listed = Set(try Self.listed())
    let texts = try RemedyTexts.all()
    let run = try Self.messages(withRemedies: true)
    for text in texts where !listed.contains(text) {
      let pattern = text.replacing("FILE", with: "*").split(separator: "*", omittingEmptySubsequences: false)
      let isRun = run.contains { message in
        var rest = message[...]
        for part in pattern {
          guard let found = rest.firstRange(of: part) else { return false }
          rest = rest[found.upperBound...]
        }
        return true
      }
      #expect(
        isRun, "no message of MessageTests runs this remedy, and remedies.txt does not list it: \(text)")
    }
    for text in listed.subtracting(texts) {
      #expect(Self.typed.contains(text), "no remedy has this text any more: \(text)")
    }
  }

  /// Every kind of typed remedy is in the list, or was run.
  @Test func everyKindIsRunOrListed() throws {
    let listed = Set(try Self.listed())
    let run = try Self.messages(withRemedies: true).map(Self.signature)
    for text in Self.typed where !listed.contains(text) {
      let signature = Self.signature(text)
      #expect(
        run.contains { signature.isSubset(of: $0) },
        "no message of MessageTests runs this remedy, and remedies.txt does not list it: \(text)")
    }
  }

  /// The typed remedies, for one sample of each kind, and the scanner's.
  private static let typed = DecantError.Advice.samples.map(\.commandText)

  /// Returns the words of a remedy without names, numbers and values of options.
  private static func signature(_ text: String) -> Set<String> {
    Set(text.matches(of: /--[a-z0-9-]+|\b[a-z]{4,}\b/).map { String($0.0) })
      .subtracting([
        "model", "encoder", "head", "image", "mask", "full", "rank", "metadata", "classifier", "holds",
        "safetensors", "whole", "checkpoint",
      ])
  }

  /// Returns the lines of `remedies.txt` that are neither headings nor empty.
  private static func listed() throws -> [String] {
    let path = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "remedies.txt")
    return try String(contentsOf: path, encoding: .utf8).split(separator: "\n").map(String.init)
      .filter { !$0.hasPrefix("#") }
  }

  /// Returns the messages of `messages.txt` whose remedies were run.
  private static func messages(withRemedies: Bool) throws -> [String] {
    try String(contentsOf: MessageTests.path, encoding: .utf8).components(separatedBy: "\n\n")
      .filter { $0.contains("\nremedy: ") == withRemedies }
  }
}
