import DecantBytes
import DecantGraphs
import DecantResNets
import Testing

/// Tests that every configuration makes a graph or an error, never a trap.
///
/// Configurations come from files and command lines, so any value can occur.
@Suite struct ConfigurationTests {
  private func error(_ change: (inout ResNetConfiguration) -> Void) -> DecantError? {
    var configuration = ResNetConfiguration(block: .bottleneck, layers: [1, 1, 1, 1])
    change(&configuration)
    do {
      _ = try configuration.graph()
      return nil
    } catch { return error }
  }

  @Test func whatCannotBeBuiltIsNamed() {
    #expect(error { _ in } == nil)
    #expect(error { $0.classes = 0 } == nil)
    let wrong: [((inout ResNetConfiguration) -> Void, name: String)] = [
      ({ $0.classes = -1 }, "classes"), ({ $0.stages = [] }, "stage"),
      ({ $0.stages[3].blocks = [] }, "layer4"),
      ({ $0.stages[3].blocks = Array(repeating: [512, 512, 2048], count: 5000) }, "blocks"),
      ({ $0.stages[0].groups = 3 }, "layer1"), ({ $0.stages[1].blocks = [[128, 512]] }, "layer2"),
      ({ $0.stages[1].blocks = [[8, 8, 512], [8, 8, 511]] }, "layer2"), ({ $0.epsilon = .nan }, "epsilon"),
      ({ $0.stem = .deep([]) }, "stem"),
    ]
    for (change, name) in wrong {
      let error = error(change)
      #expect(error?.code == .unsupportedNetwork && error?.reason.contains(name) == true)
    }
  }

  @Test(arguments: [Int.min, -1, 0, 1 << 24, (1 << 24) + 1, 1 << 40, Int.max])
  func survivesAnyNumber(_ value: Int) {
    let changes: [(inout ResNetConfiguration) -> Void] = [
      { $0.classes = value }, { $0.stages[0].groups = value }, { $0.stages[2].stride = value },
      { $0.stem = .single(kernel: 7, channels: value) }, { $0.stem = .single(kernel: value, channels: 64) },
      { $0.stem = .deep([value, value], bare: value) }, { $0.inputChannels = value }, { $0.stride0 = value },
      { $0.stages[1].blocks = [[value, value, value]] }, { $0.lastConvolution = value },
      { $0.stages[0].attention = .squeezeExcitation(reduced: value) },
      { $0.stages[0].attention = .efficient(kernel: value) }, { $0.head = .attention(tokens: value) },
      { $0.head = .normalizedPerceptron(hidden: value) }, { $0.normalizationGroups = value },
      {
        $0 = ResNetConfiguration(
          block: .bottleneck, layers: [value, 1], planes: [value, value], groups: value, widthPerGroup: value)
      },
    ]
    for change in changes {
      _ = error(change)
      var configuration = ResNetConfiguration(block: .bottleneck, layers: [1, 1, 1, 1])
      change(&configuration)
      _ = configuration.depth
      _ = configuration.widthPerGroup
    }
  }
}
