import DecantBytes
import DecantPickle
import Testing

/// The machine's audit, which executes what any unpickler does, beside its reading of weights.
@Suite struct AuditTests {
  private static func bytes(_ text: String) -> [UInt8] { text.unicodeScalars.map { UInt8($0.value) } }

  /// Streams that reading refuses and an audit follows to their STOP.
  @Test(arguments: [
    "I5L\nN.", "L0755L\nN.", "Np-1\n0g-1\n0N.", "Npkey\n0gkey\n0N.", "NN(\u{85}0N.",
    "(NNNd0N.", "}(NNNu0N.", "S'a' \nN.", "\u{80}MN.", "\u{95}\u{9}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}N.",
    "\u{96}\u{1}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}aK\u{1}a0N.", "]cm\nslice\n]s0N.",
  ])
  func goesOn(_ text: String) throws {
    let bytes = Self.bytes(text)
    #expect(throws: PickleError.self) { try PickleMachine.interpret(bytes.span.bytes) }
    let (graph, error) = PickleMachine.audit(bytes.span.bytes)
    #expect(error == nil && graph.byteCount == bytes.count && graph.root == .none)
    #expect(graph.refusal != nil || !graph.irregularAdditions.isEmpty)
  }

  /// Each reading of a text of five bytes that begins with two bytes in a frame.
  @Test func framesHaveThreeReadings() throws {
    let bytes = Self.bytes(
      "\u{80}\u{4}\u{95}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}U\u{5}AABBBK\u{1}.K\u{2}.")
    let content = Self.bytes(
      "\u{80}\u{4}\u{95}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}C\u{5}AABBBK\u{1}.K\u{2}.")
    // The text when the rest of the frame is dropped. Reading straight on, the result is the number 1.
    let text = Self.bytes("BBBK\u{1}")
    func root(_ bytes: [UInt8], _ frames: PickleFrameReading) -> [UInt8]? {
      let graph = PickleMachine.audit(bytes.span.bytes, frames: frames).graph
      return graph.bytes(graph.root)
    }
    #expect(PickleFrameReading.allCases.map { root(bytes, $0) } == [nil, text, text])
    #expect(PickleFrameReading.allCases.map { root(content, $0) } == [nil, nil, text])
    let crossing = try #require(PickleMachine.audit(bytes.span.bytes).graph.frameCrossing)
    #expect(crossing.kind == .argument && crossing.opcode == .shortBinString)
    #expect(crossing.offset == 11 && crossing.frameEnd == 15)
  }
}
