internal import DecantBytes
internal import DecantPickle

/// Scans of tar archives, which include the files of PyTorch 0.1.
extension ContentScan {
  /// Scans every member of a tar archive.
  func scanTar(_ bytes: RawSpan, in place: String) -> Bool {
    var reader = TarReader()
    let members = reader.members(bytes)
    let names = Set(members.map(\.name))
    let isTorch = ["pickle", "storages"].allSatisfy { names.contains(Array($0.utf8)) }
    for oddity in reader.oddities {
      audit.report(.unknown, .unexpectedMember, in: place, at: oddity.offset, oddity.what)
    }
    if let fault = reader.fault {
      ledger.markUnread(fault.offset..<bytes.byteCount)
      audit.report(.unknown, fault.rule, in: place, at: fault.offset, fault.what)
    }
    var seen: Set<[UInt8]> = []
    for member in members {
      let name = String(decoding: member.name.prefix(200), as: UTF8.self).escapedForDisplay
      func report(_ severity: ScanSeverity, _ rule: ScanRule, _ what: String) {
        audit.report(severity, rule, in: place, at: member.header, what)
      }
      ledger.claim(member.header..<member.data.lowerBound, as: .structure)
      let padding = member.data.upperBound..<min(bytes.byteCount, member.end)
      if bytes.holdsOnly(0, in: padding) { ledger.claim(padding, as: .padding) }
      if Self.escapesFolder(member.name) {
        report(.dangerous, .archiveName, "\(name) points outside its folder")
      }
      // Headers that describe the member after them all have the same name.
      let isHeader = [UInt8]("xgLK".utf8).contains(member.kind)
      if !isHeader, !seen.insert(member.name).inserted {
        report(.dangerous, .zipName, "several members have the name \(name)")
      }
      switch member.kind {
      case UInt8(ascii: "1"), UInt8(ascii: "2"):
        report(.dangerous, .archiveLink, "\(name) is a link")
        continue
      case UInt8(ascii: "0"), 0, UInt8(ascii: "7"): break
      case UInt8(ascii: "5") where member.announced == 0: continue
      case UInt8(ascii: "3")...UInt8(ascii: "6"):
        report(
          member.announced == 0 ? .unknown : .dangerous, .unexpectedMember,
          "\(name) is not a file but has \(member.announced) bytes, which some readers skip and others read")
        continue
      case UInt8(ascii: "L"), UInt8(ascii: "K"), UInt8(ascii: "x"), UInt8(ascii: "g"), UInt8(ascii: "X"):
        // Extended headers rename or resize the member after them, in readers that support them.
        let resizes = ["size=", "GNU.sparse"].contains {
          bytes.first(Array($0.utf8), in: member.data) != nil
        }
        report(
          resizes ? .dangerous : .unknown, .unexpectedMember,
          "\(name) is not a regular file but a header of type \(member.kind)\(resizes ? " that resizes the next" : "")"
        )
        ledger.claim(member.data, as: .structure)
        continue
      default:
        // Python's tarfile reads members of unknown types as files.
        report(
          .unknown, .unexpectedMember, "\(name) is not a regular file but a header of type \(member.kind)")
      }
      let content = bytes.part(member.data)
      let label = join(place, name)
      let nested = inside(as: isTorch ? .pickle : .file)
      var isKnown = true
      if isTorch, name == "storages" || name == "tensors" {
        _ = nested.region(content, in: label) { scan -> Void in
          scan.scanTable(content, in: label) { count, graph, offset in
            guard count == 3 else { return nil }
            return name == "storages"
              ? scan.storageByteCount(content, graph, offset) : scan.tensorByteCount(content, offset)
          }
        }
      } else {
        isKnown = nested.scan(content, in: label) != nil
        if !isKnown { report(.unreadable, .notACheckpoint, "\(name) is not a format that scan reads") }
      }
      if isKnown { ledger.claim(member.data, as: .nested) } else { ledger.markUnread(member.data) }
    }
    if let end = reader.end { scanBehindTar(bytes, from: end, in: place) }
    return true
  }

  /// Scans what follows the end mark: zeros up to a multiple of the tape's blocks.
  private func scanBehindTar(_ bytes: RawSpan, from end: Int, in place: String) {
    let rest = end..<bytes.byteCount
    if rest.count <= 65_536, rest.count.isMultiple(of: 512), bytes.holdsOnly(0, in: rest) {
      return ledger.claim(rest, as: .padding)
    }
    reportTrailing(bytes, from: end, in: place)
    _ = inside(as: .file).scan(bytes.part(rest), in: join(place, "behind the archive"))
  }

  /// Scans a member of a PyTorch 0.1 file: a count, then as many records of a pickle and raw data, then the rest.
  ///
  /// - Parameter rawByteCount: Returns the number of raw bytes after a record's pickle, given the length of its tuple,
  ///   the graph and the offset. Nil when it is unknown.
  private func scanTable(
    _ content: RawSpan, in place: String, rawByteCount: (Int, PickleGraph, Int) -> Int?
  ) {
    var offset = 0
    var left: Int64?
    var number = 1
    while offset < content.byteCount {
      let rest = content.part(offset..<content.byteCount)
      let (graph, error) = interpret(rest)
      follow(graph, of: rest, in: join(place, "stream \(number)"))
      if let error {
        ledger.markUnread(offset..<content.byteCount)
        return reportBreak(error, graph, rest, at: 0, in: join(place, "stream \(number)"))
      }
      ledger.claim(offset..<offset + graph.byteCount, as: .pickle)
      offset += graph.byteCount
      number += 1
      if let count = left, count > 0 {
        guard let raw = rawByteCount(graph.tuple(graph.root)?.count ?? 0, graph, offset),
          raw <= content.byteCount - offset
        else {
          ledger.markUnread(offset..<content.byteCount)
          audit.report(
            .unknown, .brokenPickle, in: place, at: offset, "the size of a record's data is unknown")
          return NameSearch.report(content, from: offset, in: place, audit)
        }
        ledger.claim(offset..<offset + raw, as: .tensor)
        offset += raw
        left = count - 1
      } else if left == nil, case .int(let count) = graph.root {
        left = count
      }
    }
  }

  /// Returns the size in bytes of the raw data after `(key, location, storage class)`: the number of elements in 8
  /// bytes, then the elements.
  private func storageByteCount(_ content: RawSpan, _ graph: PickleGraph, _ offset: Int) -> Int? {
    guard let parts = graph.tuple(graph.root), let storageClass = graph.global(parts[2]),
      let size = TensorFileNames.elementByteCount(storageClass.name),
      let count = content.little(Int64.self, offset).flatMap({ Int(exactly: $0) }), count >= 0
    else { return nil }
    return count.checkedMultiplying(by: size)?.checkedAdding(8)
  }

  /// Returns the size in bytes of the raw data after `(key, storage, tensor class)`: the rank, sizes, strides and
  /// offset.
  private func tensorByteCount(_ content: RawSpan, _ offset: Int) -> Int? {
    guard let rank = content.little(Int32.self, offset), rank >= 0, rank <= 1_000 else { return nil }
    return 8 + 16 * Int(rank) + 8
  }
}
