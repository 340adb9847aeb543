internal import COneDNN
internal import DecantIO

/// A memory layout: a oneDNN memory descriptor. Immutable, hence `@unchecked Sendable`.
@safe final class OneDNNLayout: @unchecked Sendable {
  let handle: OpaquePointer

  /// Takes ownership of a layout that the library created.
  init?(_ handle: OpaquePointer?) {
    guard let handle = unsafe handle else { return nil }
    unsafe self.handle = handle
  }

  /// Creates a layout from sizes and strides in elements. Without strides, oneDNN chooses the layout.
  convenience init?(_ sizes: [Int], strides: [Int]?) {
    let strides = strides?.map { Int64($0) }
    unsafe self.init(conednn_layout_make(Int32(sizes.count), sizes.map { Int64($0) }, strides))
  }

  deinit { unsafe conednn_layout_free(handle) }

  /// Returns a row-major layout: the last dimension is contiguous.
  static func rowMajor(_ sizes: [Int]) -> OneDNNLayout? {
    var strides = [Int](repeating: 1, count: sizes.count)
    for place in sizes.indices.dropLast().reversed() {
      strides[place] = strides[place + 1] * sizes[place + 1]
    }
    return OneDNNLayout(sizes, strides: strides)
  }

  /// Returns the channels-last layout (N×H×W×C in memory) of a feature map.
  static func channelsLast(_ shape: ValueShape) -> OneDNNLayout? {
    let (channels, width) = (shape.channels, shape.width)
    return OneDNNLayout(
      shape.mapSizes, strides: [shape.height * width * channels, 1, width * channels, channels])
  }

  /// Returns the layout of `count` lines of a row-major feature map of one image.
  static func lines(of shape: ValueShape?, count: Int) -> OneDNNLayout? {
    guard let shape else { return nil }
    let area = shape.height * shape.width
    return OneDNNLayout(
      [1, shape.channels, count, shape.width], strides: [shape.channels * area, area, shape.width, 1])
  }

  /// The number of bytes from the first element to the end of the last.
  var byteCount: Int { unsafe conednn_layout_bytes(handle) }

  static func == (one: OneDNNLayout, other: OneDNNLayout) -> Bool {
    unsafe conednn_layout_equals(one.handle, other.handle)
  }

  static func != (one: OneDNNLayout, other: OneDNNLayout) -> Bool { !(one == other) }
}

extension ValueShape {
  /// The sizes N×C×H×W. A vector is a map of one pixel.
  var mapSizes: [Int] { [batch, channels, height, width] }
}

extension OneDNNLayout {
  /// Copies elements into another layout. Returns false when oneDNN cannot.
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
