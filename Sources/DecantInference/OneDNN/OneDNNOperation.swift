internal import COneDNN
internal import DecantGraphs

/// A prepared oneDNN operation. Any number of threads may execute it, hence `@unchecked Sendable`.
@safe final class OneDNNOperation: @unchecked Sendable {
  private let handle: OpaquePointer

  private init?(_ handle: OpaquePointer?) {
    guard let handle = unsafe handle else { return nil }
    unsafe self.handle = handle
  }

  deinit { unsafe conednn_operation_free(handle) }

  static func convolution(
    winograd: Bool, input: OneDNNLayout, weights: OneDNNLayout, bias: OneDNNLayout?, output: OneDNNLayout,
    _ window: OneDNNWindow, _ epilogue: OneDNNEpilogue
  ) -> OneDNNOperation? {
    var window = window.values
    return unsafe OneDNNOperation(
      conednn_convolution(
        winograd, input.handle, weights.handle, bias?.handle, output.handle, &window, epilogue.values))
  }

  /// Creates max pooling, or average pooling that excludes the padding.
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

  /// Creates the sum or product of two values. Dimensions of size 1 in the second are broadcast.
  static func binary(
    multiplies: Bool, _ one: OneDNNLayout, _ two: OneDNNLayout, _ epilogue: OneDNNEpilogue
  ) -> OneDNNOperation? {
    unsafe OneDNNOperation(conednn_binary(multiplies, one.handle, two.handle, epilogue.values))
  }

  /// Returns the layout of one of the operation's operands; nil when it has no such operand.
  func layout(_ role: OneDNNRole) -> OneDNNLayout? {
    unsafe OneDNNLayout(conednn_operation_layout(handle, role.rawValue))
  }

  /// oneDNN's name of the implementation, such as `jit:avx2`.
  var implementation: String { unsafe String(cString: conednn_operation_implementation(handle)) }

  /// True when a convolution starts its sums of products from the values in the destination. Every product then rounds
  /// at that magnitude, which doubles the error of ResNet-18. Implementations for processors without AVX-512 do so,
  /// except for 1×1 convolutions. Source: oneDNN's jit_avx2_conv_kernel_f32.cpp.
  var beginsWithAddend: Bool { ["jit:avx2", "jit:sse41"].contains(implementation) }

  /// Executes the operation and waits. Returns true on success.
  func execute(_ arguments: [conednn_argument]) -> Bool {
    unsafe arguments.withUnsafeBufferPointer {
      guard let base = $0.baseAddress else { return false }
      return unsafe conednn_execute(handle, base, Int32($0.count))
    }
  }
}

/// The role of an operand in an operation: oneDNN's argument index.
enum OneDNNRole: Int32 {
  case input = 1
  case second = 2
  case output = 17
  case weights = 33
  case bias = 41
  case scratch = 80
  /// The operand of ``OneDNNEpilogue/added``.
  case added = -1
}

/// The operations applied to each element of a result.
struct OneDNNEpilogue {
  enum Activation: UInt32 {
    case identity, relu, sigmoid, silu, gelu

    /// The activation that computes a function of vectors; nil for other functions.
    init?(_ function: VectorFunction) {
      switch function {
      case .relu: self = .relu
      case .sigmoid: self = .sigmoid
      case .silu: self = .silu
      case .gelu: self = .gelu
      case .relu6, .leakyReLU, .tanhGELU, .tanh, .softmax, .logSoftmax: return nil
      }
    }
  }

  /// True when the values already in the destination are added.
  var adds = false
  /// The layout of a value that is added instead; nil for none.
  var added: OneDNNLayout?
  var activation = Activation.identity

  /// The C structure; valid as long as the layouts.
  fileprivate var values: conednn_epilogue {
    var values = unsafe conednn_epilogue()
    unsafe values.adds = adds
    unsafe values.added = added?.handle
    switch activation {
    case .identity: unsafe values.activation = CONEDNN_IDENTITY
    case .relu: unsafe values.activation = CONEDNN_RELU
    case .sigmoid: unsafe values.activation = CONEDNN_SIGMOID
    case .silu: unsafe values.activation = CONEDNN_SILU
    case .gelu: unsafe values.activation = CONEDNN_GELU
    }
    return unsafe values
  }
}

/// A sliding window over a feature map. The first of each pair is along the height.
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
