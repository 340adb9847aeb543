import DecantScanning
import Foundation
import TestSupport
import Testing

/// Real files, hostile and benign, whose notes in the manifest list what they call. The tests never load one.
@Suite(.enabled(if: Corpus.folder != nil, "../shared/checkpoints is not here"))
struct CorpusTests {
  /// Functions that hostile files of the corpus call, and that only rebuild tensors or arrays.
  private static let harmless = [
    "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "numpy.dtype",
    "numpy.core.multiarray._reconstruct",
  ]

  private struct Row {
    let path: String
    let container: String
    let isHostile: Bool
    /// True when the manifest's note says that loading the file runs code.
    let runsCode: Bool
    let verdict: ScanVerdict
  }

  private func rows() throws -> [Row] {
    let folder = try #require(Corpus.folder)
    return try Corpus.table("MANIFEST.tsv").map { row in
      let path = try #require(row["path"])
      let note = row["note"] ?? ""
      let calls =
        note.hasPrefix("calls ")
        ? note.dropFirst(6).prefix { $0 != "|" }.split(separator: ",").map {
          $0.trimmingCharacters(in: .whitespaces)
        }
        : []
      let runs = calls.contains { !Self.harmless.contains($0) }
      let isHostile = note.contains("HOSTILE") || runs
      return Row(
        path: path, container: row["container"] ?? "", isHostile: isHostile,
        runsCode: isHostile && !note.contains("memory bomb") && row["container"] != "7z",
        verdict: try CheckpointScanner().scan(path: folder.appending(path: path).path).verdict)
    }
  }

  @Test func hostileAndBenign() throws {
    let rows = try rows()
    #expect(rows.count > 600)
    let hostile = rows.filter(\.isHostile)
    #expect(hostile.count >= 90)
    for row in hostile {
      #expect(row.verdict != .clean, "\(row.path)")
      if row.runsCode { #expect(row.verdict == .dangerous, "\(row.path)") }
    }
    let containers = [
      "torch-zip", "torch-legacy", "torch-tar(0.1)", "torchscript", "safetensors", "npy", "npz",
    ]
    let benign = rows.filter { !$0.isHostile && containers.contains($0.container) }
    #expect(benign.count > 400)
    for row in benign { #expect(row.verdict == .clean || row.verdict == .unknown, "\(row.path)") }
    for row in benign where row.container != "torchscript" { #expect(row.verdict == .clean, "\(row.path)") }
  }
}
