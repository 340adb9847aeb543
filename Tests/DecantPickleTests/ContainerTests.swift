import DecantPickle
import Testing

struct ContainerTests {
  @Test(
    arguments: [
      (").", "()"), ("K\u{1}\u{85}.", "(1)"), ("K\u{1}K\u{2}\u{86}.", "(1, 2)"),
      ("K\u{1}K\u{2}K\u{3}\u{87}.", "(1, 2, 3)"), ("(t.", "()"), ("(NNNNt.", "(None, None, None, None)"),
      ("].", "[]"), ("(NK\u{1}l.", "[None, 1]"), ("]K\u{1}aK\u{2}a.", "[1, 2]"),
      ("](K\u{1}K\u{2}e.", "[1, 2]"),
      ("}.", "{}"), ("(K\u{1}NK\u{2}Nd.", "{1: None, 2: None}"), ("}K\u{1}Ns.", "{1: None}"),
      ("}(K\u{2}NK\u{1}NK\u{2}\u{88}u.", "{2: None, 1: None, 2: True}"),
      ("\u{8F}(K\u{2}K\u{1}\u{90}.", "set(2, 1)"), ("(K\u{2}K\u{1}\u{91}.", "frozenset(2, 1)"),
      // With nothing to add, the kind of the target does not matter.
      ("N(e.", "None"), ("N(u.", "None"), ("N(\u{90}.", "None"),
      // Nested marks.
      ("((K\u{1}t(K\u{2}lt.", "((1), [2])"),
      // CPython sets items of a list by index.
      ("](K\u{1}K\u{2}eK\u{0}Ns.", "[None, 2]"), ("](K\u{1}K\u{2}eJ\u{FF}\u{FF}\u{FF}\u{FF}Ns.", "[1, None]"),
      ("](K\u{1}K\u{2}e(K\u{1}NK\u{0}\u{88}u.", "[True, None]"),
    ] as [(Stream, String)])
  func container(_ stream: Stream, _ expected: String) throws {
    #expect(try stream.result() == expected)
  }

  /// One opcode for each value, as protocol 0 writes them. A list that is copied for each value would take
  /// hours.
  @Test(
    .timeLimit(.minutes(1)),
    arguments: [("]", "Na"), ("}", "K\u{0}Ns"), ("cm\nC\n)R", "K\u{0}Ns"), ("cm\nC\n)R", "Na")]
      as [(Stream, Stream)])
  func singleValuesTakeLinearTime(_ target: Stream, _ opcodes: Stream) throws {
    let count = 700_000
    let stream = target + Stream([[UInt8]](repeating: opcodes.bytes, count: count).flatMap(\.self)) + "."
    let graph = try stream.interpret()
    switch graph.node(graph.root) {
    case .list(let values): #expect(values.count == count)
    case .dictionary(let pairs): #expect(pairs.count == count)
    case .object(let object): #expect(object.pairs.count + object.items.count == count)
    default: Issue.record("no container")
    }
  }

  @Test(.timeLimit(.minutes(1)))
  func settingItemsOfAListTakesLinearTime() throws {
    let changes = [[UInt8]](repeating: Array("K\u{0}Ns".utf8), count: 700_000).flatMap(\.self)
    let stream: Stream = "](" + Stream([UInt8](repeating: 0x4E, count: 300_000)) + "e" + Stream(changes) + "."
    let graph = try stream.interpret()
    #expect(graph.list(graph.root)?.count == 300_000)
  }

  @Test(
    arguments: [
      ("K\u{1}Na.", "an integer cannot be appended to"), (")Na.", "a tuple cannot be appended to"),
      ("}Na.", "a dictionary cannot be appended to"), ("\u{8F}Na.", "a set cannot be appended to"),
      ("N(Ne.", "None cannot be appended to"), ("C\u{0}Na.", "a bytes object cannot be appended to"),
      (")NNs.", "a tuple does not accept items by key"),
      ("\u{88}(NNu.", "a bool does not accept items by key"),
      ("\u{8F}NNs.", "a set does not accept items by key"),
      ("]NNs.", "None is not a list index"), ("]K\u{0}Ns.", "index 0 is outside a list of 0"),
      ("](NeJ\u{FE}\u{FF}\u{FF}\u{FF}Ns.", "index -1 is outside a list of 1"),
      ("](N\u{90}.", "a list is not a set"), ("(\u{91}(N\u{90}.", "a frozenset is not a set"),
      ("}(Nu.", "a key has no value"), ("(Nd.", "a key has no value"),
      ("t.", "no MARK is on the stack"), ("l.", "no MARK is on the stack"),
      ("d.", "no MARK is on the stack"), ("e.", "no MARK is on the stack"),
      ("u.", "no MARK is on the stack"), ("\u{90}.", "no MARK is on the stack"),
      ("\u{91}.", "no MARK is on the stack"), ("1.", "no MARK is on the stack"),
      ("(e.", "the stack holds too few values"), ("((Ne.", "a MARK is found where a value is needed"),
      ("\u{85}.", "the stack holds too few values"), ("N\u{86}.", "the stack holds too few values"),
      ("NN(N\u{87}.", "a MARK is found where a value is needed"),
      ("N(Na.", "a MARK is found where a value is needed"),
    ] as [(Stream, String)])
  func refused(_ stream: Stream, _ reason: String) {
    let text = refusal(stream)
    #expect(text.hasSuffix(": " + reason), "\(text)")
  }

  @Test func itemsGoToObjects() throws {
    let object: Stream = "ccollections\nOrderedDict\n)R"
    #expect(
      try (object + "K\u{1}NsK\u{1}\u{88}s.").result()
        == "<reduce <collections.OrderedDict>, () pairs 1: None, 1: True>")
    #expect(
      try (object + "(K\u{1}NK\u{2}Nu.").result()
        == "<reduce <collections.OrderedDict>, () pairs 1: None, 2: None>")
    #expect(
      try (object + "Na(\u{88}\u{89}e.").result()
        == "<reduce <collections.OrderedDict>, () items None, True, False>")
    #expect(
      try (object + "(N\u{88}\u{90}.").result() == "<reduce <collections.OrderedDict>, () items None, True>")
  }

  @Test func itemsOfWhatOnlyAnImportKnowsAreKeptBeside() throws {
    let graph = try Stream("cos\nenviron\nU\u{1}aU\u{1}bsNa.").interpret()
    #expect(describe(graph.root, in: graph) == "<os.environ>")
    let fills = graph.irregularAdditions.map { fill in
      fill.pairs.map { describe($0.key, in: graph) } + fill.items.map { describe($0, in: graph) }
    }
    #expect(fills == [["s'61'"], ["None"]])
    #expect(graph.irregularAdditions.map(\.offset) == [18, 20])
  }

  @Test func sharedAndRecursiveReferencesAreKept() throws {
    let shared = try Stream("(]q\u{0}h\u{0}t.").interpret()
    guard let elements = shared.tuple(shared.root) else {
      Issue.record("no tuple")
      return
    }
    #expect(elements.count == 2 && elements[0] == elements[1])
    let recursive = try Stream("]q\u{0}h\u{0}a.").interpret()
    #expect(recursive.list(recursive.root) == [recursive.root])
    // A tuple that contains itself through a list, as CPython writes it: POP removes the unfinished tuple,
    // GET fetches the finished one.
    let tuple = try Stream("]q\u{0}(h\u{0}tq\u{1}0h\u{0}h\u{1}a0h\u{1}.").interpret()
    let inner = tuple.tuple(tuple.root)?.first
    #expect(inner.flatMap { tuple.list($0) } == [tuple.root])
  }

  @Test func deepNestingNeitherRecursesNorOverflows() throws {
    let depth = 1_000_000
    var bytes = [UInt8](repeating: UInt8(ascii: "("), count: depth)
    bytes += [UInt8](repeating: UInt8(ascii: "t"), count: depth)
    let graph = try Stream(bytes + [0x2E]).interpret()
    #expect(graph.nodes.count == depth)
    let lists =
      [UInt8](repeating: UInt8(ascii: "]"), count: depth)
      + [UInt8](repeating: UInt8(ascii: "a"), count: depth - 1)
    #expect(try Stream(lists + [0x2E]).interpret().nodes.count == depth)
  }
}
