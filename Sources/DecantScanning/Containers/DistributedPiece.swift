internal import DecantBytes
internal import DecantIO
internal import DecantPickle

/// A data file of torch.distributed.checkpoint with the metadata beside it. It holds one file of `torch.save` after the
/// other, and the metadata says where each begins.
enum DistributedPiece {
  /// Scans a file item by item if the items of the metadata beside it are all of its bytes.
  ///
  /// - Returns: false, without a finding, when no metadata beside it describes the file so.
  static func scan(_ bytes: RawSpan, at path: FilePath, _ audit: FileAudit) -> Bool {
    guard let text = path.validText, text.hasSuffix(".distcp"), bytes.begins([0x50, 0x4B, 3, 4]) else {
      return false
    }
    let name = text.split(separator: "/").last.map(String.init) ?? text
    let folder = text.dropLast(name.utf8.count)
    // One file for all ranks, or one for each: `__3.metadata` for `__3_0.distcp`.
    let rank = name.split(separator: "_").first.map { "__\($0).metadata" }
    for metadata in [".metadata", rank].compactMap(\.self) {
      guard let file = try? InputFile(FilePath(folder + metadata)),
        file.byteCount <= audit.limits.headerBytes,
        let content = try? file.contents()
      else { continue }
      let (graph, _) = unsafe PickleMachine.interpretAsFarAsPossible(content.span.bytes, limits: audit.limits)
      audit.spend(graph.nodes.count)
      guard let all = DistributedItems(graph) else { continue }
      let items = all.items(of: name)
      guard !items.isEmpty, isWhole(items, byteCount: bytes.byteCount) else { continue }
      for item in items { all.scan(item, in: bytes, name.escapedForDisplay, audit) }
      return true
    }
    return false
  }

  /// Returns true when items follow each other from the first byte to the last.
  private static func isWhole(_ items: [DistributedItems.Item], byteCount: Int) -> Bool {
    var end = 0
    for item in items {
      guard item.offset == end, item.length > 0 else { return false }
      end = item.end
    }
    return end == byteCount
  }
}
