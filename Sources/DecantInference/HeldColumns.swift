/// Where the columns of a map lie that are in memory now: a matrix of channels × columns.
@unsafe struct HeldColumns<Scalar> {
  /// Channel 0 of the first held column.
  let base: UnsafeMutablePointer<Scalar>
  /// Numbers between a column's channels.
  let stride: Int
  /// The held columns, counted over all images; those that are just being made are among them.
  let columns: Range<Int>

  /// A column of a channel.
  @inline(__always)
  func pointer(_ channel: Int, _ column: Int) -> UnsafeMutablePointer<Scalar> {
    unsafe base + (channel * stride + column - columns.lowerBound)
  }
}

/// The lines of one channel of one image that are in memory now.
@unsafe struct HeldLines<Scalar> {
  private let base: UnsafePointer<Scalar>
  /// The place of the image's first line, which need not be in memory.
  private let first: Int
  let height: Int
  let width: Int

  @inline(__always)
  init(_ held: HeldColumns<Scalar>, channel: Int, image: Int, height: Int, width: Int) {
    unsafe base = UnsafePointer(held.base)
    unsafe first = channel * held.stride + image * height * width - held.columns.lowerBound
    unsafe self.height = height
    unsafe self.width = width
  }

  @inline(__always)
  subscript(line: Int) -> UnsafePointer<Scalar> { unsafe base + (first + line * width) }
}
