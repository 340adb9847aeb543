internal import DecantBytes
internal import DecantIO

/// Scans of zip archives: those of torch.save and TorchScript, npz, zips inside zips, and concatenated archives.
extension ContentScan {
  /// Scans every archive in the bytes, the last one first, since a central directory is at the end of its archive.
  func scanZips(_ bytes: RawSpan, in place: String) -> Bool {
    var end = bytes.byteCount
    var count = 0
    var wideRecords: Set<Int> = []
    var otherWideRecords: [(label: String, place: Int)] = []
    var directories: Set<Int> = []
    var others: [Int] = []
    while end > 0 {
      let region = bytes.part(0..<end)
      var layout = ZipLayout(region, limits: audit.limits)
      // Kept even when the central directory is ignored below, since torch reads at this offset all the same.
      if let other = layout.otherDirectory { others.append(other) }
      if count == 0, layout.start > 0, isBrokenOff(bytes, layout) {
        layout = ZipLayout(region, limits: audit.limits, ignoresDirectory: true)
      }
      if let place = layout.wideRecord { wideRecords.insert(place) }
      let isFollowed =
        layout.start > 0 && bytes.begins([0x50, 0x4B, 3, 4]) && endsWithArchive(bytes, layout.start)
      let label = isFollowed || count > 0 ? join(place, "archive at \(layout.start)") : place
      if let place = layout.otherWideRecord { otherWideRecords.append((label, place)) }
      scanZip(region, layout, in: label)
      directories.insert(layout.directory)
      if layout.end < end {
        let format = inside().scan(bytes.part(layout.end..<end), in: join(label, "behind the archive"))
        if format == .safetensors {
          // torch.distributed.checkpoint appends tensors to other values when it is configured to write safetensors.
          audit.report(
            .unknown, .concatenated, in: label, at: layout.end, "a safetensors file follows the archive")
        } else {
          audit.report(
            .dangerous, .trailingData, in: label, at: layout.end,
            "\(end - layout.end) bytes follow the archive")
        }
      }
      count += 1
      if isFollowed {
        if count == 1 {
          audit.report(
            .unknown, .concatenated, in: place, at: 0,
            "several archives follow each other; each is scanned")
        }
        end = layout.start
        continue
      }
      if layout.start > 0 {
        audit.report(
          .dangerous, .polyglot, in: place, at: 0,
          "\(layout.start) bytes precede the archive: other readers may read the file as another format")
        _ = inside(isExpected: true).scan(bytes.part(0..<layout.start), in: join(place, "before the archive"))
      }
      break
    }
    for other in otherWideRecords where !wideRecords.contains(other.place) {
      audit.report(
        .dangerous, .zipHeaders, in: other.label, at: other.place,
        "the archive has two zip64 end records, and readers may use either")
    }
    // torch counts offsets from the start of the file, other readers from the start of the archive.
    for other in others where !directories.contains(other) {
      audit.report(
        .dangerous, .zipHeaders, in: place, at: other,
        "another directory is where torch looks for the last archive's directory")
    }
    return true
  }

  /// Returns true when a zip is truncated, so that its last central directory belongs to an archive inside an entry.
  private func isBrokenOff(_ bytes: RawSpan, _ layout: ZipLayout) -> Bool {
    guard bytes.begins([0x50, 0x4B, 3, 4]), !endsWithArchive(bytes, layout.start) else { return false }
    let outer = ZipLayout(bytes, limits: audit.limits, ignoresDirectory: true)
    return outer.entries.contains {
      $0.method == 0 && $0.data.lowerBound == layout.start && $0.data.upperBound == layout.end
    }
  }

  /// Returns true when an archive ends exactly at an offset.
  private func endsWithArchive(_ bytes: RawSpan, _ offset: Int) -> Bool {
    let region = bytes.part(0..<offset)
    guard let record = ZipLayout.endRecord(region) else { return false }
    return record + 22 + Int(region.little(UInt16.self, record + 20) ?? 0) == offset
  }

  private func scanZip(_ bytes: RawSpan, _ layout: ZipLayout, in place: String) {
    for fault in layout.faults {
      audit.report(fault.severity, fault.rule, in: place, at: fault.offset, fault.what)
    }
    if layout.isCut {
      audit.report(.unknown, .limit, in: place, at: 0, "more than \(audit.limits.zipEntries) entries")
    }
    let entries = Self.withSlashes(layout.entries)
    let folder = TorchFolder(entries.map(\.name))
    let hasChecksums = layout.entries.contains { $0.crc32 != 0 }
    var names: Set<[UInt8]> = []
    var program = TorchScriptProgram()
    var code = ArchivedCode()
    for entry in entries {
      audit.judge(byteCount: 76 + 2 * entry.name.count)
      guard audit.spend(WorkBudget.Cost.entry) else { return }
      let name = layout.display(entry.name)
      let label = join(place, name)
      func report(_ severity: ScanSeverity, _ rule: ScanRule, _ what: String) {
        audit.report(severity, rule, in: place, at: entry.header, what)
      }
      if !entry.isListed, layout.hasDirectory {
        report(.dangerous, .zipHidden, "the directory does not list \(name)")
      }
      if entry.isListed, !names.insert(entry.name).inserted {
        report(.dangerous, .zipName, "several entries have the name \(name)")
      }
      if Self.escapesFolder(entry.name) {
        report(.dangerous, .archiveName, "\(name) points outside its folder")
      }
      if entry.isLink { report(.dangerous, .archiveLink, "\(name) is a link") }
      if entry.name.last == 0x2F, entry.data.isEmpty { continue }

      let isProgram = folder?.isProgram(entry.name) ?? false
      if folder?.announcesProgram(entry.name) ?? false { program.isAnnounced = true }
      let format = withContent(of: entry, bytes, label) { content -> ContentFormat? in
        let isCode = isProgram || folder?.code(entry.name) != nil
        if isCode {
          audit.judge(byteCount: content.byteCount)
          guard audit.spend(content.byteCount / 8) else { return .unjudged }
        }
        if isProgram { program.add(content, label) }
        if let kind = folder?.code(entry.name) { code.add(kind, content, label) }
        // torch ignores the flag of encryption, so encrypted bytes that make a pickle are one; others break by chance.
        let isExpected = entry.flags & 1 == 0 && Self.isNamedPickle(entry)
        let format = inside(isExpected: isExpected).scan(content, in: label)
        if isExpected, format == nil {
          audit.report(.unknown, .brokenPickle, in: label, at: 0, "\(name) is not a pickle")
        }
        if format == .pickle, hasChecksums, entry.isListed, !isIntact(content, entry) {
          audit.report(.unknown, .zipCrc, in: label, at: entry.header, "the checksum of \(name) is wrong")
        }
        return format
      }
      guard case .some(let format) = format else { continue }
      if entry.flags & 0x2061 != 0 {
        if format == nil, entry.flags & 1 != 0 {
          scanDecrypted(entry, bytes, label)
        } else {
          report(
            .dangerous, .zipFlags,
            "\(name) has the flags 0x\(String(entry.flags, radix: 16)), which other readers reject")
        }
        continue
      }
      if let folder {
        if !folder.holds(entry.name) {
          report(
            format == .pickle ? .dangerous : .unknown, format == .pickle ? .zipOutside : .unexpectedMember,
            "\(name) is outside the checkpoint's folder, \(folder.display)")
        } else if format == nil, !folder.isUsual(entry.name) {
          report(.unknown, .unexpectedMember, "PyTorch does not write \(name)")
        }
      } else if format == nil, layout.hasDirectory {
        audit.report(
          .unreadable, .notACheckpoint, in: place, at: entry.header,
          "\(name) is not a format that scan reads"
        )
      }
    }
    program.report(in: place, audit)
    code.report(in: place, audit)
    // Without a central directory, a gap may be the whole archive, which would then be scanned again.
    for gap in layout.gaps
    where gap != 0..<bytes.byteCount && !bytes.begins([0x50, 0x4B, 3, 4], at: gap.lowerBound) {
      _ = inside().scan(bytes.part(gap), in: join(place, "between the entries at \(gap.lowerBound)"))
    }
  }

  /// Calls a closure with the content of an entry. Returns nil, and reports why, when the content cannot be read.
  private func withContent<Result>(
    of entry: ZipLayout.Entry, _ bytes: RawSpan, _ label: String, _ body: (RawSpan) -> Result
  ) -> Result? {
    let stored = bytes.part(entry.data)
    func report(_ severity: ScanSeverity, _ rule: ScanRule, _ what: String) {
      audit.report(severity, rule, in: label, at: entry.header, what)
    }
    switch entry.method {
    case 0: return body(stored)
    case 8:
      let count = entry.byteCount
      guard count <= audit.inflationLeft, count / audit.limits.inflation <= stored.byteCount else {
        report(.unknown, .limit, "it inflates to \(Format.count(count, "byte")), too many to scan")
        return nil
      }
      audit.inflationLeft -= count
      audit.judge(byteCount: stored.byteCount)
      guard audit.spend(count / WorkBudget.Cost.bytesPerUnit) else { return nil }
      var isSound = false
      let content: [UInt8]
      do {
        content = try unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
          isSound = try unsafe stored.withUnsafeBytes {
            try unsafe Deflate.inflate($0, into: UnsafeMutableRawBufferPointer(buffer))
          }
          initialized = isSound ? count : 0
        }
      } catch {
        let missing = error as? Deflate.LibraryMissing
        report(
          .unreadable, .notACheckpoint,
          missing.map { "\($0.reason) (apt-get install \($0.debianPackage))" } ?? "it cannot be inflated")
        return nil
      }
      guard isSound else {
        if entry.flags & 1 != 0 {
          scanDecrypted(entry, bytes, label)
        } else {
          report(.unknown, .zipBroken, "it cannot be inflated")
        }
        return nil
      }
      return unsafe body(content.span.bytes)
    default:
      if entry.flags & 1 != 0 {
        scanDecrypted(entry, bytes, label)
        return nil
      }
      // PyTorch never writes such an entry, but other loaders read it.
      guard takeBudget(for: entry, label) else { return nil }
      do throws(ZipLibrary.Failure) {
        let content = try decode(entry, bytes)
        return unsafe body(content.span.bytes)
      } catch {
        report(.unreadable, .notACheckpoint, reason(error))
        return nil
      }
    }
  }

  /// Scans an encrypted entry with the password, or reports that it cannot be read.
  private func scanDecrypted(_ entry: ZipLayout.Entry, _ bytes: RawSpan, _ label: String) {
    func report(_ severity: ScanSeverity, _ rule: ScanRule, _ what: String) {
      audit.report(severity, rule, in: label, at: entry.header, what)
    }
    do throws(ZipLibrary.Failure) {
      guard audit.password != nil else { throw .passwordMissing }
      guard takeBudget(for: entry, label) else { return }
      let content = try decode(entry, bytes)
      let isExpected = Self.isNamedPickle(entry)
      let format = unsafe inside(isExpected: isExpected).scan(content.span.bytes, in: label)
      if isExpected, format == nil { report(.unknown, .brokenPickle, "it is not a pickle") }
      if entry.crc32 != 0, !isIntact(content, entry) { report(.unknown, .zipCrc, "its checksum is wrong") }
    } catch {
      report(.unreadable, .encrypted, reason(error))
    }
  }

  /// Takes the memory for an entry's data from what the scan may still use. Returns false, and reports it, when the
  /// entry is too large.
  private func takeBudget(for entry: ZipLayout.Entry, _ label: String) -> Bool {
    let count = entry.byteCount
    guard count <= audit.inflationLeft, count / audit.limits.inflation <= entry.data.count,
      entry.data.count <= audit.limits.inflatedBytes
    else {
      audit.report(
        .unknown, .limit, in: label, at: entry.header,
        "it has \(Format.count(count, "byte")) of data, too many to scan")
      return false
    }
    audit.inflationLeft -= count
    return true
  }

  /// Returns an entry's data, read by libzip.
  private func decode(
    _ entry: ZipLayout.Entry, _ bytes: RawSpan
  ) throws(ZipLibrary.Failure) -> [UInt8] {
    let encoding = ZipLibrary.Encoding(
      method: entry.method, flags: entry.flags, time: entry.time, aes: entry.aes)
    try ZipLibrary.requireSupport(encoding)
    let count = entry.byteCount
    let stored = ByteSource(BytesInMemory(bytes.part(entry.data).all), path: "")
    var failure: ZipLibrary.Failure?
    let content = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialized in
      do throws(ZipLibrary.Failure) {
        try unsafe ZipLibrary.read(
          stored, as: encoding, crc32: entry.crc32, password: audit.password,
          into: UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[..<count]))
        initialized = count
      } catch { failure = error }
    }
    if let failure { throw failure }
    return content
  }

  /// Returns a failure as a clause about an entry.
  private func reason(_ failure: ZipLibrary.Failure) -> String {
    switch failure {
    case .libraryMissing(let reason): "\(reason) (apt-get install \(ZipLibrary.Failure.debianPackage))"
    case .unsupported(let name): "it is \(name), which is not supported"
    case .passwordMissing: "it is encrypted"
    case .passwordWrong: "it is encrypted, and the password does not fit"
    case .damaged(let reason): reason
    case .unreadable(let error): error.reason
    }
  }

  private func isIntact(_ content: [UInt8], _ entry: ZipLayout.Entry) -> Bool {
    unsafe isIntact(content.span.bytes, entry)
  }

  private func isIntact(_ content: RawSpan, _ entry: ZipLayout.Entry) -> Bool {
    var crc = CRC32()
    unsafe content.withUnsafeBytes { unsafe crc.update($0) }
    return crc.value == entry.crc32
  }

  private static func isNamedPickle(_ entry: ZipLayout.Entry) -> Bool {
    entry.name.ends(with: ".pkl".utf8) || entry.name.ends(with: ".pickle".utf8)
  }

  /// Returns true when a name leads out of the folder it is extracted to.
  static func escapesFolder(_ name: [UInt8]) -> Bool {
    if name.first == 0x2F || name.contains(0x5C) || name.contains(0) { return true }
    if name.count > 1, name[1] == 0x3A { return true }
    return name.split(separator: 0x2F).contains { $0.elementsEqual("..".utf8) }
  }

  /// Returns the entries with slashes in place of backslashes, when no name has a slash and PyTorch wrote the archive:
  /// programs for Windows zip a checkpoint in this way. Otherwise returns them unchanged.
  private static func withSlashes(_ entries: [ZipLayout.Entry]) -> [ZipLayout.Entry] {
    guard !entries.contains(where: { $0.name.contains(0x2F) }) else { return entries }
    let renamed = entries.map { entry in
      var entry = entry
      entry.name = entry.name.map { $0 == 0x5C ? 0x2F : $0 }
      return entry
    }
    return TorchFolder(renamed.map(\.name)) == nil ? entries : renamed
  }
}

extension Array where Element == UInt8 {
  func ends(with suffix: String.UTF8View) -> Bool { self.suffix(suffix.count).elementsEqual(suffix) }
}
