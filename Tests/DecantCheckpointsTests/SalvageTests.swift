import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantIO
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Reads files that were cut off. Tensors reported as whole must equal the originals.
@Suite struct SalvageTests {
  /// Returns the names and digests of a whole file's tensors.
  private static func whole(_ path: String) throws -> [String: String] {
    Dictionary(
      try Checkpoint(path: path).tensors.map { (ExpectedTensor.spell($0.path), try $0.tensor.sha256()) },
      uniquingKeysWith: { first, _ in first })
  }

  /// Opens a truncated file and checks every tensor that is reported as whole.
  ///
  /// - Returns: the number of whole tensors; nil when the file is refused.
  private func check(_ bytes: [UInt8], _ folder: TemporaryFolder, _ expected: [String: String]) throws -> Int?
  {
    let path = try folder.write("cut", bytes)
    let checkpoint: Checkpoint
    do throws(DecantError) { checkpoint = try Checkpoint(path: path) } catch {
      #expect(!error.reason.isEmpty)
      return nil
    }
    #expect(Set(checkpoint.tensors.map { ExpectedTensor.spell($0.path) }) == Set(expected.keys))
    let intact = checkpoint.tensors.filter { $0.state == .whole }
    for entry in intact {
      #expect(try entry.tensor.sha256() == expected[ExpectedTensor.spell(entry.path)])
    }
    // A quantised tensor may have lost only its scales.
    for entry in checkpoint.tensors
    where entry.state != .whole && entry.tensor.byteCount > 0 && entry.tensor.parts.isEmpty {
      #expect(throws: (any Error).self) { _ = try entry.tensor.sha256() }
    }
    #expect(checkpoint.truncation != nil)
    #expect(throws: DecantError.self) { try checkpoint.requireIntact() }
    return intact.count
  }

  @Test(arguments: [
    "torch/nested.pth", "torch/shared_storages.pth", "torch/dtypes.pth", "torch/no_crc.pth",
    "torch/zip64.pth",
    "torch/weights.safetensors", "torch/quantized.pth", "scripts/script.pt", "torch/big_endian.pth",
    "torch/legacy.pth",
    "torch/legacy_early.pth", "torch/legacy_storages.pth",
  ])
  func everyNinetySeventhByte(_ name: String) throws {
    let bytes = try Fixtures.bytes(name)
    let expected = try Self.whole(Fixtures.path(name))
    let folder = try TemporaryFolder()
    var most: [Int] = []
    for count in stride(from: 0, to: bytes.count, by: 97) {
      if let whole = try check(Array(bytes[..<count]), folder, expected) { most.append(whole) }
    }
    // A longer prefix never has fewer whole tensors. A cut within the zip's directory loses none.
    #expect(most == most.sorted())
    if Array(bytes[..<2]) == [0x50, 0x4B] { #expect(most.last == expected.count) }
  }

  @Test func everyByteOfASmallFile() throws {
    let bytes = try Fixtures.bytes("torch/tensor.pth")
    let expected = try Self.whole(Fixtures.path("torch/tensor.pth"))
    let folder = try TemporaryFolder()
    for count in 0..<bytes.count { _ = try check(Array(bytes[..<count]), folder, expected) }
  }

  /// PyTorch's layout gives the length of the whole file: the pickle holds the sizes, and the rest follows from them.
  @Test(arguments: ["torch/nested.pth", "torch/tensor.pth", "torch/dtypes.pth"])
  func theSizeOfTheWholeFile(_ name: String) throws {
    let bytes = try Fixtures.bytes(name)
    let folder = try TemporaryFolder()
    let directory = try #require(Self.directoryOffset(bytes))
    for count in stride(from: directory - 1, to: directory * 3 / 4, by: -53) {
      let checkpoint = try Checkpoint(path: folder.write("cut", Array(bytes[..<count])))
      #expect(
        checkpoint.truncation?.code == .truncated
          && checkpoint.truncation?.reason.contains(
            "\(Format.count(count)) of \(Format.count(bytes.count)) bytes") == true,
        "\(checkpoint.truncation?.reason ?? "")")
    }
  }

  private static func directoryOffset(_ bytes: [UInt8]) -> Int? {
    (0..<bytes.count - 4).first { Array(bytes[$0..<$0 + 4]) == [0x50, 0x4B, 1, 2] }
  }

  @Test func aDamagedDirectoryHidesNothing() throws {
    var bytes = try Fixtures.bytes("torch/nested.pth")
    let expected = try Self.whole(Fixtures.path("torch/nested.pth"))
    let directory = try #require(Self.directoryOffset(bytes))
    bytes[directory + 1] = 0
    let folder = try TemporaryFolder()
    #expect(try check(bytes, folder, expected) == expected.count)
    bytes[directory + 1] = 0x4B
    bytes[directory + 46 + 200] ^= 0xFF
    _ = try check(bytes, folder, expected)
    // Only the end record is missing.
    #expect(
      try check(Array(try Fixtures.bytes("torch/nested.pth").dropLast(22)), folder, expected)
        == expected.count)
  }

  @Test func salvageKeepsWhatIsWhole() throws {
    let bytes = try Fixtures.bytes("torch/shared_storages.pth")
    let expected = try Self.whole(Fixtures.path("torch/shared_storages.pth"))
    let folder = try TemporaryFolder()
    let directory = try #require(Self.directoryOffset(bytes))
    var partial = 0
    for count in stride(from: 97, to: directory, by: 97) {
      guard let checkpoint = try? Checkpoint(path: folder.write("cut.pth", Array(bytes[..<count]))) else {
        continue
      }
      let intact = checkpoint.tensors.filter { $0.state == .whole }
      let refusal = #expect(throws: DecantError.self) {
        _ = try checkpoint.convert(to: folder.path("out.safetensors"))
      }
      #expect(refusal?.code == .truncated && refusal?.advice == .salvage)
      var options = WriteOptions()
      options.salvages = true
      guard !intact.isEmpty else {
        let nothing = #expect(throws: DecantError.self) {
          _ = try checkpoint.convert(to: folder.path("out.safetensors"), options)
        }
        #expect(nothing?.code == .truncated)
        continue
      }
      let report = try checkpoint.convert(to: folder.path("out.safetensors"), options)
      #expect(report.tensorCount == intact.count)
      #expect(report.lost.count == checkpoint.tensors.count - intact.count)
      let written = try Checkpoint(path: folder.path("out.safetensors"))
      for entry in written.tensors {
        #expect(try expected.values.contains(entry.tensor.sha256()))
      }
      if !report.lost.isEmpty { partial += 1 }
    }
    #expect(partial > 0)
  }

  @Test func salvageLeavesOutDamagedData() throws {
    var bytes = try Fixtures.bytes("torch/nested.pth")
    let checkpoint = try Checkpoint(path: Fixtures.path("torch/nested.pth"))
    let tensor = try #require(checkpoint.tensors.first { $0.tensor.byteCount > 64 && $0.tensor.isContiguous })
    let data = try tensor.tensor.rowMajorBytes()
    let place = try #require(
      (0..<bytes.count - data.count).first { Array(bytes[$0..<$0 + data.count]) == data })
    bytes[place + 5] ^= 1
    let folder = try TemporaryFolder()
    let damaged = try Checkpoint(path: folder.write("damaged.pth", bytes))
    var options = WriteOptions()
    let refusal = #expect(throws: DecantError.self) {
      _ = try damaged.convert(to: folder.path("o.safetensors"), options)
    }
    #expect(refusal?.code == .checksumMismatch)
    options.salvages = true
    let report = try damaged.convert(to: folder.path("o.safetensors"), options)
    #expect(report.lost.map(\.name).contains(tensor.name))
    #expect(report.lost.allSatisfy { $0.reason.contains("CRC-32") })
  }

  @Test func aFolderWithAFileMissing() throws {
    let folder = try TemporaryFolder()
    try FileManager.default.copyItem(atPath: Fixtures.path("folders/dcp"), toPath: folder.path("dcp"))
    let expected = try Self.whole(folder.path("dcp"))
    try FileManager.default.removeItem(atPath: folder.path("dcp/__2_0.distcp"))
    let checkpoint = try Checkpoint(path: folder.path("dcp"))
    #expect(checkpoint.truncation?.code == .partMissing)
    #expect(checkpoint.truncation?.reason.contains("__2_0.distcp") == true)
    let intact = checkpoint.tensors.filter { $0.state == .whole }
    #expect(!intact.isEmpty && intact.count < checkpoint.tensors.count)
    for entry in intact { #expect(try entry.tensor.sha256() == expected[ExpectedTensor.spell(entry.path)]) }
    #expect(checkpoint.tensors.first { $0.name == "model.rows" }?.state == .truncated)
  }

  // MARK: Zips in zips

  @Test func aZipThatHoldsACheckpoint() throws {
    let inner = try Fixtures.bytes("torch/nested.pth")
    let expected = try Self.whole(Fixtures.path("torch/nested.pth"))
    let folder = try TemporaryFolder()
    var bytes = ZipBuilder([.init("weights.pth", inner)]).bytes
    for depth in 1...4 {
      #expect(try Self.whole(folder.write("outer.zip", bytes)) == expected, "\(depth)")
      bytes =
        ZipBuilder([
          .init("folder/", []), .init("folder/inner.zip", bytes), .init("__MACOSX/._inner.zip", [0, 5]),
          .init(".DS_Store", [1]),
        ]).bytes
    }
    let error = #expect(throws: DecantError.self) {
      _ = try Checkpoint(path: folder.write("outer.zip", bytes))
    }
    #expect(error?.code == .limitExceeded)
  }

  @Test func ofSeveralFilesTheOnlyCheckpoint() throws {
    let inner = try Fixtures.bytes("torch/nested.pth")
    let folder = try TemporaryFolder()
    let note = ZipBuilder.Entry("README.txt", Array("weights".utf8))
    let one = try Checkpoint(path: folder.write("a.zip", ZipBuilder([note, .init("w.pth", inner)]).bytes))
    #expect(one.containerMetadata.contains { $0.text == "w.pth" })
    #expect(throws: DecantError.self) {
      _ = try Checkpoint(
        path: folder.write("b.zip", ZipBuilder([.init("v.pth", inner), .init("w.pth", inner)]).bytes))
    }
  }

  @Test func litterBesideACheckpointIsNoted() throws {
    var entries = try Self.members("torch/old_layout.pth")
    entries.insert(.init("__MACOSX/archive/._data.pkl", [0]), at: 0)
    entries.append(.init("archive/", []))
    entries.append(.init("archive/.DS_Store", [1]))
    let folder = try TemporaryFolder()
    let path = try folder.write("packed.zip", ZipBuilder(entries).bytes)
    #expect(try Self.whole(path) == Self.whole(Fixtures.path("torch/old_layout.pth")))
    #expect(try Checkpoint(path: path).warnings.filter { $0.contains("of the archiving program") }.count == 1)
  }

  /// Returns the stored entries of a fixture as another program would pack them: in reverse order, without alignment.
  private static func members(_ name: String) throws -> [ZipBuilder.Entry] {
    let bytes = try Fixtures.bytes(name)
    var entries: [ZipBuilder.Entry] = []
    var place = try #require(directoryOffset(bytes))
    func number(_ at: Int, _ count: Int) -> Int {
      bytes[at..<at + count].reversed().reduce(0) { $0 << 8 | Int($1) }
    }
    while number(place, 4) == 0x0201_4B50 {
      let (size, header, length) = (number(place + 24, 4), number(place + 42, 4), number(place + 28, 2))
      let start = header + 30 + number(header + 26, 2) + number(header + 28, 2)
      let name = String(decoding: bytes[place + 46..<place + 46 + length], as: UTF8.self)
      entries.append(.init(name, Array(bytes[start..<start + size])))
      place += 46 + length + number(place + 30, 2) + number(place + 32, 2)
    }
    return entries.reversed()
  }
}
