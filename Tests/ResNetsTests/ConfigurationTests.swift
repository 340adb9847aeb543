import ByteParsing
import Graphs
import ResNets
import Testing

/// Configurations come from files and command lines: every one makes a graph or an error, never a trap.
@Suite struct ConfigurationTests {
  private func reason(_ change: (inout ResNetConfiguration) -> Void) -> String? {
    var configuration = ResNetConfiguration(block: .bottleneck, layers: [1, 1, 1, 1])
    change(&configuration)
    do {
      _ = try configuration.graph()
      return nil
    } catch { return error.reason }
  }

  @Test func saysWhatIsWrong() {
    #expect(reason { _ in } == nil)
    #expect(reason { $0.classes = 0 } == nil)
    #expect(reason { $0.classes = -1 } == "classes -1 is no number of outputs")
    #expect(reason { $0.stages = [] } == "a network has at least one stage")
    #expect(reason { $0.stages[3].blocks = [] } == "layer4: a stage has at least one block")
    #expect(
      reason { $0.stages[3].blocks = Array(repeating: [512, 512, 2048], count: 5000) }?.contains(
        "more than 4096 blocks") == true)
    #expect(
      reason { $0.stages[0].groups = 3 } == "layer1: 64 channels do not divide into 3 groups")
    #expect(
      reason { $0.stages[1].blocks = [[128, 512]] }
        == "layer2: [128, 512] are no channels of a bottleneck block")
    #expect(
      reason { $0.stages[1].blocks = [[8, 8, 512], [8, 8, 511]] }
        == "layer2: blocks of 511 and 512 channels do not add")
    #expect(reason { $0.epsilon = .nan }?.contains("epsilon") == true)
    #expect(reason { $0.stem = .deep([]) }?.contains("stem of 0 convolutions") == true)
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
      { $0.head = .perceptron(hidden: value) }, { $0.normalizationGroups = value },
      {
        $0 = ResNetConfiguration(
          block: .bottleneck, layers: [value, 1], planes: [value, value], groups: value, widthPerGroup: value)
      },
    ]
    for change in changes {
      _ = reason(change)
      var configuration = ResNetConfiguration(block: .bottleneck, layers: [1, 1, 1, 1])
      change(&configuration)
      _ = configuration.depth
      _ = configuration.widthPerGroup
    }
  }
}
