extension DecantError {
  /// The kinds of failure. Raw values are stable: scripts and programs decide by them.
  public enum Code: String, Sendable, CaseIterable {
    /// Not sorted yet.
    case unclassified
    // MARK: Reading a file
    /// Nothing has this path.
    case fileNotFound
    /// The system does not let this user read or write here.
    case permissionDenied
    /// The path leads to a folder, a pipe or a device where a file is needed.
    case notAFile
    /// The system could not read the file.
    case readFailed
    /// The file or folder is no checkpoint: another kind of file, a download page, an empty file.
    case notACheckpoint
    /// The file is a checkpoint of a format, version or feature that is not read.
    case unsupportedFormat
    /// The file ends before its contents do.
    case truncated
    /// The file contradicts its own format.
    case damaged
    /// The file is arranged to mislead: overlapping or repeated entries, or names of files outside its folder.
    case deceptive
    /// The data differs from its recorded checksum.
    case checksumMismatch
    /// Reading would need more than ``Limits`` allows.
    case limitExceeded
    /// A file that belongs to the checkpoint is absent.
    case partMissing
    /// The file is one rank's part of a sharded checkpoint and cannot be used alone.
    case partialCheckpoint
    /// The file holds tensors that are not read.
    case unreadTensors

    // MARK: Choosing
    /// The checkpoint has no such key.
    case keyNotFound
    /// No tensor has such a name, or matches such a pattern.
    case tensorNotFound
    /// The checkpoint holds no state dict.
    case noStateDict
    /// The checkpoint holds several state dicts, and none was chosen.
    case ambiguousStateDict
    /// Two tensors have the same name.
    case duplicateName
    /// An option or argument cannot be used so.
    case invalidArgument
    /// A tensor has no data: it was saved from the meta device, or its data belongs to another rank.
    case noData

    // MARK: Writing
    /// The output format cannot hold a tensor, a name or a value.
    case notRepresentable
    /// The output's extension chooses no format that is written.
    case unknownOutputFormat
    /// The output exists and must not be replaced.
    case outputExists
    /// The disk, or the user's quota, has no room for the output.
    case diskFull
    /// The system could not write the output.
    case writeFailed
    /// What was written differs from the source when it is read again.
    case outputDiffers

    // MARK: Networks
    /// The names and shapes are not those of a ResNet.
    case notAResNet
    /// The weights fit several networks, and a fact that the file does not hold must be given.
    case undetermined
    /// The weights are not those of the network: tensors are missing, unexpected or of another shape.
    case mismatch
    /// The network has a part that cannot be built or executed.
    case unsupportedNetwork
    /// The input does not suit the network.
    case invalidInput
    /// A shared library is not installed or cannot be used.
    case libraryMissing
    /// The system did not give the memory or threads needed.
    case outOfMemory
  }
}
