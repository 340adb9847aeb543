internal import CLibzip
package import DecantBytes

/// Zip entries that libdeflate does not read, because of their compression or encryption. libzip reads them.
///
/// libzip sees an archive of one entry, which is made of the fields that the directory reader has checked. So it cannot
/// find another meaning in the file, and an archive inside another needs no copy.
package enum ZipLibrary {
  /// The fields of an entry's headers that say how its data is stored.
  package struct Encoding: Sendable, Equatable {
    /// The method in the headers: 99 for AES.
    package var method: UInt16
    package var flags: UInt16
    /// The time and date in the headers: traditional encryption may check a password by the time.
    package var time: UInt32
    /// The extra field 0x9901 of AES: version, strength and the method of compression.
    package var aes: AES?

    /// Describes how an entry is stored.
    package init(method: UInt16, flags: UInt16 = 0, time: UInt32 = 0, aes: AES? = nil) {
      self.method = method
      self.flags = flags
      self.time = time
      self.aes = aes
    }

    package var isEncrypted: Bool { flags & 1 != 0 }
    /// The method of compression.
    package var compression: UInt16 { method == 99 ? aes?.method ?? method : method }
    /// True when the data is in the file as it is.
    package var isStored: Bool { method == ZipEntry.stored && !isEncrypted }
    /// True when the data is only deflated.
    package var isDeflated: Bool { method == ZipEntry.deflated && !isEncrypted }
    /// The number of bytes that encryption adds to the data: a header, and AES's authentication code.
    var overhead: Int {
      guard isEncrypted else { return 0 }
      return method == 99 ? 4 + 4 * Int(aes?.strength ?? 0) + 2 + 10 : 12
    }
    /// True when the encryption detects changed data, and the CRC-32 is not recorded.
    package var isAuthenticated: Bool { isEncrypted && method == 99 && aes?.version == 2 }
  }

  /// The extra field of AES encryption. Source: WinZip, "AES Encryption Information".
  package struct AES: Sendable, Equatable {
    package var version: UInt16
    package var strength: UInt8
    package var method: UInt16

    /// Reads the content of an extra field 0x9901; nil when it is not one of AES.
    package init?(_ bytes: some Collection<UInt8>) {
      let bytes = Array(bytes)
      guard bytes.count >= 7, bytes[2...3].elementsEqual("AE".utf8) else { return nil }
      version = UInt16(bytes[0]) | UInt16(bytes[1]) << 8
      strength = bytes[4]
      method = UInt16(bytes[5]) | UInt16(bytes[6]) << 8
    }
  }

  /// The reason why an entry cannot be read.
  package enum Failure: Error {
    case libraryMissing(String)
    /// The entry is compressed or encrypted in a way that is not supported: its name.
    case unsupported(String)
    case passwordMissing
    case passwordWrong
    case damaged(String)
    case unreadable(DecantError)

    /// The Debian package of the library.
    package static let debianPackage = "libzip4"

    /// The error of an entry.
    package func error(file: String, entry: String) -> DecantError {
      switch self {
      case .libraryMissing(let reason):
        DecantError(
          .libraryMissing, reason, file: file, entry: entry,
          remedy: "Install the package \(Self.debianPackage): apt-get install \(Self.debianPackage)")
      case .unsupported(let name):
        DecantError(
          .unsupportedFormat, "the entry is \(name), which is not supported", file: file, entry: entry,
          remedy: "Unzip the archive with the program that made it, and pass the folder.")
      case .passwordMissing:
        DecantError(
          .passwordRequired, "the entry is encrypted", file: file, entry: entry, advice: .givePassword)
      case .passwordWrong:
        DecantError(
          .wrongPassword, "the entry cannot be decrypted with this password, or its data is damaged",
          file: file, entry: entry,
          advice: .givePassword)
      case .damaged(let reason):
        DecantError(
          .damaged, reason, file: file, entry: entry, remedy: "The file is damaged. Download it again.")
      case .unreadable(let error): error
      }
    }
  }

  /// Throws when an entry cannot be read whatever its password is.
  package static func requireSupport(_ encoding: Encoding) throws(Failure) {
    guard !encoding.isStored, !encoding.isDeflated else { return }
    // Bit 6: strong encryption; bit 13: encrypted directory.
    guard encoding.flags & 0x2040 == 0 else { throw .unsupported("encrypted by PKWARE's strong encryption") }
    let compression = encoding.compression
    let known = [ZipEntry.stored, ZipEntry.deflated]
    guard compression != 99 else { throw .unsupported("encrypted by AES without the fields of AES") }
    if let problem = unsafe clibzip_load() {
      let name = encoding.isEncrypted ? "encrypted" : "compressed by \(name(of: compression))"
      throw .libraryMissing("the entry is \(name), and \(unsafe String(cString: problem))")
    }
    guard known.contains(compression) || clibzip_decompresses(compression) else {
      throw .unsupported("compressed by \(name(of: compression))")
    }
    guard encoding.isEncrypted else { return }
    let cipher: Int
    if let aes = encoding.aes, encoding.method == 99 {
      guard 1...3 ~= aes.strength, 1...2 ~= aes.version else {
        throw .unsupported("encrypted by an unknown AES")
      }
      cipher = [clibzip_aes128, clibzip_aes192, clibzip_aes256].map { Int($0) }[Int(aes.strength) - 1]
    } else {
      cipher = Int(clibzip_traditional)
    }
    guard clibzip_decrypts(UInt16(cipher)) else {
      throw .unsupported("encrypted in a way that libzip cannot read")
    }
  }

  /// The number of bytes from which an archive would need zip64 fields.
  private static let largest = 0xFFFF_0000

  /// Decrypts and decompresses an entry's data into a buffer of exactly its size. O(bytes).
  package static func read(
    _ data: ByteSource, as encoding: Encoding, crc32: UInt32, password: String?,
    into target: UnsafeMutableRawBufferPointer
  ) throws(Failure) {
    try requireSupport(encoding)
    guard data.byteCount < largest, target.count < largest else {
      throw .unsupported(
        "larger than 4 GiB, and compressed by \(name(of: encoding.compression)) or encrypted")
    }
    var encoding = encoding
    // Bit 11 tells how the name is encoded, and here it is "e".
    encoding.flags &= ~0x0800
    if encoding.isEncrypted {
      guard let password, !password.isEmpty, !password.utf8.contains(0) else { throw .passwordMissing }
    }
    guard encoding.isEncrypted else {
      return try unsafe decode(data, encoding, crc32: crc32, nil, into: target)
    }
    let count = data.byteCount - encoding.overhead
    guard count >= 0, encoding.compression != ZipEntry.stored || count == target.count else {
      throw .damaged("the entry's encrypted data is too short or too long")
    }
    if encoding.compression == ZipEntry.stored {
      return try unsafe decode(data, encoding, crc32: crc32, password, into: target)
    }
    let decrypted: BytesInMemory
    do {
      decrypted = try unsafe BytesInMemory(byteCount: count) { buffer throws(Failure) in
        try unsafe decode(data, encoding, crc32: crc32, password, into: buffer)
      }
    } catch { throw error as? Failure ?? .damaged("the entry cannot be decrypted: \(error)") }
    let plain = Encoding(method: encoding.compression, flags: encoding.flags & 6)
    do throws(Failure) {
      try unsafe decode(ByteSource(decrypted, path: data.path), plain, crc32: crc32, nil, into: target)
    } catch {
      // A wrong password passes the check of traditional encryption once in 256 times.
      if case .damaged = error { throw .passwordWrong }
      throw error
    }
  }

  /// Lets libzip decrypt an entry if there is a password, or else decompress it.
  private static func decode(
    _ data: ByteSource, _ encoding: Encoding, crc32: UInt32, _ password: String?,
    into target: UnsafeMutableRawBufferPointer
  ) throws(Failure) {
    let (status, error) = unsafe run(data, encoding, crc32: crc32, password, into: target)
    if let error { throw .unreadable(error) }
    switch status {
    case clibzip_done: return
    // The caller compares the CRC-32 and knows the archives without checksums. Decrypting compares no CRC-32.
    case clibzip_wrong_checksum: if password != nil { throw .passwordWrong }
    case clibzip_wrong_password: throw .passwordWrong
    case clibzip_unsupported: throw .unsupported("compressed by \(name(of: encoding.compression))")
    case clibzip_no_memory: throw .damaged("libzip has not enough memory for the entry")
    default:
      throw password == nil
        ? .damaged(
          "the entry's compressed data is damaged, or does not decompress to \(Format.count(target.count, "byte"))"
        )
        : .passwordWrong
    }
  }

  /// Lets libzip read an entry. Returns its answer, and the error of a read of the stored data.
  private static func run(
    _ data: ByteSource, _ encoding: Encoding, crc32: UInt32, _ password: String?,
    into target: UnsafeMutableRawBufferPointer
  ) -> (clibzip_status, DecantError?) {
    let (head, tail) = archive(around: data.byteCount, encoding, crc32: crc32, byteCount: target.count)
    let source = DataSource(data)
    var nothing: UInt8 = 0
    let status = unsafe withUnsafeMutablePointer(to: &nothing) { nothing in
      unsafe head.withUnsafeBufferPointer { head in
        unsafe tail.withUnsafeBufferPointer { tail in
          var archive = unsafe clibzip_archive(
            head: head.baseAddress!, head_size: head.count, read: DataSource.read,
            context: Unmanaged.passUnretained(source).toOpaque(), data_size: UInt64(data.byteCount),
            tail: tail.baseAddress!, tail_size: tail.count)
          let into = unsafe target.baseAddress ?? UnsafeMutableRawPointer(nothing)
          return unsafe clibzip_read_entry(
            &archive, encoding.isEncrypted ? password : nil, into, target.count)
        }
      }
    }
    return withExtendedLifetime(source) { (status, source.error) }
  }

  /// Returns the bytes before and after an entry's data in an archive of that entry alone.
  private static func archive(
    around stored: Int, _ encoding: Encoding, crc32: UInt32, byteCount: Int
  ) -> (head: [UInt8], tail: [UInt8]) {
    func little(_ value: some FixedWidthInteger) -> [UInt8] {
      stride(from: 0, to: value.bitWidth, by: 8).map { UInt8(truncatingIfNeeded: value >> $0) }
    }
    let name: [UInt8] = [UInt8(ascii: "e")]
    var extra: [UInt8] = []
    if let aes = encoding.aes, encoding.method == 99 {
      extra = little(UInt16(0x9901)) + little(UInt16(7)) + little(aes.version) + Array("AE".utf8)
      extra += [aes.strength] + little(aes.method)
    }
    var fields = little(UInt16(51)) + little(encoding.flags) + little(encoding.method) + little(encoding.time)
    fields += little(crc32) + little(UInt32(stored)) + little(UInt32(byteCount))
    fields += little(UInt16(name.count)) + little(UInt16(extra.count))
    let head = little(UInt32(0x0403_4B50)) + fields + name + extra
    let entry =
      little(UInt32(0x0201_4B50)) + little(UInt16(51)) + fields + [UInt8](repeating: 0, count: 14) + name
      + extra
    var tail = entry + little(UInt32(0x0605_4B50)) + little(UInt32(0)) + little(UInt16(1)) + little(UInt16(1))
    tail += little(UInt32(entry.count)) + little(UInt32(head.count + stored)) + little(UInt16(0))
    return (head, tail)
  }

  /// The stored data that libzip reads, with the error of a read that failed. Used by one thread at a time.
  private final class DataSource {
    private let data: ByteSource
    private(set) var error: DecantError?

    init(_ data: ByteSource) { self.data = data }

    static let read: clibzip_read_function = { context, offset, bytes, count in
      guard let context = unsafe context, let offset = Int(exactly: offset) else { return false }
      let source = unsafe Unmanaged<DataSource>.fromOpaque(context).takeUnretainedValue()
      do throws(DecantError) {
        try unsafe source.data.read(
          into: UnsafeMutableRawBufferPointer(start: bytes, count: count), at: offset)
        return true
      } catch {
        source.error = error
        return false
      }
    }
  }

  /// Returns the name of a method of compression. Source: APPNOTE 6.3.10, section 4.4.5.
  package static func name(of method: UInt16) -> String {
    let names: [UInt16: String] = [
      0: "nothing", 1: "Shrink", 2: "Reduce", 3: "Reduce", 4: "Reduce", 5: "Reduce", 6: "Implode",
      8: "DEFLATE",
      9: "Deflate64", 10: "PKWARE's DCL Implode", 12: "bzip2", 14: "LZMA", 16: "IBM's CMPSC",
      18: "IBM's TERSE",
      19: "IBM's LZ77", 20: "Zstandard (old number)", 93: "Zstandard", 94: "MP3", 95: "XZ", 96: "JPEG",
      97: "WavPack", 98: "PPMd",
    ]
    return names[method].map { "\($0) (method \(method))" } ?? "method \(method)"
  }
}
