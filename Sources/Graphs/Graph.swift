/// A feed-forward network as a list of nodes in the order they execute.
///
/// One graph has four uses: verification compares a state dict with its parameters, an engine executes it, a
/// writer exports it, a summary draws it. Nothing else lists layer names.
public struct Graph: Sendable, Equatable {
  /// Channels of the one input, an N×C×H×W tensor.
  public let inputChannels: Int
  /// The nodes; each reads only values of earlier nodes or the input.
  public private(set) var nodes: [Node] = []
  /// The values that have a name of their own, in order: `stem`, `maxpool`, `layer1` … `logits`.
  public private(set) var stages: [Stage] = []

  /// A named value of the graph.
  public struct Stage: Sendable, Equatable {
    public let name: String
    public let value: Value
  }

  /// Begins a graph whose input has the given channels.
  public init(inputChannels: Int) {
    self.inputChannels = inputChannels
  }

  /// The graph's input.
  public var input: Value { Value(index: 0) }

  /// The value of the last node.
  public var output: Value { Value(index: nodes.count) }

  /// Appends a node and returns the value it makes.
  public mutating func append(_ name: String, _ operation: Operation, _ inputs: Value...) -> Value {
    precondition(inputs.allSatisfy { $0.index <= nodes.count }, "a node reads only what stands before it")
    nodes.append(Node(name: name, operation: operation, inputs: inputs))
    return Value(index: nodes.count)
  }

  /// Gives a value a stage's name.
  public mutating func nameStage(_ name: String, _ value: Value) {
    stages.append(Stage(name: name, value: value))
  }

  /// Every parameter and buffer, in the order PyTorch's `state_dict()` has them.
  public var parameters: [Parameter] { nodes.flatMap(\.parameters) }
}

/// A value of a ``Graph``: 0 is the input, n the output of the n-th node.
public struct Value: Hashable, Sendable {
  public let index: Int
}

/// One step of a ``Graph``.
public struct Node: Sendable, Equatable {
  /// The module's path, such as `layer1.0.conv1`; its parameters' names begin with it.
  public let name: String
  public let operation: Operation
  public let inputs: [Value]
}

/// What a node does. Names and meanings are ONNX's.
public enum Operation: Sendable, Equatable {
  case conv(Convolution)
  /// Inference form: `(x − mean) / sqrt(variance + epsilon) × scale + bias` per channel.
  case batchNormalization(channels: Int, epsilon: Double)
  case relu
  case add
  case maxPool(Pooling)
  /// The mean over each window, of the pixels that are there: no padding, stride as large as the window, and a last
  /// window that reaches over the edge counts (`AvgPool2d(ceil_mode=True, count_include_pad=False)`).
  case averagePool(size: Int)
  /// Every `stride`-th pixel of each row and column, between as many channels of zeros on each side.
  case padChannels(each: Int, stride: Int)
  /// Each channel times a number between 0 and 1, made of the channels' means by two 1×1 convolutions with biases and
  /// a ReLU between (squeeze and excitation).
  case squeezeExcitation(channels: Int, reduced: Int)
  /// The same with one convolution along the channels' means, zeros beyond their ends.
  case efficientChannelAttention(kernel: Int)
  /// A filter before a stride, against aliasing; which one no file says.
  case antialias(stride: Int)
  /// The mean over height and width: N×C×H×W becomes N×C.
  case globalAveragePool
  /// A fully connected layer: N×`inputs` becomes N×`outputs`.
  case gemm(inputs: Int, outputs: Int)
}

/// A two-dimensional convolution without bias; sizes in pixels, the same for height and width.
public struct Convolution: Sendable, Equatable {
  public var inputChannels: Int
  public var outputChannels: Int
  public var kernel: Int
  public var stride = 1
  public var padding = 0
  public var dilation = 1
  public var groups = 1

  /// Makes a convolution; `inputChannels` and `outputChannels` are multiples of `groups`.
  public init(
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

  /// The output's height or width for an input's; less than 1 when the kernel does not fit.
  public func outputSize(_ size: Int) -> Int {
    let span = size + 2 * padding - dilation * (kernel - 1) - 1
    return span < 0 ? 0 : span / stride + 1
  }
}

/// A two-dimensional pooling window; sizes in pixels.
public struct Pooling: Sendable, Equatable {
  public var kernel: Int
  public var stride: Int
  public var padding: Int

  /// Makes a window.
  public init(kernel: Int, stride: Int, padding: Int) {
    self.kernel = kernel
    self.stride = stride
    self.padding = padding
  }

  /// The output's height or width for an input's (floor mode); less than 1 when the window does not fit.
  public func outputSize(_ size: Int) -> Int {
    let span = size + 2 * padding - kernel
    return span < 0 ? 0 : span / stride + 1
  }
}
