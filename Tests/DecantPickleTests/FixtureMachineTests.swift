import DecantPickle
import Testing

/// Tests of the machine on all fixtures. A fixture's prefix gives CPython's behaviour: `cpython-`, `hand-`
/// and `lenient-` are read, `wrong-` disassemble but do not unpickle, `malformed-` do neither.
struct FixtureMachineTests {
  /// Fixtures that the machine reads although `_pickle.c` or `pickletools` refuses them.
  private static let readAnyway: Set<String> = [
    // A Python 2 str may contain any byte. Only pickletools requires ASCII.
    "malformed-string-not-ascii",
    // A notation that pickle.py reads and _pickle.c does not.
    "wrong-float-spelling",
    // Requests that would fail when executed. They are recorded for audits and never executed.
    "wrong-build-on-list", "wrong-newobj-of-text", "wrong-reduce-of-int", "wrong-reduce-without-tuple",
    "wrong-stack-global-of-int",
    // Keys are never hashed.
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
