internal import CDecompression

/// A stream of a compression other than DEFLATE, decompressed by libbz2 and liblzma. Both check the checksums of their
/// formats.
package enum CompressedStream: Sendable {
  case bzip2, xz
  /// The format of LZMA before xz, `.lzma`. It has no checksum.
  case lzma

  private var form: cdecompression_form {
    switch self {
    case .bzip2: CDECOMPRESSION_BZIP2
    case .xz: CDECOMPRESSION_XZ
    case .lzma: CDECOMPRESSION_LZMA
    }
  }

  /// Decompresses the first stream of the source. O(output): the buffer doubles until the stream fits.
  package func decompress(_ source: RawSpan, limit: Int) throws(Deflate.LibraryMissing) -> Deflate.Inflated {
    let form = form
    if let problem = unsafe cdecompression_load(form) {
      throw Deflate.LibraryMissing(
        reason: unsafe "the data is compressed, and \(String(cString: problem))",
        debianPackage: self == .bzip2 ? "libbz2-1.0" : "liblzma5")
    }
    return unsafe Deflate.expand(source, limit: limit) {
      unsafe cdecompression_decompress(form, $0, $1, $2, $3, $4, $5)
    }
  }
}
