internal import ByteParsing

/// What is said of a checkpoint that is not all there.
enum Truncation {
  /// The error that whoever needs all of the data gets.
  ///
  /// - Parameter reason: a clause that says what is cut off.
  static func error(_ reason: String, _ tensors: [CheckpointTensor], file: String) -> DecantError {
    let whole = tensors.count { $0.state == .whole }
    return DecantError(
      .unclassified, "\(reason); \(whole) of \(tensors.count) tensors are whole", file: file,
      remedy: "Fetch it again; decant convert --salvage keeps the tensors that are whole.")
  }
}
