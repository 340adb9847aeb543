internal import DecantBytes
internal import DecantIO

/// The kind of a file, judged by its first and last bytes, never by its name.
package enum FileKind {
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
  case onnx
  /// The specification of a Core ML model: an `.mlmodel`, or the program of an `.mlpackage`.
  case coreML
  /// A recognised format that is not a checkpoint, or is not read.
  case unsupported(UnsupportedFile)
  /// A file without a known signature. It may still be a pickle of protocol 0 or 1.
  case unknown(UnsupportedFile)

  package init(_ head: [UInt8], tail: [UInt8] = [], fileByteCount: Int) {
    func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
      head.count >= offset + bytes.count && Array(head[offset..<offset + bytes.count]) == bytes
    }
    func begins(_ text: String) -> Bool { begins(Array(text.utf8)) }

    if head.isEmpty {
      self = .unsupported(
        UnsupportedFile("is empty", "The download or copy failed. Download the file again.", .notACheckpoint))
    } else if begins([0x50, 0x4B, 3, 4]) || begins([0x50, 0x4B, 5, 6]) {
      self = .zip
    } else if FileSignature.isSafetensors(head, fileByteCount: fileByteCount) {
      self = .safetensors
    } else if begins(FileSignature.npy) {
      self = .npy
    } else if begins(FileSignature.gguf) {
      self = .gguf
    } else if let unsupported = UnsupportedFile(pointer: head) ?? UnsupportedFile(joblib: head)
      ?? UnsupportedFile(partOfCoreML: head)
    {
      self = .unsupported(unsupported)
    } else if TarArchive.recognises(head) {
      self = .tar
    } else if FileSignature.isTorchLegacy(head) {
      self = .torchLegacy
    } else if begins([0x80]) && head.count > 1 && head[1] <= 5 {
      self = .pickle
    } else if let unsupported = UnsupportedFile(ggml: head) ?? UnsupportedFile(signatureOf: head) {
      self = .unsupported(unsupported)
    } else if let model = ProtobufModel(head), model == .onnx || model == .coreML {
      self = model == .onnx ? .onnx : .coreML
    } else if let unsupported = UnsupportedFile(textOf: head, fileByteCount: fileByteCount)
      ?? UnsupportedFile(
        table: tail)
      ?? UnsupportedFile(messagePack: head) ?? UnsupportedFile(protobuf: ProtobufModel(head))
    {
      // A pickle of protocol 0 is text, and one of protocol 1 may begin with any byte.
      self = .unknown(unsupported)
    } else {
      let bytes = head.prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      self = .unknown(
        UnsupportedFile(
          "is not a checkpoint: it begins with the bytes \(bytes.joined(separator: " "))",
          "Pass a .pth file written by torch.save, or a .safetensors file.", .notACheckpoint))
    }
  }
}
