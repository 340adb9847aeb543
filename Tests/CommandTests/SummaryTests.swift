import Foundation
import TestSupport
import Testing

/// `decant FILE…` without a command.
@Suite struct SummaryTests {
  private func summary(_ arguments: String...) throws -> DecantRun {
    try DecantProcess.run(arguments, in: Fixtures.root)
  }

  @Test func oneFile() throws {
    let run = try summary("fixtures/torch/nested_adam.pth")
    #expect(run.status == 0 && run.errors.isEmpty)
    #expect(
      run.output == """
        fixtures/torch/nested_adam.pth: PyTorch checkpoint, 9.4 kB
          network      not recognised
          parameters   49 and 5 in buffers, 828 B of tensors
          dtypes       27 float32, 1 int64
          state dict   model (8 tensors)
          also in it   optimizer (20 tensors), epoch 3
          written by   PyTorch 2.7 or later
          loading it   runs nothing: it only builds tensors
          next         decant inspect fixtures/torch/nested_adam.pth

        """)
  }

  @Test func aNetwork() throws {
    let folder = try TemporaryFolder()
    #expect(try DecantProcess.run(["synthesize", "resnet20", "-o", "r20.pth"], in: folder.url).status == 0)
    let run = try DecantProcess.run(["r20.pth"], in: folder.url)
    #expect(run.output.contains("\n  network      resnet20, basic [3, 3, 3], 10 classes, "))
    #expect(run.output.hasSuffix("\n  next         decant identify r20.pth\n"))
    let module = try summary("fixtures/torch/whole_nodown.pth")
    #expect(
      module.output.contains(
        "\n  network      custom ResNet, basic [1, 1, 1, 1], 1 class, torchvision names\n"))
    #expect(module.output.contains("\n  also in it   a module (torchvision.models.resnet.ResNet)\n"))
    #expect(module.output.contains("\n  loading it   not only tensors: torchvision.models.resnet.ResNet: "))
    #expect(module.output.hasSuffix("\n  next         decant scan fixtures/torch/whole_nodown.pth\n"))
  }

  /// No file needs more than 20 lines, and no line is wider than the terminal.
  @Test(arguments: [80, 140]) func fitsATerminal(_ columns: Int) throws {
    let files = try FileManager.default.contentsOfDirectory(
      atPath: Fixtures.root.appending(path: "fixtures/torch").path
    ).filter { $0.hasSuffix(".pth") }
    for file in files.sorted() {
      let run = try DecantProcess.terminal(
        ["fixtures/torch/" + file, "--color", "never"], columns: columns, in: Fixtures.root,
        errorsToFile: true)
      let lines = run.output.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
      #expect(run.status == 0 && lines.count <= 20, "\(file)")
      for line in lines where !line.hasPrefix("  next") { #expect(line.count <= columns, "\(line)") }
    }
  }

  @Test func exactOnATerminal() throws {
    func output(_ columns: Int, _ options: String...) throws -> String {
      try DecantProcess.terminal(
        ["fixtures/torch/objects.pth"] + options, columns: columns, in: Fixtures.root, errorsToFile: true
      ).output
    }
    let plain = try output(80, "--color", "never")
    #expect(
      plain == """
        fixtures/torch/objects.pth: PyTorch checkpoint, 3.6 kB
          network      not recognised
          parameters   16 in 4 tensors, 76 B
          dtypes       2 float32, 1 float64, 1 int16
          state dict   the whole file (3 tensors)
          also in it   set (3 values), frozenset 4, complex [1.5,-2.0], … 20 more
          written by   PyTorch 2.7 or later
          loading it   can execute code: collections.OrderedDict.fromkeys: a part of Py…
          next         decant scan fixtures/torch/objects.pth

        """)
    let wide = try output(140, "--color", "never")
    #expect(wide.contains("bytes (bytes), bytearray (bytearray), slice (__builtin__.slice), … 17 more\n"))
    #expect(wide.contains("a part of Python's standard library that no checkpoint needs\n"))
    let colored = try output(80)
    #expect(colored.replacing(/\u{1B}\[\d+m/, with: "") == plain)
    #expect(colored.hasPrefix("\u{1B}[1mfixtures/torch/objects.pth\u{1B}[0m: PyTorch"))
    #expect(colored.contains("  \u{1B}[2mloading it\u{1B}[0m   \u{1B}[31mcan execute code: "))
  }

  @Test func severalFiles() throws {
    let run = try summary(
      "fixtures/torch/nested.pth", "fixtures/torch/objects.pth", "fixtures/arrays/tensors.gguf")
    #expect(run.status == 0)
    #expect(
      run.output == """
          file                            size  tensors  parameters  network         loading
          fixtures/torch/nested.pth     5.4 kB       13          49  not recognised  clean
          fixtures/torch/objects.pth    3.6 kB        4          16  not recognised  dangerous
          fixtures/arrays/tensors.gguf  1.6 kB        5          16  not recognised  clean

        """)
    let some = try summary("missing.pth", "fixtures/torch/nested.pth")
    #expect(
      some.status == 2 && some.output.contains("nested.pth")
        && some.errors.contains("missing.pth: cannot be opened"))
  }

  @Test func json() throws {
    let run = try summary("fixtures/torch/nested_adam.pth", "--json")
    let object = try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
    #expect(object["schema"] as? Int == 1 && object["container"] as? String == "torch-zip")
    #expect(object["dtypes"] as? [String: Int] == ["float32": 27, "int64": 1])
    #expect(object["parameters"] as? Int == 49 && object["buffers"] as? Int == 5)
    #expect((object["loading"] as? [String: Any])?["verdict"] as? String == "clean")
    let several = try summary("--json", "fixtures/torch/nested.pth", "missing.pth")
    let lines = several.output.split(separator: "\n")
    #expect(lines.count == 2 && several.status == 2)
    #expect(
      lines[0].contains(#""file":"fixtures/torch/nested.pth""#)
        && lines[1].contains(#""error":{"code":"fileNotFound""#))
  }

  /// A word that is no command, no existing path and has no `.` or `/` is a misspelt command.
  @Test func whatIsAFile() throws {
    let folder = try TemporaryFolder()
    let bytes = try Fixtures.bytes("torch/nested.pth")
    for name in ["scan", "weights", "-x.pth"] { _ = try folder.write(name, bytes) }
    func run(_ arguments: String...) throws -> DecantRun { try DecantProcess.run(arguments, in: folder.url) }
    #expect(try run("weights").output.hasPrefix("weights: PyTorch checkpoint"))
    #expect(try run("./scan").output.hasPrefix("./scan: PyTorch checkpoint"))
    #expect(try run("scan", "weights").output.hasPrefix("clean  weights"))
    #expect(try run("-q", "weights").output.hasPrefix("weights: PyTorch checkpoint"))
    #expect(try run("--color", "never", "weights").output.hasPrefix("weights: PyTorch checkpoint"))
    #expect(try run("--", "-x.pth").output.hasPrefix("-x.pth: PyTorch checkpoint"))
    let misspelt = try run("inspct", "weights")
    #expect(misspelt.status == 64)
    #expect(
      misspelt.errors.hasPrefix("Error: Unknown command 'inspct': did you mean inspect?\n"))
    let absent = try run("absent.pth")
    #expect(absent.status == 2 && absent.errors.contains("absent.pth: cannot be opened"))
  }

  /// A file that cannot be read may still be dangerous to load.
  @Test func whatCannotBeRead() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("bad.pkl", Array("cos\nsystem\n(S'true'\ntR".utf8))
    let run = try DecantProcess.run([path])
    #expect(run.status == 2)
    #expect(run.errors.hasPrefix("decant: warning: \(path): can execute code: "), "\(run.errors)")
  }
}
