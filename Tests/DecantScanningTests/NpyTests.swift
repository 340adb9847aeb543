import DecantScanning
import TestSupport
import Testing

/// `.npy` headers in every notation that NumPy evaluates, and data after an array.
@Suite struct NpyTests {
  private static let call = Stream.call.bytes

  private func verdict(_ bytes: [UInt8]) -> ScanVerdict {
    CheckpointScanner().scan(bytes, named: "file.npy").verdict
  }

  private func array(_ descr: String, _ data: [UInt8], shape: String = "(2,)") -> [UInt8] {
    npy("{'descr': \(descr), 'fortran_order': False, 'shape': \(shape), }\n", data)
  }

  /// `numpy.dtype` makes types that contain objects of all of these.
  @Test(arguments: [
    "'|O'", "'O'", "'O8'", "'object'", "u'object'", "r'O'", "'obj' u'ect'", "'obj' 'ect'", "'\\x4f'",
    "'\\117'",
    "'''O'''", "('O')", "'f4,\tO'", "'f4,\u{b}O'", "'f4, \u{c}O'", "'f4,(2,)O'", "'T'", "'object_'",
    "[('a', '<f4'), ('b', '|O')]", "[('a', [('b', 'O')])]", "('O', (2,))", "[('a', 'O', (2, 3))]",
    "[(('title', 'name'), 'O')]",
  ])
  func typesOfObjects(_ descr: String) {
    #expect(verdict(array(descr, Self.call)) == .dangerous)
    #expect(verdict(array(descr, Stream.clean.bytes)) != .dangerous)
  }

  /// Types whose data a scanner cannot measure without `numpy.dtype`.
  @Test(arguments: [
    "'float'", "'f4,f8'", "u'<f4'", "'<f' '4'", "('S', 3)", "'<f4' # '\n", "'<μ4'", "{'a': 1}",
  ])
  func otherSpellingsAreNeverClean(_ descr: String) {
    #expect(verdict(array(descr, [UInt8](repeating: 0, count: 8))) == .unknown)
  }

  @Test(arguments: [
    ("'<f4'", 8), ("'>f8'", 16), ("'|b1'", 2), ("'<c16'", 32), ("'<f16'", 32), ("'|S3'", 6), ("'<U3'", 24),
    ("'|V5'", 10), ("'<M8[ns]'", 16), ("'<m8[25s]'", 16), ("[('a', '<f4'), ('', '|V4')]", 16),
    ("[('a', '<f4', (2, 3)), (('t', 'n'), [('x', 'i1')])]", 50), ("('<f4', (3,))", 24),
  ])
  func typesOfNumbers(_ descr: String, _ count: Int) {
    let data = [UInt8](repeating: 0x80, count: count)
    #expect(verdict(array(descr, data)) == .clean)
    #expect(verdict(array(descr, data.dropLast())) == .unknown)
    #expect(verdict(array(descr, data + [1])) == .dangerous)
  }

  @Test(arguments: ["(-1,)", "(4294967296, 4294967296)", "[2]", "(2.0,)", "2", "(1e3,)"])
  func shapesThatAreNone(_ shape: String) {
    #expect(verdict(array("'<f4'", [UInt8](repeating: 0, count: 8), shape: shape)) == .unknown)
  }

  /// `numpy.load` called again on the same open file reads the next array or pickle.
  @Test func whatFollowsAnArray() {
    let numbers = array("'<f4'", [UInt8](repeating: 0, count: 8))
    let objects = array("'|O'", Stream.clean.bytes)
    let evil = array("'|O'", Self.call)
    #expect(verdict(numbers + numbers) == .unknown)
    #expect(verdict(objects + numbers + objects) == .unknown)
    #expect(verdict(numbers + Stream.clean.bytes) == .unknown)
    #expect(verdict(numbers + [0, 0]) == .unknown)
    #expect(verdict(numbers + evil) == .dangerous)
    #expect(verdict(objects + numbers + evil) == .dangerous)
    #expect(verdict(numbers + Self.call) == .dangerous)
    #expect(verdict(objects + Self.call) == .dangerous)
    #expect(verdict(numbers + Array("hello".utf8)) == .dangerous)
    #expect(verdict(numbers + zip(("a.npy", evil))) == .dangerous)
  }

  @Test func manyArrays() {
    let numbers = array("'<f4'", [UInt8](repeating: 0, count: 8))
    let scan = CheckpointScanner().scan(
      Array([[UInt8]](repeating: numbers, count: 1_001).joined()), named: "x")
    #expect(scan.findings.map(\.rule) == [.secondStream, .limit])
  }

  /// A header as long as `allow_pickle=True` permits.
  @Test func longHeaders() {
    let spaces = String(repeating: " ", count: 60_000)
    let long = "{'descr': '|O', 'fortran_order': False, 'shape': (1,)\(spaces)}"
    #expect(verdict(npy(long, Self.call)) == .dangerous)
    let fields = (0..<5_000).map { "('f\($0)','<f4')" }.joined(separator: ",")
    let header = Array("{'descr': [\(fields)], 'fortran_order': False, 'shape': (0,), }\n".utf8)
    let file = [0x93] + Array("NUMPY".utf8) + [2, 0] + ZipBuilder.little(UInt32(header.count)) + header
    #expect(verdict(file) == .unknown)
  }
}
