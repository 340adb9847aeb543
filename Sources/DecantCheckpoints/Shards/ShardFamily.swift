internal import DecantIO

/// The names that one checkpoint has as a single file and in shards: `model.safetensors`,
/// `model.safetensors.index.json` and `model-00001-of-00003.safetensors`.
package struct ShardFamily {
  /// The name of the single file.
  package let single: String
  private let stem: Substring
  private let suffix: Substring

  private static let indexSuffix = ".index.json"

  /// Creates the family of a single file's name.
  package init(single: String) {
    self.single = single
    let dot = single.utf8.lastIndex(of: UInt8(ascii: ".")) ?? single.endIndex
    stem = single[..<dot]
    suffix = single[dot...]
  }

  /// Creates the family of an index's name; nil for names of other files.
  init?(index: String) {
    guard index.hasSuffix(Self.indexSuffix) else { return nil }
    self.init(single: String(index.dropLast(Self.indexSuffix.count)))
  }

  /// The name of the index.
  package var index: String { single + Self.indexSuffix }

  /// Returns the name of a shard.
  ///
  /// - Parameter number: from 1 to `count`.
  package func shard(_ number: Int, of count: Int) -> String {
    func padded(_ number: Int) -> String {
      String(repeating: "0", count: max(0, 5 - String(number).count)) + String(number)
    }
    return "\(stem)-\(padded(number))-of-\(padded(count))\(suffix)"
  }

  /// Returns the names of the family's files among the files of a folder.
  package func members(among names: [String]) -> [String] {
    names.filter { $0 == single || $0 == index || isShard($0) }
  }

  private func isShard(_ name: String) -> Bool {
    Self.shard(name)?.family.single.utf8.elementsEqual(single.utf8) ?? false
  }

  /// Returns the family, the number and the count in the name of a shard; nil for other names.
  package static func shard(_ name: String) -> (family: ShardFamily, number: Int, count: Int)? {
    let whole = ShardFamily(single: name)
    let parts = whole.stem.split(separator: "-", omittingEmptySubsequences: false)
    func number(_ part: Substring) -> Int? {
      part.utf8.count >= 5 && part.utf8.allSatisfy { 0x30...0x39 ~= $0 } ? Int(part) : nil
    }
    guard parts.count >= 4, parts[parts.count - 2] == "of", let own = number(parts[parts.count - 3]),
      let count = number(parts[parts.count - 1]), 1...max(1, count) ~= own
    else { return nil }
    let stem = parts.dropLast(3).joined(separator: "-")
    return (ShardFamily(single: stem + whole.suffix), own, count)
  }

  /// Returns the names of all shards of the checkpoint that the files of a folder are; nil when they are not all shards
  /// of one checkpoint, and when one is missing.
  package static func complete(_ names: [String]) -> [String]? {
    guard let first = names.first.flatMap(shard), first.count == names.count else { return nil }
    let all = (1...first.count).map { first.family.shard($0, of: first.count) }
    return Set(all) == Set(names) ? all : nil
  }

  /// Returns the paths of the family's files in a folder, other than those that belong to the checkpoint now.
  ///
  /// - Parameters:
  ///   - path: the path of the single file, which need not exist.
  ///   - names: the names of the files that belong to the checkpoint.
  package static func leftovers(beside path: String, except names: [String]) -> [String] {
    guard let (folder, name) = try? CheckpointFolder.containing(path),
      let all = try? folder.names(limit: 100_000)
    else { return [] }
    return ShardFamily(single: name).members(among: all).filter { !names.contains($0) }.map(folder.path(of:))
  }
}
