internal import DecantBytes
internal import DecantIO
internal import DecantScanning

/// The results of one run of `decant scan`.
struct ScanResults {
  /// The files to show, in the order of the paths.
  private(set) var files: [FileScan] = []
  /// The number of files with each verdict, shown or not.
  private(set) var counts: [ScanVerdict: Int] = [:]
  /// The number of files in folders that are not checkpoints.
  private(set) var notCheckpointCount = 0
  let skipped: [FileTree.Skipped]
  private(set) var errors: [DecantError]

  init(skipped: [FileTree.Skipped], errors: [DecantError]) {
    self.skipped = skipped
    self.errors = errors
  }

  /// Adds the result of a file. A file that is not a checkpoint is only counted, unless the command line names it.
  mutating func add(_ result: ScanQueue.Outcome, of file: FileTree.File, onlyFindings: Bool) {
    switch result {
    case .success(let scan):
      if !file.isNamed && !scan.isCheckpoint {
        notCheckpointCount += 1
        return
      }
      counts[scan.verdict, default: 0] += 1
      if !onlyFindings || scan.verdict != .clean { files.append(scan) }
    case .failure(let error): errors.append(error)
    }
  }

  /// Returns true when a verdict reached the threshold at which the answer is no, or a path was not followed.
  func fails(_ threshold: ScanCommand.Threshold) -> Bool {
    if skipped.contains(where: { !$0.isWanted }) { return true }
    return counts.contains { verdict, _ in
      switch verdict {
      case .clean: false
      case .unknown: threshold == .unknown
      case .unreadable, .dangerous: true
      }
    }
  }
}
