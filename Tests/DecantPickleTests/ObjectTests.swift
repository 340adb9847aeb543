import DecantPickle
import Testing

struct ObjectTests {
  @Test(
    arguments: [
      ("cos\nsystem\n.", "<os.system>"), ("c\u{C3}\u{A9}\nx y\n.", "<é.x y>"),
      ("\u{8C}\u{2}os\u{8C}\u{6}system\u{93}.", "<os.system>"), ("U\u{2}osU\u{1}x\u{93}.", "<os.x>"),
      ("NK\u{1}\u{93}.", "<computedGlobal None, (None, 1)>"),
      ("cf\ng\n)RX\u{1}\u{0}\u{0}\u{0}a\u{93}.", "<computedGlobal None, (<reduce <f.g>, ()>, 'a')>"),
      ("cf\ng\n(K\u{1}tR.", "<reduce <f.g>, (1)>"), ("NNR.", "<reduce None, None>"),
      ("cf\ng\n)\u{81}.", "<newObject <f.g>, ()>"),
      ("cf\ng\n)}\u{92}.", "<newObjectWithKeywords <f.g>, () keywords {}>"),
      ("(K\u{1}if\ng\n.", "<instance <f.g>, (1)>"), ("(cf\ng\nK\u{1}o.", "<instance <f.g>, (1)>"),
      ("(cf\ng\no.", "<instance <f.g>, ()>"),
      ("cf\ng\n)R}bNb.", "<reduce <f.g>, () states {}, None>"),
      ("Pid 1\n.", "<id 'id 1'>"), ("(NK\u{1}tQ.", "<id (None, 1)>"),
      ("\u{82}\u{1}.", "<extension 1>"), ("\u{83}\u{0}\u{1}.", "<extension 256>"),
      ("\u{84}\u{FF}\u{FF}\u{FF}\u{7F}.", "<extension 2147483647>"),
      ("\u{97}\u{97}\u{86}.", "(<buffer 0>, <buffer 1>)"), ("\u{97}\u{98}.", "<buffer 0 read-only>"),
      // The memo keeps the writable buffer.
      ("(\u{97}\u{94}\u{98}h\u{0}t.", "(<buffer 0 read-only>, <buffer 0>)"), ("C\u{1}a\u{98}.", "b'61'"),
    ] as [(Stream, String)])
  func record(_ stream: Stream, _ expected: String) throws {
    #expect(try stream.result() == expected)
  }

  @Test(
    arguments: [
      ("c\nx\n.", "its module or its name is empty"),
      ("cx\n\n.", "its module or its name is empty"),
      ("cx\n", "its argument does not end with a newline"),
      ("c\u{FF}\nx\n.", "its module or its name is not UTF-8"),
      ("(i\u{C3}\u{A9}\nx\n.", "its module or its name is not ASCII"),
      ("if\ng\n.", "no MARK is on the stack"),
      ("(o.", "the MARK is not followed by a class"), ("o.", "no MARK is on the stack"),
      ("NR.", "the stack holds too few values"), ("N(N\u{81}.", "a MARK is found where a value is needed"),
      ("NN\u{92}.", "the stack holds too few values"), ("Nb.", "the stack holds too few values"),
      ("N\u{93}.", "the stack holds too few values"), ("Q.", "the stack holds too few values"),
      ("P\u{E9}\n.", "its persistent id is not ASCII"),
      ("\u{82}\u{0}.", "the extension code, 0, is not positive"),
      ("\u{84}\u{FB}\u{FF}\u{FF}\u{FF}.", "the extension code, -5, is not positive"),
      ("K\u{1}\u{98}.", "an integer is not a buffer"), ("]\u{98}.", "a list is not a buffer"),
      ("\u{98}.", "the stack holds too few values"),
    ] as [(Stream, String)])
  func refused(_ stream: Stream, _ reason: String) {
    let text = refusal(stream)
    #expect(text.hasSuffix(": " + reason), "\(text)")
  }

  @Test func recordsKnowTheirPlace() throws {
    let graph = try Stream("\u{80}\u{2}cf\ng\n)R.").interpret()
    #expect(graph.object(graph.root)?.offset == 8)
  }

  @Test func buildsOnWhatIsNoObjectAreKeptBeside() throws {
    let graph = try Stream("cf\ng\n}b.").interpret()
    #expect(describe(graph.root, in: graph) == "<f.g>")
    #expect(graph.irregularBuilds.count == 1)
    #expect(graph.irregularBuilds.first?.offset == 6)
    #expect(graph.irregularBuilds.first.map { describe($0.state, in: graph) } == "{}")
  }

  @Test func namesThatRepeatShareANode() throws {
    let graph = try Stream("(cf\ng\ncf\ng\ncf\nh\nt.").interpret()
    let names = graph.tuple(graph.root) ?? []
    #expect(names.count == 3 && names[0] == names[1] && names[1] != names[2])
    #expect(names.compactMap { graph.global($0)?.name } == ["g", "g", "h"])
  }

  @Test func whatPrecedesAnErrorCanBeHad() {
    let bytes = Stream("cos\nsystem\nU\u{2}id\u{85}R\u{FF}").bytes
    let (graph, error) = PickleMachine.interpretAsFarAsPossible(bytes.span.bytes)
    #expect(error?.offset == 17)
    #expect(error?.opcode == nil)
    #expect(graph.byteCount == 17)
    #expect(graph.root == .none)
    #expect(graph.nodes.count == 4)
    if case .object(let object) = graph.nodes.last {
      #expect(graph.global(object.callable)?.qualifiedName == "os.system")
    } else {
      Issue.record("the call is missing")
    }
  }
}
