internal import DecantBytes

/// Errors of incomplete checkpoints.
enum Truncation {
  /// Returns the error for operations that need all of the data.
  ///
  /// - Parameter reason: A clause that says what is truncated.
  static func error(_ code: DecantError.Code, _ reason: String, _ tensors: [CheckpointTensor], file: String)
    -> DecantError
  {
    let whole = tensors.count { $0.state == .whole }
    return DecantError(
      code, "\(reason); \(whole) of \(Format.count(tensors.count, "tensor", ("is", "are"))) complete",
      file: file,
      advice: .salvage)
  }
}
