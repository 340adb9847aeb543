import DecantBytes
import DecantPickle
import Testing

/// Tests that the machine and the disassembler return or throw for any bytes. A trap would end the test
/// process.
struct MutationTests {
  @Test(arguments: 0..<8)
  func survivesMutation(_ seed: Int) throws {
    var generator = SeededGenerator(seed: UInt64(seed))
    let originals = try Fixtures.names.map { try Fixtures.stream($0).bytes }.filter { $0.count < 4_000 }
    try #require(!originals.isEmpty)
    var limits = Limits()
    limits.pickleValues = 100_000
    let opcodes = PickleOpcode.allCases
    for _ in 0..<2_500 {
      var bytes = originals.randomElement(using: &generator) ?? []
      for _ in 0..<Int.random(in: 1...6, using: &generator) {
        let place = Int.random(in: 0...bytes.count, using: &generator)
        let opcode = opcodes.randomElement(using: &generator)?.rawValue ?? 0
        switch Int.random(in: 0..<6, using: &generator) {
        case 0 where place < bytes.count: bytes[place] = UInt8.random(in: 0...255, using: &generator)
        case 1 where place < bytes.count: bytes[place] = opcode
        case 2: bytes.insert(opcode, at: place)
        case 3: bytes.removeSubrange(place..<min(bytes.count, place + 3))
        case 4: bytes.removeSubrange(place...)
        default:
          let other = originals.randomElement(using: &generator) ?? []
          bytes.insert(contentsOf: other.prefix(Int.random(in: 0...20, using: &generator)), at: place)
        }
      }
      let stream = Stream(bytes)
      let (graph, error) = PickleMachine.interpretAsFarAsPossible(bytes.span.bytes, limits: limits)
      #expect(graph.byteCount <= bytes.count)
      #expect((error?.offset ?? 0) <= bytes.count)
      #expect(!stream.disassembly(limits: limits).isEmpty)
    }
  }

  @Test func survivesEveryTruncation() throws {
    for name in ["cpython-containers-protocol0", "cpython-containers-protocol5", "hand-tensor"] {
      let bytes = try Fixtures.stream(name).bytes
      for length in 0..<bytes.count {
        #expect {
          try Stream(Array(bytes[..<length])).interpret()
        } throws: {
          let error = $0 as? PickleError
          return error?.cause == .truncated && error.map { DecantError($0, file: "a.pkl").code } == .truncated
        }
        #expect(Stream(Array(bytes[..<length])).disassembly().last?.hasPrefix("!! ") == true)
      }
    }
  }
}
