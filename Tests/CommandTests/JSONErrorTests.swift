import Foundation
import TestSupport
import Testing

/// The error of a JSON document: `{"schema":1,"error":{…}}`.
struct JSONError {
  let code: String
  let message: String
  var file: String?
  var offset: Int?
  var remedy: String?

  /// Reads the only document of a command's output.
  init(_ output: String) throws {
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(output.utf8)) as? [String: Any], "\(output)")
    #expect(document["schema"] as? Int == 1 && document.count == 2)
    try self.init(document["error"] as? [String: Any])
  }

  /// Reads a JSON error object.
  init(_ members: [String: Any]?) throws {
    let members = try #require(members)
    code = try #require(members["code"] as? String)
    message = try #require(members["message"] as? String)
    (file, offset) = (members["file"] as? String, members["offset"] as? Int)
    remedy = members["remedy"] as? String
  }

  /// Returns true when the code is one of the given codes.
  func has(_ codes: String...) -> Bool {
    // Until Sources/DecantCheckpoints has its codes.
    codes.contains(code)
  }
}

/// With `--json`, standard output has exactly one document, even when the command fails.
@Suite(.serialized) struct JSONErrorTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    try FileManager.default.createSymbolicLink(
      at: folder.url.appending(path: "fixtures"),
      withDestinationURL: Fixtures.root.appending(path: "fixtures"))
  }

  private func run(_ command: String, status: Int32) throws -> DecantRun {
    let run = try DecantProcess.shell(command, in: folder.url)
    #expect(run.status == status, "\(command)\n\(run.errors)")
    return run
  }

  @Test(arguments: [
    "inspect missing.pth --json", "identify missing.pth --json", "verify missing.pth --json",
    "diff missing.pth missing.pth --json", "convert missing.pth out.npz --json",
    "convert missing.pth out.onnx --json",
    "run missing.pth --input missing.npy --json",
  ])
  func everyCommandNamesTheFile(_ command: String) throws {
    let run = try run("decant " + command, status: 2)
    let error = try JSONError(run.output)
    #expect(error.has("fileNotFound") && error.file == "missing.pth")
    #expect(run.errors.hasPrefix("decant: error: missing.pth: " + error.message + "."))
  }

  @Test func synthesize() throws {
    let run = try run("decant synthesize resnet18 -o no/such/folder/r.pth --json", status: 2)
    #expect(try JSONError(run.output).file == "no/such/folder/r.pth")
  }

  @Test(arguments: [
    "inspect --json", "identify --json", "verify a.pth --arch vgg --json", "diff a.pth --json",
    "convert a.pth b.h5 --json", "run a.pth --json", "scan --json --sarif a.pth",
    "synthesize vgg -o a.pth --json",
    "nonsense --json", "inspect a.pth --json --limit no=1", "convert a.pth - --format npz --json",
  ])
  func aCommandLineThatIsWrong(_ command: String) throws {
    let run = try run("decant " + command, status: 64)
    let error = try JSONError(run.output)
    #expect(error.code == "usage" && run.errors.contains("Error: " + error.message), "\(run.errors)")
  }

  @Test func helpIsNoError() throws {
    #expect(try run("decant --help --json", status: 0).output.hasPrefix("Inspect, verify,"))
  }

  @Test func scanKeepsItsDocument() throws {
    let run = try run("decant scan missing.pth fixtures/torch/nested.pth --json", status: 2)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect((document["files"] as? [Any])?.count == 1)
    let error = try JSONError((document["errors"] as? [[String: Any]])?.first)
    #expect(error.code == "fileNotFound" && error.file == "missing.pth")
    let whole = try self.run("decant scan fixtures/torch/nested.pth --json", status: 0)
    #expect(!whole.output.contains("\"errors\""))
  }

  @Test func runKeepsItsDocument() throws {
    _ = try run("decant synthesize resnet18 -o r.pth", status: 0)
    let photo = try Fixtures.bytes("pictures/photo.jpg")
    _ = try folder.write("cut.jpg", Array(photo.prefix(photo.count / 2)))
    let run = try run(
      "decant run r.pth --input cut.jpg --input fixtures/pictures/photo.jpg --preprocess imagenet-raw --json",
      status: 2)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    let failure = try #require((document["failures"] as? [[String: Any]])?.first)
    #expect(failure["file"] as? String == "cut.jpg" && failure["code"] as? String == "truncated")
    #expect((document["images"] as? [Any])?.count == 1)
  }

  /// A document whose answer is no is not followed by an error.
  @Test(arguments: [
    "identify fixtures/torch/weights.safetensors --json",
    "verify fixtures/torch/small_basic.pth --arch resnet18 --json",
    "diff fixtures/torch/nested.pth fixtures/torch/prefix.pth --json",
  ])
  func anAnswerIsNoError(_ command: String) throws {
    let run = try run("decant " + command, status: 1)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(document["error"] == nil)
  }

  /// The weights of another network: the error lists the first few differences of each kind.
  @Test(arguments: [
    "run r.pth --arch resnet34 --input fixtures/inputs/input_97x131.npy --json",
    "convert r.pth out.onnx --arch resnet34 --json",
  ])
  func otherWeightsAreListed(_ command: String) throws {
    _ = try run("decant synthesize resnet18 -o r.pth", status: 0)
    let run = try run("decant " + command, status: 1)
    let error = try JSONError(run.output)
    #expect(error.code == "mismatch" && error.file == "r.pth")
    #expect(error.message.contains("layer2: blocks 2-3 missing (2 blocks, 20 tensors)"))
    #expect(error.remedy == "decant verify r.pth lists every difference.")
    #expect(folder.names == ["fixtures", "r.pth"])
  }

  @Test func resultsOfWritingAreDocuments() throws {
    _ = try run("decant synthesize resnet18 -o r.pth --json", status: 0)
    let run = try run("decant convert r.pth out.safetensors --json", status: 0)
    let document = try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(
      document["output"] as? String == "out.safetensors" && document["format"] as? String == "safetensors")
    #expect(document["tensors"] as? Int == 122)
  }
}
