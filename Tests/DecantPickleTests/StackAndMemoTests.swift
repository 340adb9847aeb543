import DecantBytes
import DecantPickle
import Testing

struct StackAndMemoTests {
  @Test(
    arguments: [
      ("NK\u{1}0.", "None"), ("N(0.", "None"), ("N(K\u{1}K\u{2}1.", "None"), ("K\u{1}2\u{86}.", "(1, 1)"),
      ("N(K\u{1}00.", "None"),
      ("K\u{7}q\u{5}0h\u{5}.", "7"), ("K\u{7}p5\n0g5\n.", "7"),
      ("K\u{7}r\u{0}\u{0}\u{0}\u{1}0j\u{0}\u{0}\u{0}\u{1}.", "7"), ("K\u{7}p 01 \n0g1\n.", "7"),
      // Overwritten entries.
      ("K\u{7}q\u{0}K\u{8}q\u{0}h\u{0}\u{87}.", "(7, 8, 8)"),
      // MEMOIZE uses the number of entries as its index, whatever the existing indices.
      ("K\u{7}q\u{5}K\u{8}\u{94}00h\u{1}.", "8"), ("(K\u{7}\u{94}K\u{8}\u{94}h\u{0}h\u{1}t.", "(7, 8, 7, 8)"),
      // STOP returns the topmost value and drops the values below.
      ("NK\u{1}.", "1"), ("(K\u{1}.", "1"),
      ("\u{80}\u{5}N.", "None"), ("N\u{80}\u{2}.", "None"),
      ("\u{95}\u{2}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}N.", "None"),
      ("\u{95}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}N.", "None"),
    ] as [(Stream, String)])
  func runs(_ stream: Stream, _ expected: String) throws {
    #expect(try stream.result() == expected)
  }

  @Test(
    arguments: [
      ("0.", "the stack holds too few values"), ("2.", "the stack holds too few values"),
      ("(2.", "a MARK is found where a value is needed"), (".", "the stack holds too few values"),
      ("(.", "a MARK is found where a value is needed"), ("q\u{0}.", "the stack holds too few values"),
      ("(\u{94}.", "a MARK is found where a value is needed"), ("h\u{0}.", "the memo has no value at 0"),
      ("Nq\u{0}h\u{1}.", "the memo has no value at 1"), ("g9\n.", "the memo has no value at 9"),
      ("Np-1\n.", "the memo index, -1, is negative"), ("Npx\n.", "b'x' is not a decimal number"),
      ("Np99999999999999999999\n.", "the memo index does not fit 64 bits"),
      ("\u{80}\u{6}N.", "protocol 6 is not supported; 5 is the highest"),
      ("\u{95}\u{3}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}N.", "the frame needs 3 bytes, but 2 are left"),
      (
        "\u{95}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}\u{FF}N.",
        "the frame needs 18,446,744,073,709,551,615 bytes, but 2 are left"
      ),
    ] as [(Stream, String)])
  func refused(_ stream: Stream, _ reason: String) {
    let text = refusal(stream)
    #expect(text.hasSuffix(": " + reason), "\(text)")
  }

  @Test func hugeMemoIndicesCostNothing() throws {
    #expect(try Stream("K\u{7}r\u{FF}\u{FF}\u{FF}\u{FF}0j\u{FF}\u{FF}\u{FF}\u{FF}.").result() == "7")
    #expect(try Stream("K\u{7}p9223372036854775807\n0g9223372036854775807\n.").result() == "7")
  }

  @Test func memoServesSparseAndDenseIndicesAlike() throws {
    // In descending order, so that every index is first far beyond the existing entries. They are then read
    // in ascending order.
    var bytes: [UInt8] = []
    func index(_ value: Int) -> [UInt8] { (0..<4).map { UInt8(value >> ($0 * 8) & 0xFF) } }
    let count = 3_000
    for value in (0..<count).reversed() {
      bytes += [0x4D, UInt8(value & 0xFF), UInt8(value >> 8), 0x72] + index(value) + [0x30]
    }
    bytes += [0x28]
    for value in 0..<count { bytes += [0x6A] + index(value) }
    bytes += [0x4E, 0x94, 0x6A] + index(count) + [0x74, 0x2E]
    let graph = try Stream(bytes).interpret()
    #expect(graph.tuple(graph.root) == (0..<count).map { .int(Int64($0)) } + [.none, .none])
  }

  @Test func theStreamEndsAtStop() throws {
    let graph = try Stream("\u{80}\u{3}N.junk").interpret()
    #expect(graph.byteCount == 4)
    #expect(graph.protocolVersion == 3)
  }

  @Test func causesDecideTheCode() {
    func code(_ stream: Stream, _ limits: Limits = Limits()) -> DecantError.Code? {
      do throws(PickleError) {
        _ = try stream.interpret(limits: limits)
        return nil
      } catch { return DecantError(error).code }
    }
    var limits = Limits()
    limits.pickleStack = 2
    #expect(code("NNN.", limits) == .limitExceeded)
    #expect(code("NN") == .truncated)
    #expect(code("\u{80}\u{6}N.") == .unsupportedFormat)
    #expect(code("0.") == .damaged)
  }

  @Test func limitsAreNamed() {
    var limits = Limits()
    limits.pickleStack = 2
    #expect(
      refusal("NNN.", limits: limits)
        == "at byte 2 of the pickle, NONE: at least 3 values are on the stack, more than the limit pickleStack allows (2)"
    )
    #expect(
      refusal("(((", limits: limits)
        == "at byte 2 of the pickle, MARK: at least 3 MARKs are open, more than the limit pickleStack allows (2)"
    )
    limits = Limits()
    limits.pickleValues = 2
    #expect(
      refusal("N0N0N.", limits: limits)
        == "at byte 4 of the pickle, NONE: at least 3 values are made, more than the limit pickleValues allows (2)"
    )
    limits = Limits()
    limits.pickleMemo = 2
    #expect(
      refusal("N\u{94}\u{94}\u{94}.", limits: limits)
        == "at byte 3 of the pickle, MEMOIZE: at least 3 values are memoised, more than the limit pickleMemo allows (2)"
    )
    limits = Limits()
    limits.longBytes = 2
    #expect(
      refusal("\u{8A}\u{3}abc.", limits: limits)
        == "at byte 0 of the pickle, LONG1: the integer has 3 bytes, more than the limit longBytes allows (2)"
    )
    #expect(
      refusal("I0x1\n.", limits: limits)
        == "at byte 0 of the pickle, INT: the integer has 3 bytes, more than the limit longBytes allows (2)")
    limits = Limits()
    limits.pickleStack = 1
    #expect(
      Stream("NN.").disassembly(limits: limits).last
        == "!! at least 2 values are on the stack, more than the limit pickleStack allows (1)")
  }
}
