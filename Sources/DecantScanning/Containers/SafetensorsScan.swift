internal import DecantBytes
internal import DecantFormats

/// Scans of safetensors files.
extension ContentScan {
  /// Scans a safetensors file: a JSON header of names and data offsets, then numbers.
  func scanSafetensors(_ bytes: RawSpan, in place: String) -> Bool {
    guard let length = bytes.little(UInt64.self, 0), let count = Int(exactly: length), count >= 2,
      count <= bytes.byteCount - 8
    else { return false }
    guard count <= audit.limits.headerBytes else {
      guard count <= 100_000_000 else { return false }
      ledger.markUnread(0..<bytes.byteCount)
      audit.report(
        .unknown, .limit, in: place, at: 0, "a header of \(Format.count(count, "byte")), too long to scan")
      return true
    }
    audit.judge(byteCount: count)
    guard audit.spend(count / 2) else {
      ledger.markUnread(0..<bytes.byteCount)
      return true
    }
    let header: JSONValue
    do throws(ParsingError) { header = try JSONValue(parsing: bytes.part(8..<8 + count)) } catch {
      return false
    }
    guard case .object(let members) = header else { return false }
    var tensors: [Range<Int>] = []
    for (name, entry) in members where name != "__metadata__" {
      guard let offsets = entry["data_offsets"]?.array, offsets.count == 2, let begin = offsets[0].size,
        let end = offsets[1].size, begin <= end
      else { return false }
      if Self.byteCount(entry) != end - begin {
        audit.report(
          .unknown, .malformed, in: place, at: 8,
          "the tensor \(String(name.prefix(80)).escapedForDisplay) does not have the length of its dtype and shape"
        )
      }
      tensors.append(begin..<end)
    }
    if let metadata = header["__metadata__"] { scanMetadata(metadata, in: place) }
    ledger.claim(0..<8 + count, as: .structure)
    let start = 8 + count
    guard let last = (tensors.map(\.upperBound).max() ?? 0).checkedAdding(start), last <= bytes.byteCount
    else {
      ledger.markUnread(start..<bytes.byteCount)
      audit.report(.unknown, .brokenPickle, in: place, at: 0, "the data ends before the header says")
      return true
    }
    var end = 0
    for tensor in tensors.sorted(by: { ($0.lowerBound, $0.upperBound) < ($1.lowerBound, $1.upperBound) }) {
      if tensor.lowerBound < end {
        audit.report(
          .unknown, .malformed, in: place, at: start + tensor.lowerBound, "two tensors share bytes")
      }
      end = max(end, tensor.upperBound)
      ledger.claim(start + tensor.lowerBound..<start + tensor.upperBound, as: .tensor)
    }
    reportTrailing(bytes, from: last, in: place)
    return true
  }

  /// Returns the number of bytes that a tensor's dtype and shape need; nil for a dtype that safetensors lacks.
  private static func byteCount(_ entry: JSONValue) -> Int? {
    guard let dtype = entry["dtype"]?.string, let shape = entry["shape"]?.array,
      let bits = SafetensorsDType(rawValue: dtype)?.bitCount
    else { return nil }
    let sizes = shape.compactMap(\.size)
    guard sizes.count == shape.count, let total = checkedProduct(sizes)?.checkedMultiplying(by: bits) else {
      return nil
    }
    return total % 8 == 0 ? total / 8 : nil
  }

  private func scanMetadata(_ metadata: JSONValue, in place: String) {
    guard case .object(let members) = metadata else { return }
    for (key, value) in members {
      guard let text = value.string, let marker = ScriptMarkers.first(in: Array(text.utf8)) else { continue }
      audit.report(
        .unknown, .metadataScript, in: place, at: 8,
        "the metadata \(String(key.prefix(80)).escapedForDisplay) holds \(marker.text.escapedForDisplay)")
    }
  }
}
