internal import DecantIO
internal import COneDNN

/// How a value's numbers lie in memory, as the library describes it; never changed, hence `@unchecked Sendable`.
@safe final class OneDNNLayout: @unchecked Sendable {
  let handle: OpaquePointer

  /// Takes over a layout that the library made.
  init?(_ handle: OpaquePointer?) {
    guard let handle = unsafe handle else { return nil }
    unsafe self.handle = handle
  }

  /// Sizes and the elements from one index to the next of each; nil for the library's own choice.
  convenience init?(_ sizes: [Int], strides: [Int]?) {
    let strides = strides?.map { Int64($0) }
    unsafe self.init(conednn_layout_make(Int32(sizes.count), sizes.map { Int64($0) }, strides))
  }

  deinit { unsafe conednn_layout_free(handle) }

  /// Row-major, the last size the closest.
  static func rowMajor(_ sizes: [Int]) -> OneDNNLayout? {
    var strides = [Int](repeating: 1, count: sizes.count)
    for place in sizes.indices.dropLast().reversed() {
      strides[place] = strides[place + 1] * sizes[place + 1]
    }
    return OneDNNLayout(sizes, strides: strides)
  }

  /// A map whose pixels lie one after the other, each with all its channels.
  static func channelsLast(_ shape: ValueShape) -> OneDNNLayout? {
    let (channels, width) = (shape.channels, shape.width)
    return OneDNNLayout(
      shape.mapSizes, strides: [shape.height * width * channels, 1, width * channels, channels])
  }

  /// Some lines of a map of one image that lies row-major.
  static func lines(of shape: ValueShape?, count: Int) -> OneDNNLayout? {
    guard let shape else { return nil }
    let area = shape.height * shape.width
    return OneDNNLayout(
      [1, shape.channels, count, shape.width], strides: [shape.channels * area, area, shape.width, 1])
  }

  /// Bytes from the first number to the last.
  var byteCount: Int { unsafe conednn_layout_bytes(handle) }

  static func == (one: OneDNNLayout, other: OneDNNLayout) -> Bool {
    unsafe conednn_layout_equals(one.handle, other.handle)
  }

  static func != (one: OneDNNLayout, other: OneDNNLayout) -> Bool { !(one == other) }
}

extension ValueShape {
  /// N×C×H×W; of a vector, one pixel.
  var mapSizes: [Int] { [batch, channels, height, width] }
}

extension OneDNNLayout {
  /// Copies numbers into another layout; says whether the library could.
  func copy(_ source: UnsafeRawPointer, to target: UnsafeMutableRawPointer, as other: OneDNNLayout)
    throws(InferenceError) -> Bool
  {
    guard let reorder = OneDNNOperation.reorder(from: self, to: other) else { return false }
    var arguments = unsafe [
      conednn_argument(
        what: OneDNNRole.input.rawValue, layout: handle, memory: UnsafeMutableRawPointer(mutating: source)),
      conednn_argument(what: OneDNNRole.output.rawValue, layout: other.handle, memory: target),
    ]
    let layout = reorder.layout(.scratch)
    let scratch = try AlignedBuffer<UInt8>(count: layout?.byteCount ?? 0)
    if let layout, scratch.count > 0 {
      unsafe arguments.append(
        conednn_argument(what: OneDNNRole.scratch.rawValue, layout: layout.handle, memory: scratch.base))
    }
    return withExtendedLifetime((scratch, layout)) { unsafe reorder.execute(arguments) }
  }
}
