import ByteParsing
import Checkpoints
import Tensors
import TestSupport
import Testing

/// GGUF files that lie, byte by byte.
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

  private func refusal(_ bytes: [UInt8]) throws -> String {
    let path = try folder.write("f.gguf", bytes)
    do throws(DecantError) {
      let checkpoint = try Checkpoint(path: path)
      return "accepted" + (checkpoint.warnings.isEmpty ? "" : ": " + checkpoint.warnings.joined())
    } catch { return error.reason }
  }

  private static let align = UInt32(4)

  @Test(
    arguments: [
      (file([tensor("a", [8])]), "accepted"),
      (file([]), "accepted"),
      (file([tensor("a", [])], data: 4), "accepted"),
      (file([tensor("a", [0, 5])], data: 0), "accepted"),
      (file([tensor("a", [1])], data: 33), "accepted: 1 bytes at the end of the file belong to no tensor"),
      (
        file([tensor("a", [8])], tensorCount: 1 << 62),
        "4611686018427387904 tensors are announced and 80 bytes follow"
      ),
      (
        file([tensor("a", [8])], valueCount: .max),
        "18446744073709551615 keys of metadata are announced and 72 bytes follow"
      ),
      (
        file([], [text("k", length: 1 << 63)]),
        "9223372036854775808 bytes of text are announced and 64 bytes follow"
      ),
      (
        file([], [value("k", 8, text("v", length: 1000))]),
        "1000 bytes of text are announced and 51 bytes follow"
      ),
      (
        file([], [value("k", 9, ZipBuilder.little(UInt32(10)) + ZipBuilder.little(UInt64(1) << 60))]),
        "1152921504606846976 elements of an array are announced and 47 bytes follow"
      ),
      (
        file([], [value("k", 9, ZipBuilder.little(UInt32(8)) + ZipBuilder.little(UInt64(6)))]),
        "6 elements of an array are announced and 47 bytes follow"
      ),
      (file([], [value("k", 13, [])]), "the metadata has a value of type 13, and 0 to 12 are known"),
      (file([], [value("k", 7, [2])]), "a truth value is 2, neither 0 nor 1"),
      (
        file([], [value("k", 0, [1]), value("k", 0, [2])]), "the key k stands twice"
      ),
      (
        file([], [ZipBuilder.little(UInt64(1)) + [0xFF] + ZipBuilder.little(UInt32(0)) + [1]]),
        "a key of the metadata is no UTF-8"
      ),
      (
        file([], [value("general.alignment", align, [0, 0, 0, 0])]),
        "general.alignment is no power of two of type uint32"
      ),
      (
        file([], [value("general.alignment", align, [48, 0, 0, 0])]),
        "general.alignment is no power of two of type uint32"
      ),
      (
        file([], [value("general.alignment", 10, [32, 0, 0, 0, 0, 0, 0, 0])]),
        "general.alignment is no power of two of type uint32"
      ),
      (
        file([tensor("a", [8])], [value("general.alignment", align, [0, 0, 0, 0x80])]),
        "is cut short: it has 128 of the 2147483680 bytes that its header announces"
      ),
      (
        file([tensor("a", [1]), tensor("a", [1], offset: 32)], data: 64),
        "two tensors have this name, and readers disagree on which one counts"
      ),
      (
        file([tensor("a", [8]), tensor("b", [8])], data: 64), "the tensor's data overlaps another's"
      ),
      (
        file([tensor("a", [9]), tensor("b", [8], offset: 32)], data: 64),
        "the tensor's data overlaps another's"
      ),
      (
        file([tensor("a", [8]), tensor("b", [8], offset: 64)], data: 96),
        "32 bytes before the tensor's data belong to none"
      ),
      (
        file([tensor("a", [4], offset: 4)]),
        "the tensor's offset 4 is no multiple of the alignment 32"
      ),
      (
        file([tensor("a", [8], offset: 1 << 63)]), "the sizes or the offset are too large for any file"
      ),
      (
        file([tensor("a", [8], offset: 0x7FFF_FFFF_FFFF_FFE0)]),
        "the sizes or the offset are too large for any file"
      ),
      (
        file([tensor("a", [1 << 62, 4])]), "the sizes or the offset are too large for any file"
      ),
      (file([tensor("a", [1 << 63])]), "the tensor has a size of more than 63 bits"),
      (
        file([tensor("a", [8], rank: 65)]),
        "the tensor has 65 dimensions, more than Limits.rank (64)"
      ),
      (
        file([tensor("a", [8], type: 4)]),
        "the tensor is of ggml's type 4, which is not known, so neither is its length"
      ),
      (
        file([tensor("a", [33], type: 2)]),
        "rows of 33 elements are no whole blocks of Q4_0, which have 32"
      ),
      (
        file([tensor("a", [], type: 12)]),
        "rows of 1 elements are no whole blocks of Q4_K, which have 256"
      ),
      (
        file([tensor("a", [1000])]), "is cut short: it has 96 of the 4064 bytes that its header announces"
      ),
    ] as [([UInt8], String)])
  func hostile(_ bytes: [UInt8], _ reason: String) throws {
    #expect(try refusal(bytes) == reason)
  }

  /// An array of arrays of arrays …: read as far as anybody could mean it.
  @Test func deepArrays() throws {
    func nested(_ depth: Int) -> [UInt8] {
      let level = ZipBuilder.little(UInt32(9)) + ZipBuilder.little(UInt64(1))
      return GGUFTests.value(
        "k", 9,
        (1..<depth).flatMap { _ in level } + ZipBuilder.little(UInt32(0)) + ZipBuilder.little(UInt64(1)) + [5]
      )
    }
    #expect(try refusal(GGUFTests.file([], [nested(8)])) == "accepted")
    #expect(try refusal(GGUFTests.file([], [nested(9)])) == "arrays nest more than 8 deep")
    #expect(try refusal(GGUFTests.file([], [nested(100_000)])) == "arrays nest more than 8 deep")
  }

  @Test func moreKeysThanAnybodyLists() throws {
    var limits = Limits()
    limits.paths = 3
    let values = (0..<4).map { GGUFTests.value("k\($0)", 0, [1]) }
    let path = try folder.write("f.gguf", GGUFTests.file([], values))
    do throws(DecantError) {
      _ = try Checkpoint(path: path, limits: limits)
      Issue.record("accepted")
    } catch { #expect(error.reason == "more than 3 paths lead to values (Limits.paths)") }
  }
}
