import Graphs
import ResNets
import Testing

/// Configurations come from files and command lines: every one makes a graph or an error, never a trap.
@Suite struct ConfigurationTests {
  private func reason(_ change: (inout ResNet.Configuration) -> Void) -> String? {
    var configuration = ResNet.Configuration(block: .bottleneck, layers: [1, 1, 1, 1])
    change(&configuration)
    do {
      _ = try configuration.graph()
      return nil
    } catch { return error.reason }
  }

  @Test func saysWhatIsWrong() {
    #expect(reason { _ in } == nil)
    #expect(reason { $0.classes = 0 } == nil)
    #expect(reason { $0.classes = -1 } == "classes -1 is negative")
    #expect(reason { $0.layers = [1, 2] }?.hasPrefix("layers [1, 2] and planes") == true)
    #expect(reason { $0.layers = [] }?.hasPrefix("layers [] and planes") == true)
    #expect(reason { $0.layers = [1, 1, 1, 5000] }?.contains("more than 4096 blocks") == true)
    #expect(reason { $0.groups = 3 } == nil)
    #expect(
      reason {
        $0.widthPerGroup = 1
        $0.planes = [32, 64, 64, 64]
      }?.contains("make no width") == true)
    #expect(reason { $0.epsilon = .nan }?.contains("epsilon") == true)
    #expect(
      reason {
        $0.block = .basic
        $0.groups = 32
      }?.contains("basic blocks have 1 group") == true)
  }

  @Test(arguments: [Int.min, -1, 0, 1 << 24, (1 << 24) + 1, 1 << 40, Int.max])
  func survivesAnyNumber(_ value: Int) {
    let changes: [(inout ResNet.Configuration) -> Void] = [
      { $0.classes = value }, { $0.groups = value }, { $0.widthPerGroup = value },
      { $0.stemChannels = value },
      { $0.inputChannels = value }, { $0.stride0 = value }, { $0.planes = [value, value, 64, 64] },
      { $0.layers = [value, 1, 1, value] },
      {
        $0.groups = value
        $0.widthPerGroup = value
      },
    ]
    for change in changes {
      _ = reason(change)
      var configuration = ResNet.Configuration(block: .bottleneck, layers: [1, 1, 1, 1])
      change(&configuration)
      _ = configuration.depth
      _ = configuration.width(planes: value)
    }
  }
}
