/// The exit codes that scripts rely on. A command throws one to end with it.
enum ExitStatus: Int32, Error {
  /// The answer is no, such as a mismatch.
  case no = 1
  /// The file or the request is invalid.
  case wrong = 2
}
