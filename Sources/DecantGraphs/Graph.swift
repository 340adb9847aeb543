/// A feed-forward network as a list of nodes in the order they execute.
///
/// One graph has four uses: verification compares a state dict with its parameters, an engine executes it, a
/// writer exports it, a summary draws it. Nothing else lists layer names.
package struct Graph: Sendable, Equatable {
  /// Channels of the one input, an N×C×H×W tensor.
  package let inputChannels: Int
  /// The nodes; each reads only values of earlier nodes or the input.
  package private(set) var nodes: [Node] = []
  /// The values that have a name of their own, in order: `stem`, `maxpool`, `layer1` … `logits`.
  package private(set) var stages: [Stage] = []

  /// A named value of the graph.
  package struct Stage: Sendable, Equatable {
    package let name: String
    package let value: Value
  }

  /// Begins a graph whose input has the given channels.
  package init(inputChannels: Int) {
    self.inputChannels = inputChannels
  }

  /// The graph's input.
  package var input: Value { Value(index: 0) }

  /// The value of the last node.
  package var output: Value { Value(index: nodes.count) }

  /// Appends a node and returns the value it makes.
  package mutating func append(_ name: String, _ operation: Operation, _ inputs: Value...) -> Value {
    append(name, operation, inputs: inputs)
  }

  /// Appends a node and returns the value it makes.
  package mutating func append(_ name: String, _ operation: Operation, inputs: [Value]) -> Value {
    precondition(inputs.allSatisfy { $0.index <= nodes.count }, "a node reads only what stands before it")
    nodes.append(Node(name: name, operation: operation, inputs: inputs))
    return Value(index: nodes.count)
  }

  /// Gives a value a stage's name.
  package mutating func nameStage(_ name: String, _ value: Value) {
    stages.append(Stage(name: name, value: value))
  }

  /// Every parameter and buffer, in the order PyTorch's `state_dict()` has them.
  package var parameters: [Parameter] { nodes.flatMap(\.parameters) }
}

/// A value of a ``Graph``: 0 is the input, n the output of the n-th node.
package struct Value: Hashable, Sendable {
  package let index: Int
}

/// One step of a ``Graph``.
package struct Node: Sendable, Equatable {
  /// The module's path, such as `layer1.0.conv1`; its parameters' names begin with it.
  package let name: String
  package let operation: Operation
  package let inputs: [Value]
}

/// What a node does. Names and meanings are ONNX's.
package enum Operation: Sendable, Equatable {
  case conv(Convolution)
  /// Inference form: `(x − mean) / sqrt(variance + epsilon) × scale + bias` per channel.
  case batchNormalization(channels: Int, epsilon: Double)
  /// What is left of a normalization that was computed into its factors: `x × scale + bias` per channel.
  case channelAffine(channels: Int)
  /// Mean and variance of each image's groups of channels: `(x − mean) / sqrt(variance + epsilon) × scale + bias`.
  case groupNormalization(channels: Int, groups: Int, epsilon: Double)
  case relu
  /// `x × sigmoid(x)`.
  case silu
  case add
  case maxPool(Pooling)
  /// The mean over windows beside each other, as large as their stride. `keepsRest` counts a last window that reaches over
  /// the edge, of the pixels that are there (`AvgPool2d(ceil_mode=True, count_include_pad=False)`); without it what does
  /// not fill a window is left out (`AvgPool2d(size)`).
  case averagePool(size: Int, keepsRest: Bool)
  /// Every `stride`-th pixel of each row and column, between as many channels of zeros on each side.
  case padChannels(each: Int, stride: Int)
  /// Each channel times a number between 0 and 1, made of the channels' means by two 1×1 convolutions with biases and
  /// a ReLU between (squeeze and excitation).
  case squeezeExcitation(channels: Int, reduced: Int)
  /// The same with one convolution along the channels' means, zeros beyond their ends.
  case efficientChannelAttention(kernel: Int)
  /// A 3×3 filter of binomial weights before a stride, the edges reflected (Zhang 2019).
  case blurPool(stride: Int)
  /// The mean over height and width: N×C×H×W becomes N×C.
  case globalAveragePool
  /// A fully connected layer: N×`inputs` becomes N×`outputs`.
  case gemm(FullyConnected)
  /// Attention of the map's mean over all its pixels and itself: N×C×H×W becomes N×`outputs` (Radford et al. 2021).
  case attentionPool(AttentionPooling)
  /// What no engine here computes: it has a name and parameters, so that files are still checked against it.
  case opaque(OpaqueOperator)
}

/// A fully connected layer.
package struct FullyConnected: Sendable, Equatable {
  package var inputs: Int
  package var outputs: Int
  package var hasBias = true
  /// Whether the weight is stored as that of a 1×1 convolution, with four sizes.
  package var isConvolution = false

  /// Makes a layer.
  package init(inputs: Int, outputs: Int, hasBias: Bool = true, isConvolution: Bool = false) {
    self.inputs = inputs
    self.outputs = outputs
    self.hasBias = hasBias
    self.isConvolution = isConvolution
  }
}

/// A pooling by multi-head attention, with one query: the mean.
package struct AttentionPooling: Sendable, Equatable {
  package var channels: Int
  /// Positions that have an embedding: the mean's and one for each pixel.
  package var tokens: Int
  package var heads: Int
  package var outputs: Int

  /// Makes a pooling.
  package init(channels: Int, tokens: Int, heads: Int, outputs: Int) {
    self.channels = channels
    self.tokens = tokens
    self.heads = heads
    self.outputs = outputs
  }
}

/// An operator that has a name and parameters and no engine.
package struct OpaqueOperator: Sendable, Equatable {
  /// What the field calls it.
  package var name: String
  /// Its parameters, with the last step of their names.
  package var parameters: [Parameter]

  /// Makes an operator.
  package init(_ name: String, parameters: [(suffix: String, shape: [Int])] = []) {
    self.name = name
    self.parameters = parameters.map { Parameter(name: $0.suffix, shape: $0.shape, role: .opaque) }
  }
}

/// A two-dimensional convolution; sizes in pixels, the same for height and width.
package struct Convolution: Sendable, Equatable {
  package var inputChannels: Int
  package var outputChannels: Int
  package var kernel: Int
  package var stride = 1
  package var padding = 0
  package var dilation = 1
  package var groups = 1
  package var hasBias = false
  /// What is added to the variance when each output channel's weights are standardised before use (Qiao et al. 2019);
  /// nil where they are used as they are.
  package var standardization: Double?

  /// Makes a convolution without bias; `inputChannels` and `outputChannels` are multiples of `groups`.
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

  /// Sizes of the weight: output channels, input channels of a group, kernel, kernel.
  package var weightShape: [Int] { [outputChannels, inputChannels / groups, kernel, kernel] }

  /// The output's height or width for an input's; less than 1 when the kernel does not fit.
  package func outputSize(_ size: Int) -> Int {
    let span = size + 2 * padding - dilation * (kernel - 1) - 1
    return span < 0 ? 0 : span / stride + 1
  }
}

/// A two-dimensional pooling window; sizes in pixels.
package struct Pooling: Sendable, Equatable {
  package var kernel: Int
  package var stride: Int
  package var padding: Int
  /// Whether the padding counts as zeros; else it is never the maximum.
  package var padsWithZeros = false
  /// Whether a last window that reaches over the edge counts too (`ceil_mode`, as in Caffe).
  package var keepsRest = false

  /// Makes a window.
  package init(kernel: Int, stride: Int, padding: Int, padsWithZeros: Bool = false, keepsRest: Bool = false) {
    self.keepsRest = keepsRest
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
    self.padsWithZeros = padsWithZeros
  }

  /// The output's height or width for an input's; less than 1 when the window does not fit.
  package func outputSize(_ size: Int) -> Int {
    let span = size + 2 * padding - kernel
    guard keepsRest, span > 0 else { return span < 0 ? 0 : span / stride + 1 }
    let count = (span + stride - 1) / stride + 1
    // PyTorch: a window begins inside the input or its padding before.
    return (count - 1) * stride >= size + padding ? count - 1 : count
  }
}
