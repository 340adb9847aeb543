import Foundation
import TestSupport
import Testing

@Suite struct InspectTests {
  private func inspect(_ name: String, _ options: String...) throws -> DecantRun {
    try DecantProcess.run(["inspect", "fixtures/torch/" + name] + options, in: Fixtures.root)
  }

  private func json(_ name: String, _ options: String...) throws -> [String: Any] {
    let run = try DecantProcess.run(
      ["inspect", "fixtures/torch/" + name, "--json"] + options, in: Fixtures.root)
    #expect(run.status == 0)
    return try #require(try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any])
  }

  /// Decant writes files like those of PyTorch 2.7, and is still recognised as the writer.
  @Test func whoWroteTheFile() throws {
    let folder = try TemporaryFolder()
    let path = folder.path("written.pth")
    #expect(try DecantProcess.run(["convert", Fixtures.path("torch/nested.pth"), path]).status == 0)
    let run = try DecantProcess.run(["inspect", path])
    #expect(run.output.contains("\n  written by: decant, as PyTorch 2.7 or later writes\n"))
  }

  @Test func exactText() throws {
    let run = try inspect("nested.pth", "--filter", "model.*")
    #expect(run.status == 0)
    #expect(
      run.output.split(separator: "\n", omittingEmptySubsequences: false).prefix(20).joined(separator: "\n")
        == """
        fixtures/torch/nested.pth
          8 of 13 tensors, 54 elements, 220 bytes
          in model: 49 parameters, 5 in buffers
          container: torch-zip
          byte order: little
          archive version: 3
          format version: 1
          storage alignment: 64
          written by: PyTorch 2.7 or later
          state dict: model (8 tensors)

          tensor                       shape    dtype    bytes
          model.0.weight               2×1×3×3  float32     72
          model.1.weight               2        float32      8
          model.1.bias                 2        float32      8
          model.1.running_mean         2        float32      8
          model.1.running_var          2        float32      8
          model.1.num_batches_tracked  scalar   int64        8
          model.4.weight               3×8      float32     96
          model.4.bias                 3        float32     12
        """)
    // The filter narrows the other values, too.
    #expect(run.output.hasSuffix("\n  not tensors:\n    model._metadata  module versions  6 elements\n"))
    #expect(run.errors.isEmpty)
  }

  /// The JSON that scripts rely on: names, order and types of the members.
  @Test func jsonContract() throws {
    let run = try inspect("nested.pth", "--json", "--filter", "model.0.*")
    #expect(
      run.output.hasPrefix(
        #"""
        {"schema": 1, "file": "fixtures/torch/nested.pth",
         "container": "torch-zip",
         "tensors": [
          {"name":"model.0.weight","dtype":"float32","shape":[2,1,3,3],"strides":[9,9,3,1],"path":["model","0.weight"],"bytes":72,"storage":"0","storage_offset":0,"location":"cpu"}],
         "objects": [
        """#))
    let object = try json("nested.pth")
    #expect(object["schema"] as? Int == 1)
    #expect(object["container"] as? String == "torch-zip")
    let objects = try #require(object["objects"] as? [[String: Any]])
    let epoch = try #require(objects.first { $0["path"] as? String == "epoch" })
    #expect(epoch["type"] as? String == "int" && epoch["value"] as? Int == 3)
    let facts = try #require(object["facts"] as? [[String: String]])
    #expect(facts.contains(["name": "byte order", "value": "little"]))
    #expect((object["warnings"] as? [String]) == [])
    #expect((object["properties"] as? [String: String])?["byte order"] == "little")
    #expect(
      object["totals"] as? [String: Int]
        == ["tensors": 13, "elements": 103, "bytes": 416, "parameters": 49, "buffers": 5])
    let dicts = try #require(object["state_dicts"] as? [[String: Any]])
    #expect(dicts.count == 1 && dicts[0]["key"] as? String == "model" && dicts[0]["tensors"] as? Int == 8)
    #expect(object["checksums"] == nil)
    let checksums = try #require(try json("nested.pth", "--checksums")["checksums"] as? [String: Any])
    #expect(checksums["ok"] as? Bool == true && (checksums["damaged"] as? [Any])?.isEmpty == true)
  }

  @Test func digestsOnlyWhenAsked() throws {
    let plain = try #require(try json("tensor.pth")["tensors"] as? [[String: Any]])
    #expect(plain.allSatisfy { $0["sha256"] == nil })
    let digested = try #require(try json("tensor.pth", "--digest")["tensors"] as? [[String: Any]])
    #expect(digested.allSatisfy { ($0["sha256"] as? String)?.count == 64 })
  }

  @Test func flags() throws {
    #expect(try inspect("views.pth").output.contains("non-contiguous"))
    #expect(try inspect("shared_storages.pth").output.contains("alias of "))
    #expect(try inspect("non_finite.pth", "--stats").output.contains("non-finite"))
    #expect(!(try inspect("non_finite.pth").output.contains("non-finite")))
    #expect(
      try inspect("no_crc.pth").errors
        == "decant: warning: the archive has no CRC-32, so damaged data cannot be detected\n")
    #expect(
      try inspect("nested.pth", "--checksums").output.contains("every CRC-32 in the file matches"))
  }

  @Test func sorts() throws {
    func names(_ order: String) throws -> [String] {
      let tensors = try json("nested.pth", "--sort", order)["tensors"] as? [[String: Any]]
      return (tensors ?? []).compactMap { $0["name"] as? String }
    }
    // `layer10` comes after `layer9`.
    #expect(
      try names("name") == names("file").sorted { $0.compare($1, options: .numeric) == .orderedAscending })
    #expect(try names("bytes").first == "model.4.weight")
  }

  /// Forms of the listing for files with many tensors, which are the same off a terminal.
  @Test func forms() throws {
    let depth = try inspect("nested_adam.pth", "--depth", "1")
    #expect(
      depth.output.hasSuffix(
        """
          tensor          shape    dtype           bytes
          model.0.weight  2×1×3×3  float32            72
          model.1.*       2 …      float32, int64     40  5 tensors
          model.4.*       3×8 …    float32           108  2 tensors

          also in the file:
            optimizer  20 tensors, 608 B, 17 values
            epoch      3

        """), "\(depth.output)")
    let summary = try inspect("nested_adam.pth", "--summary")
    #expect(
      !summary.output.contains("model.0") && summary.output.contains("\n    optimizer  20 tensors, 608 B"))
    let tree = try inspect("nested_adam.pth", "--tree", "--depth", "2")
    #expect(tree.output.contains("\n    0 ") && !tree.output.contains("\n      weight"))
    #expect(try inspect("nested.pth", "--flat").output == inspect("nested.pth").output)
    for (options, text) in [
      (["--depth", "1", "--flat"], "Use one of --depth, --summary and --flat."),
      (["--summary", "--json"], "--depth, --summary and --flat are for text; --json lists every tensor."),
      (["--stats", "--depth", "1"], "--stats and --digest show each tensor"),
      (["--tree", "--flat"], "Use --tree without --summary and --flat."),
      (["--depth", "0"], "--depth is at least 1"),
    ] {
      let run = try DecantProcess.run(["inspect", "fixtures/torch/nested.pth"] + options, in: Fixtures.root)
      #expect(run.status == 64 && run.errors.contains(text), "\(options) \(run.errors)")
    }
  }

  /// Values are printed as NumPy prints them; `Tests/Peers/test_numpy_text.py` compares many more.
  @Test func head() throws {
    let folder = try TemporaryFolder()
    func npy(_ name: String, _ type: String, _ shape: String, _ values: [some BitwiseCopyable]) throws {
      let header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }"
      let padded = header + String(repeating: " ", count: 117 - header.count) + "\n"
      _ = try folder.write(
        name,
        [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(padded.utf8.count), 0] + Array(padded.utf8)
          + values.withUnsafeBytes { Array($0) })
    }
    try npy("matrix.npy", "<f4", "2, 3", [1, 2.5, -3, 0.1, 100, 0.25] as [Float])
    try npy("special.npy", "<f4", "4,", [1e-7, 1, .nan, -.infinity] as [Float])
    try npy("large.npy", "<f4", "2000,", (0..<2000).map { Float($0) / 8 })
    try npy("whole.npy", "<i8", "3, 2", [0, 1, 2, 3, -4, 5] as [Int64])
    for (name, count, text) in [
      ("matrix.npy", "9", "[[  1.     2.5   -3.  ]\n [  0.1  100.     0.25]]\n"),
      ("matrix.npy", "1", "[[ 1.   2.5 -3. ]]\n"), ("special.npy", "4", "[1.e-07 1.e+00    nan   -inf]\n"),
      (
        "large.npy", "2000",
        "[0.00000e+00 1.25000e-01 2.50000e-01 ... 2.49625e+02 2.49750e+02\n 2.49875e+02]\n"
      ),
      ("whole.npy", "2", "[[0 1]\n [2 3]]\n"),
    ] {
      let run = try DecantProcess.run(["inspect", name, "--head", count], in: folder.url)
      #expect(run.status == 0 && run.output == text, "\(name): \(run.output)\(run.errors)")
    }
    let several = try inspect("nested.pth", "--head", "1", "--filter", "model.1.b*")
    #expect(several.output.hasPrefix("[") && several.output.split(separator: "\n").count == 1)
    let titled = try inspect("nested.pth", "--head", "1", "--filter", "model.?.bias")
    #expect(
      titled.output.contains(/^model\.1\.bias 2 float32\n\[.*\]\n\nmodel\.4\.bias 3 float32\n\[.*\]\n$/))
    #expect(try inspect("nested.pth", "--head", "1", "--json").status == 64)
    let complex = try inspect("non_finite.pth", "--head", "1", "--key", "model.complex64")
    #expect(complex.status == 2 && complex.errors.contains("its elements are complex64"), "\(complex.errors)")
  }

  @Test func statistics() throws {
    let tensors = try #require(try json("non_finite.pth", "--stats")["tensors"] as? [[String: Any]])
    let tensor = try #require(tensors.first { $0["name"] as? String == "model.float32" })
    #expect(
      tensor["non_finite"] as? Int == 3 && tensor["nan"] as? Int == 1 && tensor["infinite"] as? Int == 2)
    #expect(tensor["std"] as? Double != nil && tensor["zeros"] as? Int == 2)
    let complex = try #require(tensors.first { $0["name"] as? String == "model.complex64" })
    #expect(complex["non_finite"] as? Int == 2 && complex["nan"] is NSNull)
    #expect(try inspect("non_finite.pth", "--stats").output.contains("3 non-finite (1 NaN, 2 Inf)\n"))
  }

  @Test func candidatesAreListed() throws {
    let run = try inspect("candidates.pth")
    #expect(
      run.output.contains(
        """
          state dicts (choose one with --key):
            --key state_dict  (6 tensors)
            --key state_dict_ema  (6 tensors)
        """))
  }

  @Test func tree() throws {
    let run = try inspect("nested.pth", "--tree", "--key", "model")
    #expect(run.output.contains("\n  model                    8 tensors  220\n"))
    #expect(run.output.contains("\n      weight                           72  2×1×3×3 float32\n"))
  }

  /// Keys with terminal control sequences are printed escaped.
  @Test func hostileKeysAreEscaped() throws {
    for options in [[], ["--tree"], ["--json"], ["--stats"]] {
      let run = try DecantProcess.run(
        ["inspect", "fixtures/torch/hostile_keys.pth"] + options, in: Fixtures.root)
      #expect(run.status == 0)
      let bad = (run.output + run.errors).unicodeScalars.filter { scalar in
        scalar.value < 0x20 && scalar != "\n" || 0x7F...0x9F ~= scalar.value
          || 0x202A...0x202E ~= scalar.value
          || 0x2066...0x2069 ~= scalar.value
      }
      #expect(bad.isEmpty)
    }
    #expect(try inspect("hostile_keys.pth").output.contains(#"\x1b[31mred\x1b[0m"#))
  }

  @Test func aClosedPipeIsSuccess() throws {
    let run = try DecantProcess.shell(
      "decant inspect fixtures/torch/nested.pth | head -n 1; decant --help | head -n 1", in: Fixtures.root)
    #expect(run.status == 0 && run.errors.isEmpty)
  }

  @Test func aFullDiskIsNot() throws {
    let run = try DecantProcess.shell(
      "decant inspect fixtures/torch/nested.pth > /dev/full", in: Fixtures.root)
    #expect(run.status == 2)
    #expect(run.errors == "decant: error: standard output cannot be written: No space left on device.\n")
  }
}
