import DecantBytes
import Testing

/// Tests that no input makes the cursor read out of bounds.
struct ByteCursorBoundsTests {
  @Test func readsInOrder() throws {
    let bytes: [UInt8] = [1, 0x34, 0x12, 0x12, 0x34, 9, 8, 7, 0x61, 0x0A, 0x62]
    var cursor = ByteCursor(bytes.span.bytes)
    // A cursor cannot be captured by the closures of #expect, so its results are.
    let (byte, little, big) = (
      try cursor.readByte(), try cursor.readLittleEndian(UInt16.self), try cursor.readBigEndian(UInt16.self)
    )
    #expect(byte == 1 && little == 0x1234 && big == 0x1234)
    let (pair, next) = (try cursor.readBytes(2), cursor.peek)
    #expect(pair == [9, 8] && next == 7)
    try cursor.skip(1)
    let (line, remaining) = (try cursor.readLine(), cursor.remaining)
    #expect(line == [0x61] && remaining == 1)
    try cursor.seek(to: 11)
    let (isAtEnd, last) = (cursor.isAtEnd, cursor.peek)
    #expect(isAtEnd && last == nil)
  }

  @Test func neverLeavesItsBytes() {
    let bytes: [UInt8] = [1, 2, 3]
    var cursor = ByteCursor(bytes.span.bytes, at: 1)
    do throws(ParsingError) {
      _ = try cursor.readLittleEndian(UInt32.self)
      Issue.record("read beyond the end")
    } catch {
      #expect(error == ParsingError(offset: 1, cause: .truncated, "4 bytes are needed, but 2 are left"))
    }
    for count in [-1, 3, Int.max, Int.min] {
      do throws(ParsingError) {
        _ = try cursor.readBytes(count)
        Issue.record("read \(count) bytes")
      } catch {
        #expect(error.offset == 1)
      }
      do throws(ParsingError) {
        try cursor.skip(count)
        Issue.record("skipped \(count) bytes")
      } catch {
        #expect(error.offset == 1)
      }
    }
    for target in [-1, 4, Int.max, Int.min] {
      do throws(ParsingError) {
        try cursor.seek(to: target)
        Issue.record("moved to \(target)")
      } catch {
        #expect(error.cause == .truncated)
      }
    }
    do throws(ParsingError) {
      _ = try cursor.readLine()
      Issue.record("found a newline")
    } catch {
      #expect(error.cause == .truncated && DecantError(error).code == .truncated)
    }
    let offset = cursor.offset
    #expect(offset == 1)
  }

  @Test func emptyBytes() {
    let bytes: [UInt8] = []
    var cursor = ByteCursor(bytes.span.bytes, at: 5)
    let (isAtEnd, offset) = (cursor.isAtEnd, cursor.offset)
    #expect(isAtEnd && offset == 0)
    let (none, byte) = (try? cursor.readBytes(0), try? cursor.readByte())
    #expect(none == [] && byte == nil)
  }
}

struct CheckedArithmeticTests {
  @Test(
    arguments: [
      ([], 1), ([3, 4], 12), ([0, Int.max, Int.max], 0), ([Int.max, 0, 2], 0), ([Int.max, 2], nil),
      ([-1, 2], nil), ([0, -1], nil), ([Int.max, 1], Int.max),
    ] as [([Int], Int?)])
  func product(_ sizes: [Int], _ expected: Int?) {
    #expect(checkedProduct(sizes) == expected)
  }

  @Test func sumsAndProducts() {
    #expect(Int.max.checkedAdding(1) == nil)
    #expect(Int.max.checkedAdding(-1) == Int.max - 1)
    #expect(Int.min.checkedMultiplying(by: -1) == nil)
    #expect(UInt8(16).checkedMultiplying(by: 15) == 240)
  }
}
