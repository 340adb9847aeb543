import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import TestSupport
import Testing

/// Arrays of NumPy's record types: their fields are tensors.
@Suite struct RecordTests {
  private typealias Value = TorchFile.Value
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func npy(_ header: String, _ data: [UInt8]) -> [UInt8] {
    let text = Array(header.utf8) + [0x0A]
    return [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(text.count)) + text + data
  }

  private func fields(_ descr: String, _ shape: String, _ data: [UInt8], isColumnMajor: Bool = false) throws
    -> Checkpoint
  {
    let order = isColumnMajor ? "True" : "False"
    return try Checkpoint(
      path: try folder.write(
        "a.npy", npy("{'descr': \(descr), 'fortran_order': \(order), 'shape': \(shape), }", data)))
  }

  @Test func everyFieldIsATensor() throws {
    let checkpoint = try fields(
      "[('w', '>i2', (2,)), ('', '|V1'), ('in', [('n', '|u1'), ('t', '<U1')])]", "(2,)",
      [0, 1, 0, 2, 9, 7, 0x61, 0, 0, 0] + [0, 3, 0, 4, 9, 8, 0x62, 0, 0, 0])
    #expect(checkpoint.tensors.map(\.name) == ["w", "in.n"])
    #expect(checkpoint.tensors.map(\.tensor.shape) == [[2, 2], [2]])
    #expect(try checkpoint.tensors[0].tensor.elements(as: Double.self) == [1, 2, 3, 4])
    #expect(try checkpoint.tensors[1].tensor.elements(as: Double.self) == [7, 8])
    #expect(checkpoint.objects.map(\.name) == ["in.t"])
    #expect(checkpoint.objects.allSatisfy { $0.unreadTensor == nil })
    #expect(try checkpoint.convert(to: folder.path("out.npz")).tensorCount == 2)
  }

  @Test func columns() throws {
    let checkpoint = try fields(
      "[('a', '|u1'), ('b', '|u1', (2,))]", "(2, 2)", (0..<12).map { UInt8($0) }, isColumnMajor: true)
    #expect(try checkpoint.tensors[0].tensor.elements(as: Double.self) == [0, 6, 3, 9])
    #expect(try checkpoint.tensors[1].tensor.elements(as: Double.self) == [1, 2, 7, 8, 4, 5, 10, 11])
  }

  @Test func numbersThatNoTensorHas() throws {
    let checkpoint = try fields("[('a', '<f16'), ('b', '|u1')]", "(1,)", [UInt8](repeating: 1, count: 17))
    #expect(checkpoint.objects.compactMap(\.unreadTensor) == ["numpy <f16"])
    #expect(throws: DecantError.self) { try checkpoint.convert(to: folder.path("out.npz")) }
    #expect(try checkpoint.skippingUnreadTensors().convert(to: folder.path("out.npz")).tensorCount == 1)
  }

  /// Large fields and many records are read in blocks.
  @Test func manyRecords() throws {
    let count = 40_000
    let data = (0..<count).flatMap { index in ZipBuilder.little(UInt32(index)) + [UInt8(index % 251)] }
    let checkpoint = try fields("[('i', '<u4'), ('b', '|u1')]", "(\(count),)", data)
    #expect(
      try checkpoint.tensors[0].tensor.rowMajorBytes()
        == (0..<count).flatMap { ZipBuilder.little(UInt32($0)) })
    #expect(try checkpoint.tensors[1].tensor.rowMajorBytes() == (0..<count).map { UInt8($0 % 251) })
    let wide = try fields("[('w', '|u1', (600,)), ('b', '|u1')]", "(3,)", (0..<1803).map { UInt8($0 % 256) })
    #expect(
      try wide.tensors[0].tensor.rowMajorBytes()
        == (0..<3).flatMap { record in (0..<600).map { UInt8((record * 601 + $0) % 256) } })
  }

  // MARK: Pickles

  /// Returns `numpy.dtype` of records with one field `w` of three float32 numbers and one `n` of a byte.
  private static func type(_ name: Value, size: Int64 = 16) -> Value {
    let triple = Value.call(
      .global("numpy", "dtype"), [.text("V12"), .bool(false), .bool(true)],
      state: .tuple([
        .int(3), .text("|"), .tuple([.numpyType("f4"), .sizes([3])]), .none, .none, .int(12), .int(4),
        .int(0),
      ]))
    return .call(
      .global("numpy", "dtype"), [name, .bool(false), .bool(true)],
      state: .tuple([
        .int(3), .text("|"), .none, .tuple([.text("w"), .text("n")]),
        .mapping([
          "w": .tuple([triple, .int(0)]), "n": .tuple([.numpyType("u1"), .int(12)]),
        ]), .int(size), .int(1), .int(16),
      ]))
  }

  private static let names: [Value] = [.text("V16"), .global("numpy", "record")]

  @Test(arguments: [0, 1]) func inAPickle(_ index: Int) throws {
    var file = TorchFile()
    let data = (0..<32).map { UInt8($0) }
    let array = Value.call(
      .global("numpy.core.multiarray", "_reconstruct"),
      [.global("numpy", "recarray"), .sizes([0]), .bytes([98])],
      state: .tuple([.int(1), .sizes([2]), Self.type(Self.names[index]), .bool(false), .bytes(data)]))
    let scalar = Value.call(
      .global("numpy.core.multiarray", "scalar"),
      [Self.type(Self.names[index]), .bytes(Array(data.prefix(16)))])
    let root = Value.mapping([
      "model": .mapping(["fc.weight": file.tensor([3, 2]), "x": array, "s": scalar])
    ])
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    #expect(
      checkpoint.tensors.map(\.name) == [
        "model.fc.weight", "model.x.w", "model.x.n", "model.s.w", "model.s.n",
      ])
    #expect(checkpoint.tensors.dropFirst().map(\.tensor.shape) == [[2, 3], [2], [3], []])
    #expect(
      try checkpoint.tensors[1].tensor.rowMajorBytes() == Array(data[0..<12] + data[16..<28]))
    #expect(try checkpoint.tensors[2].tensor.rowMajorBytes() == [12, 28])
    #expect(try checkpoint.onlyStateDict().tensors.count == 5)
    #expect(try checkpoint.convert(to: folder.path("out.safetensors")).tensorCount == 5)
  }

  /// A field outside its record is not read, and the array is not lost.
  @Test func aFieldOutsideItsRecord() throws {
    var file = TorchFile()
    let array = Value.call(
      .global("numpy.core.multiarray", "_reconstruct"),
      [.global("numpy", "recarray"), .sizes([0]), .bytes([98])],
      state: .tuple([
        .int(1), .sizes([1]), Self.type(.global("numpy", "record"), size: 8), .bool(false),
        .bytes([UInt8](repeating: 0, count: 8)),
      ]))
    let root = Value.mapping(["w": file.tensor([3, 2]), "x": array])
    let checkpoint = try Checkpoint(path: try folder.write("in.pth", file.bytes(root)))
    #expect(checkpoint.objects.compactMap(\.unreadTensor) == ["numpy array of numpy.record"])
  }
}
