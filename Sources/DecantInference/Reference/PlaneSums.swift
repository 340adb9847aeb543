internal import DecantIO
/// Sums over the planes of a feature map whose columns are added band by band.
///
/// The additions and their order are those of ``mean(_:count:)``, however the columns are split into bands. Each
/// worker writes the sums of its own channels, hence `@unchecked Sendable`.
final class PlaneSums: @unchecked Sendable {
  private let shape: ValueShape
  /// For each plane eight lane sums, then up to seven elements after the last full vector.
  private let sums: AlignedBuffer<Double>

  private static let room = 16

  init(_ shape: ValueShape) throws(InferenceError) {
    self.shape = shape
    sums = try AlignedBuffer(count: shape.channels * shape.batch * Self.room)
  }

  func reset() { unsafe sums.base.update(repeating: 0, count: sums.count) }

  /// Adds some columns of one channel.
  @inline(__always)
  func add<Scalar: KernelScalar>(_ source: ColumnWindow<Scalar>, channel: Int, columns: Range<Int>) {
    let area = shape.height * shape.width
    let vectors = area / 8 * 8
    var begin = columns.lowerBound
    while begin < columns.upperBound {
      let image = begin / area
      let end = min(columns.upperBound, (image + 1) * area)
      let sum = unsafe sums.base + (channel * shape.batch + image) * Self.room
      let values = unsafe source.pointer(channel, begin)
      let first = begin - image * area
      let count = end - begin
      var index = 0
      while index < count, first + index < vectors, !(first + index).isMultiple(of: 8) {
        unsafe sum[(first + index) % 8] += Double(values[index])
        index += 1
      }
      var lanes = SIMD8<Double>()
      for lane in 0..<8 { unsafe lanes[lane] = sum[lane] }
      while index + 8 <= count, first + index + 8 <= vectors {
        for lane in 0..<8 { unsafe lanes[lane] += Double(values[index + lane]) }
        index += 8
      }
      for lane in 0..<8 { unsafe sum[lane] = lanes[lane] }
      while index < count {
        let place = first + index
        if place < vectors {
          unsafe sum[place % 8] += Double(values[index])
        } else {
          unsafe sum[8 + place - vectors] = Double(values[index])
        }
        index += 1
      }
      begin = end
    }
  }

  /// Returns the mean of a plane. All its columns must have been added.
  func mean<Scalar: KernelScalar>(channel: Int, image: Int) -> Scalar {
    let sum = unsafe sums.base + (channel * shape.batch + image) * Self.room
    var lanes = SIMD8<Double>()
    for lane in 0..<8 { unsafe lanes[lane] = sum[lane] }
    var total = lanes.sum()
    let area = shape.height * shape.width
    for index in 0..<area % 8 { unsafe total += sum[8 + index] }
    return Scalar(total / Double(area))
  }
}
