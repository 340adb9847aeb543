import Foundation
import TestSupport
import Testing

/// Networks whose normalization layers have no running statistics: nothing in a state dict shows how they normalise.
@Suite struct NormalizationTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    var file = TorchFile()
    let root = file.resnet(["fc.weight": [8, 32], "fc.bias": [8]])
    _ = try folder.write("tracked.pth", file.bytes(root))
    let run = try DecantProcess.run(
      ["convert", "tracked.pth", "net.pth", "--except", "*running_*"], in: folder.url)
    #expect(run.status == 0)
    _ = try folder.write("x.npy", Self.array([2, 3, 32, 32]))
  }

  private static func array(_ shape: [Int]) -> [UInt8] {
    let sizes = shape.map(String.init).joined(separator: ", ")
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(sizes)), }"
    let padded = header + String(repeating: " ", count: 117 - header.utf8.count) + "\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(padded.utf8.count))
      + Array(padded.utf8) + [UInt8](repeating: 0, count: 4 * shape.reduce(1, *))
  }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.run(line.split(separator: " ").map(String.init), in: folder.url)
  }

  private static let computing = ["run net.pth --input x.npy", "convert net.pth out.onnx"]

  @Test(arguments: computing)
  func itIsAsked(_ line: String) throws {
    let run = try decant(line)
    #expect(run.status == 2)
    #expect(
      run.errors.contains(
        "decant: error: net.pth: its normalization layers have no running statistics: are they group norms, or batch norms with track_running_stats=False? Pass --normalization group:4, with its number of groups, or --normalization batch.\n"
      ), "\(run.errors)")
  }

  @Test(arguments: computing, ["batch", "group:4", "group:1"])
  func anAnswerIsUsed(_ line: String, _ normalization: String) throws {
    let run = try decant(line + " --normalization " + normalization)
    #expect(run.status == 0, "\(run.errors)")
    let json = try decant("run net.pth --input x.npy --json --normalization " + normalization)
    let document = try #require(
      JSONSerialization.jsonObject(with: Data(json.output.utf8)) as? [String: Any])
    let words = normalization.split(separator: ":")
    #expect(
      (document["declared"] as? [String: String])?["normalization"]
        == (words.count == 1
          ? "batch normalization by each batch's own statistics"
          : "group normalization of \(words[1]) group\(words[1] == "1" ? "" : "s")"))
  }

  @Test(arguments: computing)
  func groupsMustDivideTheChannels(_ line: String) throws {
    let run = try decant(line + " --normalization group:3")
    #expect(run.status == 1)
    #expect(
      run.errors.contains(
        "decant: error: net.pth: bn1.weight has 4 channels, which do not divide into 3 groups of group normalization. Pass --normalization group:4,"
      ), "\(run.errors)")
  }

  @Test func namesAndShapesDoNotDependOnIt() throws {
    #expect(try decant("verify net.pth").status == 0)
    let found = try decant("identify net.pth").output
    #expect(found.contains("normalization           group normalization of 32 groups"))
    #expect(found.contains("--normalization"))
  }

  @Test func layersWithStatisticsLeaveNoChoice() throws {
    let run = try decant("run tracked.pth --input x.npy --normalization batch")
    #expect(run.status == 2)
    #expect(run.errors.contains("leaves no choice. Leave out --normalization."), "\(run.errors)")
    for wrong in ["group", "group:0", "group:a", "layer"] {
      #expect(try decant("run net.pth --input x.npy --normalization " + wrong).status == 64)
    }
  }
}
