import DecantBytes
import DecantImages
import TestSupport
import Testing

/// Tests that truncated, deceptive and oversized files give an error with the reason.
@Suite struct HostilePictureTests {
  private static func png(_ chunks: [(name: String, content: [UInt8])]) -> [UInt8] {
    chunks.reduce(into: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) { file, chunk in
      let body = Array(chunk.name.utf8) + chunk.content
      file += big(UInt32(chunk.content.count)) + body + big(ZipBuilder.crc32(body))
    }
  }

  private static func big(_ number: UInt32) -> [UInt8] { ZipBuilder.little(number).reversed() }

  private static func header(_ width: UInt32, _ height: UInt32, _ depth: UInt8 = 8, _ colour: UInt8 = 2)
    -> (name: String, content: [UInt8])
  { ("IHDR", big(width) + big(height) + [depth, colour, 0, 0, 0]) }

  /// Returns the bytes as zlib data with one stored block.
  private static func stored(_ bytes: [UInt8]) -> [UInt8] {
    let size = ZipBuilder.little(UInt16(bytes.count))
    let sums = bytes.reduce((a: 1, b: 0)) { sums, byte in
      let a = (sums.a + Int(byte)) % 65_521
      return (a, (sums.b + a) % 65_521)
    }
    return [0x78, 1, 1] + size + size.map { ~$0 } + bytes + big(UInt32(sums.b << 16 | sums.a))
  }

  private static let end: (name: String, content: [UInt8]) = ("IEND", [])

  private func error(_ bytes: [UInt8], limits: Limits = Limits()) throws -> DecantError {
    try #require(throws: DecantError.self) { try DecodedImage(decoding: bytes, limits: limits) }
  }

  @Test func aFileMadeHereIsRead() throws {
    let bytes = Self.png([Self.header(1, 1), ("IDAT", Self.stored([0, 7, 8, 9])), Self.end])
    #expect(try DecodedImage(decoding: bytes).pixels == [7, 8, 9])
  }

  /// Every truncation of a file is refused without a crash.
  @Test(arguments: ["colours.png", "palette.png", "progressive.jpg", "photo.jpg"])
  func everyTruncation(_ name: String) throws {
    let bytes = try Fixtures.bytes("pictures/" + name)
    for count in 0..<bytes.count {
      let error = try error(Array(bytes.prefix(count)))
      #expect(!error.reason.isEmpty && error.remedy != nil)
      if count > 40 {
        #expect(error.code == .truncated, "\(count): \(error.reason)")
      }
    }
  }

  @Test func everyChecksumIsCompared() throws {
    let bytes = try Fixtures.bytes("pictures/colours.png")
    for place in [29, bytes.count - 1] {
      var wrong = bytes
      wrong[place] ^= 1
      #expect(try error(wrong).code == .damaged)
    }
    // The checksum of an ignored chunk counts too.
    var chunks: [(name: String, content: [UInt8])] = [
      Self.header(1, 1), ("tEXt", [65, 0, 66]), ("IDAT", Self.stored([0, 1, 2, 3])), Self.end,
    ]
    #expect(try DecodedImage(decoding: Self.png(chunks)).pixels == [1, 2, 3])
    chunks[1].content = [65, 0, 67]
    var wrong = Self.png(chunks)
    wrong[8 + 25 + 10] = 66
    #expect(try error(wrong).code == .damaged)
  }

  @Test func sizesAreCheckedBeforeMemoryIsTaken() throws {
    let data = Self.stored([0, 1, 2, 3])
    func png(_ width: UInt32, _ height: UInt32, _ depth: UInt8 = 8, _ colour: UInt8 = 2) -> [UInt8] {
      Self.png([Self.header(width, height, depth, colour), ("IDAT", data), Self.end])
    }
    #expect(try error(png(0, 5)).code == .damaged)
    #expect(try error(png(5, 0)).code == .damaged)
    let large = try error(png(60_000, 60_000))
    #expect(large.code == .limitExceeded && large.advice == .raiseLimit("imagePixels", to: 3_600_000_000))
    #expect(try error(png(.max, .max)).code == .limitExceeded)
    #expect(try error(png(16_000, 16_000)).advice == .raiseLimit("imagePixels", to: 256_000_000))
    #expect(try error(png(12_000, 12_000)).code == .truncated)
    #expect(try error(png(65, 65)).code == .damaged, "fewer rows than claimed")
    var limits = Limits()
    limits.imagePixels = 3
    #expect(try error(png(2, 2), limits: limits).advice == .raiseLimit("imagePixels", to: 4))
    limits.imageBytes = 10
    #expect(try error(png(1, 1), limits: limits).advice == .raiseLimit("imageBytes", to: png(1, 1).count))
    #expect(try error(png(1, 1, 3)).code == .damaged, "no such colour type")
    #expect(try error(png(1, 1, 8, 3)).code == .damaged, "no palette")
    #expect(try error(png(1, 1, 16, 0)).code == .unsupportedFormat)
  }

  @Test func jpegsThatClaim() throws {
    let bytes = try Fixtures.bytes("pictures/grey.jpg")
    let frame = try #require(bytes.indices.first { bytes[$0...].starts(with: [0xFF, 0xC0]) })
    func changed(_ changes: [(Int, UInt8)]) -> [UInt8] {
      changes.reduce(into: bytes) { $0[frame + $1.0] = $1.1 }
    }
    #expect(try error(changed([(5, 0), (6, 0)])).code == .damaged)
    #expect(try error(changed([(5, 255), (7, 255)])).code == .limitExceeded)
    #expect(try error(changed([(5, 48), (7, 48)])).code == .truncated)
    #expect(try error(changed([(5, 4)])).code == .damaged, "fewer rows than claimed")
    #expect(try error(changed([(4, 12)])).code == .unsupportedFormat, "12 bits")
    #expect(try error(changed([(1, 0xC9)])).code == .unsupportedFormat, "arithmetic coding")
    #expect(try error(changed([(1, 0xC3)])).code == .unsupportedFormat, "lossless")
    #expect(try error(changed([(9, 2)])).code == .unsupportedFormat, "2 components")
    #expect(try error(changed([(1, 0xFE)])).code == .damaged, "no image")
    var limits = Limits()
    limits.imageScans = 2
    let progressive = try Fixtures.bytes("pictures/progressive.jpg")
    #expect(try error(progressive, limits: limits).advice == .raiseLimit("imageScans", to: 10))
  }

  @Test func otherBytesAreNamed() throws {
    #expect(try error([]).code == .unsupportedFormat)
    let gif = try error(Array("GIF89a".utf8))
    #expect(gif.code == .unsupportedFormat && gif.reason.contains("GIF"))
    let webP = try error(Array("RIFF\u{0}\u{0}\u{0}\u{0}WEBPVP8 ".utf8))
    #expect(webP.code == .unsupportedFormat && webP.reason.contains("WebP"))
    #expect(try error([0xFF, 0xD8, 0xFF, 0xD9]).code == .damaged)
  }

  /// EXIF with invalid offsets gives no orientation, and the picture is still read.
  @Test(arguments: [
    [UInt8]("MM\u{0}*".utf8), Array("II*\u{0}".utf8) + [255, 255, 255, 127], Array("hello, world".utf8),
    Array("MM\u{0}*\u{0}\u{0}\u{0}\u{8}".utf8) + [255, 255],
  ])
  func exifThatLies(_ exif: [UInt8]) throws {
    let bytes = Self.png([Self.header(1, 1), ("eXIf", exif), ("IDAT", Self.stored([0, 7, 8, 9])), Self.end])
    let picture = try DecodedImage(decoding: bytes)
    #expect(picture.orientation == .upright && picture.pixels == [7, 8, 9])
    #expect(picture.notes.isEmpty == exif.starts(with: [0x4D, 0x4D, 0, 42, 0]))
  }
}
