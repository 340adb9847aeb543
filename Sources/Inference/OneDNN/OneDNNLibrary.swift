internal import COneDNN

/// The library oneDNN, loaded when something is first asked of it.
///
/// Debian's libdnnl 2.6, or any 3.x. Source: its interface's reference; docs/adr/0016.
public enum OneDNNLibrary {
  /// Its version, such as "2.6.3".
  ///
  /// - Throws: ``InferenceError/libraryMissing(_:)`` with the package that brings it.
  public static func version() throws(InferenceError) -> String {
    if let problem = unsafe conednn_load() { throw .libraryMissing(unsafe String(cString: problem)) }
    return unsafe String(cString: conednn_version())
  }
}

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

/// An operation of the library, prepared; any number of threads may execute it, hence `@unchecked Sendable`.
@safe final class OneDNNOperation: @unchecked Sendable {
  private let handle: OpaquePointer

  private init?(_ handle: OpaquePointer?) {
    guard let handle = unsafe handle else { return nil }
    unsafe self.handle = handle
  }

  deinit { unsafe conednn_operation_free(handle) }

  static func convolution(
    winograd: Bool, input: OneDNNLayout, weights: OneDNNLayout, bias: OneDNNLayout, output: OneDNNLayout,
    _ window: OneDNNWindow, _ epilogue: OneDNNEpilogue
  ) -> OneDNNOperation? {
    var window = window.values
    return unsafe OneDNNOperation(
      conednn_convolution(
        winograd, input.handle, weights.handle, bias.handle, output.handle, &window, epilogue.values))
  }

  /// The largest number of each window, or the mean of those that are no padding.
  static func pooling(
    maximum: Bool, input: OneDNNLayout, output: OneDNNLayout, _ window: OneDNNWindow
  ) -> OneDNNOperation? {
    var window = window.values
    return unsafe OneDNNOperation(conednn_pooling(maximum, input.handle, output.handle, &window))
  }

  static func reorder(from: OneDNNLayout, to: OneDNNLayout) -> OneDNNOperation? {
    unsafe OneDNNOperation(conednn_reorder(from.handle, to.handle))
  }

  static func activation(_ layout: OneDNNLayout, _ activation: OneDNNEpilogue.Activation) -> OneDNNOperation?
  {
    unsafe OneDNNOperation(
      conednn_activation(layout.handle, OneDNNEpilogue(activation: activation).values))
  }

  /// The sum or product of two values, sizes of 1 in the second repeated.
  static func binary(
    multiplies: Bool, _ one: OneDNNLayout, _ two: OneDNNLayout, _ epilogue: OneDNNEpilogue
  ) -> OneDNNOperation? {
    unsafe OneDNNOperation(conednn_binary(multiplies, one.handle, two.handle, epilogue.values))
  }

  /// The layout in which it takes or gives one of its operands; nil when it has no such operand.
  func layout(_ role: OneDNNRole) -> OneDNNLayout? {
    unsafe OneDNNLayout(conednn_operation_layout(handle, role.rawValue))
  }

  /// Executes and waits; says whether it succeeded.
  func execute(_ arguments: [conednn_argument]) -> Bool {
    unsafe arguments.withUnsafeBufferPointer {
      guard let base = $0.baseAddress else { return false }
      return unsafe conednn_execute(handle, base, Int32($0.count))
    }
  }
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
    return unsafe withExtendedLifetime((scratch, layout)) { unsafe reorder.execute(arguments) }
  }
}

/// What an operand is to an operation.
enum OneDNNRole: Int32 {
  case input = 1
  case second = 2
  case output = 17
  case weights = 33
  case bias = 41
  case scratch = 80
}

/// What is done to each number of a result.
struct OneDNNEpilogue {
  enum Activation: UInt32 { case identity, relu, sigmoid, silu }

  /// Whether what the result's memory held before is added.
  var adds = false
  var activation = Activation.identity

  fileprivate var values: conednn_epilogue {
    var values = conednn_epilogue()
    values.adds = adds
    switch activation {
    case .identity: values.activation = CONEDNN_IDENTITY
    case .relu: values.activation = CONEDNN_RELU
    case .sigmoid: values.activation = CONEDNN_SIGMOID
    case .silu: values.activation = CONEDNN_SILU
    }
    return values
  }
}

/// A window that moves over a map; of each pair the first is along the height.
struct OneDNNWindow {
  var kernel: (Int, Int)
  var stride = (1, 1)
  var dilation = (1, 1)
  var before = (0, 0)
  var after = (0, 0)

  fileprivate var values: conednn_window {
    func pair(_ values: (Int, Int)) -> (Int64, Int64) { (Int64(values.0), Int64(values.1)) }
    return conednn_window(
      kernel: pair(kernel), stride: pair(stride), dilation: pair(dilation), padding_before: pair(before),
      padding_after: pair(after))
  }
}
