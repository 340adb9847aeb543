import ByteParsing
import Checkpoints
import Tensors
import TestSupport
import Testing

@Suite struct NpyTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  private func npy(_ header: String, _ data: [UInt8]) -> [UInt8] {
    let text = Array(header.utf8) + [0x0A]
    return [0x93] + Array("NUMPY".utf8) + [1, 0] + ZipBuilder.little(UInt16(text.count)) + text + data
  }

  @Test func readsBothOrdersAndByteOrders() throws {
    let rows = try folder.write(
      "r.npy", npy("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }", [1, 2, 3, 4, 5, 6]))
    #expect(try NpyArray.read(path: rows).elements(as: Float.self) == [1, 2, 3, 4, 5, 6])
    let columns = try folder.write(
      "c.npy", npy("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }", [1, 2, 3, 4, 5, 6]))
    #expect(try NpyArray.read(path: columns).elements(as: Float.self) == [1, 3, 5, 2, 4, 6])
    let big = try folder.write(
      "b.npy", npy("{'descr': '>i2', 'fortran_order': False, 'shape': (1,), }", [1, 2]))
    #expect(try NpyArray.read(path: big).elements(as: Float.self) == [258])
  }

  @Test(arguments: [
    (
      "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
      "holds elements of type |O, not plain numbers"
    ),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
      "is cut short: it has 72 of the 80 bytes that its header announces"
    ),
    (
      "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }",
      "1 bytes follow the 3 that shape [3] needs"
    ),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8), }",
      "has a shape that no memory holds"
    ),
    (
      "{'descr': '<f4', 'shape': (1,), }",
      "has a header that describes no array: its keys are 'descr', 'shape', not 'descr', 'fortran_order' and 'shape'"
    ),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
      "has a header that describes no array: its shape holds a negative size"
    ),
    (
      "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
      "has a header that describes no array: its shape holds a size of more than 63 bits"
    ),
    (
      "{'descr': '<U9223372036854775807', 'fortran_order': False, 'shape': (2,), }",
      "holds elements of type <U9223372036854775807, not plain numbers"
    ),
    (
      "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
      "has a header that describes no array: the key 'descr' stands twice"
    ),
    (
      String(repeating: "[", count: 9000), "has a header that describes no array: it nests too deep"
    ),
  ])
  func refuses(_ header: String, _ reason: String) throws {
    let path = try folder.write("f.npy", npy(header, [0, 0, 0, 0]))
    do throws(DecantError) {
      _ = try NpyArray.read(path: path)
      Issue.record("accepted")
    } catch { #expect(error.reason.hasPrefix(reason)) }
  }

  @Test func writesWhatItReads() throws {
    try NpyArray.write([1.5, -2] as [Double], shape: [2, 1], to: folder.path("w.npy"))
    let tensor = try NpyArray.read(path: folder.path("w.npy"))
    #expect(tensor.shape == [2, 1] && tensor.dtype == .float64)
    #expect(try tensor.elements(as: Double.self) == [1.5, -2])
  }
}
