/// The content of a byte string that is judged as a file, by two hashes with seeds that change with every run.
struct PayloadKey: Hashable {
  private let first: Int
  private let second: Int
  private let byteCount: Int
  private let isLoaded: Bool
  /// The nesting depth, since a deeper one is judged less far.
  private let depth: Int

  init(_ bytes: [UInt8], isLoaded: Bool, depth: Int) {
    var hasher = Hasher()
    hasher.combine(bytes)
    first = hasher.finalize()
    hasher = Hasher()
    hasher.combine(0x5CA9)
    hasher.combine(bytes)
    second = hasher.finalize()
    byteCount = bytes.count
    self.isLoaded = isLoaded
    self.depth = depth
  }
}
