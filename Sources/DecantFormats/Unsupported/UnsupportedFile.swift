package import DecantBytes

/// A description of a file that is not a checkpoint, or is in a format that is not read, with the remedy.
///
/// Files are judged by their content alone, because a name proves nothing. Each row of the table is a signature from
/// the format's own specification.
package struct UnsupportedFile {
  package let description: String
  package let remedy: String
  /// The error code: ``DecantError/Code/unsupportedFormat`` for files that hold weights or can be unpacked, otherwise
  /// ``DecantError/Code/notACheckpoint``.
  package let code: DecantError.Code

  /// Returns the error that refuses the file.
  package func error(file: String) -> DecantError {
    DecantError(code, description, file: file, remedy: remedy)
  }

  /// Looks for a signature in the first bytes of a file.
  package init?(signatureOf head: [UInt8]) {
    for signature in UnsupportedFile.signatures where signature.stands(in: head) {
      self.init(signature.description, signature.remedy, signature.code)
      return
    }
    return nil
  }

  package init(_ description: String, _ remedy: String, _ code: DecantError.Code) {
    self.description = description
    self.remedy = remedy
    self.code = code
  }

  private struct Signature {
    let offset: Int
    let bytes: [UInt8]
    let description: String
    let remedy: String
    let code: DecantError.Code

    init(
      _ bytes: [UInt8], at offset: Int = 0, _ description: String, _ remedy: String,
      _ code: DecantError.Code = .unsupportedFormat
    ) {
      self.code = code
      self.bytes = bytes
      self.offset = offset
      self.description = description
      self.remedy = remedy
    }

    init(
      _ text: String, at offset: Int = 0, _ description: String, _ remedy: String,
      _ code: DecantError.Code = .unsupportedFormat
    ) {
      self.init(Array(text.utf8), at: offset, description, remedy, code)
    }

    func stands(in head: [UInt8]) -> Bool {
      head.count >= offset + bytes.count && head[offset...].starts(with: bytes)
    }
  }

  private static let source = "Pass the checkpoint it was made from."
  private static let notWeights = "Pass the file with the weights."
  private static let signatures = [
    Signature([0x1F, 0x8B], "is compressed by gzip", "Decompress it first: gunzip -c FILE > FILE.pth"),
    Signature(
      [0xFD, 0x37, 0x7A, 0x58, 0x5A], "is compressed by xz", "Decompress it first: xz -dc FILE > FILE.pth"),
    Signature(
      [0x31, 0x41, 0x59, 0x26, 0x53, 0x59], at: 4, "is compressed by bzip2",
      "Decompress it first: bzip2 -dc FILE > FILE.pth"),
    Signature(
      [0x28, 0xB5, 0x2F, 0xFD], "is compressed by Zstandard", "Decompress it first: zstd -dc FILE > FILE.pth"),
    Signature(
      [0x04, 0x22, 0x4D, 0x18], "is compressed by LZ4", "Decompress it first: lz4 -dc FILE > FILE.pth"),
    Signature([0x37, 0x7A, 0xBC, 0xAF], "is a 7z archive", "Extract it first: 7z x FILE"),
    Signature("Rar!\u{1A}\u{7}", "is a RAR archive", "Extract it first: unrar x FILE"),
    Signature(
      [0x89, 0x48, 0x44, 0x46], "is an HDF5 file (Keras), not a PyTorch checkpoint",
      "Load it in Python with h5py, save it with numpy.savez, then pass the .npz."),
    Signature("TFL3", at: 4, "is a TensorFlow Lite model", source),
    Signature("PTMF", at: 4, "is a PyTorch Mobile model (flatbuffer), which is not supported", source),
    Signature(
      "PYTORCH1", "is a file of a PyTorch 1.0 release candidate, which is not supported",
      "Ask its author for a file written by torch.save."),
    Signature(
      "MATLAB 5.0 MAT-file", "is a MATLAB file (MatConvNet)",
      "Load it in Python with scipy.io.loadmat, save it with numpy.savez, then pass the .npz."),
    Signature(
      [0x5D, 0, 0], "is compressed by LZMA", "Decompress it first: xz -dc --format=lzma FILE > FILE.pth"),
    Signature("SQLite format 3\u{0}", "is an SQLite database", notWeights, .notACheckpoint),
    Signature("PAR1", "is a Parquet table", notWeights, .notACheckpoint),
    Signature("ARROW1", "is an Arrow table", notWeights, .notACheckpoint),
    Signature([0x89, 0x50, 0x4E, 0x47], "is a PNG image", notWeights, .notACheckpoint),
    Signature([0xFF, 0xD8, 0xFF], "is a JPEG image", notWeights, .notACheckpoint),
    Signature("%PDF-", "is a PDF document", notWeights, .notACheckpoint),
    Signature([0x7F, 0x45, 0x4C, 0x46], "is a program or library (ELF)", notWeights, .notACheckpoint),
  ]
}
