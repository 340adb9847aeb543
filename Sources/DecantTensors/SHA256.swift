internal import CLibcrypto
package import DecantBytes

/// An incremental SHA-256 (FIPS 180-4), computed by OpenSSL's libcrypto.
@safe package final class SHA256 {
  private let state: OpaquePointer

  /// Starts a hash.
  ///
  /// - Throws: ``DecantError`` when libcrypto is not installed.
  package init() throws(DecantError) {
    guard let state = unsafe decant_sha256_create() else {
      throw DecantError(
        .libraryMissing, "SHA-256 needs OpenSSL's libcrypto, which is not installed",
        remedy: "Install the package libssl3: apt-get install libssl3")
    }
    unsafe self.state = state
  }

  deinit { unsafe decant_sha256_destroy(state) }

  /// Adds bytes. O(length).
  package func update(_ bytes: UnsafeRawBufferPointer) {
    guard let base = bytes.baseAddress else { return }
    let status = unsafe decant_sha256_update(state, base, bytes.count)
    precondition(status == 0, "libcrypto refused to hash")
  }

  /// Returns the digest in lower-case hexadecimal. Call it once.
  package func finish() -> String {
    var digest = [UInt8](repeating: 0, count: 32)
    let status = unsafe decant_sha256_finish(state, &digest)
    precondition(status == 0, "libcrypto refused to finish a hash")
    let digits = Array("0123456789abcdef".utf8)
    return String(decoding: digest.flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] }, as: UTF8.self)
  }
}
