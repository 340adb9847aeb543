package import DecantBytes
internal import DecantIO

/// The checkpoints below a path: a file, a folder that is one checkpoint, or those in a folder of files and folders.
package struct CheckpointTree {
  /// The paths to open. Those in one folder are sorted by the bytes of their names.
  package private(set) var paths: [String] = []
  /// The errors of folders that cannot be read, and of links to folders, which could lead in circles.
  package private(set) var errors: [DecantError] = []

  /// Finds the checkpoints. Tries to open each folder as one checkpoint. If that fails, the folder's entries are listed.
  /// Files are not opened, so some of the paths may not be checkpoints. Links to files are followed.
  package init(_ path: String, limits: Limits, password: String? = nil) {
    // The folders to visit and the files in order; the last is next.
    var pending = [(path: path, isFile: false)]
    while let (path, isFile) = pending.popLast() {
      do throws(DecantError) {
        guard let folder = try CheckpointFolder(path, password: password) else {
          paths.append(path)
          continue
        }
        guard !isFile else {
          throw DecantError(.notAFile, "is a link to a folder, which is not followed", file: path)
        }
        guard try Self.isTree(path, limits: limits, password: password) else {
          paths.append(path)
          continue
        }
        let names =
          try folder.names(limit: limits.paths).map { (name: $0, isFile: true) }
          + folder.folderNames(limit: limits.paths).map { (name: $0, isFile: false) }
        pending += names.sorted { $1.name.utf8.lexicographicallyPrecedes($0.name.utf8) }
          .map { (folder.path(of: $0.name), $0.isFile) }
      } catch {
        errors.append(error)
      }
    }
  }

  /// Returns true for a folder that is not one checkpoint. One that is a damaged checkpoint is still one.
  private static func isTree(_ path: String, limits: Limits, password: String?) throws(DecantError) -> Bool {
    do throws(DecantError) { _ = try Checkpoint(path: path, limits: limits, password: password) } catch {
      return error.code == .notAFile || error.code == .notACheckpoint
    }
    return false
  }
}
