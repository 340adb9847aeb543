/// The location of each initialiser's data: in the model file, or in a second file.
struct ONNXDataLayout {
  /// The byte offsets in the data file; nil for data in the model file.
  let offsets: [Int?]
  /// The size of the data file in bytes.
  let byteCount: Int
  private let location: String?

  /// Lays out the weights one after another. Operators' constants stay in the model file, because shape inference
  /// needs them there.
  ///
  /// - Parameter dataFile: the data file's name as it is written in the model; nil for none.
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

  /// Whole pages can be memory-mapped. Smaller data is aligned to a cache line.
  private static func alignment(of byteCount: Int) -> Int { byteCount >= 4096 ? 4096 : 64 }

  /// Returns the data file's name and the byte offset of an initialiser; nil when its data is in the model file.
  func place(of index: Int) -> (location: String, offset: Int)? {
    guard let location, let offset = offsets[index] else { return nil }
    return (location, offset)
  }
}
