import DecantBytes
import DecantTensors
import Testing

@Suite struct NumberTests {
  private func tensor<T>(_ dtype: DType, _ values: [T]) throws -> Tensor {
    let bytes = values.withUnsafeBytes { [UInt8]($0) }
    let storage = Storage(key: "0", byteCount: bytes.count, content: BytesInMemory(bytes))
    return try Tensor(dtype: dtype, shape: [bytes.count / dtype.byteCount], storage: storage)
  }

  /// Expected values are those of the OCP and PyTorch tables for these patterns.
  @Test func readsEightBitFloats() throws {
    func read(_ dtype: DType, _ patterns: [UInt8]) throws -> [Float] {
      try tensor(dtype, patterns).elements(as: Float.self)
    }
    #expect(try read(.float8_e4m3fn, [0, 0x38, 0x7E, 0x01, 0xB8]) == [0, 1, 448, 0.001953125, -1])
    #expect(try read(.float8_e4m3fn, [0x7F, 0xFF]).allSatisfy(\.isNaN))
    #expect(
      try read(.float8_e5m2, [0x3C, 0x7B, 0x7C, 0xFC, 0x01]) == [1, 57344, .infinity, -.infinity, 0x1p-16])
    #expect(try read(.float8_e4m3fnuz, [0x40, 0x7F, 0x01]) == [1, 240, 0x1p-10])
    #expect(try read(.float8_e5m2fnuz, [0x40, 0x7F, 0x01]) == [1, 57344, 0x1p-17])
    #expect(try read(.float8_e8m0fnu, [127, 0, 254]) == [1, 0x1p-127, 0x1p127])
    #expect(try read(.float8_e4m3fnuz, [0x80]).allSatisfy(\.isNaN))
    #expect(try read(.float8_e8m0fnu, [255]).allSatisfy(\.isNaN))
  }

  @Test func countsWhatIsNotFinite() throws {
    #expect(try tensor(.float32, [Float.nan, 1, .infinity, -.infinity, 0]).countNonFinite() == 3)
    #expect(try tensor(.float64, [Double.nan, 1]).countNonFinite() == 1)
    #expect(try tensor(.complex64, [Float.nan, 1, 2, 3, 1, .infinity]).countNonFinite() == 2)
    #expect(try tensor(.bfloat16, [0x7F80, 0x3F80, 0xFFC0] as [UInt16]).countNonFinite() == 2)
    #expect(try tensor(.float16, [0x7C00, 0x3C00] as [UInt16]).countNonFinite() == 1)
    #expect(try tensor(.int32, [-1, 0x7F80_0000] as [Int32]).countNonFinite() == 0)
    #expect(try tensor(.float8_e4m3fn, [0x7F, 0x7E] as [UInt8]).countNonFinite() == 1)
  }

  @Test func castsRoundOnceToNearestEven() throws {
    func cast(_ values: [Double], _ target: DType) throws -> [UInt8] {
      var cast = try #require(Cast(tensor(.float64, values), to: target))
      var bytes = [UInt8](repeating: 0, count: values.count * target.byteCount)
      values.withUnsafeBytes { source in bytes.withUnsafeMutableBytes { cast.convert(source, into: $0) } }
      return bytes
    }
    // Halfway cases of bfloat16 (8 bits): 1 + 2^-8 is a tie and rounds to even. Slightly more rounds up, even
    // though the intermediate float32 rounds it to the tie.
    #expect(try cast([1 + 0x1p-8], .bfloat16) == [0x80, 0x3F])
    #expect(try cast([1 + 0x1p-8 + 0x1p-40], .bfloat16) == [0x81, 0x3F])
    #expect(try cast([1 + 3 * 0x1p-8 - 0x1p-40], .bfloat16) == [0x81, 0x3F])
    #expect(try cast([-1 - 0x1p-8 - 0x1p-40], .bfloat16) == [0x81, 0xBF])
    #expect(
      try cast([65504, 65519.99, 65520, .infinity], .float16) == [0xFF, 0x7B, 0xFF, 0x7B, 0, 0x7C, 0, 0x7C])
    #expect(try cast([1 + 0x1p-11 + 0x1p-40], .float16) == [0x01, 0x3C])
    #expect(try cast([.nan], .bfloat16) == [0xC0, 0x7F])
    #expect(try cast([0x1p-149], .float32) == [1, 0, 0, 0])
  }

  @Test func leavesIntegersAlone() throws {
    let integers = try tensor(.int64, [1, 2] as [Int64])
    #expect(!integers.isCast(to: .float16) && Cast(integers, to: .float16) == nil)
  }

  @Test func statistics() throws {
    let found = try tensor(.float32, [Float.nan, -2, 4, 1]).statistics()
    #expect(found.nanCount == 1 && found.infiniteCount == 0 && found.zeroCount == 0)
    let spread = try tensor(.float64, [0.0, 2, 4, -Double.infinity, -0.0, 4] as [Double]).statistics()
    #expect(spread.zeroCount == 2 && spread.infiniteCount == 1 && spread.mean == 2)
    #expect(abs((spread.standardDeviation ?? 0) - 1.7888543819998317) < 1e-15)
    #expect(try tensor(.float64, [0.0, 1, 2, 3, 4, 9]).histogram(2, over: 0...4) == [2, 3])
    #expect(try tensor(.float64, [5.0, 5]).histogram(3, over: 5...5) == [2, 0, 0])
    #expect(found.nonFiniteCount == 1 && found.least == -2 && found.greatest == 4 && found.mean == 1)
    #expect(try tensor(.int8, [-3, 5] as [Int8]).statistics().mean == 1)
    #expect(try tensor(.complex64, [Float(1), 2]).statistics().mean == nil)
  }

  @Test func hashesAsTheStandardSays() throws {
    // The example "abc" of FIPS 180-4.
    #expect(
      try tensor(.uint8, Array("abc".utf8)).sha256()
        == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }
}
