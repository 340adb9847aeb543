internal import ByteParsing

/// What a file is, judged by its first and last bytes, never by its name.
enum FileKind {
  case zip
  case safetensors
  case npy
  case gguf
  /// Something else: what it is, and what to do about it.
  case foreign(String, remedy: String)

  init(_ head: [UInt8], tail: [UInt8] = [], fileByteCount: Int) {
    func begins(_ bytes: [UInt8], at offset: Int = 0) -> Bool {
      head.count >= offset + bytes.count && Array(head[offset..<offset + bytes.count]) == bytes
    }
    func begins(_ text: String) -> Bool { begins(Array(text.utf8)) }
    let resave = "In Python: torch.save(torch.load(FILE, weights_only=True), NEW) writes one that is read."

    if head.isEmpty {
      self = .foreign("is empty", remedy: "The download or copy failed: fetch the file again.")
    } else if begins([0x50, 0x4B, 3, 4]) || begins([0x50, 0x4B, 5, 6]) {
      self = .zip
    } else if SafetensorsReader.recognises(head, fileByteCount: fileByteCount) {
      self = .safetensors
    } else if begins(NpyHeader.magic) {
      self = .npy
    } else if begins(GGUFReader.magic) {
      self = .gguf
    } else if let foreign = ForeignFile(pointer: head) ?? ForeignFile(joblib: head) {
      self = .foreign(foreign.description, remedy: foreign.remedy)
    } else if begins([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46]) {
      self = .foreign(
        "is a PyTorch file in the format of versions before 1.6, which is not read yet", remedy: resave)
    } else if begins([0x75, 0x73, 0x74, 0x61, 0x72], at: 257) {
      self = .foreign("is a tar archive (PyTorch 0.1 wrote such), which is not read yet", remedy: resave)
    } else if begins([0x80]) && head.count > 1 && head[1] <= 5 {
      self = .foreign(
        "is a bare pickle, which is not read yet", remedy: "decant inspect --pickle shows what it holds.")
    } else if let foreign = ForeignFile(signatureOf: head)
      ?? ForeignFile(textOf: head, fileByteCount: fileByteCount) ?? ForeignFile(table: tail)
      ?? ForeignFile(protobuf: head)
    {
      self = .foreign(foreign.description, remedy: foreign.remedy)
    } else {
      let bytes = head.prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      self = .foreign(
        "is no checkpoint: it begins with the bytes \(bytes.joined(separator: " "))",
        remedy: "Name a .pth file written by torch.save, or a .safetensors file.")
    }
  }
}
