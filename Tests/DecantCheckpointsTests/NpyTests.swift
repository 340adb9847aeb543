import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
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

  @Test(
    arguments: [
      (
        "{'descr': '|O', 'fortran_order': False, 'shape': (1,), }",
        .unsupportedFormat
      ),
      (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }",
        .truncated
      ),
      (
        "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }",
        .damaged
      ),
      (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (9223372036854775807, 8), }",
        .damaged
      ),
      (
        "{'descr': '<f4', 'shape': (1,), }",
        .damaged
      ),
      (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,), }",
        .damaged
      ),
      (
        "{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        .damaged
      ),
      (
        "{'descr': '<U9223372036854775807', 'fortran_order': False, 'shape': (2,), }",
        .unsupportedFormat
      ),
      (
        "{'descr': '<f4', 'descr': '<f4', 'fortran_order': False, 'shape': (1,), }",
        .damaged
      ),
      (
        String(repeating: "[", count: 9000), .damaged
      ),
    ] as [(String, DecantError.Code)])
  func refuses(_ header: String, _ code: DecantError.Code) throws {
    let path = try folder.write("f.npy", npy(header, [0, 0, 0, 0]))
    do throws(DecantError) {
      _ = try NpyArray.read(path: path)
      Issue.record("accepted")
    } catch { #expect(error.code == code && error.location.file == path) }
  }

  @Test func writesWhatItReads() throws {
    try NpyArray.write([1.5, -2] as [Double], shape: [2, 1], to: folder.path("w.npy"))
    let tensor = try NpyArray.read(path: folder.path("w.npy"))
    #expect(tensor.shape == [2, 1] && tensor.dtype == .float64)
    #expect(try tensor.elements(as: Double.self) == [1.5, -2])
  }
}
