import DecantBytes
import Testing

@Suite struct ByteCursorTests {
  @Test func readsIntegersInBothOrders() throws {
    let bytes: [UInt8] = [1, 2, 3, 4, 5, 6, 7, 8, 9]
    var cursor = ByteCursor(bytes.span.bytes)
    #expect(try cursor.readLittleEndian(UInt16.self) == 0x0201)
    #expect(try cursor.readBigEndian(UInt32.self) == 0x0304_0506)
    #expect(cursor.peek == 7)
    #expect(try cursor.readBytes(2) == [7, 8])
    #expect(throws: ParsingError(offset: 8, cause: .truncated, "2 bytes are needed, but 1 are left")) {
      var cursor = ByteCursor(bytes.span.bytes, at: 8)
      return try cursor.readLittleEndian(UInt16.self)
    }
  }

  @Test func readsLines() throws {
    let bytes = Array("ab\n\nc".utf8)
    var cursor = ByteCursor(bytes.span.bytes)
    #expect(try cursor.readLine() == Array("ab".utf8))
    #expect(try cursor.readLine() == [])
    var failed = false
    do { _ = try cursor.readLine() } catch { failed = true }
    #expect(failed)
    #expect(cursor.offset == 4)
  }

  @Test(arguments: [-1, 6, Int.max, Int.min])
  func staysInside(_ target: Int) {
    let bytes: [UInt8] = [0, 0, 0, 0, 0]
    #expect(throws: ParsingError.self) {
      var cursor = ByteCursor(bytes.span.bytes)
      try cursor.seek(to: target)
    }
    #expect(throws: ParsingError.self) {
      var cursor = ByteCursor(bytes.span.bytes)
      try cursor.skip(target)
    }
  }

  @Test func multipliesSizesWithoutWrapping() {
    #expect(checkedProduct([2, 3, 4]) == 24)
    #expect(checkedProduct([Int]()) == 1)
    #expect(checkedProduct([Int.max, 0, Int.max]) == 0)
    #expect(checkedProduct([Int.max, 2]) == nil)
    #expect(checkedProduct([-1, 0]) == nil)
    #expect(Int.max.checkedAdding(1) == nil)
    #expect(Int.min.checkedMultiplying(by: -1) == nil)
  }
}
