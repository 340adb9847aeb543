import DecantPickle
import Testing

struct OpcodeTests {
  @Test func areSixtyEight() {
    #expect(PickleOpcode.allCases.count == 68)
    #expect(Set(PickleOpcode.allCases.map(\.name)).count == 68)
  }

  /// The number of opcodes that each protocol introduced, counted in CPython's `pickletools.opcodes`.
  @Test(arguments: [(0, 22), (1, 19), (2, 12), (3, 2), (4, 10), (5, 3)])
  func perProtocol(_ version: Int, _ count: Int) {
    #expect(PickleOpcode.allCases.filter { $0.protocolVersion == version }.count == count)
  }

  @Test func errorsNamePlaceOpcodeAndReason() {
    #expect(refusal("Nt.") == "at byte 1 of the pickle, TUPLE: no MARK is on the stack")
    #expect(refusal("N") == "at byte 1 of the pickle: the stream ends before STOP")
    #expect(refusal("\u{7}") == "at byte 0 of the pickle: 0x07 is not an opcode")
  }
}
