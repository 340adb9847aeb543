internal import ByteParsing

/// What a file is, judged by its first bytes, never by its name.
enum FileKind {
  case zip
  case safetensors
  case npy
  /// Something else: what it is, and what to do about it.
  case foreign(String, remedy: String)

  init(_ head: [UInt8], fileByteCount: Int) {
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
    } else if begins("version https://git-lfs") {
      self = .foreign(
        "is a Git LFS pointer, not the file itself",
        remedy: "Run git lfs pull in its repository to fetch the file.")
    } else if begins([0x80, 2, 0x8A, 0x0A, 0x6C, 0xFC, 0x9C, 0x46]) {
      self = .foreign(
        "is a PyTorch file in the format of versions before 1.6, which is not read yet", remedy: resave)
    } else if begins([0x75, 0x73, 0x74, 0x61, 0x72], at: 257) {
      self = .foreign("is a tar archive (PyTorch 0.1 wrote such), which is not read yet", remedy: resave)
    } else if begins([0x80]) && head.count > 1 && head[1] <= 5 {
      self = .foreign(
        "is a bare pickle, which is not read yet", remedy: "decant inspect --pickle shows what it holds.")
    } else if begins("GGUF") {
      self = .foreign(
        "is a GGUF file, which is not read yet", remedy: "Name the checkpoint it was made from.")
    } else if begins(NpyHeader.magic) {
      self = .npy
    } else if begins([0x89, 0x48, 0x44, 0x46]) {
      self = .foreign(
        "is an HDF5 file, as Keras writes, not a PyTorch checkpoint", remedy: "Name a .pth file.")
    } else if begins([0x1F, 0x8B]) {
      self = .foreign("is compressed by gzip", remedy: "Decompress it first: gunzip FILE.gz")
    } else if begins([0xFD, 0x37, 0x7A, 0x58, 0x5A]) {
      self = .foreign("is compressed by xz", remedy: "Decompress it first: unxz FILE.xz")
    } else if begins([0x37, 0x7A, 0xBC, 0xAF]) {
      self = .foreign("is a 7z archive", remedy: "Extract it first: 7z x FILE")
    } else if let text = FileKind.firstVisible(head), text == UInt8(ascii: "<") {
      self = .foreign(
        "is a web page (HTML or XML), as a download that needed a login leaves behind",
        remedy: "Open the address in a browser to see what it says, then fetch the file itself.")
    } else if let text = FileKind.firstVisible(head), text == UInt8(ascii: "{") || text == UInt8(ascii: "[") {
      self = .foreign("is JSON text, not a checkpoint", remedy: "Name the file with the weights.")
    } else {
      let bytes = head.prefix(4).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }
      self = .foreign(
        "is no checkpoint: it begins with the bytes \(bytes.joined(separator: " "))",
        remedy: "Name a .pth file written by torch.save, or a .safetensors file.")
    }
  }

  private static func firstVisible(_ head: [UInt8]) -> UInt8? { head.first { $0 > 0x20 } }
}
