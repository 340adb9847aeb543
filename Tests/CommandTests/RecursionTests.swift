import Foundation
import TestSupport
import Testing

/// `--recursive`: a folder of files and folders as a tree of checkpoints.
@Suite struct RecursionTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    let manager = FileManager.default
    let tree = folder.url.appendingPathComponent("tree")
    try manager.createDirectory(
      at: tree.appendingPathComponent("b/c"), withIntermediateDirectories: true)
    try manager.copyItem(
      at: Self.fixture("torch/small_basic.pth"), to: tree.appendingPathComponent("b/c/net.pth"))
    try manager.copyItem(
      at: Self.fixture("torch/big_endian.pth"), to: tree.appendingPathComponent("other.pth"))
    try manager.copyItem(at: Self.fixture("folders/bin"), to: tree.appendingPathComponent("a"))
    try Data("# A model\n".utf8).write(to: tree.appendingPathComponent("README.md"))
  }

  private static func fixture(_ name: String) -> URL { URL(filePath: Fixtures.path(name)) }

  private func decant(_ arguments: String...) throws -> DecantRun {
    try DecantProcess.run(arguments, in: folder.url)
  }

  private func headings(_ run: DecantRun) -> [String] {
    run.output.split(separator: "\n").filter { $0.hasPrefix("==> ") }.map(String.init)
  }

  @Test func everyCheckpointIsInspected() throws {
    let run = try decant("inspect", "-r", "tree")
    #expect(run.status == 0)
    #expect(headings(run) == ["==> tree/a <==", "==> tree/b/c/net.pth <==", "==> tree/other.pth <=="])
    #expect(run.output.contains("\n\n==> tree/b/c/net.pth <==\ntree/b/c/net.pth\n  "))
    #expect(run.errors == "decant: 1 file is not a checkpoint: tree/README.md\n")
  }

  @Test func theWorstAnswerDecides() throws {
    let run = try decant("verify", "--recursive", "tree")
    #expect(run.status == 1)
    #expect(headings(run).count == 3)
    #expect(run.errors.contains("decant: error: tree/other.pth: not recognised as a ResNet"))
    try Data("PK\u{3}\u{4}".utf8).write(to: folder.url.appendingPathComponent("tree/broken.pth"))
    #expect(try decant("verify", "-r", "tree").status == 2)
  }

  @Test(arguments: ["inspect", "identify", "verify"])
  func jsonHasALineForEachFile(command: String) throws {
    let run = try decant(command, "-r", "--json", "tree")
    let documents = try run.output.split(separator: "\n").map {
      try #require(JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    #expect(documents.count == 4)
    #expect(documents.allSatisfy { $0["schema"] as? Int == 1 })
    let codes = documents.compactMap { ($0["error"] as? [String: Any])?["code"] as? String }
    #expect(codes.contains("notACheckpoint"))
  }

  @Test func aLineEqualsTheDocumentOfTheFileAlone() throws {
    func document(_ text: some StringProtocol) throws -> NSDictionary {
      try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? NSDictionary)
    }
    let lines = try decant("inspect", "-r", "--json", "tree").output.split(separator: "\n")
    let alone = try decant("inspect", "--json", "tree/b/c/net.pth").output
    #expect(try lines.contains { try document($0) == document(alone) })
  }

  @Test func aFileOrAFolderThatIsOneCheckpointIsOneAnswer() throws {
    for path in ["tree/b/c/net.pth", "tree/a"] {
      let (alone, recursive) = (try decant("inspect", path), try decant("inspect", "-r", path))
      #expect(recursive.output == alone.output)
      #expect(recursive.status == 0)
    }
  }

  @Test func linksToFoldersAreNamedAndNotFollowed() throws {
    try FileManager.default.createSymbolicLink(
      atPath: folder.path("tree/b/loop"), withDestinationPath: folder.path("tree"))
    let run = try decant("inspect", "-r", "tree")
    #expect(run.status == 2)
    #expect(headings(run).count == 3)
    #expect(run.errors.contains("decant: error: tree/b/loop: is a link to a folder, which is not followed"))
  }

  @Test func aTreeWithoutCheckpointsIsAnError() throws {
    let run = try decant("inspect", "-r", "tree/b/none")
    #expect(run.status == 2)
    try FileManager.default.createDirectory(
      at: folder.url.appendingPathComponent("empty/inner"), withIntermediateDirectories: true)
    let empty = try decant("inspect", "-r", "empty")
    #expect(empty.status == 2)
    #expect(
      empty.errors
        == "decant: error: empty: holds no checkpoint. Pass a checkpoint file, an index.json of shards, or a folder with a .metadata.\n"
    )
    #expect(try decant("inspect", "-r", "--pickle", "tree").status == 64)
    #expect(try decant("verify", "-r", "--join", "a", "b").status == 64)
  }
}
