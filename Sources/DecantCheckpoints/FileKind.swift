internal import DecantBytes
internal import DecantIO

/// The kind of a file, judged by its first and last bytes, never by its name.
enum FileKind {
  case zip
  case safetensors
  case npy
  case gguf
  /// The format of `torch.save` before PyTorch 1.6.
  case torchLegacy
  /// A tar archive, as PyTorch 0.1 wrote it.
  case tar
  /// A file that begins like a pickle of protocol 2 or later.
  case pickle
  /// A recognised format that is not a checkpoint, or is not read.
  case foreign(ForeignFile)
  /// A file without a known signature. It may still be a pickle of protocol 0 or 1.
  case unknown(ForeignFile)

  init(_ head: [UInt8], tail: [UInt8] = [], fileByteCount: Int) {
    func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
      head.count >= offset + bytes.count && Array(head[offset..<offset + bytes.count]) == bytes
    }
    func begins(_ text: String) -> Bool { begins(Array(text.utf8)) }

    if head.isEmpty {
      self = .foreign(
        ForeignFile("is empty", "The download or copy failed: fetch the file again.", .notACheckpoint))
    } else if begins([0x50, 0x4B, 3, 4]) || begins([0x50, 0x4B, 5, 6]) {
      self = .zip
    } else if SafetensorsReader.recognises(head, fileByteCount: fileByteCount) {
      self = .safetensors
    } else if begins(NpyHeader.magic) {
      self = .npy
    } else if begins(GGUFReader.magic) {
      self = .gguf
    } else if let foreign = ForeignFile(pointer: head) ?? ForeignFile(joblib: head) {
      self = .foreign(foreign)
    } else if TarArchive.recognises(head) {
      self = .tar
    } else if TorchLegacy.recognises(head) {
      self = .torchLegacy
    } else if begins([0x80]) && head.count > 1 && head[1] <= 5 {
      self = .pickle
    } else if let foreign = ForeignFile(signatureOf: head) {
      self = .foreign(foreign)
    } else if let foreign = ForeignFile(textOf: head, fileByteCount: fileByteCount) ?? ForeignFile(
      table: tail)
      ?? ForeignFile(messagePack: head) ?? ForeignFile(protobuf: head)
    {
      // A pickle of protocol 0 is text, and one of protocol 1 may begin with any byte.
      self = .unknown(foreign)
    } else {
      let bytes = head.prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      self = .unknown(
        ForeignFile(
          "is not a checkpoint: it begins with the bytes \(bytes.joined(separator: " "))",
          "Name a .pth file written by torch.save, or a .safetensors file.", .notACheckpoint))
    }
  }
}
