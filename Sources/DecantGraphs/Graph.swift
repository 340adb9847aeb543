/// A feed-forward network as a list of nodes in execution order.
///
/// Verification compares a state dict with its parameters, an engine executes it, a writer exports it and a
/// summary prints it. Layer names are listed only here.
package struct Graph: Sendable, Equatable {
  /// The number of channels of the single input, an N×C×H×W tensor.
  package let inputChannels: Int
  /// The nodes. Each reads only the input or values of earlier nodes.
  package private(set) var nodes: [Node] = []
  /// The named values, in order: `stem`, `maxpool`, `layer1` … `logits`, and `output` where it differs.
  package private(set) var stages: [Stage] = []

  /// A named value of the graph.
  package struct Stage: Sendable, Equatable {
    package let name: String
    package let value: Value
  }

  /// Creates a graph whose input has the given number of channels.
  package init(inputChannels: Int) {
    self.inputChannels = inputChannels
  }

  /// The input of the graph.
  package var input: Value { Value(index: 0) }

  /// The output of the last node.
  package var output: Value { Value(index: nodes.count) }

  /// Appends a node and returns its output.
  package mutating func append(_ name: String, _ operation: GraphOperation, _ inputs: Value...) -> Value {
    append(name, operation, inputs: inputs)
  }

  /// Appends a node and returns its output.
  package mutating func append(_ name: String, _ operation: GraphOperation, inputs: [Value]) -> Value {
    precondition(inputs.allSatisfy { $0.index <= nodes.count }, "a node reads only earlier values")
    nodes.append(Node(name: name, operation: operation, inputs: inputs))
    return Value(index: nodes.count)
  }

  /// Names a value as the output of a stage.
  package mutating func nameStage(_ name: String, _ value: Value) {
    stages.append(Stage(name: name, value: value))
  }

  /// Every parameter and buffer, in the order of PyTorch's `state_dict()`.
  package var parameters: [Parameter] { nodes.flatMap(\.parameters) }
}

/// A value of a ``Graph``: 0 is the input, n is the output of the n-th node.
package struct Value: Hashable, Sendable {
  package let index: Int
}

/// One operation of a ``Graph``.
package struct Node: Sendable, Equatable {
  /// The module path, such as `layer1.0.conv1`. It is the prefix of the parameters' names.
  package let name: String
  package let operation: GraphOperation
  package let inputs: [Value]
}

/// The operation of a node. Names and semantics follow ONNX.
package enum GraphOperation: Sendable, Equatable {
  case conv(Convolution)
  /// Inference form: `(x − mean) / sqrt(variance + epsilon) × scale + bias` per channel, of feature maps and vectors.
  case batchNormalization(channels: Int, epsilon: Double)
  /// Batch normalization by the mean and variance of the batch itself, over its images and pixels. PyTorch computes it in
  /// `eval()` mode too when a layer has no running statistics (`track_running_stats=False`).
  case batchStatisticsNormalization(channels: Int, epsilon: Double)
  /// A batch norm whose statistics were folded into its scale and bias: `x × scale + bias` per channel.
  case channelAffine(channels: Int)
  /// Normalises each group of channels of each image: `(x − mean) / sqrt(variance + epsilon) × scale + bias`.
  case groupNormalization(channels: Int, groups: Int, epsilon: Double)
  /// Batch normalization of vectors without a scale and a bias: `(x − mean) / sqrt(variance + epsilon)`.
  case vectorStandardization(channels: Int, epsilon: Double)
  /// Normalises each vector: `(x − mean) / sqrt(variance + epsilon) × scale + bias`.
  case layerNormalization(channels: Int, epsilon: Double, hasBias: Bool)
  case relu
  /// `x × sigmoid(x)`.
  case silu
  /// A function of each vector.
  case vectorFunction(VectorFunction)
  case add
  case maxPool(Pooling)
  /// The mean over adjacent, non-overlapping windows. With `isCeilMode`, a last window that crosses the edge
  /// averages the pixels inside (`AvgPool2d(ceil_mode=True, count_include_pad=False)`). Without it, pixels
  /// that do not fill a window are ignored (`AvgPool2d(size)`).
  case averagePool(size: Int, isCeilMode: Bool)
  /// Takes every `stride`-th pixel of each row and column, and adds `each` channels of zeros on both sides.
  case padChannels(each: Int, stride: Int)
  /// Squeeze and excitation: multiplies each channel by a number between 0 and 1. The numbers come from the
  /// channel means by two 1×1 convolutions with biases and a ReLU between them.
  case squeezeExcitation(channels: Int, reduced: Int)
  /// Efficient channel attention: the same with one 1D convolution along the channel means, zero-padded.
  case efficientChannelAttention(kernel: Int)
  /// A 3×3 binomial filter before a stride, with reflection padding (Zhang 2019).
  case blurPool(stride: Int)
  /// The mean over height and width: N×C×H×W becomes N×C.
  case globalAveragePool
  /// A fully connected layer: N×`inputs` becomes N×`outputs`.
  case gemm(FullyConnected)
  /// Attention pooling with the spatial mean as the query: N×C×H×W becomes N×`outputs` (Radford et al. 2021).
  case attentionPool(AttentionPooling)
  /// An operator that no engine implements. It has a name and parameters, so that files can still be
  /// verified.
  case opaque(OpaqueOperator)
}

/// A fully connected layer.
package struct FullyConnected: Sendable, Equatable {
  package var inputs: Int
  package var outputs: Int
  package var hasBias = true
  /// True when the weight is stored as that of a 1×1 convolution, with four dimensions.
  package var isConvolution = false

  /// Creates a layer.
  package init(inputs: Int, outputs: Int, hasBias: Bool = true, isConvolution: Bool = false) {
    self.inputs = inputs
    self.outputs = outputs
    self.hasBias = hasBias
    self.isConvolution = isConvolution
  }
}

/// Multi-head attention pooling with one query, the spatial mean.
package struct AttentionPooling: Sendable, Equatable {
  package var channels: Int
  /// The number of positional embeddings: one for the mean and one for each pixel.
  package var tokens: Int
  package var heads: Int
  package var outputs: Int

  /// Creates a pooling.
  package init(channels: Int, tokens: Int, heads: Int, outputs: Int) {
    self.channels = channels
    self.tokens = tokens
    self.heads = heads
    self.outputs = outputs
  }
}

/// An operator that has a name and parameters but no implementation.
package struct OpaqueOperator: Sendable, Equatable {
  /// The operator's usual name in the literature.
  package var name: String
  /// The parameters. Each name is only the last component of the full name.
  package var parameters: [Parameter]

  /// Creates an operator.
  package init(_ name: String, parameters: [(suffix: String, shape: [Int])] = []) {
    self.name = name
    self.parameters = parameters.map { Parameter(name: $0.suffix, shape: $0.shape, role: .opaque) }
  }
}

/// A two-dimensional convolution. Sizes are in pixels and equal for height and width.
package struct Convolution: Sendable, Equatable {
  package var inputChannels: Int
  package var outputChannels: Int
  package var kernel: Int
  package var stride = 1
  package var padding = 0
  package var dilation = 1
  package var groups = 1
  package var hasBias = false
  /// The epsilon of weight standardisation, which normalises each output channel's weights (Qiao et al.
  /// 2019); nil without weight standardisation.
  package var standardization: Double?

  /// Creates a convolution without bias. `inputChannels` and `outputChannels` must be multiples of `groups`.
  package init(
    inputChannels: Int, outputChannels: Int, kernel: Int, stride: Int = 1, padding: Int = 0,
    dilation: Int = 1,
    groups: Int = 1
  ) {
    self.inputChannels = inputChannels
    self.outputChannels = outputChannels
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.dilation = dilation
    self.groups = groups
  }

  /// The shape of the weight: output channels, input channels per group, kernel, kernel.
  package var weightShape: [Int] { [outputChannels, inputChannels / groups, kernel, kernel] }

  /// Returns the output's height or width for an input's; 0 when the kernel does not fit.
  package func outputSize(_ size: Int) -> Int {
    let span = size + 2 * padding - dilation * (kernel - 1) - 1
    return span < 0 ? 0 : span / stride + 1
  }
}

/// A two-dimensional pooling window. Sizes are in pixels.
package struct Pooling: Sendable, Equatable {
  package var kernel: Int
  package var stride: Int
  package var padding: Int
  /// True when padding counts as zeros; otherwise padding is never the maximum.
  package var hasZeroPadding = false
  /// True when a last window that crosses the edge counts too (`ceil_mode`, as in Caffe).
  package var isCeilMode = false

  /// Creates a window.
  package init(kernel: Int, stride: Int, padding: Int, hasZeroPadding: Bool = false, isCeilMode: Bool = false)
  {
    self.isCeilMode = isCeilMode
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.hasZeroPadding = hasZeroPadding
  }

  /// Returns the output's height or width for an input's; 0 when the window does not fit.
  package func outputSize(_ size: Int) -> Int {
    let span = size + 2 * padding - kernel
    guard isCeilMode, span > 0 else { return span < 0 ? 0 : span / stride + 1 }
    let count = (span + stride - 1) / stride + 1
    // As in PyTorch, a window must begin inside the input or the padding before it.
    return (count - 1) * stride >= size + padding ? count - 1 : count
  }
}
