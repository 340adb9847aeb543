import CTestLibraries
import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Tests of small pickles that demand much memory or time: each is refused with a code, in little memory, without a
/// crash.
@Suite struct HostilePickleTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func open(_ pickle: [UInt8], _ records: [ZipBuilder.Entry] = []) throws -> Checkpoint {
    let zip = ZipBuilder([.init("a/data.pkl", [0x80, 2] + pickle + [0x2E])] + records)
    return try Checkpoint(path: try folder.write("f.pth", zip.bytes))
  }

  /// Returns the error's code; nil when the file is read.
  private func refusal(_ pickle: [UInt8], _ records: [ZipBuilder.Entry] = []) throws -> DecantError.Code? {
    do {
      _ = try open(pickle, records)
      return nil
    } catch let error as DecantError {
      #expect(error.location.file == folder.path("f.pth"))
      return error.code
    }
  }

  private func global(_ module: String, _ name: String) -> [UInt8] { Array("c\(module)\n\(name)\n".utf8) }

  private func text(_ text: String) -> [UInt8] {
    [0x58] + ZipBuilder.little(UInt32(text.utf8.count)) + Array(text.utf8)
  }

  /// Returns `_rebuild_tensor_v2(storage, offset, size, stride, False, None)` on a float32 storage.
  private func tensor(
    key: String, count: Int32, size: [Int32], stride: [Int32], offset: Int32 = 0, location: String = "cpu"
  ) -> [UInt8] {
    func integer(_ value: Int32) -> [UInt8] { [0x4A] + ZipBuilder.little(value) }
    func tuple(_ values: [Int32]) -> [UInt8] { [0x28] + values.flatMap(integer) + [0x74] }
    let storage =
      [0x28] + text("storage") + global("torch", "FloatStorage") + text(key) + text(location) + integer(count)
      + [0x74, 0x51]
    return global("torch._utils", "_rebuild_tensor_v2") + [0x28] + storage + integer(offset) + tuple(size)
      + tuple(stride) + [0x89, 0x4E, 0x74, 0x52]
  }

  @Test func callsThatWrapEachOther() throws {
    let inner = tensor(key: "0", count: 1, size: [1], stride: [1])
    let wrap = global("torch._utils", "_rebuild_parameter")
    for depth in [3, 10_000] {
      let pickle =
        (0..<depth).flatMap { _ in wrap } + inner
        + (0..<depth).flatMap { _ in [0x88, 0x4E, 0x87, 0x52] as [UInt8] }
      let found = try refusal(pickle, [.init("a/data/0", [0, 0, 0, 0])])
      #expect(found == (depth == 3 ? nil : .limitExceeded))
    }
  }

  /// A list of ten references to a list of ten references, 40 levels deep.
  @Test func containersSharedByContainers() throws {
    var pickle: [UInt8] = [0x5D, 0x71, 0]
    for level in 1..<40 as Range<UInt8> {
      pickle += [0x5D, 0x71, level, 0x28] + (0..<10).flatMap { _ in [0x68, level - 1] as [UInt8] } + [0x65]
    }
    #expect(try refusal(pickle) == .limitExceeded)
  }

  @Test func aTextSharedOftenIsListedByItsLength() throws {
    let long = text(String(repeating: "x", count: 1 << 20)) + [0x71, 0]
    let pickle = [0x5D, 0x28] + long + (0..<3000).flatMap { _ in [0x68, 0] as [UInt8] } + [0x65]
    let checkpoint = try open(pickle)
    #expect(checkpoint.objects.allSatisfy { $0.value == nil })
    // As a key, the text would be copied into every path.
    var keys: [UInt8] = [0x5D, 0x28, 0x7D] + long + [0x4B, 1, 0x73]
    for _ in 0..<3000 { keys += [0x7D, 0x68, 0, 0x4B, 1, 0x73] }
    #expect(try refusal(keys + [0x65]) == .limitExceeded)
  }

  @Test func statesSetOverAndOver() throws {
    var dictionary: [UInt8] = [0x7D, 0x71, 0, 0x28]
    for index in 0..<4000 as Range<Int32> { dictionary += [0x4A] + ZipBuilder.little(index) + [0x4B, 1] }
    var pickle = global("a", "B") + [0x29, 0x81] + dictionary + [0x75, 0x62]
    for _ in 0..<4000 { pickle += [0x68, 0, 0x62] }
    #expect(try refusal(pickle) == .limitExceeded)
  }

  @Test func depth() throws {
    let pickle = [UInt8](repeating: 0x5D, count: 100_000) + [UInt8](repeating: 0x61, count: 99_999)
    #expect(try refusal(pickle) == .limitExceeded)
  }

  @Test func dimensions() throws {
    let ones = [Int32](repeating: 1, count: 65)
    let found = try refusal(
      tensor(key: "0", count: 1, size: ones, stride: ones), [.init("a/data/0", [0, 0, 0, 0])])
    #expect(found == .limitExceeded)
  }

  @Test func viewsThatLeaveTheirStorage() throws {
    let record = [ZipBuilder.Entry("a/data/0", [0, 0, 0, 0])]
    for (size, stride, offset) in [
      ([2], [1], 0), ([1], [1], 1), ([-1], [1], 0), ([1], [1], -1), ([2], [-1], 0),
    ] as [([Int32], [Int32], Int32)] {
      let found = try refusal(tensor(key: "0", count: 1, size: size, stride: stride, offset: offset), record)
      #expect(found == .damaged)
    }
    // The pickle and the archive must agree on the storage's length.
    #expect(
      try refusal(tensor(key: "0", count: 9, size: [1], stride: [1]), record)
        == .damaged)
    #expect(
      try refusal(tensor(key: "../0", count: 1, size: [1], stride: [1]), record)
        == .damaged)
  }

  /// Names that look alike are different names: é as one code point and as two.
  @Test func namesAreBytes() throws {
    let (one, two) = ("\u{e9}", "e\u{301}")
    let pickle =
      [0x7D, 0x28] + text(one) + tensor(key: one, count: 1, size: [1], stride: [1]) + text(two)
      + tensor(key: two, count: 1, size: [1], stride: [1]) + [0x75]
    let records = [
      ZipBuilder.Entry("a/data/" + one, [0, 0, 0x80, 0x3F]), .init("a/data/" + two, [0, 0, 0, 0x40]),
    ]
    let checkpoint = try open(pickle, records)
    #expect(try checkpoint.tensors.map { try $0.tensor.elements(as: Float.self) } == [[1], [2]])
    let target = folder.path("o.safetensors")
    #expect(try checkpoint.convert(to: target).tensorCount == 2)
    #expect(try Checkpoint(path: target).tensors.count == 2)
  }

  @Test(
    arguments: [
      ([0, 0, 0, 0, 0, 0, 0, 0x80, 0], "9223372036854775808"),
      ([0, 0, 0, 0, 0, 0, 0, 0, 0xFF], "-18446744073709551616"),
      ([0, 0, 0, 0xA1, 0xED, 0xCC, 0xCE, 0x1B, 0xC2, 0xD3, 0], "1000000000000000000000000"),
    ] as [([UInt8], String)])
  func integersBeyond64Bits(_ bytes: [UInt8], _ decimal: String) throws {
    let checkpoint = try open([0x8A, UInt8(bytes.count)] + bytes)
    #expect(checkpoint.objects.first?.value == .string(decimal))
  }

  /// The total size of tensors without data may exceed 64 bits.
  @Test func hugeTensorsWithoutData() throws {
    let huge: [UInt8] = [0x28, 0x8A, 8] + ZipBuilder.little(Int64(1) << 59) + [0x74]
    let one: [UInt8] = [0x28, 0x4B, 1, 0x74]
    let storage =
      [0x28] + text("storage") + global("torch", "FloatStorage") + text("0") + text("meta") + [0x8A, 8]
      + ZipBuilder.little(Int64(1) << 59) + [0x74, 0x51]
    let meta =
      global("torch._utils", "_rebuild_tensor_v2") + [0x28] + storage + [0x4B, 0] + huge + one
      + [0x89, 0x4E, 0x74, 0x52]
    let checkpoint = try open([0x5D, 0x28] + meta + meta + meta + meta + meta + [0x65])
    #expect(checkpoint.tensors.count == 5)
    for options in [[], ["--tree"], ["--stats"], ["--json", "--digest"]] {
      let run = try DecantProcess.run(["inspect", checkpoint.path] + options)
      #expect(run.status == 0 && !run.wasKilled)
    }
  }

  private func deflated(_ pickle: [UInt8]) throws -> String {
    var room = [UInt8](repeating: 0, count: pickle.count + 1024)
    let count = ctest_deflate(pickle, pickle.count, &room, room.count)
    try #require(count > 0)
    var entry = ZipBuilder.Entry("a/data.pkl", Array(room.prefix(count)))
    (entry.method, entry.inflatedSize) = (8, UInt32(pickle.count))
    entry.crc32 = ZipBuilder.crc32(pickle)
    return try folder.write("deflated.pth", ZipBuilder([entry]).bytes)
  }

  /// Returns the limit that the advice names.
  private func limit(_ advice: DecantError.Advice) -> String? {
    if case .raiseLimit(let name, _) = advice { name } else { nil }
  }

  /// A few deflated kilobytes may not expand to gigabytes of values.
  @Test(arguments: [
    (12_000_000, "pickleInflation"), (4_000_000, "pickleValues"),
  ])
  func deflatedBombs(_ count: Int, _ name: String) throws {
    for values in [[0x5D], [0x4E, 0x30], [0x4E]] as [[UInt8]] {
      let body = (0..<count / values.count).flatMap { _ in values }
      // At two bytes for each value, there are not more values than the limit allows.
      if values.count == 2, count < 5_000_000 { continue }
      let path = try deflated([0x80, 2] + body + [0x4E, 0x2E])
      let error = #expect(throws: DecantError.self) { try Checkpoint(path: path) }
      #expect(error?.code == .limitExceeded && error?.location.entry == "a/data.pkl")
      #expect(error?.advice.flatMap(limit) == name)
      for stream in (try? Checkpoint.pickleStreams(path: path)) ?? [] {
        #expect(throws: (any Error).self) { try stream.disassemble { _ in } }
      }
    }
    var limits = Limits()
    (limits.pickleInflation, limits.largeInflation) = (1_032, 1_032)
    let path = try deflated([0x80, 2] + [UInt8](repeating: 0x4E, count: 12_000_000) + [0x2E])
    let error = #expect(throws: DecantError.self) { try Checkpoint(path: path, limits: limits) }
    #expect(error?.code == .limitExceeded && error?.advice.flatMap(limit) == "pickleValues")
  }
}
