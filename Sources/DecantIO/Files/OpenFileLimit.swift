package import DecantBytes

/// The process's limit of open files.
package enum OpenFileLimit {
  /// Raises the limit so that a conversion can keep `count` files open at once.
  ///
  /// - Throws: ``DecantError`` when the system does not allow that many.
  package static func allow(_ count: Int) throws(DecantError) {
    // Sources and libraries keep files open too.
    let needed = count + 64
    let allowed = Descriptors.raiseLimit(to: needed)
    guard allowed >= needed else {
      throw DecantError(
        .writeFailed, "\(count) files would be open at once, and the system allows \(allowed)",
        advice: .largerShards)
    }
  }
}
