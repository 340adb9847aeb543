import DecantBytes
import DecantCheckpoints
import DecantTensors
import TestSupport
import Testing

/// Tests of GGUF files with false headers, built byte by byte.
@Suite struct GGUFTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private static func text(_ text: String, length: UInt64? = nil) -> [UInt8] {
    ZipBuilder.little(length ?? UInt64(text.utf8.count)) + Array(text.utf8)
  }

  private static func value(_ key: String, _ type: UInt32, _ bytes: [UInt8]) -> [UInt8] {
    text(key) + ZipBuilder.little(type) + bytes
  }

  private static func tensor(
    _ name: String, _ sizes: [UInt64], type: UInt32 = 0, offset: UInt64 = 0, rank: UInt32? = nil
  ) -> [UInt8] {
    text(name) + ZipBuilder.little(rank ?? UInt32(sizes.count)) + sizes.flatMap { ZipBuilder.little($0) }
      + ZipBuilder.little(type) + ZipBuilder.little(offset)
  }

  private static func file(
    _ tensors: [[UInt8]], _ values: [[UInt8]] = [], data: Int = 32, alignment: Int = 32,
    tensorCount: UInt64? = nil, valueCount: UInt64? = nil
  ) -> [UInt8] {
    var bytes = Array("GGUF".utf8) + ZipBuilder.little(UInt32(3))
    bytes += ZipBuilder.little(tensorCount ?? UInt64(tensors.count))
    bytes += ZipBuilder.little(valueCount ?? UInt64(values.count))
    bytes += values.flatMap { $0 } + tensors.flatMap { $0 }
    bytes += [UInt8](repeating: 0, count: (alignment - bytes.count % alignment) % alignment)
    return bytes + [UInt8](repeating: 7, count: data)
  }

  /// Returns the error's code; nil when the file is read.
  private func refusal(_ bytes: [UInt8]) throws -> DecantError.Code? {
    let path = try folder.write("f.gguf", bytes)
    do throws(DecantError) {
      _ = try Checkpoint(path: path)
      return nil
    } catch {
      #expect(error.location.file == path)
      return error.code
    }
  }

  @Test func bytesBehindTheLastTensorAreAWarning() throws {
    let bytes = GGUFTests.file([GGUFTests.tensor("a", [1])], data: 33)
    #expect(try Checkpoint(path: folder.write("f.gguf", bytes)).warnings.count == 1)
  }

  private static let align = UInt32(4)

  @Test(
    arguments: [
      (file([tensor("a", [8])]), nil),
      (file([]), nil),
      (file([tensor("a", [])], data: 4), nil),
      (file([tensor("a", [0, 5])], data: 0), nil),
      (file([tensor("a", [1])], data: 33), nil),
      (
        file([tensor("a", [8])], tensorCount: 1 << 62),
        .truncated
      ),
      (
        file([tensor("a", [8])], valueCount: .max),
        .truncated
      ),
      (
        file([], [text("k", length: 1 << 63)]),
        .truncated
      ),
      (
        file([], [value("k", 8, text("v", length: 1000))]),
        .truncated
      ),
      (
        file([], [value("k", 9, ZipBuilder.little(UInt32(10)) + ZipBuilder.little(UInt64(1) << 60))]),
        .truncated
      ),
      (
        file([], [value("k", 9, ZipBuilder.little(UInt32(8)) + ZipBuilder.little(UInt64(6)))]),
        .truncated
      ),
      (file([], [value("k", 13, [])]), .damaged),
      (file([], [value("k", 7, [2])]), .damaged),
      (
        file([], [value("k", 0, [1]), value("k", 0, [2])]), .deceptive
      ),
      (
        file([], [ZipBuilder.little(UInt64(1)) + [0xFF] + ZipBuilder.little(UInt32(0)) + [1]]),
        .damaged
      ),
      (
        file([], [value("general.alignment", align, [0, 0, 0, 0])]),
        .damaged
      ),
      (
        file([], [value("general.alignment", align, [48, 0, 0, 0])]),
        .damaged
      ),
      (
        file([], [value("general.alignment", 10, [32, 0, 0, 0, 0, 0, 0, 0])]),
        .damaged
      ),
      (
        file([tensor("a", [8])], [value("general.alignment", align, [0, 0, 0, 0x80])]),
        .truncated
      ),
      (
        file([tensor("a", [1]), tensor("a", [1], offset: 32)], data: 64),
        .deceptive
      ),
      (
        file([tensor("a", [8]), tensor("b", [8])], data: 64), .deceptive
      ),
      (
        file([tensor("a", [9]), tensor("b", [8], offset: 32)], data: 64),
        .deceptive
      ),
      (
        file([tensor("a", [8]), tensor("b", [8], offset: 64)], data: 96),
        .damaged
      ),
      (
        file([tensor("a", [4], offset: 4)]),
        .damaged
      ),
      (
        file([tensor("a", [8], offset: 1 << 63)]), .damaged
      ),
      (
        file([tensor("a", [8], offset: 0x7FFF_FFFF_FFFF_FFE0)]),
        .damaged
      ),
      (
        file([tensor("a", [1 << 62, 4])]), .damaged
      ),
      (file([tensor("a", [1 << 63])]), .damaged),
      (
        file([tensor("a", [8], rank: 65)]),
        .limitExceeded
      ),
      (
        file([tensor("a", [8], type: 4)]),
        .unsupportedFormat
      ),
      (
        file([tensor("a", [33], type: 2)]),
        .damaged
      ),
      (
        file([tensor("a", [], type: 12)]),
        .damaged
      ),
      (
        file([tensor("a", [1000])]), .truncated
      ),
    ] as [([UInt8], DecantError.Code?)])
  func hostile(_ bytes: [UInt8], _ code: DecantError.Code?) throws {
    #expect(try refusal(bytes) == code)
  }

  /// Nested arrays are read up to the limit of eight levels.
  @Test func deepArrays() throws {
    func nested(_ depth: Int) -> [UInt8] {
      let level = ZipBuilder.little(UInt32(9)) + ZipBuilder.little(UInt64(1))
      return GGUFTests.value(
        "k", 9,
        (1..<depth).flatMap { _ in level } + ZipBuilder.little(UInt32(0)) + ZipBuilder.little(UInt64(1)) + [5]
      )
    }
    #expect(try refusal(GGUFTests.file([], [nested(8)])) == nil)
    #expect(try refusal(GGUFTests.file([], [nested(9)])) == .limitExceeded)
    #expect(try refusal(GGUFTests.file([], [nested(100_000)])) == .limitExceeded)
  }

  @Test func moreKeysThanAnybodyLists() throws {
    var limits = Limits()
    limits.paths = 3
    let values = (0..<4).map { GGUFTests.value("k\($0)", 0, [1]) }
    let path = try folder.write("f.gguf", GGUFTests.file([], values))
    do throws(DecantError) {
      _ = try Checkpoint(path: path, limits: limits)
      Issue.record("accepted")
    } catch { #expect(error.code == .limitExceeded) }
  }
}
