import Foundation
import TestSupport
import Testing

/// The tool without a library that it loads on first use. An invalid library file is found first in its place, and the
/// dynamic linker does not search further. `make bare` tests with the libraries removed.
@Suite struct MissingLibraryTests {
  private let folder = try! TemporaryFolder()

  private func decant(_ arguments: String..., without libraries: [String]) throws -> DecantRun {
    let broken = folder.url.appending(path: "broken")
    try FileManager.default.createDirectory(at: broken, withIntermediateDirectories: true)
    for name in libraries { try Data("no library".utf8).write(to: broken.appending(path: name)) }
    return try DecantProcess.run(arguments, environment: ["LD_LIBRARY_PATH": broken.path])
  }

  @Test func storedArchivesNeedNoLibdeflate() throws {
    let source = Fixtures.path("torch/nested.pth")
    let (one, other) = (folder.path("one.pth"), folder.path("other.pth"))
    #expect(try decant("convert", source, one, without: ["libdeflate.so.0"]).status == 0)
    #expect(try DecantProcess.run(["convert", source, other]).status == 0)
    // With checksums too.
    #expect(try Data(contentsOf: URL(filePath: one)) == Data(contentsOf: URL(filePath: other)))
    #expect(try decant("inspect", source, "--checksums", without: ["libdeflate.so.0"]).status == 0)
    #expect(try decant("scan", source, without: ["libdeflate.so.0"]).status == 0)
  }

  @Test func deflatedEntriesNameThePackage() throws {
    let source = Fixtures.path("torch/deflated.pth")
    let run = try decant("inspect", source, without: ["libdeflate.so.0"])
    #expect(run.status == 2)
    #expect(run.errors.contains("deflated.pth, entry ") && run.errors.contains("apt-get install libdeflate0"))
    let scan = try decant("scan", source, without: ["libdeflate.so.0"])
    #expect(scan.status == 1)
    #expect(scan.output.hasPrefix("unreadable") && scan.output.contains("apt-get install libdeflate0"))
  }

  @Test(arguments: [
    ("libbz2.so.1.0", "libbz2-1.0", Array("BZh91AY&SY".utf8)),
    ("liblzma.so.5", "liblzma5", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]),
  ])
  func compressedFilesNameThePackage(_ library: String, _ package: String, _ bytes: [UInt8]) throws {
    let source = try folder.write("a.joblib", bytes)
    let scan = try decant("scan", source, without: [library])
    #expect(scan.status == 1)
    #expect(scan.output.hasPrefix("unreadable") && scan.output.contains("apt-get install \(package)"))
  }

  @Test(arguments: [(UInt16(12), UInt16(0)), (0, 1)])
  func entriesOfLibzipNameThePackage(method: UInt16, flags: UInt16) throws {
    var zip = ZipBuilder([.init("a/data.pkl", [0x80, 2, 0x7D, 0x2E])])
    zip.entries[0].method = method
    zip.entries[0].flags |= flags
    let source = try folder.write("f.pth", zip.bytes)
    let run = try decant("inspect", source, without: ["libzip.so.4", "libzip.so.5"])
    #expect(run.status == 2)
    #expect(run.errors.contains("f.pth, entry a/data.pkl") && run.errors.contains("apt-get install libzip4"))
    let scan = try decant("scan", source, without: ["libzip.so.4", "libzip.so.5"])
    #expect(scan.status == 1 && !scan.output.hasPrefix("clean"))
  }

  @Test func libcryptoIsNeededForDigestsOnly() throws {
    let libraries = ["libcrypto.so.3", "libcrypto.so.1.1"]
    let source = folder.path("r18.pth")
    #expect(try decant("synthesize", "resnet18", "-o", source, without: libraries).status == 0)
    // Only a file that may be a published one is hashed.
    let small = folder.path("r20.pth")
    #expect(try decant("synthesize", "resnet20", "-o", small, without: libraries).status == 0)
    let other = try decant("identify", small, without: libraries)
    #expect(other.status == 0 && !other.errors.contains("libssl3"))
    let published = folder.path("resnet18-f37072fd.pth")
    #expect(try decant("synthesize", "resnet18", "-o", published, without: libraries).status == 0)
    let identify = try decant("identify", published, without: libraries)
    #expect(identify.status == 0 && identify.output.contains("resnet18"))
    #expect(identify.errors.split(separator: "\n").count == 2 && identify.errors.contains("libssl3"))
    for option in ["--source-digest", "--check"] {
      let output = folder.path("out.safetensors")
      let run = try decant("convert", source, output, option, without: libraries)
      #expect(run.status == 2)
      #expect(run.errors.contains("r18.pth") && run.errors.contains("apt-get install libssl3"))
      #expect(!FileManager.default.fileExists(atPath: output))
    }
  }

  @Test func withoutEnginesOnePackageIsNamed() throws {
    let source = folder.path("r18.pth")
    #expect(try DecantProcess.run(["synthesize", "resnet18", "-o", source]).status == 0)
    let run = try decant(
      "run", source, "--input", Fixtures.path("inputs/input_97x131.npy"),
      without: ["libdnnl.so.3", "libdnnl.so.2", "libopenblas.so.0"])
    #expect(run.status == 2)
    #expect(run.errors.ranges(of: "apt-get install").count == 1 && run.errors.contains("libdnnl2"))
  }
}
