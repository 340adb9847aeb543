package import Foundation

/// The files of `fixtures/`, found from this source file: a folder at the top cannot be a target's resource.
package enum Fixtures {
  /// The package's folder.
  package static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// The path of a file under `fixtures/`.
  package static func path(_ name: String) -> String { root.appending(path: "fixtures/" + name).path }

  /// The names of the files in a folder under `fixtures/` that end so, in order.
  package static func names(in folder: String, endingIn suffix: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path(folder))) ?? []
    return names.filter { $0.hasSuffix(suffix) }.sorted()
  }

  /// The bytes of a file under `fixtures/`.
  package static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path(name))))
  }
}

/// The real files of public repositories that lie beside the project, where they do.
package enum Corpus {
  /// The folder; nil on machines that have none.
  package static let folder: URL? = {
    let folder = Fixtures.root.deletingLastPathComponent().appending(path: "shared/checkpoints")
    return FileManager.default.fileExists(atPath: folder.appending(path: "MANIFEST.tsv").path) ? folder : nil
  }()

  /// The rows of a table of tab-separated values with a heading, as dictionaries.
  package static func table(_ name: String) throws -> [[String: String]] {
    guard let folder else { return [] }
    let lines = try String(contentsOf: folder.appending(path: name), encoding: .utf8).split(separator: "\n")
    guard let heading = lines.first?.split(separator: "\t", omittingEmptySubsequences: false) else {
      return []
    }
    return lines.dropFirst().map { line in
      let cells = line.split(separator: "\t", omittingEmptySubsequences: false)
      return Dictionary(
        zip(heading, cells).map { (String($0), String($1)) }, uniquingKeysWith: { first, _ in first })
    }
  }
}

/// A folder that is removed with everything in it.
package final class TemporaryFolder {
  package let url: URL

  package init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "decant-test-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// The path of a file in it.
  package func path(_ name: String) -> String { url.appending(path: name).path }

  /// Writes a file and returns its path.
  package func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Data(bytes).write(to: URL(filePath: path(name)))
    return path(name)
  }

  /// The names of what is in it.
  package var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []).sorted()
  }
}
