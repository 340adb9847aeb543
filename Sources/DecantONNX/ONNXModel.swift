package import DecantBytes
internal import DecantIO
package import DecantCheckpoints
package import DecantGraphs
package import DecantTensors

/// A network as an ONNX model of opset 17: the whole graph, which any runtime of ONNX executes, with its weights.
///
/// Making one plans every byte and reads few weights; ``write(to:_:)`` streams the rest. docs/formats/onnx.md says what
/// is written.
package struct ONNXModel {
  /// What becomes of the network.
  package struct Options: Sendable {
    /// Whether a normalization behind a convolution is computed into its weights.
    package var foldsNormalization = false
    /// What the graph is called.
    package var name = "network"
    /// Entries of `metadata_props`, in order.
    package var metadata: [(key: String, value: String)] = []

    /// The network as it is.
    package init() {}
  }

  /// Where the model goes.
  package struct Target {
    /// Whether weights go to a second file, `PATH.data`.
    package var hasExternalData = false
    /// Whether existing files are replaced.
    package var overwrites = true
    /// Whether the files are flushed to the disk before it is done.
    package var isDurable = false
    /// Whether what was written is read and its constants compared with the source's.
    package var checks = false
    /// Told how many of how many bytes are written; an error it throws ends the writing, and leaves nothing.
    package var progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
    /// What the weights are read from: it is never replaced.
    package var source: Checkpoint?

    /// One file.
    package init() {}
  }

  /// What was written.
  package struct Report: Sendable {
    /// Operators.
    package let nodeCount: Int
    /// Parameters of the network, computed ones among them.
    package let weightCount: Int
    /// Normalizations that were computed into convolutions.
    package let foldedCount: Int
    /// Tensors that are no float32 numbers in the source, by their type.
    package let castCounts: [(dtype: DType, count: Int)]
    /// Bytes of the model.
    package let byteCount: Int
    /// Bytes of the second file; nil when there is none.
    package let dataByteCount: Int?
  }

  private let graph: ONNXGraph
  private let castCounts: [(dtype: DType, count: Int)]
  private let output: String
  private let options: Options

  /// Plans a model.
  ///
  /// - Parameters:
  ///   - output: the name of the result; the input is `input`.
  ///   - weight: the tensor of each of the graph's parameters, by its name in the graph.
  /// - Throws: ``DecantError`` for an operator that is not written, and a parameter that is missing, has other sizes,
  ///   or cannot be read where it has to be.
  package init(
    _ graph: Graph, output: String = "logits", _ options: Options = Options(), weight: (String) -> ONNXWeight?
  ) throws(DecantError) {
    let weights = try ONNXWeights(graph, weight)
    castCounts = weights.castCounts(graph)
    self.graph = try ONNXGraph(
      graph, weights, output: output, foldsNormalization: options.foldsNormalization)
    self.output = output
    self.options = options
  }

  /// Writes the model: whole, or nothing. O(bytes), in a few megabytes of memory.
  ///
  /// - Throws: ``DecantError`` when it would be larger than protobuf allows, a number is not finite in float32,
  ///   something cannot be read or written, or what was written is not what was to be.
  package func write(to path: String, _ target: Target = Target()) throws -> Report {
    let sources = target.source?.files.map(\.identity) ?? []
    let location = target.hasExternalData ? path.split(separator: "/").last.map { "\($0).data" } : nil
    let layout = ONNXLayout(graph.initializers, dataFile: location)
    let parts = Parts(self, layout)
    guard parts.byteCount <= Self.largestByteCount else {
      throw DecantError(
        .notRepresentable,
        "the model would have \(parts.byteCount) bytes, and protobuf allows \(Self.largestByteCount)",
        file: path, advice: .useExternalData)
    }
    let model = try AtomicOutput(
      path, holding: parts.byteCount, overwrite: target.overwrites, sources: sources)
    let data =
      location == nil
      ? nil
      : try AtomicOutput(
        path + ".data", holding: layout.byteCount, overwrite: target.overwrites, sources: sources)
    let total = parts.byteCount + layout.byteCount
    try target.progress(0, total)
    model.write(parts.head)
    for (place, initializer) in graph.initializers.enumerated() {
      try target.progress(model.byteCount + (data?.byteCount ?? 0), total)
      model.write(parts.initializers[place])
      if let data, let offset = layout.offsets[place] {
        // Zeros in the gaps.
        data.write([UInt8](repeating: 0, count: offset - data.byteCount))
        try unsafe initializer.readNumbers { unsafe data.write($0) }
      } else {
        try unsafe initializer.readNumbers { unsafe model.write($0) }
      }
    }
    model.write(parts.tail)
    // Whatever usually fails has been done before the first name is given.
    try data?.finish()
    try model.finish()
    if target.checks { try layout.compare(model, data, graph.initializers) }
    try data?.commit(isDurable: target.isDurable)
    do throws(DecantError) { try model.commit(isDurable: target.isDurable) } catch {
      throw data == nil
        ? error
        : error.advising(.text("\(path.escapedForDisplay).data is the new one already: convert again."))
    }
    return Report(
      nodeCount: graph.nodes.count, weightCount: graph.initializers.count(where: \.isWeight),
      foldedCount: graph.foldedCount, castCounts: castCounts, byteCount: model.byteCount,
      dataByteCount: data?.byteCount)
  }

  /// What protobuf's readers accept: counts of 31 bits.
  private static let largestByteCount = Int(Int32.max)

  /// The model but for the numbers that stand in it: each follows its initialiser's bytes.
  private struct Parts {
    let head: [UInt8]
    let initializers: [[UInt8]]
    let tail: [UInt8]
    /// Bytes of the whole model.
    let byteCount: Int

    /// Fields in the order of their numbers, as protobuf's own writers have them.
    init(_ model: ONNXModel, _ layout: ONNXLayout) {
      var nodes = ProtobufMessage()
      for node in model.graph.nodes { nodes.append(1, node.message) }
      nodes.append(2, model.options.name)
      var inside = 0
      initializers = model.graph.initializers.indices.map { place in
        let initializer = model.graph.initializers[place]
        let fields = initializer.message(external: layout.place(of: place)).bytes
        let numbers = layout.offsets[place] == nil ? initializer.byteCount : 0
        var header = ProtobufMessage()
        header.beginBytes(5, count: fields.count + numbers)
        inside += numbers
        return header.bytes + fields
      }
      var ends = ProtobufMessage()
      let map: [Size] = [.any("batch"), .fixed(model.graph.inputChannels), .any("height"), .any("width")]
      ends.append(11, Self.value(ONNXGraph.input, map))
      let result = model.graph.result
      let sizes: [Size] = [.any("batch"), .fixed(result.channels)]
      let rest: [Size] = result.rank == 4 ? [.any("output_height"), .any("output_width")] : []
      ends.append(12, Self.value(model.output, sizes + rest))

      var before = ProtobufMessage()
      // IR version 8 came with opset 17.
      before.append(1, 8)
      before.append(2, "decant")
      before.beginBytes(
        7,
        count: nodes.bytes.count + initializers.reduce(0) { $0 + $1.count } + inside + ends.bytes.count)
      var after = ProtobufMessage()
      var opset = ProtobufMessage()
      opset.append(1, "")
      opset.append(2, 17)
      after.append(8, opset)
      for (key, value) in model.options.metadata { after.append(14, .entry(key, value)) }
      head = before.bytes + nodes.bytes
      tail = ends.bytes + after.bytes
      byteCount = head.count + initializers.reduce(0) { $0 + $1.count } + inside + tail.count
    }

    private enum Size {
      case fixed(Int)
      case any(String)
    }

    /// A `ValueInfoProto` of float32.
    private static func value(_ name: String, _ sizes: [Size]) -> ProtobufMessage {
      var shape = ProtobufMessage()
      for size in sizes {
        var dimension = ProtobufMessage()
        switch size {
        case .fixed(let count): dimension.append(1, count)
        case .any(let name): dimension.append(2, name)
        }
        shape.append(1, dimension)
      }
      var tensor = ProtobufMessage()
      tensor.append(1, 1)
      tensor.append(2, shape)
      var type = ProtobufMessage()
      type.append(1, tensor)
      var value = ProtobufMessage()
      value.append(1, name)
      value.append(2, type)
      return value
    }
  }
}
