import DecantPickle
import Testing

/// The names of the fixtures say what CPython does with them: `cpython-`, `hand-` and `lenient-` are read,
/// `wrong-` disassemble but do not unpickle, `malformed-` do neither.
struct FixtureMachineTests {
  /// What the machine reads though `_pickle.c` or `pickletools` refuses it.
  private static let readAnyway: Set<String> = [
    // A str of Python 2 may hold any byte; only pickletools wants ASCII.
    "malformed-string-not-ascii",
    // Spellings that pickle.py reads and _pickle.c does not.
    "wrong-float-spelling",
    // Requests that would fail when done. They are recorded, never done: an audit wants to see them.
    "wrong-build-on-list", "wrong-newobj-of-text", "wrong-reduce-of-int", "wrong-reduce-without-tuple",
    "wrong-stack-global-of-int",
    // Nothing is hashed.
    "wrong-unhashable-key",
  ]

  @Test(arguments: Fixtures.names)
  func machineAgrees(_ name: String) throws {
    let stream = try Fixtures.stream(name)
    if name.hasPrefix("malformed-") || name.hasPrefix("wrong-"), !Self.readAnyway.contains(name) {
      #expect(throws: PickleError.self) { try stream.interpret() }
    } else {
      let graph = try stream.interpret()
      #expect(graph.byteCount <= stream.bytes.count)
      #expect(stream.bytes[graph.byteCount - 1] == PickleOpcode.stop.rawValue)
    }
  }

  @Test func tensorOfAStateDict() throws {
    #expect(
      try Fixtures.stream("hand-tensor").result()
        == "{'weight': <reduce <torch._utils._rebuild_tensor_v2>, "
        + "(<id ('storage', <torch.FloatStorage>, '0', 'cpu', 6)>, 0, (2, 3), (3, 1), False, "
        + "<reduce <collections.OrderedDict>, ()>)>}")
  }
}
