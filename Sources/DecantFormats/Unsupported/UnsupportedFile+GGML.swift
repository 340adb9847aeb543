internal import DecantBytes

extension UnsupportedFile {
  /// Recognises the formats of ggml before GGUF, and the program that reads each.
  ///
  /// Several programs write the same four bytes, then numbers without names, so Whisper is recognised by its numbers.
  ///
  /// Source: whisper.cpp `src/whisper.cpp` (`whisper_model_load`), llama.cpp `convert_llama_ggml_to_gguf.py`, ggml
  /// `examples/`.
  package init?(ggml head: [UInt8]) {
    let original = "Pass the PyTorch checkpoint that the file was converted from."
    if head.starts(with: Array("lmgg".utf8)) {
      var cursor = unsafe ByteCursor(head.span.bytes, at: 4)
      let numbers = (0..<10).compactMap { _ in try? cursor.readLittleEndian(UInt32.self) }
      // Of its 11 numbers: the lengths of audio and text, and the bands of the spectrogram.
      if numbers.count == 10, numbers[1] == 1500, numbers[5] == 448, [80, 128].contains(numbers[9]) {
        self.init(
          "is a Whisper model in whisper.cpp's GGML format, which is not GGUF",
          "Pass the PyTorch checkpoint of Whisper that it was converted from.", .unsupportedFormat)
        return
      }
      self.init(
        "is a GGML file, as whisper.cpp and other programs of ggml write it, not GGUF", original,
        .unsupportedFormat)
      return
    }
    let llama: [(magic: String, name: String)] = [
      ("fmgg", "a GGMF file"), ("tjgg", "a GGJT file"), ("algg", "a GGLA adapter (LoRA)"),
    ]
    guard let found = llama.first(where: { head.starts(with: Array($0.magic.utf8)) }) else { return nil }
    self.init(
      "is \(found.name), llama.cpp's format before GGUF",
      "Convert the original model again with a current llama.cpp, which writes GGUF.", .unsupportedFormat)
  }
}
