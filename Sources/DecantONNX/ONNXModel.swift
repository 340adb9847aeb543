package import DecantBytes
package import DecantCheckpoints
internal import DecantFormats
package import DecantGraphs
internal import DecantIO
package import DecantTensors

/// A network as an ONNX model of opset 17: the graph and its weights, which any ONNX runtime executes.
///
/// Creating a model plans every byte and reads few weights; ``write(to:_:)`` streams the rest. docs/formats/onnx.md
/// describes the file.
package struct ONNXModel {
  /// The options of the conversion.
  package struct Options: Sendable {
    /// True to fold batch normalizations into the convolutions before them.
    package var foldsNormalization = false
    /// The graph's name.
    package var name = "network"
    /// The entries of `metadata_props`, in order.
    package var metadata: [(key: String, value: String)] = []

    /// Creates options that convert the network as it is.
    package init() {}
  }

  /// The options of the output files.
  package struct Target {
    /// True to write the weights to a second file, `PATH.data`.
    package var hasExternalData = false
    /// True to replace existing files.
    package var overwrites = true
    /// True to flush the files to disk before they get their final names.
    package var isDurable = false
    /// True to read the written files back and compare their constants with the source's.
    package var checks = false
    /// Called with the bytes written so far and in total. An error it throws stops the writing, and no file changes.
    package var progress: (_ done: Int, _ total: Int) throws -> Void = { _, _ in }
    /// The checkpoint that the weights are read from; its files are never replaced.
    package var source: Checkpoint?

    /// Creates options for one file.
    package init() {}
  }

  /// The numbers of nodes, weights and bytes that were written.
  package struct Report: Sendable {
    /// The number of nodes in the graph.
    package let nodeCount: Int
    /// The number of the network's parameters, including computed ones.
    package let weightCount: Int
    /// The number of batch normalizations that were folded into convolutions.
    package let foldedCount: Int
    /// The number of tensors that are not float32 in the source, by dtype.
    package let castCounts: [(dtype: DType, count: Int)]
    /// The size of the model file in bytes.
    package let byteCount: Int
    /// The size of the second file in bytes; nil when there is none.
    package let dataByteCount: Int?
  }

  private let graph: ONNXGraph
  private let castCounts: [(dtype: DType, count: Int)]
  private let output: String
  private let options: Options

  /// Plans a model.
  ///
  /// - Parameters:
  ///   - output: the name of the output. The input's name is `input`.
  ///   - weight: returns the tensor of a parameter, given its name in the graph.
  /// - Throws: ``DecantError`` for an operator that cannot be exported, and for a parameter that is missing, has
  ///   another shape, or cannot be read when its elements are needed.
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

  /// Writes the complete model or nothing. O(bytes), in a few megabytes of memory.
  ///
  /// - Throws: ``DecantError`` when the model is larger than protobuf allows, an element is not finite in float32,
  ///   something cannot be read or written, or the written files differ from the source.
  package func write(to path: String, _ target: Target = Target()) throws -> Report {
    let sources = target.source?.files.map(\.identity) ?? []
    let location = target.hasExternalData ? path.split(separator: "/").last.map { "\($0).data" } : nil
    let layout = ONNXDataLayout(graph.initializers, dataFile: location)
    let parts = Parts(self, layout)
    guard parts.byteCount <= Self.largestByteCount else {
      throw DecantError(
        .notRepresentable,
        "the model would have \(Format.count(parts.byteCount, "byte")), but protobuf allows \(Format.count(Self.largestByteCount))",
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
        // The alignment gaps are filled with zeros.
        data.write([UInt8](repeating: 0, count: offset - data.byteCount))
        try unsafe initializer.readNumbers { unsafe data.write($0) }
      } else {
        try unsafe initializer.readNumbers { unsafe model.write($0) }
      }
    }
    model.write(parts.tail)
    // Everything that commonly fails is done before the first file gets its final name.
    try data?.finish()
    try model.finish()
    if target.checks { try layout.compare(model, data, graph.initializers) }
    try data?.commit(isDurable: target.isDurable)
    do throws(DecantError) { try model.commit(isDurable: target.isDurable) } catch {
      throw data == nil
        ? error
        : error.advising(.text("\(path.escapedForDisplay).data was already replaced. Convert again."))
    }
    return Report(
      nodeCount: graph.nodes.count, weightCount: graph.initializers.count(where: \.isWeight),
      foldedCount: graph.foldedCount, castCounts: castCounts, byteCount: model.byteCount,
      dataByteCount: data?.byteCount)
  }

  /// The largest message that protobuf readers accept: sizes have 31 bits.
  private static let largestByteCount = Int(Int32.max)

  /// The bytes of the model file without the constants' data. The data of each internal constant follows its
  /// initialiser's bytes.
  private struct Parts {
    let head: [UInt8]
    let initializers: [[UInt8]]
    let tail: [UInt8]
    /// The number of bytes of the whole model file.
    let byteCount: Int

    /// Encodes the fields in the order of their numbers, as protobuf's own writers do.
    init(_ model: ONNXModel, _ layout: ONNXDataLayout) {
      var nodes = ProtobufMessage()
      for node in model.graph.nodes { nodes.append(ONNXField.Graph.node, node.message) }
      nodes.append(ONNXField.Graph.name, model.options.name)
      var inside = 0
      initializers = model.graph.initializers.indices.map { place in
        let initializer = model.graph.initializers[place]
        let fields = initializer.message(external: layout.place(of: place)).bytes
        let numbers = layout.offsets[place] == nil ? initializer.byteCount : 0
        var header = ProtobufMessage()
        header.beginBytes(ONNXField.Graph.initializer, count: fields.count + numbers)
        inside += numbers
        return header.bytes + fields
      }
      var ends = ProtobufMessage()
      let map: [Size] = [.any("batch"), .fixed(model.graph.inputChannels), .any("height"), .any("width")]
      ends.append(ONNXField.Graph.input, Self.value(ONNXGraph.input, map))
      let result = model.graph.result
      let sizes: [Size] = [.any("batch"), .fixed(result.channels)]
      let rest: [Size] = result.rank == 4 ? [.any("output_height"), .any("output_width")] : []
      ends.append(ONNXField.Graph.output, Self.value(model.output, sizes + rest))

      var before = ProtobufMessage()
      // IR version 8 came with opset 17.
      before.append(ONNXField.Model.irVersion, 8)
      before.append(ONNXField.Model.producerName, "decant")
      before.beginBytes(
        ONNXField.Model.graph,
        count: nodes.bytes.count + initializers.reduce(0) { $0 + $1.count } + inside + ends.bytes.count)
      var after = ProtobufMessage()
      var opset = ProtobufMessage()
      opset.append(ONNXField.Opset.domain, "")
      opset.append(ONNXField.Opset.version, 17)
      after.append(ONNXField.Model.opsetImport, opset)
      var metadata = model.options.metadata
      let constants = model.graph.initializers.filter { !$0.isWeight }.map { JSONValue.string($0.name) }
      if !constants.isEmpty {
        metadata.append((ONNXField.constantsKey, JSONValue.array(constants).text))
      }
      for (key, value) in metadata {
        after.append(ONNXField.Model.metadataProps, .entry(key, value))
      }
      head = before.bytes + nodes.bytes
      tail = ends.bytes + after.bytes
      byteCount = head.count + initializers.reduce(0) { $0 + $1.count } + inside + tail.count
    }

    private enum Size {
      case fixed(Int)
      case any(String)
    }

    /// Returns a float32 `ValueInfoProto`.
    private static func value(_ name: String, _ sizes: [Size]) -> ProtobufMessage {
      var shape = ProtobufMessage()
      for size in sizes {
        var dimension = ProtobufMessage()
        switch size {
        case .fixed(let count): dimension.append(ONNXField.Dimension.size, count)
        case .any(let name): dimension.append(ONNXField.Dimension.parameter, name)
        }
        shape.append(ONNXField.Shape.dimension, dimension)
      }
      var tensor = ProtobufMessage()
      tensor.append(ONNXField.TensorType.elementType, 1)
      tensor.append(ONNXField.TensorType.shape, shape)
      var type = ProtobufMessage()
      type.append(ONNXField.ValueType.tensor, tensor)
      var value = ProtobufMessage()
      value.append(ONNXField.Value.name, name)
      value.append(ONNXField.Value.type, type)
      return value
    }
  }
}
