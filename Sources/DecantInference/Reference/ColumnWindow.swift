/// The columns of a feature map that are in memory, as a matrix of channels × columns.
@unsafe struct ColumnWindow<Scalar> {
  /// The address of channel 0 in the first held column.
  let base: UnsafeMutablePointer<Scalar>
  /// The number of elements between consecutive channels of a column.
  let stride: Int
  /// The held columns, counted over all images. They include columns that are being computed.
  let columns: Range<Int>

  /// Returns the address of one channel of a column.
  @inline(__always)
  func pointer(_ channel: Int, _ column: Int) -> UnsafeMutablePointer<Scalar> {
    unsafe base + (channel * stride + column - columns.lowerBound)
  }
}

/// The lines of one channel of one image that are in memory.
@unsafe struct LineWindow<Scalar> {
  private let base: UnsafePointer<Scalar>
  /// The offset of the image's first line from `base`, in elements. That line need not be in memory.
  private let first: Int
  let height: Int
  let width: Int

  @inline(__always)
  init(_ held: ColumnWindow<Scalar>, channel: Int, image: Int, height: Int, width: Int) {
    unsafe base = UnsafePointer(held.base)
    unsafe first = channel * held.stride + image * height * width - held.columns.lowerBound
    unsafe self.height = height
    unsafe self.width = width
  }

  @inline(__always)
  subscript(line: Int) -> UnsafePointer<Scalar> { unsafe base + (first + line * width) }
}
