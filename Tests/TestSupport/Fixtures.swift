package import Foundation

/// The files of `fixtures/`, located from this source file, since a top-level folder cannot be a target's resource.
package enum Fixtures {
  /// The root folder of the package.
  package static let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

  /// Returns the path of a file under `fixtures/`.
  package static func path(_ name: String) -> String { root.appending(path: "fixtures/" + name).path }

  /// Returns the sorted names of the files with a suffix in a folder under `fixtures/`.
  package static func names(in folder: String, endingIn suffix: String) -> [String] {
    let names = (try? FileManager.default.contentsOfDirectory(atPath: path(folder))) ?? []
    return names.filter { $0.hasSuffix(suffix) }.sorted()
  }

  /// Returns the bytes of a file under `fixtures/`.
  package static func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(filePath: path(name))))
  }
}

/// Real files from public repositories, in a folder next to the project on some machines.
package enum Corpus {
  /// The folder of the files, or nil when it does not exist.
  package static let folder: URL? = {
    let folder = Fixtures.root.deletingLastPathComponent().appending(path: "shared/checkpoints")
    return FileManager.default.fileExists(atPath: folder.appending(path: "MANIFEST.tsv").path) ? folder : nil
  }()

  /// Returns the rows of a tab-separated table with a heading, as dictionaries.
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

/// A temporary folder that is removed with its content on deinitialisation.
package final class TemporaryFolder {
  package let url: URL

  package init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "decant-test-" + UUID().uuidString)
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// Returns the path of a file in the folder.
  package func path(_ name: String) -> String { url.appending(path: name).path }

  /// Writes a file and returns its path.
  package func write(_ name: String, _ bytes: [UInt8]) throws -> String {
    try Data(bytes).write(to: URL(filePath: path(name)))
    return path(name)
  }

  /// The sorted names of the files in the folder.
  package var names: [String] {
    ((try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? []).sorted()
  }
}
