internal import DecantBytes

extension UnsupportedFile {
  /// Recognises a joblib file: a pickle with array data between its opcodes, or a compressed one.
  package init?(joblib head: [UInt8]) {
    let wrapper = Array("joblib.numpy_pickle".utf8)
    let resave = "Save it again in Python with numpy.savez, then pass the .npz."
    if head.first == 0x80, head.indices.contains(where: { head[$0...].starts(with: wrapper) }) {
      self.init(
        "is a joblib file, which is not supported", resave,
        .unsupportedFormat)
    } else if head.count > 2, head[0] == 0x78, [0x01, 0x5E, 0x9C, 0xDA].contains(head[1]) {
      // RFC 1950: the first two bytes, as a big-endian number, are a multiple of 31.
      self.init("is compressed by zlib, probably by joblib", resave, .unsupportedFormat)
    } else {
      return nil
    }
  }

  /// Recognises TensorFlow's index of variables (`.index`) by its last eight bytes.
  package init?(table tail: [UInt8]) {
    guard tail.suffix(8) == [0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB] else { return nil }
    self.init(
      "is the index of a TensorFlow checkpoint", "Pass the PyTorch checkpoint it was made from.",
      .unsupportedFormat)
  }
}
