package import DecantBytes
package import DecantCheckpoints
internal import DecantIO
internal import DecantTensors

/// The tensors of a checkpoint to write, with their output names and dtypes, before the limits of a format are
/// checked.
package struct ConversionPlan {
  let checkpoint: Checkpoint
  let options: WriteOptions
  let format: OutputFormat
  /// The part of the checkpoint that is written, and what it leaves out.
  let choice: StateDictChoice
  /// The selected tensors; output names are relative to the selection's path.
  private(set) var selection: Selection
  /// The tensors to write, in the source's order.
  private(set) var tensors: [PlannedTensor] = []
  private(set) var lost: [(name: String, reason: String)] = []
  /// The weights that PyTorch computes from several of the tensors.
  private(set) var parametrized = ParametrizedWeights()
  /// The names of the weights that are computed for the output.
  private var computedNames: [String] = []
  private(set) var wrappers: [(name: String, type: String, partCount: Int)] = []
  /// The weights to turn to channels last, by path.
  private var convolutions: [[PathKey]: ConvolutionKind] = [:]

  /// Plans the tensors to write.
  ///
  /// - Throws: ``DecantError`` when tensors cannot be written as requested; the error names each one.
  init(
    _ checkpoint: Checkpoint, to format: OutputFormat, selecting: Selection? = nil, _ options: WriteOptions
  ) throws {
    self.checkpoint = checkpoint
    self.options = options
    self.format = format
    var choice =
      try selecting.map { StateDictChoice(selection: $0) }
      ?? checkpoint.choice(
        key: options.key, as: format, withAttributes: options.includesAttributes, except: options.except)
    // Modules become their state dicts.
    if format == .torchZip, options.dropsObjects, !options.includesAttributes {
      choice.leaveOutAttributes()
    }
    self.choice = choice
    selection = choice.selection
    if options.resolvesWeights {
      (selection, parametrized) = try selection.resolved()
      computedNames = parametrized.weights.map(\.name)
    }
    replace()
    try filter()
    parametrized =
      options.resolvesWeights
      ? parametrized.selecting { options.query.selects($0) } : try selection.parametrizedWeights()
    if options.salvages { try salvage() } else { try checkpoint.requireIntact() }
    try requireReadable()
    takePartsOfWrappers()
    try chooseConvolutions()
    let views = try written()
    let names = try names()
    tensors.reserveCapacity(views.count)
    for (index, entry) in selection.tensors.enumerated() {
      let tensor = try permuted(views[index], of: entry)
      let dtype = options.dtype.flatMap { tensor.isCast(to: $0) ? $0 : nil } ?? tensor.dtype
      tensors.append(
        PlannedTensor(
          name: names[index], source: selection.name(of: entry), entry: entry, tensor: tensor, dtype: dtype,
          turned: turned(entry)))
    }
    try requireData()
    // A .pth stores every storage once, whatever the tensors are.
    if format != .torchZip {
      try checkpoint.requireModestSize(tensors.map(\.byteCount).saturatingSum, of: tensors.map(\.tensor))
    }
    try requireRecordableLayout()
  }

  // MARK: Tensor selection

  /// Replaces tensors with the tensors that were computed from them.
  private mutating func replace() {
    guard !options.replaced.isEmpty else { return }
    let tensors = selection.tensors.flatMap { entry -> [CheckpointTensor] in
      let name = selection.name(of: entry)
      guard let replacements = options.replaced[ExactText(name)] else { return [entry] }
      return replacements.map { replacement in
        var path = entry.path
        if ExactText(replacement.name) != ExactText(name) {
          // The new tensor becomes a sibling when its name has the same parent prefix.
          let above = String(name.utf8.dropLast(path.removeLast().name.utf8.count)) ?? ""
          let isBeside = replacement.name.utf8.starts(with: above.utf8)
          if !isBeside { path = selection.path }
          path.append(.text(isBeside ? String(replacement.name.dropFirst(above.count)) : replacement.name))
        }
        var replaced = CheckpointTensor(
          path: path, tensor: replacement.tensor, role: entry.role, stateDict: entry.stateDict)
        replaced.rankPart = entry.rankPart
        return replaced
      }
    }
    selection = Selection(path: selection.path, tensors: tensors, unread: selection.unread)
  }

  /// Keeps the tensors whose names match the patterns.
  private mutating func filter() throws(DecantError) {
    let query = options.query
    guard query.isPartial else { return }
    let kept = selection.tensors.filter { isChosen($0) }
    let names =
      selection.tensors.map { selection.name(of: $0) } + selection.unread.map { selection.name(of: $0.path) }
      + selection.tensors.compactMap { $0.rankPart.map { selection.name(of: $0.owner) } }
    // A pattern may also leave out what is outside the selection, by its full name.
    let unused =
      query.only.filter { glob in !names.contains { $0.matches(glob: glob) } }
      + query.except.filter { glob in
        !names.contains { $0.matches(glob: glob) }
          && !checkpoint.allTensorNames.contains { $0.matches(glob: glob) }
      }
    guard unused.isEmpty else { throw checkpoint.unusedPatterns(unused) }
    selection = Selection(path: selection.path, tensors: kept, unread: selection.unread)
  }

  /// The paths of the tensors of kinds that are not read, which the caller leaves out.
  var unreadPathsLeftOut: Set<[PathKey]> {
    let unselected =
      options.query.isPartial
      ? checkpoint.objects.filter {
        $0.unreadTensor != nil && !options.query.selects(selection.name(of: $0.path))
      } : []
    return Set((checkpoint.skippedTensors + unselected).map(\.path))
  }

  /// Returns true when the patterns select a tensor. A part of a sharded tensor also goes by its owner's name.
  private func isChosen(_ entry: CheckpointTensor) -> Bool {
    let name = selection.name(of: entry)
    guard let owner = entry.rankPart?.owner, owner != entry.path else { return options.query.selects(name) }
    return options.query.selects(name, selection.name(of: owner))
  }

  /// Keeps the tensors whose data is complete and has the right checksum. O(bytes).
  private mutating func salvage() throws {
    var verdicts: [ObjectIdentifier: String] = [:]
    var kept: [CheckpointTensor] = []
    for entry in selection.tensors {
      let reason =
        entry.state == .whole ? try damage(of: entry, &verdicts) : entry.state.rawValue
      if let reason { lost.append((entry.name, reason)) } else { kept.append(entry) }
    }
    selection = Selection(path: selection.path, tensors: kept, unread: selection.unread)
    guard !kept.isEmpty || lost.isEmpty else {
      throw DecantError(
        (checkpoint.truncation ?? checkpoint.damage.first)?.code ?? .checksumMismatch,
        "has no complete tensor",
        file: checkpoint.path, remedy: "Download the file again. Nothing was written.")
    }
  }

  /// Returns the reason why a tensor's storages are damaged; nil when they are intact.
  private func damage(
    of entry: CheckpointTensor, _ verdicts: inout [ObjectIdentifier: String]
  ) throws -> String? {
    for tensor in entry.tensor.sources {
      guard let content = tensor.storage.content as? any ChecksummedContent else { continue }
      let storage = ObjectIdentifier(tensor.storage)
      if verdicts[storage] == nil {
        do { verdicts[storage] = try content.damage(stopsAtFirst: true).first?.reason ?? "" } catch let error
          as DecantError
        {
          verdicts[storage] = error.reason
        }
      }
      if let verdict = verdicts[storage], !verdict.isEmpty { return verdict }
    }
    return nil
  }

  /// Throws for a selection without tensors, and for one with tensors of unsupported kinds.
  private func requireReadable() throws(DecantError) {
    try checkpoint.requireReadable(selection, use: "converted") { options.query.selects($0) }
    guard !selection.tensors.isEmpty else {
      throw DecantError(
        .noStateDict,
        checkpoint.skippedTensors.isEmpty
          ? "holds no tensors" : "holds no tensors but those that are left out",
        file: checkpoint.path,
        remedy: "Pass the file that holds the weights.")
    }
  }

  /// Replaces wrapper subclasses that hold no data of their own by the tensors below them.
  private mutating func takePartsOfWrappers() {
    let (kept, empty) = selection.withoutWrappers()
    selection = kept
    wrappers = empty.map { ($0.entry.name, $0.entry.subclass ?? "", $0.partCount) }
  }

  // MARK: Layout and data

  /// Returns the tensors in the form to write: sparse and quantised ones are converted only when requested.
  private func written() throws -> [Tensor] {
    let entries = selection.tensors
    let sparse = entries.filter { $0.tensor.layout != .strided }
    guard sparse.isEmpty || options.makesDense || format == .torchZip else {
      throw refusal("sparse", sparse, .makeDense)
    }
    let quantized = entries.filter { $0.tensor.quantization != nil }
    guard quantized.isEmpty || options.dequantizes || format == .torchZip else {
      throw refusal("quantised", quantized, .dequantize)
    }
    return try entries.map { try options.query.form(of: $0, in: checkpoint) }
  }

  private func refusal(
    _ what: String, _ entries: [CheckpointTensor], _ advice: DecantError.Advice, _ reason: String? = nil
  ) -> DecantError {
    let reason = reason ?? "which \(format.name) cannot hold"
    let list = entries.prefix(16).map { "\($0.name.escapedForDisplay) (\($0.tensor.dtype.rawValue))" }
    return DecantError(
      .notRepresentable,
      "\(entries.count == 1 ? "this tensor is" : "these \(Format.count(entries.count, "tensor", ("is", "are")))") \(what), \(reason): "
        + list.joined(separator: ", ") + (entries.count > 16 ? ", …" : ""), file: checkpoint.path,
      advice: advice)
  }

  /// Returns a tensor with its axes in the requested order.
  private func permuted(_ tensor: Tensor, of entry: CheckpointTensor) throws -> Tensor {
    if let renaming = options.renamed[ExactText(selection.name(of: entry))] {
      return try entry.inPyTorchOrder(tensor).permuted(renaming.axes)
    }
    switch options.layout {
    case nil: return tensor
    case .channelsFirst?: return try entry.inPyTorchOrder(tensor)
    case .channelsLast?:
      return try convolutions[entry.path].map {
        try tensor.permuted($0.channelsLast(rank: tensor.shape.count))
      }
        ?? tensor
    }
  }

  /// Returns the kind of convolution of a weight that is channels last in the output; nil for other tensors.
  private func turned(_ entry: CheckpointTensor) -> ConvolutionKind? {
    if options.renamed[ExactText(selection.name(of: entry))] != nil { return nil }
    return switch options.layout {
    case nil: entry.turned
    case .channelsFirst?: nil
    case .channelsLast?: convolutions[entry.path]
    }
  }

  /// Finds the convolution weights to turn: those of the caller's patterns, else those of the modules in the file.
  ///
  /// - Throws: ``DecantError`` when weights are channels last already, when nothing says which tensors are weights of
  ///   convolutions, and when there is nothing to turn back.
  private mutating func chooseConvolutions() throws {
    let turned = choice.selection.tensors.filter { $0.turned != nil }
    switch options.layout {
    case nil: return
    case .channelsFirst?:
      guard turned.isEmpty else { return }
      throw DecantError(
        .invalidArgument, "has no record of channels-last weights (\(ConvolutionRecord.key)) to turn back",
        file: checkpoint.path, advice: .omitLayout)
    case .channelsLast?:
      guard turned.isEmpty else {
        throw DecantError(
          .invalidArgument,
          "has \(Format.count(turned.count, "weight")) that \(turned.count == 1 ? "is" : "are") channels last already",
          file: checkpoint.path,
          tensor: turned[0].name, advice: .omitLayout)
      }
    }
    try requireWholeConvolutions()
    let all =
      choice.selection.tensors.map { choice.selection.name(of: $0) }
      + (options.resolvesWeights ? computedNames : [])
    let unused = (options.layoutOnly + options.layoutTransposed).filter { glob in
      !all.contains { $0.matches(glob: glob) }
    }
    guard unused.isEmpty else { throw checkpoint.unusedPatterns(unused) }
    let known =
      options.layoutOnly.isEmpty && options.layoutTransposed.isEmpty ? checkpoint.moduleConvolutions() : [:]
    var (sparse, quantized): ([CheckpointTensor], [CheckpointTensor]) = ([], [])
    for entry in selection.tensors {
      let name = selection.name(of: entry)
      func matches(_ globs: [String]) -> Bool { globs.contains { name.matches(glob: $0) } }
      let kind =
        known[entry.path]
        ?? (matches(options.layoutTransposed)
          ? .transposed : matches(options.layoutOnly) ? .ordinary : nil)
      guard let kind, ConvolutionKind.ranks ~= entry.tensor.shape.count else { continue }
      if entry.tensor.layout != .strided, !options.makesDense { sparse.append(entry) }
      if entry.tensor.quantization != nil, !options.dequantizes { quantized.append(entry) }
      convolutions[entry.path] = kind
    }
    if !sparse.isEmpty { throw refusal("sparse", sparse, .makeDense, "whose axes have no order in memory") }
    if !quantized.isEmpty {
      throw refusal("quantised", quantized, .dequantize, "which are turned only as numbers")
    }
    guard !convolutions.isEmpty else {
      throw DecantError(
        .undetermined, "does not say which tensors are weights of convolutions", file: checkpoint.path,
        advice: .nameConvolutions)
    }
  }

  /// Throws when weights to turn are stored in several parts, which have no axes to turn.
  private func requireWholeConvolutions() throws(DecantError) {
    guard !options.resolvesWeights else { return }
    let globs = options.layoutOnly + options.layoutTransposed
    let parts = parametrized.weights.filter { weight in
      ConvolutionKind.ranks ~= (weight.tensor?.shape.count ?? 0)
        && (globs.isEmpty || globs.contains { weight.name.matches(glob: $0) })
    }
    guard let first = parts.first, let note = parametrized.note("stored as") else { return }
    throw DecantError(
      .invalidArgument, "only whole weights can be turned, but \(note)", file: checkpoint.path,
      tensor: first.name, advice: .resolveWeights)
  }

  /// Throws when weights that are channels last would be written to a format without a place for that fact, unless the
  /// caller turns them just now.
  private func requireRecordableLayout() throws(DecantError) {
    let turned = tensors.filter { $0.turned != nil }
    guard let record = turned.layoutRecord, let reason = format.reasonAgainst(record: record, options) else {
      return
    }
    guard options.layout != .channelsLast || format.recordsLayout(options) else { return }
    throw DecantError(
      .notRepresentable,
      "\(Format.count(turned.count, "convolution weight")) \(turned.count == 1 ? "is" : "are") channels last, and \(reason)",
      file: checkpoint.path, tensor: turned[0].name, advice: .turnBack)
  }

  private func requireData() throws(DecantError) {
    guard tensors.contains(where: { $0.tensor.storage.content == nil || !$0.tensor.isReadable }) else {
      return
    }
    // Tensors that stay sparse are not expanded, so the limit does not apply to them.
    let huge = tensors.filter {
      $0.tensor.layout == .strided && $0.tensor.storage.content != nil && !$0.tensor.isReadable
    }
    guard huge.isEmpty else {
      let list = huge.prefix(16).map {
        "\($0.name.escapedForDisplay) (\(Format.count($0.tensor.byteCount, "byte")))"
      }
      throw DecantError(
        .limitExceeded,
        "as dense tensors these exceed the limit expansion (a .pth keeps them sparse): \(list.joined(separator: ", "))"
          + (huge.count > 16 ? ", …" : ""), file: checkpoint.path, advice: advice(without: huge))
    }
    let meta = tensors.filter { $0.tensor.storage.content == nil && !(format == .torchZip && $0.isMeta) }
    guard meta.isEmpty else {
      throw DecantError(
        .noData,
        "holds tensors without data, saved from the meta device or by another rank: \(meta.prefix(16).map(\.name.escapedForDisplay).joined(separator: ", "))"
          + (meta.count > 16 ? ", …" : ""), file: checkpoint.path, advice: advice(without: meta))
    }
  }

  /// Returns the advice to leave out some of the tensors; to save the checkpoint again when there are no others.
  private func advice(without refused: [PlannedTensor]) -> DecantError.Advice {
    let names = Set(refused.map { ExactText($0.source) })
    let others = tensors.map(\.source).filter { !names.contains(ExactText($0)) }
    return others.isEmpty ? .saveWhole : .exceptTensors(refused.map(\.source).globs(sparing: others))
  }

  // MARK: Names

  /// Returns the tensors' names in the output.
  private func names() throws(DecantError) -> [String] {
    var names: [String] = []
    names.reserveCapacity(selection.tensors.count)
    // A prefix is made of whole components: `module` is `module.`.
    let prefix = options.stripPrefix.map {
      $0.isEmpty || $0.hasSuffix(".") || $0.hasSuffix("/") ? $0 : $0 + "."
    }
    var others: [String] = []
    for entry in selection.tensors {
      var name = selection.name(of: entry)
      name = options.renamed[ExactText(name)]?.name ?? name
      if let prefix {
        guard name.hasPrefix(prefix) else {
          others.append(name)
          continue
        }
        name = String(name.dropFirst(prefix.count))
      }
      names.append(name)
    }
    guard others.isEmpty else {
      throw DecantError(
        .invalidArgument,
        "does not begin with the prefix \((prefix ?? "").escapedForDisplay) that is to be stripped"
          + (others.count > 1 ? ", like \(others.count - 1) more" : ""),
        file: checkpoint.path, tensor: others[0],
        advice: others.count == selection.tensors.count || others.count > 8
          ? .keepPrefix : .exceptTensors(others))
    }
    for substitution in options.substitutions { names = substitution.applied(to: names) }
    // The containers of a pickle are kept, so two tensors with equal joined names still have different paths.
    if format == .torchZip, checkpoint.graph != nil { return names }
    var places = [ExactText: Int](minimumCapacity: names.count)
    for (place, name) in names.enumerated() {
      if let other = places.updateValue(place, forKey: ExactText(name)) {
        throw clash(of: other, and: place, name)
      }
    }
    return names
  }

  /// Returns the error for two tensors, by their index in the selection, that would have the same name.
  private func clash(of left: Int, and right: Int, _ name: String) -> DecantError {
    let entries = [selection.tensors[left], selection.tensors[right]]
    let sources = entries.map { selection.name(of: $0) }
    if ExactText(sources[0]) != ExactText(sources[1]) {
      return DecantError(
        .duplicateName,
        "two tensors would have the name \(name.quoted): \(sources[0].quoted) and \(sources[1].quoted)",
        file: checkpoint.path,
        advice: options.substitutions.isEmpty ? .exceptTensors([sources[1].asGlob]) : .keepNames)
    }
    return DecantError(
      .duplicateName,
      "two tensors have the name \(name.quoted): \(entries[0].path.asArray) and \(entries[1].path.asArray)",
      file: checkpoint.path,
      advice: checkpoint.graph == nil ? .exceptTensors([sources[0].asGlob]) : .writeTorch)
  }
}

extension Checkpoint {
  /// Returns the part to write: the one below a key, else the only state dict. A `.pth` can hold everything.
  package func choice(
    key: String?, as format: OutputFormat, withAttributes: Bool = false, except: [String] = []
  ) throws(DecantError) -> StateDictChoice {
    try choice(
      key: key ?? (format == .torchZip ? "." : nil), withAttributes: withAttributes, except: except)
  }
}
