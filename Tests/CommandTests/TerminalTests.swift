import Foundation
import TestSupport
import Testing

/// What commands print on terminals of 80 and 140 columns, with colours and without.
@Suite struct TerminalTests {
  private let folder: TemporaryFolder

  init() throws {
    folder = try TemporaryFolder()
    #expect(try DecantProcess.run(["synthesize", "resnet20", "-o", "r20.pth"], in: folder.url).status == 0)
    try FileManager.default.createSymbolicLink(
      at: folder.url.appending(path: "fixtures"),
      withDestinationURL: Fixtures.root.appending(path: "fixtures"))
  }

  private func output(_ columns: Int, _ arguments: String...) throws -> String {
    try DecantProcess.terminal(
      arguments + ["--no-pager"], columns: columns, in: folder.url, errorsToFile: true,
      environment: ["NO_COLOR": "1"]
    ).output
  }

  private func colored(_ arguments: String...) throws -> String {
    try DecantProcess.terminal(
      arguments + ["--no-pager", "--color", "always"], columns: 80, in: folder.url, errorsToFile: true
    ).output
  }

  @Test func aListingIsFolded() throws {
    let narrow = try output(80, "inspect", "r20.pth")
    #expect(
      narrow == """
        r20.pth
          116 tensors, 271,117 elements, 1.1 MB
          in model: 269,722 parameters, 1,395 in buffers
          container: torch-zip
          written by: decant, as PyTorch 2.7 or later writes
          state dict: model (116 tensors)

          tensor                               shape           size
          model.conv1.weight                   16×3×3×3      1.7 kB
          model.bn1.*                          16 …           264 B   5 tensors
          model.layer1.{0-2}.conv{1-2}.weight  16×16×3×3    55.3 kB   6 tensors
          model.layer1.{0-2}.bn{1-2}.*         16 …          1.6 kB  30 tensors
          model.layer2.{0-2}.conv{1-2}.weight  32×16×3×3 …   203 kB   6 tensors
          model.layer2.{0-2}.bn{1-2}.*         32 …          3.1 kB  30 tensors
          model.layer3.{0-2}.conv{1-2}.weight  64×32×3×3 …   811 kB   6 tensors
          model.layer3.{0-2}.bn{1-2}.*         64 …          6.2 kB  30 tensors
          model.fc.weight                      10×64         2.6 kB
          model.fc.bias                        10              40 B

          also in the file:
            epoch  0

        """)
    let wide = try output(140, "inspect", "r20.pth")
    #expect(
      wide.contains(
        """

          tensor                               shape        dtype              size
          model.conv1.weight                   16×3×3×3     float32          1.7 kB
          model.bn1.*                          16 …         float32, int64    264 B   5 tensors
          model.layer1.{0-2}.conv{1-2}.weight  16×16×3×3    float32         55.3 kB   6 tensors

        """))
    // Off a terminal, and with --flat, each tensor has its line.
    let plain = try DecantProcess.run(["inspect", "r20.pth"], in: folder.url).output
    let flat = try output(140, "inspect", "r20.pth", "--flat")
    for name in ["layer1.0.bn1.num_batches_tracked", "layer3.2.conv2.weight"] {
      #expect(plain.contains("  model.\(name) ") && flat.contains("  model.\(name) "))
    }
    #expect(plain.contains("  storage alignment: 64\n") && !flat.contains("storage alignment"))
  }

  /// A filter narrows what is shown, also below the number of tensors that are folded.
  @Test func aFilterSaysHowMany() throws {
    #expect(
      try output(80, "inspect", "r20.pth", "--filter", "*.conv1.weight") == """
        r20.pth
          10 of 116 tensors, 122,544 elements, 490 kB
          container: torch-zip
          written by: decant, as PyTorch 2.7 or later writes
          state dict: model (116 tensors)

          tensor                       shape      dtype       size
          model.conv1.weight           16×3×3×3   float32   1.7 kB
          model.layer1.0.conv1.weight  16×16×3×3  float32   9.2 kB
          model.layer1.1.conv1.weight  16×16×3×3  float32   9.2 kB
          model.layer1.2.conv1.weight  16×16×3×3  float32   9.2 kB
          model.layer2.0.conv1.weight  32×16×3×3  float32  18.4 kB
          model.layer2.1.conv1.weight  32×32×3×3  float32  36.9 kB
          model.layer2.2.conv1.weight  32×32×3×3  float32  36.9 kB
          model.layer3.0.conv1.weight  64×32×3×3  float32  73.7 kB
          model.layer3.1.conv1.weight  64×64×3×3  float32   147 kB
          model.layer3.2.conv1.weight  64×64×3×3  float32   147 kB

        """)
  }

  /// Colours change no character. Norms, headings and buffers are dim.
  @Test func colors() throws {
    let text = try colored("inspect", "r20.pth")
    #expect(text.replacing(/\u{1B}\[\d+m/, with: "") == (try output(80, "inspect", "r20.pth")))
    #expect(text.hasPrefix("\u{1B}[1mr20.pth\u{1B}[0m\n"))
    #expect(text.contains("\n  \u{1B}[2mmodel.bn1.*\u{1B}[0m "))
    #expect(text.contains("\n  model.conv1.weight "))
    #expect(try colored("verify", "r20.pth").hasPrefix("\u{1B}[32myes\u{1B}[0m: names, shapes"))
    #expect(
      try colored("diff", "r20.pth", "fixtures/torch/nested.pth").hasPrefix(
        "\u{1B}[31mnot the same\u{1B}[0m: "))
    #expect(
      try colored("scan", "fixtures/torch/objects.pth").hasPrefix(
        "\u{1B}[31mdangerous\u{1B}[0m  fixtures/torch/objects.pth\n"))
  }

  /// No line of a table is wider than the terminal, and numbers are whole.
  @Test(arguments: [80, 140]) func tablesFit(_ columns: Int) throws {
    let names = [
      "candidates", "keys", "deep_prefixes", "dtypes", "quantized", "views", "shared_storages", "sparse",
    ]
    var commands = names.map { ["inspect", "fixtures/torch/\($0).pth", "--stats"] }
    commands += names.map { ["inspect", "fixtures/torch/\($0).pth", "--digest"] }
    commands += [
      ["identify", "r20.pth"], ["inspect", "r20.pth", "--tree"],
      ["diff", "fixtures/torch/small_basic.pth", "fixtures/torch/small_nodown.pth"],
      ["inspect", "fixtures/arrays/tensors.gguf"], ["identify", "--architectures"],
    ]
    for command in commands {
      let run = try DecantProcess.terminal(
        command + ["--no-pager"], columns: columns, in: folder.url, errorsToFile: true,
        environment: ["NO_COLOR": "1"])
      for line in run.output.split(separator: "\n") { #expect(line.count <= columns, "\(command)\n\(line)") }
    }
  }

  /// Statistics have a histogram on a terminal, from the least number to the greatest.
  @Test func histograms() throws {
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (24,), }"
    let padded = header + String(repeating: " ", count: 117 - header.count) + "\n"
    // Eight numbers in the first of 12 intervals, one in each other but the second and third, six in the last.
    let values =
      [Float](repeating: 0, count: 8) + (3..<12).map { Float($0) } + [11, 11, 11, 12, 12] + [3, 3]
    _ = try folder.write(
      "x.npy",
      [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(padded.utf8.count), 0] + Array(padded.utf8)
        + values.withUnsafeBytes { Array($0) })
    let text = try output(80, "inspect", "x.npy", "--stats")
    #expect(text.contains(/histogram\n.* 8  █  ▄▂▂▂▂▂▂▂▇\n/), "\(text)")
    #expect(!(try DecantProcess.run(["inspect", "x.npy", "--stats"], in: folder.url)).output.contains("█"))
  }

  /// The answer comes first, and what a person rarely needs comes on request.
  @Test func detailsOnRequest() throws {
    #expect(
      try output(80, "verify", "r20.pth")
        == "yes: names, shapes and types match resnet20: 116 tensors, all values finite\n")
    #expect(try output(80, "verify", "r20.pth", "-v").contains("\n  layer2: 3 blocks, "))
    #expect(try output(80, "inspect", "r20.pth", "-v").contains("\n  storage alignment: 64\n"))
  }

  /// Numbers in names have their natural order in trees and with `--sort name`.
  @Test func naturalOrder() throws {
    var file = TorchFile()
    let root = TorchFile.Value.mapping([
      "layer10.w": file.tensor([2, 2]), "layer2.w": file.tensor([2, 2]), "a.w": file.tensor([2, 2]),
      "layer1.w": file.tensor([2, 2]),
    ])
    _ = try folder.write("numbers.pth", file.bytes(root))
    let sorted = try output(80, "inspect", "numbers.pth", "--sort", "name")
    let places = ["a.w", "layer1.w", "layer2.w", "layer10.w"].map {
      sorted.firstRange(of: "  \($0) ")?.lowerBound
    }
    #expect(places.allSatisfy { $0 != nil } && places.compactMap { $0 } == places.compactMap { $0 }.sorted())
    let tree = try output(80, "inspect", "numbers.pth", "--tree")
    let branches = ["layer1 ", "layer2 ", "layer10 "].map { tree.firstRange(of: "\n  \($0)")?.lowerBound }
    #expect(
      branches.allSatisfy { $0 != nil } && branches.compactMap { $0 } == branches.compactMap { $0 }.sorted())
  }
}
