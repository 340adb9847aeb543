import DecantIO
import DecantScanning
import Foundation
import TestSupport
import Testing

/// Files of joblib: arrays whose data lies inside the pickle, and compression of the whole file.
@Suite struct JoblibTests {
  private func verdict(_ bytes: [UInt8]) -> ScanVerdict {
    CheckpointScanner().scan(bytes, named: "a").verdict
  }

  /// Returns a pickled dtype such as `u1`, with the flags of NumPy.
  private static func dtype(_ code: String, flags: UInt8 = 0) -> Stream {
    .name("numpy", "dtype") + .text(code) + "\u{89}\u{88}\u{87}R(K\u{3}" + .text("|") + "NNN"
      + "J\u{ff}\u{ff}\u{ff}\u{ff}J\u{ff}\u{ff}\u{ff}\u{ff}K" + Stream([flags]) + "tb"
  }

  /// Returns an array's description, without its data.
  private static func wrapper(
    _ count: UInt8, _ dtype: Stream = dtype("u1"), module: String = "joblib.numpy_pickle",
    alignment: Bool = false
  ) -> Stream {
    let start = Stream.name(module, "NumpyArrayWrapper") + Stream.newObject + "}("
    let type: Stream = .text("subclass") + .name("numpy", "ndarray") + .text("order") + .text("C")
    let shape: Stream = .text("shape") + "K" + Stream([count]) + Stream.tuple1
    let end: Stream = .text("dtype") + dtype + .text("allow_mmap") + "\u{89}"
    return start + type + shape + end + (alignment ? .text("numpy_array_alignment_bytes") + "K\u{10}" : "")
      + "ub"
  }

  private static func file(_ parts: Stream...) -> [UInt8] {
    parts.reduce(Stream.proto4, +).bytes + [0x2E]
  }

  private static let call: Stream = .name("os", "system") + .text("id") + .tuple1 + "R"

  @Test(arguments: ["joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle"])
  func arraysAreFollowed(_ module: String) {
    let array = Self.wrapper(4, module: module) + "\u{0}\u{1}\u{2}\u{3}"
    #expect(verdict(Self.file(array)) == .clean)
    #expect(verdict(Self.file("](", array, array, "e")) == .clean)
    #expect(verdict(Self.file("](", array, Self.call, "e")) == .dangerous)
    #expect(verdict(Self.file("](", Self.call, array, "e")) == .dangerous)
    #expect(verdict(Self.file(array).dropLast(2)) != .clean)
    #expect(verdict(Self.file(array) + [1]) == .dangerous)
  }

  @Test func paddingIsFollowed() {
    let padding = Stream([3, 0xFF, 0xFF, 0xFF])
    let array = Self.wrapper(4, alignment: true)
    #expect(verdict(Self.file(array, padding, "\u{0}\u{1}\u{2}\u{3}")) == .clean)
    #expect(verdict(Self.file(array, Stream([3, 0xFF, 0x63, 0xFF]), "\u{0}\u{1}\u{2}\u{3}")) != .clean)
  }

  @Test func arraysOfObjectsAreJudged() {
    let array = Self.wrapper(1, Self.dtype("O8", flags: 63))
    #expect(verdict(Self.file(array, Stream.clean)) == .clean)
    #expect(verdict(Self.file(array, Stream.call)) == .dangerous)
    // Flags that contradict the type, and types that NumPy does not write.
    for dtype in [Self.dtype("O8"), Self.dtype("u1", flags: 63), Self.dtype("object"), Self.dtype("T")] {
      #expect(verdict(Self.file(Self.wrapper(1, dtype), Stream.call)) == .dangerous)
      #expect(verdict(Self.file(Self.wrapper(1, dtype), Stream.clean)) != .clean)
    }
  }

  /// `pickle.load` takes the data for opcodes. joblib before 1.2 does not skip the padding, so it takes the last bytes for
  /// opcodes.
  @Test func otherReadingsAreJudged() {
    let code = Self.call.bytes + [0x30]
    #expect(verdict(Self.file(Self.wrapper(UInt8(code.count)), Stream(code))) == .dangerous)
    let tail = Array("cos\nsystem\n)R0N".utf8)
    let data = [UInt8](repeating: 0, count: 23) + [UInt8](repeating: 0x4E, count: 17 - tail.count) + tail
    let padding = [0x10] + [UInt8](repeating: 0xFF, count: 16)
    #expect(verdict(Self.file(Self.wrapper(40, alignment: true), Stream(padding + data))) == .dangerous)
  }

  // MARK: - Compression of the whole file

  /// The empty dictionary and `os.system('echo hi')` at protocol 4, compressed by Python's `bz2` and `lzma`, in base64.
  private static let compressed = [
    (
      "bzip2", "QlpoOTFBWSZTWVET2TEAAAHQwAQAAAEAAkAAIAAhmmgzTRc8XckU4UJBRE9kxA==",
      "QlpoOTFBWSZTWRHjeEQAAAtTwASQQAEQAApijCBCBCAAIoAaHppqFNMjExMQpw/ENtHnOaVZEShW+LuSKcKEgI8bwiA="
    ),
    (
      "xz", "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQADgAR9LgBtuO+Uj/rKOQABHARvLJzBH7bzfQEAAAAABFla",
      "/Td6WFoAAATm1rRGAgAhARYAAAB0L+WjAQAYgARjb3MKc3lzdGVtCowHZWNobyBoaYVSLgAAAAAuuQf2HJfwKAABMRlZGrCCH7bzfQEAAAAABFla"
    ),
    (
      "lzma", "XQAAgAD//////////wBAAQsl0ToP///8PwAA",
      "XQAAgAD//////////wBAAQgDvDC9NN4vXibQagTwwEhfqS9RwZo6ojs0k+3//9WsAAA="
    ),
  ]

  @Test(arguments: compressed)
  func compressedFilesAreJudged(_ name: String, _ clean: String, _ hostile: String) throws {
    let (clean, hostile) = (
      try #require(Data(base64Encoded: clean)), try #require(Data(base64Encoded: hostile))
    )
    let (harmless, dangerous) = ([UInt8](clean), [UInt8](hostile))
    #expect(verdict(harmless) == .clean)
    #expect(verdict(dangerous) == .dangerous)
    #expect(verdict(harmless.dropLast()) != .clean)
    #expect(verdict(harmless + [0]) != .clean)
    // A second stream continues the content.
    let two = CheckpointScanner().scan(harmless + dangerous, named: "a")
    #expect(two.verdict == .unknown && two.findings.contains { $0.what.contains("data follows") })
    // Damage never is clean. LZMA alone has no checksum. Byte 32 is of a code that bzip2's data does not use, so that
    // every reader gets the same content.
    guard name != "lzma" else { return }
    for index in harmless.indices where name != "bzip2" || index != 32 {
      var damaged = harmless
      damaged[index] ^= 0x10
      #expect(verdict(damaged) != .clean, "byte \(index)")
    }
  }

  /// 200 MB of zeros in 201 bytes.
  @Test func bombsAreBounded() throws {
    let bomb = try #require(Data(base64Encoded: Self.bomb))
    let scan = CheckpointScanner().scan([UInt8](bomb), named: "a")
    #expect(scan.verdict == .unknown)
    #expect(
      scan.findings.contains { $0.rule == .limit && $0.what.contains("67,108,864 bytes") }, "\(scan.findings)"
    )
  }

  private static let bomb =
    "QlpoOTFBWSZTWRhvfwMFfjjEQMQEEABAAAAIIABQYAJqoZO7IqAl0ioCWcEVAS23PUKgJfMUFZJlNZDgni3wFfjkAAwAAACCAAMIBNRkKgJakKgJcxQVkmU1kOCeLfAV+OQADAAAAIIAAwgE1GQqAlqQqAlzFBWSZTWQ4J4t8BX45AAMAAAAggADCATUZCoCWpCoCXMUFZJlNZ7SbVRwDIDVBAwAAAAQBAAAggAFBmmgUoOSgEW7CQKR2UoBF4u5IpwoSB/VPqYA"

  // MARK: - Archives of other programs

  /// `os.system('echo hi')` of protocol 4 in base64, and the empty dictionary.
  private static let (hostile, harmless) = ("gARjb3MKc3lzdGVtCowHZWNobyBoaYVSLg==", "gAR9Lg==")

  private static func archive(_ data: String) -> [UInt8] {
    let weights = zip(("archive/data.pkl", Stream.clean.bytes), ("archive/version", [0x33, 0x0A]))
    return zip(
      ("data", Array(data.utf8)), ("policy.pth", weights),
      ("_stable_baselines3_version", Array("2.3.0".utf8)),
      ("system_info.txt", Array("- OS: Linux\n".utf8)))
  }

  @Test func archivesOfStableBaselines() {
    #expect(verdict(Self.archive("{\"n\": 1}")) == .clean)
    #expect(verdict(Self.archive("{\"p\": {\":serialized:\": \"\(Self.harmless)\"}}")) == .clean)
    for text in [
      "{\"p\": {\":type:\": \"x\", \":serialized:\": \"\(Self.hostile)\"}}",
      "{\"p\": [{\"\\u003aserialized:\": \"\(Self.hostile.replacing("P", with: "P!\\n"))\"}]}",
      "{\"p\": {\":serialized:\": \"==\(Self.hostile)\"}}",
    ] {
      #expect(verdict(Self.archive(text)) == .dangerous, "\(text)")
    }
    #expect(verdict(Self.archive("{\"p\": {\":serialized:\": \"QUJD\"}}")) == .unknown)
    #expect(verdict(Self.archive("{\"p\": {\":serialized:\": ")) == .unknown)
    #expect(verdict(zip(("a", [0, 1, 2]), ("b.pkl", Stream.clean.bytes))) == .unreadable)
    #expect(verdict(zip(("a", Array("text".utf8)))) == .unreadable)
  }

  // MARK: - Compression

  /// Returns a DEFLATE stream of one stored block.
  private static func stored(_ data: [UInt8]) -> [UInt8] {
    [1] + ZipBuilder.little(UInt16(data.count)) + ZipBuilder.little(~UInt16(data.count)) + data
  }

  private static func zlib(_ data: [UInt8]) -> [UInt8] {
    var (low, high): (UInt32, UInt32) = (1, 0)
    for byte in data {
      low = (low + UInt32(byte)) % 65_521
      high = (high + low) % 65_521
    }
    return [0x78, 0x01] + stored(data) + ZipBuilder.little((high << 16 | low).byteSwapped)
  }

  private static func gzip(_ data: [UInt8], name: String? = nil) -> [UInt8] {
    var crc = CRC32()
    unsafe data.withUnsafeBytes { unsafe crc.update($0) }
    let header: [UInt8] = [0x1F, 0x8B, 8, name == nil ? 0 : 8, 0, 0, 0, 0, 0, 3]
    return header + (name.map { Array($0.utf8) + [0] } ?? []) + stored(data) + ZipBuilder.little(crc.value)
      + ZipBuilder.little(UInt32(data.count))
  }

  private static func zfile(_ data: [UInt8], width: Int) -> [UInt8] {
    let length = "0x" + String(data.count, radix: 16)
    return Array("ZF".utf8) + Array(length.utf8) + [UInt8](repeating: 0x20, count: width - length.utf8.count)
      + zlib(data)
  }

  @Test func compressedFilesAreOpened() {
    for pack in [
      Self.zlib, { Self.gzip($0) }, { Self.gzip($0, name: "a") }, { Self.zfile($0, width: 19) },
      { Self.zfile($0, width: 20) },
    ] as [@Sendable ([UInt8]) -> [UInt8]] {
      let sound = pack(Stream.clean.bytes)
      #expect(verdict(sound) == .clean)
      #expect(verdict(pack(Stream.call.bytes)) == .dangerous)
      #expect(verdict(pack(zip(("a.pkl", Stream.call.bytes)))) == .dangerous)
      #expect(verdict(pack(Array("hello".utf8))) == .unreadable)
      #expect(verdict(sound + [1]) == .dangerous)
      for count in 1..<sound.count { #expect(verdict(Array(sound.prefix(count))) != .clean, "\(count)") }
      var changed = sound
      changed[changed.count - 5] ^= 1
      #expect(verdict(changed) != .clean)
    }
    #expect(verdict(Self.gzip(Stream.clean.bytes) + Self.gzip(Stream.call.bytes)) != .clean)
  }
}
