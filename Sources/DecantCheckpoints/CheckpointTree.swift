package import DecantBytes
internal import DecantIO

/// The checkpoints below a path: a file, a folder that is one checkpoint, or those in a folder of files and folders.
///
/// Each folder is opened when it is reached, and once. Files are not opened, so some of them may not be checkpoints.
package struct CheckpointTree {
  /// A folder that is one checkpoint, or a file.
  package struct Entry {
    package let path: String
    /// The result of opening a folder; nil for a file.
    package let opened: Result<Checkpoint, DecantError>?
  }

  /// The errors so far: folders that cannot be read, names that are not UTF-8, and links to folders, which could lead in
  /// circles.
  package private(set) var errors: [DecantError] = []
  /// The folders to visit and the files in order; the last is next.
  private var pending: [(path: String, isFile: Bool)]
  private let limits: Limits
  private let password: String?

  package init(_ path: String, limits: Limits, password: String? = nil) {
    pending = [(path, false)]
    self.limits = limits
    self.password = password
  }

  /// Returns the next file or checkpoint; nil at the end. Those in one folder are sorted by the bytes of their names.
  /// Links to files are followed.
  package mutating func next() -> Entry? {
    while let (path, isFile) = pending.popLast() {
      do throws(DecantError) {
        guard let folder = try CheckpointFolder(path, password: password) else {
          return Entry(path: path, opened: nil)
        }
        guard !isFile else {
          throw DecantError(.notAFile, "is a link to a folder, which is not followed", file: path)
        }
        if let checkpoint = checkpoint(at: path) { return Entry(path: path, opened: checkpoint) }
        let entries = try folder.entries(limit: limits.paths).map { (name: $0.name.validText, $0) }
        for entry in entries where entry.name == nil {
          errors.append(
            DecantError(
              .invalidArgument, "has a name that is not UTF-8, and is not opened",
              file: folder.path(of: entry.1.name.text), remedy: "Choose another name."))
        }
        pending += entries.reversed().compactMap { name, entry in
          name.map { (folder.path(of: $0), !entry.isFolder) }
        }
      } catch {
        errors.append(error)
      }
    }
    return nil
  }

  /// Opens a folder as one checkpoint; nil when it is not one. A damaged checkpoint is still one.
  private func checkpoint(at path: String) -> Result<Checkpoint, DecantError>? {
    do throws(DecantError) {
      return .success(try Checkpoint(path: path, limits: limits, password: password))
    } catch {
      return error.code == .notAFile || error.code == .notACheckpoint ? nil : .failure(error)
    }
  }
}
