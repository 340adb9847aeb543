/// Where each initialiser's numbers stand: in the model, or in a file beside it.
struct ONNXLayout {
  /// Offsets in the file beside the model; nil for what stands in the model.
  let offsets: [Int?]
  /// Bytes of that file.
  let byteCount: Int
  private let location: String?

  /// Lays weights out one after another; constants of operators stay in the model, where shapes are inferred from them.
  ///
  /// - Parameter dataFile: the file's name as the model has it; nil when there is none.
  init(_ initializers: [ONNXInitializer], dataFile: String?) {
    location = dataFile
    var end = 0
    offsets = initializers.map { initializer in
      guard dataFile != nil, initializer.isWeight else { return nil }
      let step = Self.alignment(of: initializer.byteCount)
      let offset = (end + step - 1) / step * step
      end = offset + initializer.byteCount
      return offset
    }
    byteCount = end
  }

  /// Whole pages can be mapped; what is smaller than one begins at a line of the cache.
  private static func alignment(of byteCount: Int) -> Int { byteCount >= 4096 ? 4096 : 64 }

  /// The file and offset of an initialiser; nil when it stands in the model.
  func place(of index: Int) -> (location: String, offset: Int)? {
    guard let location, let offset = offsets[index] else { return nil }
    return (location, offset)
  }
}
