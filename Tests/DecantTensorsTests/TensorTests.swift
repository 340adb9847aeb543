import DecantBytes
import DecantTensors
import Testing

@Suite struct TensorTests {
  private func storage(_ bytes: [UInt8], order: Storage.ByteOrder = .little) -> Storage {
    Storage(key: "0", byteOrder: order, byteCount: bytes.count, content: BytesInMemory(bytes))
  }

  private let twelve = storageOfFloats((0..<12).map(Float.init))

  @Test func readsContiguousAndStridedViews() throws {
    let whole = try Tensor(dtype: .float32, shape: [3, 4], storage: twelve)
    #expect(whole.isContiguous)
    #expect(try whole.elements(as: Float.self) == (0..<12).map(Float.init))
    let transposed = try Tensor(dtype: .float32, shape: [4, 3], strides: [1, 4], storage: twelve)
    #expect(!transposed.isContiguous)
    #expect(try transposed.elements(as: Float.self) == [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11])
    let step = try Tensor(
      dtype: .float32, shape: [2, 2], strides: [8, 2], storage: twelve, storageOffset: 1)
    #expect(try step.elements(as: Double.self) == [1, 3, 9, 11])
    let expanded = try Tensor(
      dtype: .float32, shape: [2, 3], strides: [0, 1], storage: twelve, storageOffset: 9)
    #expect(try expanded.elements(as: Float.self) == [9, 10, 11, 9, 10, 11])
    let overlapping = try Tensor(dtype: .float32, shape: [3, 2], strides: [1, 1], storage: twelve)
    #expect(try overlapping.elements(as: Float.self) == [0, 1, 1, 2, 2, 3])
  }

  /// Chunks of every size give the same bytes.
  @Test(arguments: [1, 4, 8, 12, 20, 1 << 20])
  func pieces(_ capacity: Int) throws {
    let transposed = try Tensor(dtype: .float32, shape: [2, 3, 2], strides: [1, 4, 2], storage: twelve)
    var bytes: [UInt8] = []
    try transposed.readRowMajor(capacity: capacity) { bytes.append(contentsOf: $0) }
    #expect(try bytes == transposed.rowMajorBytes())
    #expect(bytes.count == 48)
  }

  @Test func scalarsAndEmptyTensors() throws {
    let scalar = try Tensor(dtype: .float32, shape: [], storage: twelve, storageOffset: 11)
    #expect(try scalar.elements(as: Float.self) == [11])
    for shape in [[0], [0, 3], [3, 0, 2]] {
      let empty = try Tensor(dtype: .float32, shape: shape, storage: storage([]))
      #expect(empty.elementCount == 0 && empty.isContiguous)
      #expect(try empty.rowMajorBytes() == [])
      #expect(try empty.sha256() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    }
    let strided = try Tensor(dtype: .float32, shape: [0, 3], strides: [7, 100], storage: storage([]))
    #expect(strided.isContiguous)
  }

  @Test(arguments: [
    ([3, 5], [4, 1], 0), ([12], [1], 1), ([13], [1], 0), ([2], [12], 0), ([1], [1], 12),
    ([2, 2], [Int.max, Int.max], 0),
    ([-1], [1], 0), ([2], [-1], 1), ([1], [1], -1), ([Int.max, Int.max], [0, 0], 0), ([2], [1, 1], 0),
  ])
  func refusesWhatLeavesTheStorage(_ shape: [Int], _ strides: [Int], _ offset: Int) {
    #expect {
      try Tensor(dtype: .float32, shape: shape, strides: strides, storage: twelve, storageOffset: offset)
    } throws: {
      ($0 as? DecantError)?.code == .damaged
    }
  }

  @Test func refusesToSpreadFewBytesOverMany() throws {
    var limits = Limits()
    limits.expansionFloor = 1 << 10
    func view(_ count: Int) throws -> Tensor {
      try Tensor(dtype: .float32, shape: [count], strides: [0], storage: twelve, limits: limits)
    }
    #expect(try view(64 * 12).elementCount == 768)
    func isLimit(_ error: any Error, enough: Int) -> Bool {
      let error = error as? DecantError
      return error?.code == .limitExceeded && error?.advice == .raiseLimit("expansion", to: enough)
    }
    #expect { try view(64 * 12 + 1) } throws: { isLimit($0, enough: 65) }
    #expect {
      try Tensor(dtype: .uint8, shape: [1 << 40], strides: [0], storage: twelve)
    } throws: {
      isLimit($0, enough: (1 << 40) / 48 + 1)
    }
    var flat = Limits()
    flat.rank = 1
    #expect {
      try Tensor(dtype: .float32, shape: [1, 1], storage: twelve, limits: flat)
    } throws: {
      ($0 as? DecantError)?.advice == .raiseLimit("rank", to: 2)
    }
    #expect {
      try Tensor([1, 2] as [Float], shape: [3])
    } throws: {
      ($0 as? DecantError)?.code == .invalidArgument
    }
  }

  @Test func resolvesByteOrderAndLazyBits() throws {
    let big = try Tensor(dtype: .float32, shape: [1], storage: storage([0x3F, 0x80, 0, 0], order: .big))
    #expect(try big.elements(as: Float.self) == [1])
    let wide = try Tensor(
      dtype: .complex128, shape: [1],
      storage: storage([0x3F, 0xF0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0], order: .big),
      isConjugated: true)
    #expect(try wide.rowMajorBytes() == [0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0, 0, 0, 0, 0, 0, 0, 0xC0])
    let negated = try Tensor(dtype: .float32, shape: [2], storage: twelve, storageOffset: 1, isNegated: true)
    #expect(try negated.elements(as: Float.self) == [-1, -2])
    let both = try Tensor(
      dtype: .complex64, shape: [1], storage: storageOfFloats([1, 2]), isConjugated: true, isNegated: true)
    #expect(try both.rowMajorBytes() == storageBytes([-1, 2]))
    let integers = try Tensor(dtype: .int32, shape: [1], storage: twelve, isNegated: true)
    #expect { try integers.rowMajorBytes() } throws: { ($0 as? DecantError)?.code == .unsupportedFormat }
    let meta = try Tensor(
      dtype: .float32, shape: [1], storage: Storage(key: "0", location: "meta", byteCount: 4, content: nil))
    #expect { try meta.rowMajorBytes() } throws: { ($0 as? DecantError)?.code == .noData }
    #expect { try meta.hasSameBits(as: meta) } throws: {
      ($0 as? TensorComparisonError).map { DecantError($0).code } == .noData
    }
    let floats = try Tensor(dtype: .float32, shape: [12], storage: twelve)
    #expect { try floats.integers() } throws: { ($0 as? DecantError)?.code == .unsupportedFormat }
    #expect { try floats.dequantized() } throws: { ($0 as? DecantError)?.code == .invalidArgument }
  }

  /// Two or four quantised elements share a byte. The last byte may be partly unused.
  @Test func packedTypes() throws {
    let bytes: [UInt8] = [0x21, 0x43, 0x05]
    let five = try Tensor(dtype: .quint4x2, shape: [5], storage: storage(bytes))
    #expect(five.byteCount == 3)
    #expect(try five.rowMajorBytes() == bytes)
    #expect(try Tensor(dtype: .quint2x4, shape: [3, 4], storage: storage(bytes)).rowMajorBytes() == bytes)
    #expect(
      try Tensor(dtype: .quint4x2, shape: [2], storage: storage(bytes), storageOffset: 2).rowMajorBytes() == [
        0x43
      ])
    #expect {
      try Tensor(dtype: .quint4x2, shape: [7], storage: storage(bytes))
    } throws: {
      ($0 as? DecantError)?.code == .damaged
    }
    #expect {
      try Tensor(dtype: .quint4x2, shape: [2, 2], strides: [1, 2], storage: storage(bytes))
    } throws: {
      ($0 as? DecantError)?.code == .unsupportedFormat
    }
    #expect {
      try Tensor(dtype: .quint4x2, shape: [2], storage: storage(bytes), storageOffset: 1)
    } throws: {
      ($0 as? DecantError)?.code == .unsupportedFormat
    }
  }

  @Test func findsAliases() throws {
    let other = storageOfFloats([1])
    let tensors = [
      try Tensor(dtype: .float32, shape: [4], storage: twelve),
      try Tensor(dtype: .float32, shape: [4], storage: twelve, storageOffset: 4),
      try Tensor(dtype: .float32, shape: [1], storage: other),
      try Tensor(dtype: .float32, shape: [4], storage: twelve, storageOffset: 3),
      try Tensor(dtype: .float32, shape: [0], storage: twelve),
      try Tensor(dtype: .float32, shape: [2], storage: twelve, storageOffset: 10),
    ]
    let aliases = Aliases(tensors)
    #expect(tensors.indices.map { aliases.first(of: $0) } == [nil, 0, nil, 0, nil, nil])
  }

  @Test func refusesNamesThatStandTwice() throws {
    let tensor = try Tensor(dtype: .float32, shape: [1], storage: twelve)
    let entry = StateDict.Entry(name: "a", tensor: tensor)
    #expect { try StateDict([entry, entry]) } throws: { ($0 as? DecantError)?.code == .duplicateName }
  }
}

private func storageBytes(_ values: [Float]) -> [UInt8] {
  values.withUnsafeBytes { [UInt8]($0) }
}

private func storageOfFloats(_ values: [Float]) -> Storage {
  let bytes = storageBytes(values)
  return Storage(key: "0", byteCount: bytes.count, content: BytesInMemory(bytes))
}
