internal import DecantBytes
internal import DecantIO

/// Scans of files that are compressed as a whole, as joblib writes and reads them: gzip, zlib, bzip2, xz, LZMA, and `ZF`,
/// which joblib wrote before 0.10.
///
/// Source: RFC 1950 and 1952; joblib `compressor.py`, and `numpy_pickle_compat.py`, `read_zfile`; xz 5.4,
/// `doc/lzma-file-format.txt`.
extension ContentScan {
  private struct Compression {
    let name: String
    /// The offset of the compressed stream.
    var start = 0
    /// The number of bytes of checksums and lengths after it, which are verified here.
    var trailer = 0
    /// The compression of the stream; nil for DEFLATE.
    var stream: CompressedStream?
    /// True when Python's reader goes on with a stream of the same kind behind the first.
    var hasMembers = false
  }

  /// The bytes that any file compressed by bzip2, xz or LZMA may hold. A larger one may hold ``Limits/largeInflation``
  /// times its own size. These formats can make a million bytes of one.
  private static let leastAllowed = 64 << 20

  /// Scans a compressed file. Returns nil when the bytes do not begin like one, and false when they cannot be inflated.
  func scanCompressed(_ bytes: RawSpan, in place: String) -> Bool? {
    guard role != .data, let compression = Self.compression(bytes) else { return nil }
    func report(_ severity: ScanSeverity, _ rule: ScanRule, at offset: Int, _ what: String) {
      audit.report(severity, rule, in: place, at: offset, what)
    }
    let inflated: Deflate.Inflated
    let limit = inflationLimit(compression, bytes)
    do throws(Deflate.LibraryMissing) {
      let source = bytes.part(compression.start..<bytes.byteCount)
      if let stream = compression.stream {
        inflated = try stream.decompress(source, limit: limit)
      } else {
        inflated = try Deflate.inflate(source, limit: limit)
      }
    } catch {
      ledger.markUnread(0..<bytes.byteCount)
      report(.unreadable, .notACheckpoint, at: 0, "\(error.reason) (apt-get install \(error.debianPackage))")
      return true
    }
    guard case .data(let content, let taken) = inflated else {
      guard case .tooLarge = inflated else { return false }
      ledger.markUnread(0..<bytes.byteCount)
      report(
        .unknown, .limit, at: 0,
        "it is compressed by \(compression.name), and holds more than \(Format.count(limit, "byte"))"
      )
      return true
    }
    audit.inflationLeft -= content.count
    audit.spend(content.count / WorkBudget.Cost.bytesPerUnit)
    let end = compression.start + taken + compression.trailer
    if compression.stream == nil,
      !Self.isIntact(content, compression, bytes, trailer: compression.start + taken)
    {
      report(
        .unknown, .malformed, at: compression.start + taken,
        "the checksum of its \(compression.name) data is wrong")
    }
    ledger.claim(0..<compression.start, as: .structure)
    ledger.claim(compression.start..<min(end, bytes.byteCount), as: .nested)
    if unsafe inside(as: .file).scan(content.span.bytes, in: join(place, compression.name)) == nil {
      report(
        .unreadable, .notACheckpoint, at: 0,
        "it is compressed by \(compression.name), and its content is not a format that scan reads")
      ledger.markUnread(0..<bytes.byteCount)
    }
    if end < bytes.byteCount {
      // Python reads one member after the other.
      let rest = bytes.part(end..<bytes.byteCount)
      if compression.hasMembers, Self.compression(rest)?.name == compression.name {
        ledger.markUnread(end..<bytes.byteCount)
        report(
          .unknown, .limit, at: end,
          "more \(compression.name) data follows, which continues the content and was not scanned")
      } else {
        reportTrailing(bytes, from: end, in: place)
      }
    }
    return true
  }

  /// Returns the most bytes that a file may hold when it is decompressed.
  private func inflationLimit(_ compression: Compression, _ bytes: RawSpan) -> Int {
    guard compression.stream != nil else { return audit.inflationLeft }
    let allowed = bytes.byteCount.multipliedReportingOverflow(by: audit.limits.largeInflation)
    let most = allowed.overflow ? Int.max : allowed.partialValue
    return min(audit.inflationLeft, max(most, Self.leastAllowed))
  }

  /// Returns the compression of a file, or nil.
  private static func compression(_ bytes: RawSpan) -> Compression? {
    if bytes.begins([0x1F, 0x8B, 8]) {
      return gzipStart(bytes).map { Compression(name: "gzip", start: $0, trailer: 8, hasMembers: true) }
    }
    if bytes.begins("BZh"), bytes.part(min(4, bytes.byteCount)..<bytes.byteCount).begins(bzip2Block) {
      return Compression(name: "bzip2", stream: .bzip2, hasMembers: true)
    }
    if bytes.begins([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]) {
      return Compression(name: "xz", stream: .xz, hasMembers: true)
    }
    if isLZMA(bytes) { return Compression(name: "LZMA", stream: .lzma, hasMembers: true) }
    if isZlib(bytes, at: 0) { return Compression(name: "zlib", start: 2, trailer: 4) }
    guard bytes.begins("ZF0x") else { return nil }
    // The length in hexadecimal, padded with spaces to as many characters as Python 2 or 3 writes for 2^64.
    var start = 4
    while let byte = bytes.byte(start), byte != 0x20, start < 24 { start += 1 }
    while bytes.byte(start) == 0x20, start < 24 { start += 1 }
    return isZlib(bytes, at: start)
      ? Compression(name: "joblib's ZF format", start: start + 2, trailer: 4) : nil
  }

  /// The first bytes of a block, after the four of the file's header.
  private static let bzip2Block: [UInt8] = [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]

  /// Returns true for the header of `.lzma` that encoders write by default: the properties, the size of the dictionary,
  /// and the size of the content or 2^64 - 1.
  private static func isLZMA(_ bytes: RawSpan) -> Bool {
    guard bytes.begins([0x5D, 0]), let dictionary = bytes.little(UInt32.self, 1),
      let size = bytes.little(UInt64.self, 5)
    else { return false }
    return dictionary >= 4_096 && (size == .max || size < 1 << 40)
  }

  private static func isZlib(_ bytes: RawSpan, at offset: Int) -> Bool {
    guard bytes.byte(offset) == 0x78, let flags = bytes.byte(offset + 1) else { return false }
    return (0x7800 + Int(flags)) % 31 == 0 && flags & 0x20 == 0
  }

  /// Returns the offset of the data after a gzip header; nil when the header is damaged.
  private static func gzipStart(_ bytes: RawSpan) -> Int? {
    guard let flags = bytes.byte(3), flags & 0xE0 == 0 else { return nil }
    var offset = 10
    if flags & 4 != 0 {
      guard let count = bytes.little(UInt16.self, offset) else { return nil }
      offset += 2 + Int(count)
    }
    // A name and a comment, which end with a NUL.
    for flag: UInt8 in [8, 16] where flags & flag != 0 {
      guard offset <= bytes.byteCount, let end = bytes.first([0], in: offset..<bytes.byteCount) else {
        return nil
      }
      offset = end + 1
    }
    if flags & 2 != 0 { offset += 2 }
    return offset < bytes.byteCount ? offset : nil
  }

  private static func isIntact(
    _ content: [UInt8], _ compression: Compression, _ bytes: RawSpan, trailer: Int
  ) -> Bool {
    if compression.name == "gzip" {
      var crc = CRC32()
      unsafe content.withUnsafeBytes { unsafe crc.update($0) }
      return bytes.little(UInt32.self, trailer) == crc.value
        && bytes.little(UInt32.self, trailer + 4) == UInt32(truncatingIfNeeded: content.count)
    }
    // Adler-32, in big-endian order.
    var (low, high): (UInt32, UInt32) = (1, 0)
    for block in stride(from: 0, to: content.count, by: 4_096) {
      for byte in content[block..<min(block + 4_096, content.count)] {
        low += UInt32(byte)
        high += low
      }
      low %= 65_521
      high %= 65_521
    }
    return bytes.little(UInt32.self, trailer)?.byteSwapped == high << 16 | low
  }
}
