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
        let format = inside(as: .file).scan(
          bytes.part(layout.end..<end), in: join(label, "behind the archive"))
        explain(layout.end..<end, isKnown: format != nil)
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
        let format = inside(as: .pickle).scan(
          bytes.part(0..<layout.start), in: join(place, "before the archive"))
        explain(0..<layout.start, isKnown: format != nil)
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

  /// Claims a range that was scanned as a region of its own, or marks it as unread. A finding reports why it is there.
  private func explain(_ range: Range<Int>, isKnown: Bool) {
    if isKnown { ledger.claim(range, as: .nested) } else { ledger.markUnread(range) }
  }

  private func scanZip(_ bytes: RawSpan, _ layout: ZipLayout, in place: String) {
    for fault in layout.faults {
      audit.report(fault.severity, fault.rule, in: place, at: fault.offset, fault.what)
    }
    if layout.isCut {
      audit.report(.unknown, .limit, in: place, at: 0, "more than \(audit.limits.zipEntries) entries")
    }
    for range in layout.structures { ledger.claim(range, as: .structure) }
    if layout.isDamaged, layout.entries.isEmpty {
      audit.report(.unreadable, .notACheckpoint, in: place, at: 0, "no entry of the archive can be read")
    }
    if layout.isCut || layout.isDamaged { ledger.markUnread(layout.start..<layout.end) }
    let entries = Self.withSlashes(layout.entries)
    let folder = TorchFolder(entries.map(\.name))
    if folder?.isAlsoPackage ?? false {
      audit.report(
        .dangerous, .polyglot, in: place, at: 0,
        "the checkpoint is also an archive of torch.package, whose importer runs other entries")
    }
    let records = entries.map { folder?.record($0.name) }
    var names: Set<[UInt8]> = []
    var contents = ZipContents(hasChecksums: layout.entries.contains { $0.crc32 != 0 })
    if let folder {
      contents.program.isAnnounced = entries.contains { folder.announcesProgram($0.name) }
      contents.isProgram =
        contents.program.isAnnounced || entries.contains { folder.announcesGraph($0.name) }
    }
    for (entry, record) in zip(entries, records) {
      audit.judge(byteCount: 76 + 2 * entry.name.count)
      guard audit.spend(WorkBudget.Cost.entry) else { return ledger.markUnread(layout.start..<layout.end) }
      checkName(of: entry, layout, folder, &names, in: place)
      // Pickles state the sizes of storages, which are therefore judged after all other entries.
      if case .storage = record { continue }
      scanEntry(entry, record, bytes, layout, folder, &contents, in: place)
    }
    for (entry, record) in zip(entries, records) {
      guard case .storage = record else { continue }
      scanEntry(entry, record, bytes, layout, folder, &contents, in: place)
    }
    if contents.holdsCompanion, !contents.holdsCheckpoint {
      audit.report(.unreadable, .notACheckpoint, in: place, at: 0, "none of its entries is a checkpoint")
    }
    contents.program.report(in: place, audit)
    contents.code.report(in: place, audit)
    for gap in layout.gaps {
      ledger.markUnread(gap)
      // Without a central directory, a gap may be the whole archive, which would then be scanned again.
      if gap != 0..<bytes.byteCount, !bytes.begins([0x50, 0x4B, 3, 4], at: gap.lowerBound) {
        _ = inside(as: .file).scan(
          bytes.part(gap), in: join(place, "between the entries at \(gap.lowerBound)"))
      }
    }
  }

  /// The facts that the entries of one archive share.
  private struct ZipContents {
    let hasChecksums: Bool
    /// True for programs of TorchScript and torch.export.
    var isProgram = false
    var program = TorchScriptProgram()
    var code = ArchivedCode()
    /// True when an entry has a format that the scanner reads.
    var holdsCheckpoint = false
    /// True when an entry is a text, vocabulary or picture.
    var holdsCompanion = false
    /// The storages that each pickle states, by its name without `.pkl`; nil for the pickles of torch.package.
    var statements: [String?: StorageStatements] = [:]

    init(hasChecksums: Bool) { self.hasChecksums = hasChecksums }

    /// Returns what pickles state about a storage. The pickle `bytecode.pkl` shares the storages of others.
    func storage(_ name: TorchFolder.StorageName) -> StatedStorage? {
      statements[name.pickle]?.storages[name.key] ?? statements["bytecode"]?.storages[name.key]
    }
  }

  private func checkName(
    of entry: ZipLayout.Entry, _ layout: ZipLayout, _ folder: TorchFolder?, _ names: inout Set<[UInt8]>,
    in place: String
  ) {
    let name = layout.display(entry.name)
    func report(_ rule: ScanRule, _ what: String) {
      audit.report(.dangerous, rule, in: place, at: entry.header, what)
    }
    if !entry.isListed, layout.hasDirectory { report(.zipHidden, "the directory does not list \(name)") }
    // torch finds an entry whatever the case of its name.
    let key = folder == nil ? entry.name : TorchFolder.lookupKey(entry.name)
    if entry.isListed, !names.insert(key).inserted {
      report(.zipName, "several entries have the name \(name)\(key == entry.name ? "" : ", apart from case")")
    }
    if let other = folder?.otherSpelling(entry.name) {
      report(.zipName, "torch reads \(name) as \(other), which other readers do not find")
    }
    if Self.escapesFolder(entry.name) { report(.archiveName, "\(name) points outside its folder") }
    if entry.isLink { report(.archiveLink, "\(name) is a link") }
  }

  /// Scans an entry, and claims its data when it is known what the data is.
  private func scanEntry(
    _ entry: ZipLayout.Entry, _ record: TorchFolder.Record?, _ bytes: RawSpan, _ layout: ZipLayout,
    _ folder: TorchFolder?, _ contents: inout ZipContents, in place: String
  ) {
    if entry.name.last == 0x2F, entry.data.isEmpty { return }
    let name = layout.display(entry.name)
    let label = join(place, name)
    func report(_ severity: ScanSeverity, _ rule: ScanRule, _ what: String) {
      audit.report(severity, rule, in: place, at: entry.header, what)
    }
    let stated = StorageStatements()
    let misfit = storageMisfit(entry, record, contents)
    func judge(_ content: RawSpan) -> (format: ContentFormat?, owner: ByteLedger.Owner?) {
      let isPickle = Self.isNamedPickle(entry)
      var scan = inside(as: isPickle ? .pickle : .file)
      scan.statements = stated
      var owner: ByteLedger.Owner?
      switch record {
      case .text(let form) where form.fits(content): owner = .text
      case .script:
        guard takeCode(content) else { return (.unjudged, nil) }
        contents.program.add(content, label)
        owner = .program
      case .code(let kind):
        guard takeCode(content) else { return (.unjudged, nil) }
        contents.code.add(kind, content, label)
        owner = .program
      case .storage where misfit == nil:
        scan.role = .data
        owner = .tensor
      default: break
      }
      // A short text of a known form is not scanned as another file: the names of modules can begin like a pickle.
      let format = owner == .text ? nil : scan.scan(content, in: label)
      if isPickle, format == nil {
        audit.report(.unknown, .brokenPickle, in: label, at: 0, "\(name) is not a pickle")
      } else if folder == nil, format == nil, scanCompanion(content, in: label) {
        owner = .text
        contents.holdsCompanion = true
      }
      if format != nil { contents.holdsCheckpoint = true }
      // AES has a code of its own, and its entries may have no checksum.
      let isChecked =
        entry.flags & 1 == 0 ? format == .pickle || owner == .text : entry.crc32 != 0
      if isChecked, contents.hasChecksums, entry.isListed, !isIntact(content, entry) {
        audit.report(.unknown, .zipCrc, in: label, at: entry.header, "the checksum of \(name) is wrong")
      }
      return (format, owner ?? (format == nil ? nil : .nested))
    }
    let result: (format: ContentFormat?, owner: ByteLedger.Owner?)?
    var badFlags = entry.flags & 0x2060 != 0
    if entry.flags & 1 == 0 {
      result = withContent(of: entry, bytes, label, judge)
    } else if let plain = withContent(of: entry, bytes, label, { inside(as: .file).scan($0, in: label) })
      ?? nil
    {
      // torch ignores the flag of encryption, so encrypted bytes that make a pickle are one; others break by chance.
      result = (plain, .nested)
      badFlags = true
    } else {
      result = withDecrypted(entry, bytes, label, judge)
    }
    if let pickle = folder?.storagePickle(entry.name) {
      let known = contents.statements[pickle.name] ?? StorageStatements()
      known.add(stated.storages)
      contents.statements[pickle.name] = known
    }
    guard let (format, owner) = result else { return ledger.markUnread(entry.data) }
    if let owner { ledger.claim(entry.data, as: owner) } else { ledger.markUnread(entry.data) }
    if badFlags {
      report(
        .dangerous, .zipFlags,
        "\(name) has the flags 0x\(String(entry.flags, radix: 16)), which other readers reject")
    } else if let folder, !folder.holds(entry.name) {
      report(
        format == .pickle ? .dangerous : .unknown, format == .pickle ? .zipOutside : .unexpectedMember,
        "\(name) is outside the checkpoint's folder, \(folder.display)")
    } else if let misfit, stated.importsNames || !contents.isProgram {
      report(stated.importsNames ? .dangerous : .unknown, .unaccounted, "\(name) \(misfit)")
    } else if misfit != nil || record == .programData, contents.isProgram {
      // The archive is reported as a program.
    } else if folder != nil, owner == nil {
      report(
        .unknown, .unexpectedMember,
        record == .unexpected ? "PyTorch does not write \(name)" : "\(name) has no form that PyTorch writes")
    } else if folder == nil, owner == nil, layout.hasDirectory {
      report(.unreadable, .notACheckpoint, "\(name) is not a format that scan reads")
    }
  }

  /// Takes the work of searching source code from the budget. Returns false when it is spent.
  private func takeCode(_ content: RawSpan) -> Bool {
    audit.judge(byteCount: content.byteCount)
    return audit.spend(content.byteCount / 8)
  }

  /// Returns the reason, as a clause, why an entry cannot be the data of the storage that its name refers to. Nil when it
  /// can, and for other entries.
  private func storageMisfit(
    _ entry: ZipLayout.Entry, _ record: TorchFolder.Record?, _ contents: ZipContents
  ) -> String? {
    guard case .storage(let name) = record else { return nil }
    guard let storage = contents.storage(name) else { return "holds data that no tensor refers to" }
    if storage.isContradicted { return "has several sizes, according to its tensors" }
    guard let byteCount = storage.byteCount else { return "has elements of an unknown size" }
    return byteCount == entry.byteCount
      ? nil : "has \(Format.count(entry.byteCount, "byte")), but its tensors say \(Format.count(byteCount))"
  }

  /// Calls a closure with the content of an entry, ignoring the flag of encryption. Returns nil when the content cannot
  /// be read, and reports why unless it is encrypted.
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
      let inflated: Deflate.Inflated
      do throws(Deflate.LibraryMissing) { inflated = try Deflate.inflate(stored, limit: count) } catch {
        report(.unreadable, .notACheckpoint, "\(error.reason) (apt-get install \(error.debianPackage))")
        return nil
      }
      guard case .data(let content, let taken) = inflated, content.count == count else {
        if entry.flags & 1 != 0 { return nil }
        // Without a directory, the header may be that of an entry whose size follows its data.
        if case .tooLarge = inflated, entry.isListed {
          report(
            .dangerous, .zipHeaders,
            "it inflates to more bytes than its header says, which some loaders ignore")
        } else {
          report(.unknown, .zipBroken, "it cannot be inflated")
        }
        return nil
      }
      if taken < stored.byteCount {
        report(
          .dangerous, .trailingData,
          "\(Format.count(stored.byteCount - taken, "byte", ("follows", "follow"))) the end of its compressed data"
        )
      }
      return unsafe body(content.span.bytes)
    default:
      if entry.flags & 1 != 0 { return nil }
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

  /// Calls a closure with the decrypted content of an entry. Returns nil, and reports why, when it cannot be read.
  private func withDecrypted<Result>(
    _ entry: ZipLayout.Entry, _ bytes: RawSpan, _ label: String, _ body: (RawSpan) -> Result
  ) -> Result? {
    do throws(ZipLibrary.Failure) {
      guard audit.password != nil else { throw .passwordMissing }
      guard takeBudget(for: entry, label) else { return nil }
      let content = try decode(entry, bytes)
      return unsafe body(content.span.bytes)
    } catch {
      audit.report(.unreadable, .encrypted, in: label, at: entry.header, reason(error))
      return nil
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

  private func isIntact(_ content: RawSpan, _ entry: ZipLayout.Entry) -> Bool {
    var crc = CRC32()
    unsafe content.withUnsafeBytes { unsafe crc.update($0) }
    return crc.value == entry.crc32
  }

  private static func isNamedPickle(_ entry: ZipLayout.Entry) -> Bool {
    let name = TorchFolder.lookupKey(entry.name)
    return name.ends(with: ".pkl".utf8) || name.ends(with: ".pickle".utf8)
  }

  /// Returns true when a name leads out of the folder it is extracted to.
  static func escapesFolder(_ name: [UInt8]) -> Bool {
    if name.first == 0x2F || name.contains(0x5C) || name.contains(0) { return true }
    if name.count > 1, name[1] == 0x3A { return true }
    return name.contains(0x2E) && name.split(separator: 0x2F).contains { $0.elementsEqual("..".utf8) }
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
