internal import DecantBytes

/// Errors of checkpoints that are incomplete.
enum Truncation {
  /// Returns the error for commands that need all of the data.
  ///
  /// - Parameter reason: a clause that says what is cut off.
  static func error(_ code: DecantError.Code, _ reason: String, _ tensors: [CheckpointTensor], file: String)
    -> DecantError
  {
    let whole = tensors.count { $0.state == .whole }
    return DecantError(
      code, "\(reason); \(whole) of \(tensors.count) tensors are whole", file: file,
      advice: .salvage)
  }
}
