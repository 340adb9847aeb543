import Foundation
import TestSupport
import Testing

/// What people type instead of a name: it is understood where there is no doubt, else the nearest name is offered.
@Suite struct GuessingTests {
  private static let nested = "fixtures/torch/nested.pth"

  /// The first line on standard error, and exit code 64.
  @Test(
    arguments: [
      ("inspct x.pth", "Unknown command 'inspct': did you mean inspect?"),
      ("help inspct", "Unknown command 'inspct': did you mean inspect?"),
      ("sacn", "Unknown command 'sacn': did you mean scan?"),
      ("frobnicate", "Unknown command 'frobnicate'. For a file of this name, write ./frobnicate"),
      ("inspect x.pth --fliter x", "Unknown option '--fliter': did you mean --filter?"),
      ("inspect x.pth --fliter=x", "Unknown option '--fliter': did you mean --filter?"),
      ("run x.pth --num_classes 3", "Unknown option '--num_classes': did you mean --num-classes?"),
      ("verify x.pth --exclude y", "Unknown option '--exclude': did you mean --except?"),
      ("verify x.pth --frobnicate y", "Unknown option '--frobnicate'"),
      // What is wrong is named, not what is missing.
      ("synthesize resnet18 --ouptut x.pth", "Unknown option '--ouptut': did you mean --output?"),
      ("run x.pth --inptu x.npy", "Unknown option '--inptu': did you mean --input?"),
      ("diff --to-dens", "Unknown option '--to-dens': did you mean --to-dense?"),
      // The value of an option may begin with dashes.
      ("inspect --key --fliter", "Missing expected argument '<file>'"),
      ("inspect -- --fliter y", "Unexpected argument 'y'"),
      (
        "verify x.pth --arch resent50",
        "Unknown architecture 'resent50': did you mean resnet50? decant identify --architectures lists all 139."
      ),
      (
        "convert x.pth y.npz --names tim",
        "Unknown naming 'tim': did you mean timm? decant identify --dialects lists all 29."
      ),
      (
        "convert x.pth y.npz --dtype flaot16",
        "Unknown dtype 'flaot16': did you mean float16? Use one of: float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz."
      ),
      (
        "convert x.pth y --format safetensor",
        "Unknown format 'safetensor': did you mean safetensors? Use one of: safetensors, npz, npy, npy-folder, gguf, torch-zip."
      ),
      ("inspect x.pth --limit zipEntrys=1", "Unknown limit 'zipEntrys': did you mean zipEntries?"),
    ])
  func wrongWord(_ line: String, _ message: String) throws {
    let run = try DecantProcess.run(line.split(separator: " ").map(String.init))
    #expect(run.status == 64)
    #expect(run.errors.split(separator: "\n").first.map(String.init) == "Error: " + message)
    #expect(run.output.isEmpty)
  }

  @Test(arguments: ["pickleNodes=100000", "zipEntries=100"]) func rightLimit(_ limit: String) throws {
    let run = try DecantProcess.run(["inspect", Self.nested, "--limit", limit], in: Fixtures.root)
    #expect(run.status == 0, "\(run.errors)")
  }

  @Test func wrongWordInJSON() throws {
    let run = try DecantProcess.run(["inspect", "--json", "--fliter", "x"])
    #expect(run.status == 64)
    let error = try JSONError(run.output)
    #expect(error.code == "usage")
    #expect(error.message == "Unknown option '--fliter': did you mean --filter?")
  }

  @Test(
    arguments: [
      ("modle", "has no key modle; did you mean model? Choose one: --key model."),
      (
        "model.rows.wieght",
        "has no key model.rows.wieght. Choose one: --key model."
      ),
      (
        "optimizr",
        "has no key optimizr; did you mean optimizer? Choose one: --key model."
      ),
    ])
  func wrongKey(_ key: String, _ message: String) throws {
    let run = try DecantProcess.run(["inspect", Self.nested, "--key", key], in: Fixtures.root)
    #expect(run.status == 2)
    #expect(run.errors == "decant: error: \(Self.nested): \(message)\n")
  }

  @Test(arguments: ["ResNet50", "resnet-50", "RESNET_50", "resnet50"])
  func spellingsOfArchitectures(_ name: String) throws {
    let folder = try TemporaryFolder()
    let run = try DecantProcess.run(
      ["synthesize", name, "-o", "x.pth", "-k", "net", "--json"], in: folder.url)
    #expect(run.status == 0)
    let plain = try DecantProcess.run(
      ["synthesize", "resnet50", "-o", "y.pth", "--key", "net"], in: folder.url)
    #expect(plain.status == 0)
    #expect(
      FileManager.default.contentsEqual(atPath: folder.path("x.pth"), andPath: folder.path("y.pth")))
  }

  @Test(
    arguments: [
      ("fp16", "float16"), ("half", "float16"), ("F16", "float16"), ("torch.float16", "float16"),
      ("bf16", "bfloat16"), ("fp32", "float32"), ("float", "float32"), ("double", "float64"),
    ])
  func spellingsOfDTypes(_ name: String, _ dtype: String) throws {
    let folder = try TemporaryFolder()
    let source = Fixtures.root.appending(path: Self.nested).path
    let run = try DecantProcess.run(["convert", source, "x.safetensors", "--dtype", name], in: folder.url)
    #expect(run.status == 0, "\(run.errors)")
    let listing = try DecantProcess.run(["inspect", "x.safetensors", "--json"], in: folder.url).output
    #expect(listing.contains("\"dtype\":\"\(dtype)\""))
  }

  @Test(arguments: ["x.pth", "x.pt", "x.bin", "x.ckpt"])
  func endingsOfPyTorch(_ name: String) throws {
    let folder = try TemporaryFolder()
    let source = Fixtures.root.appending(path: Self.nested).path
    #expect(try DecantProcess.run(["convert", source, "-o", name], in: folder.url).status == 0)
    #expect(
      try DecantProcess.run(["diff", source, name, "--key", "."], in: folder.url).output
        == "the same: 13 tensors, every bit\n")
  }

  @Test(arguments: ["400K", "400k", "400KB", "400000", "400000B"]) func shardSizes(_ size: String) throws {
    let folder = try TemporaryFolder()
    #expect(try DecantProcess.run(["synthesize", "resnet20", "-o", "x.pth"], in: folder.url).status == 0)
    let run = try DecantProcess.run(
      ["convert", "x.pth", "x.safetensors", "--shard-size", size], in: folder.url)
    #expect(run.status == 0, "\(run.errors)")
    let names = try FileManager.default.contentsOfDirectory(atPath: folder.url.path)
    #expect(names.count { $0.hasSuffix(".safetensors") } == 4, "\(names)")
  }

  @Test(arguments: ["--version", "-V", "version"]) func versions(_ word: String) throws {
    let run = try DecantProcess.run([word])
    #expect(run.status == 0)
    #expect(run.output == (try DecantProcess.run(["--version"]).output))
  }

  /// Aliases and short options give the answers of the long ones.
  @Test(
    arguments: [
      (["ls", nested], ["inspect", nested]), (["info", nested], [nested]),
      (["inspect", nested, "-k", "model"], ["inspect", nested, "--key", "model"]),
      (["scan", "-j2", nested], ["scan", "--threads", "2", nested]),
      (["scan", "-j", "2", nested], ["scan", "--threads", "2", nested]),
    ])
  func shortForms(_ short: [String], _ long: [String]) throws {
    let run = try DecantProcess.run(short, in: Fixtures.root)
    #expect(run.status == 0)
    #expect(run.output == (try DecantProcess.run(long, in: Fixtures.root).output))
  }

  /// The words after --input are inputs, up to the next option. The last one is the checkpoint when no other is given.
  @Test func severalInputs() throws {
    let folder = try TemporaryFolder()
    #expect(try DecantProcess.run(["synthesize", "resnet20", "-o", "x.pth"], in: folder.url).status == 0)
    let input = Fixtures.root.appending(path: "fixtures/inputs/input_97x131.npy").path
    let expected = try DecantProcess.run(
      ["run", "x.pth", "--input", input, "--input", input, "-q"], in: folder.url)
    #expect(expected.status == 0, "\(expected.errors)")
    for words in [
      ["run", "x.pth", "--input", input, input, "-q"], ["run", "-q", "--input", input, input, "x.pth"],
      ["run", "--input", input, input, "-q", "x.pth"],
    ] {
      let run = try DecantProcess.run(words, in: folder.url)
      #expect(run.status == 0, "\(words): \(run.errors)")
      #expect(run.output == expected.output)
    }
  }

  /// `-` is standard input, from a pipe or a file, whole or from where an earlier program stopped reading.
  @Test(
    arguments: [
      "cat $F | decant inspect -", "decant inspect - < $F",
      "(head -c 0 | cat; decant inspect -) < $F",
      "cat $F | decant convert - - --format pth 2> /dev/null | decant inspect -",
    ])
  func standardInput(_ line: String) throws {
    let run = try DecantProcess.shell(line.replacing("$F", with: Self.nested), in: Fixtures.root)
    #expect(run.status == 0, "\(run.errors)")
    let named = try DecantProcess.run(["inspect", Self.nested], in: Fixtures.root).output
    func tensors(_ text: String) -> [Substring] {
      text.split(separator: "\n").filter { $0.contains("model.") }
    }
    #expect(tensors(run.output) == tensors(named))
    #expect(run.output.hasPrefix("-\n"))
  }

  @Test(
    arguments: [
      ("cat $F | decant diff $F -", 0, "the same: 8 tensors, every bit\n"),
      ("cat $F | decant scan -", 0, "clean  -\n1 file: 1 clean\n"),
      // What is left after the first ten bytes is no checkpoint.
      ("(dd bs=10 count=1 of=/dev/null 2> /dev/null; decant inspect - 2> /dev/null) < $F", 2, ""),
    ])
  func standardInputElsewhere(_ line: String, _ status: Int32, _ output: String) throws {
    let run = try DecantProcess.shell(line.replacing("$F", with: Self.nested), in: Fixtures.root)
    #expect(run.status == status, "\(run.errors)")
    #expect(run.output == output)
  }

  @Test func standardInputFailures() throws {
    let empty = try DecantProcess.run(["inspect", "-"])
    #expect(empty.status == 2)
    #expect(empty.errors.hasPrefix("decant: error: standard input: is empty."))
    let missing = try DecantProcess.shell(
      "cat \(Self.nested) | TMPDIR=/nonexistent decant inspect -", in: Fixtures.root)
    #expect(missing.status == 2)
    #expect(
      missing.errors
        == "decant: error: standard input: cannot be copied to a temporary file in /nonexistent: No such file or directory. Set TMPDIR to a folder with space that you can write to.\n"
    )
  }
}
