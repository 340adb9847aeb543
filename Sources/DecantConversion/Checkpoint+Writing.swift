internal import DecantBytes
public import DecantCheckpoints
public import DecantTensors

extension Checkpoint {
  /// Writes the only state dict in the format of the path's extension, and everything in a `.pth`.
  ///
  /// A `.pth` also keeps the values that are not tensors. For other formats, the report lists what is left out.
  /// ``WriteOptions/key`` chooses another part, or all tensors.
  ///
  /// - Parameters and errors: as ``DecantTensors/StateDict/write(to:as:_:)``. O(bytes).
  @discardableResult
  public func write(
    to path: String, as format: OutputFormat? = nil, _ options: WriteOptions = WriteOptions()
  ) throws -> WriteReport {
    try convert(to: path, as: format, options)
  }
}

extension StateDict {
  /// Writes the tensors to a file in the format of its extension. The write is atomic and uses bounded memory.
  ///
  ///     try weights.write(to: "nodown.safetensors")
  ///
  /// The source's metadata is kept where the format can store it.
  ///
  /// - Parameters:
  ///   - path: the file; a folder of `.npy` files when it ends in `/`.
  ///   - format: the output format; by default that of the extension.
  /// - Returns: a report of what was written and what was left out.
  /// - Throws: ``DecantError`` before anything is written when a tensor cannot be represented (`notRepresentable`),
  ///   the extension is unknown or two tensors have the same name. Later `diskFull`, `outputExists`,
  ///   `checksumMismatch`, …. Also whatever ``WriteOptions/progress`` throws. O(bytes).
  @discardableResult
  public func write(
    to path: String, as format: OutputFormat? = nil, _ options: WriteOptions = WriteOptions()
  ) throws -> WriteReport {
    guard let part else { return try Checkpoint(holding: self).convert(to: path, as: format, options) }
    return try part.checkpoint.convert(to: path, as: format, selecting: part.selection, options)
  }
}
