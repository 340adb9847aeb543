internal import DecantBytes

extension UnsupportedFile {
  /// Recognises models in protocol buffers that are not read.
  package init?(protobuf model: ProtobufModel?) {
    let remedy = "Pass the PyTorch checkpoint it was made from."
    switch model {
    case .savedModel: self.init("is a TensorFlow SavedModel", remedy, .unsupportedFormat)
    case .caffe: self.init("is a Caffe model", remedy, .unsupportedFormat)
    case .frozenGraph: self.init("is a frozen TensorFlow graph", remedy, .unsupportedFormat)
    case .paddle:
      self.init(
        "is a PaddlePaddle program (.pdmodel)", "Pass the .pdparams file next to it.", .unsupportedFormat)
    case .onnx, .coreML, nil: return nil
    }
  }

  /// Recognises the files of a Core ML package, which is read as a folder.
  package init?(partOfCoreML head: [UInt8]) {
    // MILBlob's header: a count, version 2, zeros; then the mark 0xDEADBEEF of the first record.
    guard head.count >= 68, head[4..<8].elementsEqual([2, 0, 0, 0]),
      head[64..<68].elementsEqual([0xEF, 0xBE, 0xAD, 0xDE])
    else { return nil }
    self.init(
      "is the file of weights of a Core ML package", "Pass the folder that ends in .mlpackage.",
      .unsupportedFormat)
  }
}
