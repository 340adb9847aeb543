import Foundation
import TestSupport
import Testing

@Suite struct EvidenceTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func decant(_ line: String) throws -> DecantRun {
    try DecantProcess.shell(line.replacing("OUT/", with: folder.url.path + "/"), in: Fixtures.root)
  }

  private func identified(_ file: String) throws -> [String: Any] {
    let run = try decant("decant identify \(file) --json")
    return try #require(
      try JSONSerialization.jsonObject(with: Data(run.output.utf8)) as? [String: Any], "\(run.errors)")
  }

  @Test func exactTextOfAWholeModule() throws {
    let run = try decant("cp fixtures/torch/whole_nodown.pth OUT/net.pth && decant identify OUT/net.pth")
    #expect(run.status == 0 && run.errors.isEmpty)
    let facts = run.output.split(separator: "\n", omittingEmptySubsequences: false).drop {
      !$0.hasPrefix("  antialiasing")
    }
    #expect(
      facts.joined(separator: "\n") == """
          antialiasing    none                              module attributes: layer2.0: the convolutions have the stride
          max_pool        3×3, padding 1                    module attributes: maxpool 3, padding 1, ceil_mode false
          stride0         1                                 module attributes: conv1.stride 1, maxpool.stride 1
          block_stride    on the first convolution          module attributes: layer2.0: strides 2, 1
          stage_strides   1, 2, 2, 2                        module attributes: the first blocks' convolutions
          output_stride   8 (no dilation)                   module attributes: all 12 convolutions
          epsilon         1e-05                             module attributes: bn1.eps 1e-05, all 12 alike (BatchNorm2d)
          activation      ReLU                              module attributes: layer1.0.relu is ReLU
          class           torchvision.models.resnet.ResNet  module attributes: the outermost module
          residual        shortcuts are added               module attributes: the blocks are torchvision.models.resnet.BasicBlock
          shortcut        added before the last ReLU        module attributes: the blocks are torchvision.models.resnet.BasicBlock

          not in the file  default
          preprocessing    RGB, 224×224, scaled to 0…1, mean 0.485 0.456 0.406, deviation 0.229 0.224 0.225

        """)
  }

  /// One output and stride 1: the module's attributes give the settings that tensor shapes do not.
  @Test func aWholeDetectorRunsWithoutAFlag() throws {
    _ = try decant("cp fixtures/torch/whole_nodown.pth OUT/net.pth")
    let run = try decant("decant run OUT/net.pth --input fixtures/inputs/input_97x131.npy")
    #expect(run.status == 0)
    #expect(
      run.errors
        == "decant: read from module attributes: antialiasing none; max_pool 3×3, padding 1; stride0 1; block_stride on the first convolution; stage_strides 1, 2, 2, 2; output_stride 8 (no dilation); epsilon 1e-05; activation ReLU; shortcut added before the last ReLU\n"
    )
    let other = try decant("decant run OUT/net.pth --stride0 2 --input fixtures/inputs/input_97x131.npy")
    #expect(other.status == 0 && other.output != run.output)
    #expect(
      other.errors.hasPrefix(
        "decant: warning: --stride0 2 contradicts stride0 1 of module attributes: conv1.stride 1, maxpool.stride 1\n"
      ))
    let verified = try decant("decant verify OUT/net.pth")
    #expect(verified.status == 0)
    #expect(
      verified.output.hasSuffix(
        "    activation: ReLU\n    shortcut: added before the last ReLU\n"))
    #expect(
      verified.output.contains(
        "\n  read from module attributes (weights cannot confirm these)\n    antialiasing: none\n"))
    let json = try #require(
      try JSONSerialization.jsonObject(with: Data(try decant("decant verify OUT/net.pth --json").output.utf8))
        as? [String: Any])
    #expect((json["read"] as? [String: Any])?["stride0"] as? Int == 1)
    #expect((json["assumed"] as? [String: Any])?.isEmpty == true)
  }

  /// A model records everything that was declared or assumed for it, so that it runs as its operators compute.
  @Test(arguments: [
    "--stride0 2 --stage-strides 1,1,2", "--epsilon 0.01 --stem-pooling average", "--arch resnet20",
  ])
  func aModelRunsAsItWasWritten(_ options: String) throws {
    let convert = try decant(
      """
      decant synthesize resnet20 -o OUT/w.pth && decant convert OUT/w.pth OUT/a.onnx \(options) && \
      decant convert OUT/a.onnx OUT/b.onnx && decant convert OUT/a.onnx OUT/c.safetensors
      """)
    #expect(convert.status == 0, "\(convert.errors)")
    let input = "--input fixtures/inputs/input_97x131.npy"
    let source = try decant("decant run OUT/w.pth \(input) \(options) --output OUT/w.npy")
    #expect(source.status == 0, "\(source.errors)")
    for name in ["a.onnx", "b.onnx", "c.safetensors"] {
      let run = try decant("decant run OUT/\(name) \(input) --output OUT/o.npy && cmp OUT/o.npy OUT/w.npy")
      #expect(run.status == 0, "\(name): \(run.errors)")
      #expect(!run.errors.contains("default"), "\(run.errors)")
      #expect(try identified("OUT/\(name)")["undetermined"] as? [String] == ["preprocessing"])
    }
  }

  /// The operators of a model from elsewhere are not read, so nothing is assumed that they decide.
  @Test func aModelWithoutARecordNeedsAnArchitecture() throws {
    _ = try decant(
      """
      decant synthesize resnet20 -o OUT/w.pth && decant convert OUT/w.pth OUT/a.onnx && \
      sed -i 's/geometry/geometrx/; s/architecture/anotherthing/' OUT/a.onnx
      """)
    for line in [
      "decant run OUT/a.onnx --input fixtures/inputs/input_97x131.npy",
      "decant convert OUT/a.onnx OUT/b.onnx",
    ] {
      let refused = try decant(line)
      #expect(refused.status == 2)
      #expect(refused.errors.contains("Name the network with --arch."), "\(refused.errors)")
      #expect(try decant(line + " --arch resnet20").status == 0)
    }
    #expect(try decant("decant verify OUT/a.onnx --arch resnet20").status == 0)
  }

  @Test func aConfigurationBesideTheFileIsRead() throws {
    _ = try decant(
      "decant synthesize resnet50nodown -o OUT/weights.pth && printf 'arch: res50nodown # as trained\\n' > OUT/config.yaml"
    )
    let run = try decant("decant run OUT/weights.pth --input fixtures/inputs/input_97x131.npy")
    #expect(run.status == 0, "\(run.errors)")
    #expect(
      run.errors.contains(
        "\ndecant: read from config.yaml: architecture resnet50nodown; stride0 1; antialiasing none\n"))
    let found = try identified("OUT/weights.pth")
    #expect(found["architecture"] as? String == "resnet50nodown" && found["proven"] as? Bool == false)
    #expect((found["undetermined"] as? [String])?.contains("stride0") == false)
    // An architecture name that contradicts the shapes is reported as a contradiction and not used.
    _ = try decant("echo 'arch: resnet101' > OUT/config.yaml")
    let refused = try decant("decant run OUT/weights.pth --input fixtures/inputs/input_97x131.npy --json")
    #expect(try refused.status == 2 && JSONError(refused.output).code == "undetermined")
    let claims = try #require(
      (try identified("OUT/weights.pth")["contradictions"] as? [[String: Any]])?.first)
    #expect(claims["name"] as? String == "architecture")
    #expect(
      (claims["claims"] as? [[String: String]]) == [
        ["value": "resnet50, resnet50nodown, resnetaa50, resnetblur50", "source": "names and shapes"],
        ["value": "resnet101", "source": "config.yaml: arch resnet101"],
      ])
    let text = try decant("decant identify OUT/weights.pth").output
    #expect(
      text.contains(
        """
          contradiction  value                                               source, strongest first
          architecture   resnet50, resnet50nodown, resnetaa50, resnetblur50  names and shapes
                         resnet101                                           config.yaml: arch resnet101
        """))
  }

  @Test func whatLiesBesideIsBoundedAndStaysInside() throws {
    _ = try decant(
      "decant synthesize resnet18 -o OUT/net.pth && echo '{\"arch\": \"resnet50\"}' > OUT/../outside.json && ln -s ../outside.json OUT/config.json"
    )
    let outside = try decant("decant identify OUT/net.pth; rm OUT/../outside.json OUT/config.json")
    #expect(
      outside.output.contains("consistent with resnet18")
        && outside.errors.contains("is a link to a file outside its folder"))
    let large = try decant("truncate -s 2M OUT/config.json; decant identify OUT/net.pth")
    #expect(
      large.status == 0
        && large.errors.contains("has 2,097,152 bytes, more than a configuration needs (1,048,576)"))
    let folder = try decant("rm OUT/config.json; mkdir OUT/config.json; decant identify OUT/net.pth")
    #expect(folder.status == 0 && folder.errors.contains("ignoring config.json next to the checkpoint: "))
    // Escape sequences, and a file that never ends.
    let hostile = try decant(
      "rmdir OUT/config.json; printf '{\"arch\": \"\\\\u009b31mred\"}' > OUT/config.json; decant identify OUT/net.pth"
    )
    #expect(
      hostile.status == 0 && hostile.output.contains("31mred"))
    #expect(!hostile.output.unicodeScalars.contains("\u{9b}"))
    let deep = try decant(
      "(yes '[' | head -c 100000) > OUT/config.json; (printf 'a: '; yes '[' | tr -d '\\n' | head -c 100000) > OUT/config.yaml; decant identify OUT/net.pth"
    )
    #expect(deep.status == 0 && deep.errors.contains(": not JSON"))
  }

  @Test func theNameOfAFileIsAHint() throws {
    _ = try decant("decant synthesize resnet50nodown -o OUT/my-resnet50nodown.pth")
    let found = try identified("OUT/my-resnet50nodown.pth")
    #expect(found["architecture"] as? String == "resnet50")
    let containerMetadata = try #require(found["facts"] as? [[String: String]]).filter {
      $0["kind"] == "file_name"
    }
    #expect(containerMetadata.map { $0["name"] } == ["architecture", "stride0"])
    #expect(containerMetadata.allSatisfy { $0["source"] == "file name (weak): my-resnet50nodown.pth" })
    #expect((found["undetermined"] as? [String])?.first == "stride0")
    let run = try decant(
      "decant run OUT/my-resnet50nodown.pth --input fixtures/inputs/input_97x131.npy --json")
    #expect(try run.status == 2 && JSONError(run.output).code == "undetermined")
  }
}
