import DecantBytes
import DecantCheckpoints
import DecantGraphs
import DecantONNX
import DecantTensors
import Foundation
import Testing

/// The bytes of models against those of the onnx package, and the errors. Tests/Peers/test_onnx.py has the other
/// tests.
@Suite struct ONNXModelTests {
  /// A graph of a convolution, its batch normalization and a head, with one channel.
  private static let tiny: Graph = {
    var graph = Graph(inputChannels: 2)
    let convolution = Convolution(inputChannels: 2, outputChannels: 1, kernel: 1, stride: 300)
    var value = graph.append("conv1", .conv(convolution), graph.input)
    value = graph.append("bn1", .batchNormalization(channels: 1, epsilon: 1e-5), value)
    value = graph.append("avgpool", .globalAveragePool, value)
    _ = graph.append("fc", .gemm(FullyConnected(inputs: 1, outputs: 1)), value)
    return graph
  }()

  private static let numbers: [String: [Float]] = [
    "conv1.weight": [0.5, -2], "bn1.weight": [3], "bn1.bias": [0.25], "bn1.running_mean": [1],
    "bn1.running_var": [4], "fc.weight": [1.5], "fc.bias": [-1],
  ]

  private static func weight(_ name: String) -> ONNXWeight? {
    guard let values = numbers[name], let parameter = tiny.parameters.first(where: { $0.name == name }),
      let tensor = try? Tensor(values, shape: parameter.shape)
    else { return nil }
    return ONNXWeight(name: name, tensor: tensor)
  }

  private static func written(
    _ options: ONNXModel.Options = ONNXModel.Options(), weight: (String) -> ONNXWeight? = weight
  ) throws -> Data {
    let folder = FileManager.default.temporaryDirectory.appending(path: UUID().uuidString)
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appending(path: "tiny.onnx")
    let report = try ONNXModel(tiny, options, weight: weight).write(to: path.path)
    let data = try Data(contentsOf: path)
    #expect(report.byteCount == data.count && report.dataByteCount == nil)
    return data
  }

  /// Source: onnx 1.23, `helper.make_model` of the same nodes, `SerializeToString(deterministic=True)`.
  private static let known = """
    08081206646563616e743ae5050a89010a05696e7075740a0c636f6e76312e7765696768741205636f6e76311a05636f6e76
    312204436f6e762a120a0964696c6174696f6e7340014001a001072a0c0a0567726f75701801a001022a150a0c6b65726e65
    6c5f736861706540014001a001072a110a04706164734000400040004000a001072a120a077374726964657340ac0240ac02
    a001070a710a05636f6e76310a0a626e312e7765696768740a08626e312e626961730a10626e312e72756e6e696e675f6d65
    616e0a0f626e312e72756e6e696e675f7661721203626e311a03626e31221242617463684e6f726d616c697a6174696f6e2a
    110a07657073696c6f6e15acc52737a001010a4e0a03626e311219617667706f6f6c2f476c6f62616c41766572616765506f
    6f6c1a19617667706f6f6c2f476c6f62616c41766572616765506f6f6c2211476c6f62616c41766572616765506f6f6c0a43
    0a19617667706f6f6c2f476c6f62616c41766572616765506f6f6c1207617667706f6f6c1a07617667706f6f6c2207466c61
    7474656e2a0b0a04617869731801a001020a3e0a07617667706f6f6c0a0966632e7765696768740a0766632e626961731206
    6c6f676974731a026663220447656d6d2a0d0a067472616e73421801a00102120474696e792a220801080208010801100142
    0c636f6e76312e7765696768744a080000003f000000c02a1608011001420a626e312e7765696768744a04000040402a1408
    0110014208626e312e626961734a040000803e2a1c080110014210626e312e72756e6e696e675f6d65616e4a040000803f2a
    1b08011001420f626e312e72756e6e696e675f7661724a04000080402a17080108011001420966632e7765696768744a0400
    00c03f2a1308011001420766632e626961734a04000080bf5a2f0a05696e70757412260a24080112200a0712056261746368
    0a0208020a0812066865696768740a0712057769647468621d0a066c6f6769747312130a110801120d0a0712056261746368
    0a02080142040a00101172140a0c617263686974656374757265120474696e79
    """

  @Test func bytesAreThoseOfOnnx() throws {
    var options = ONNXModel.Options()
    options.name = "tiny"
    options.metadata = [(key: "architecture", value: "tiny")]
    let hexadecimal = try Self.written(options).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count < 2 ? "0" + digits : digits
    }.joined()
    #expect(hexadecimal == Self.known.filter { !$0.isWhitespace })
  }

  @Test func aFoldedConvolutionHasABiasAndNoNormalization() throws {
    var options = ONNXModel.Options()
    options.foldsNormalization = true
    let data = try Self.written(options)
    func holds(_ text: String) -> Bool { data.firstRange(of: Data(text.utf8)) != nil }
    #expect(holds("conv1.weight.folded") && holds("bn1.bias.folded") && !holds("BatchNormalization"))
    // (0.5, −2) × 3 / √(4 + 1e-5), and 0.25 − 1 × 3 / √(4 + 1e-5).
    let scale = 3 / (4 + 1e-5).squareRoot()
    for number in [Float(0.5 * scale), Float(-2 * scale), Float(0.25 - scale)] {
      #expect(data.firstRange(of: withUnsafeBytes(of: number.bitPattern.littleEndian) { Data($0) }) != nil)
    }
  }

  @Test func whatIsNotWrittenIsNamed() throws {
    var graph = Graph(inputChannels: 1)
    _ = graph.append("strange", .opaque(OpaqueOperator("EvoNorm-S0")), graph.input)
    #expect { try ONNXModel(graph) { _ in nil } } throws: {
      let error = $0 as? DecantError
      return error?.code == .unsupportedNetwork && error?.reason.contains("node strange") == true
    }
    #expect { try ONNXModel(Graph(inputChannels: 1)) { _ in nil } } throws: {
      ($0 as? DecantError)?.code == .unsupportedNetwork
    }
  }

  @Test func parametersMustFit() throws {
    func code(_ other: @escaping (String) throws -> Tensor?) -> DecantError.Code? {
      do {
        _ = try ONNXModel(Self.tiny) { name in
          name == "fc.weight"
            ? (try? other(name)).flatMap { $0 }.map { ONNXWeight(name: name, tensor: $0) }
            : Self.weight(name)
        }
        return nil
      } catch { return error.code }
    }
    #expect(code { _ in nil } == .mismatch)
    #expect(code { _ in try Tensor([1, 2] as [Float], shape: [1, 2]) } == .mismatch)
    #expect(
      code { _ in
        let content = BytesInMemory([UInt8](repeating: 0, count: 8))
        return try Tensor(
          dtype: .int64, shape: [1, 1], storage: Storage(key: "0", byteCount: 8, content: content))
      } == .notRepresentable)
    #expect(
      code { _ in
        try Tensor(dtype: .float32, shape: [1, 1], storage: Storage(key: "0", byteCount: 4, content: nil))
      } == .noData)
  }

  /// Protobuf sizes have 31 bits. A tensor with strides of 0 reaches them with four bytes of data.
  @Test func moreThanTwoGigabytesNeedASecondFile() throws {
    var graph = Graph(inputChannels: 1 << 15)
    let means = graph.append("avgpool", .globalAveragePool, graph.input)
    _ = graph.append(
      "fc", .gemm(FullyConnected(inputs: 1 << 15, outputs: 1 << 14, hasBias: false)), means)
    let content = BytesInMemory([UInt8](repeating: 0, count: 4))
    var limits = Limits()
    limits.expansionFloor = .max
    let wide = try Tensor(
      dtype: .float32, shape: [1 << 14, 1 << 15], strides: [0, 0],
      storage: Storage(key: "0", byteCount: 4, content: content), limits: limits)
    let model = try ONNXModel(graph) { ONNXWeight(name: $0, tensor: wide) }
    let path = FileManager.default.temporaryDirectory.appending(path: "\(UUID().uuidString).onnx").path
    let error = try #require(throws: DecantError.self) { try model.write(to: path) }
    #expect(error.code == .notRepresentable && error.advice == .useExternalData)
    #expect(!FileManager.default.fileExists(atPath: path))
  }
}
