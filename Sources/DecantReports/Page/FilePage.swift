internal import DecantBytes
internal import DecantCheckpoints
internal import DecantGraphs
internal import DecantIO
internal import DecantInference
internal import DecantNetworks
internal import DecantResNets
internal import DecantScanning
internal import DecantTensors

/// The part of a page that is about one checkpoint.
struct FilePage {
  let file: FileReport
  /// The beginning of every id, which differs between the files of a page.
  let prefix: String
  /// The level of the headings.
  let level: Int
  let forward: ForwardComparison?
  let errorText: (DecantError) -> String

  init(
    _ file: FileReport, prefix: String, level: Int, forward: ForwardComparison?,
    errorText: @escaping (DecantError) -> String
  ) {
    (self.file, self.prefix, self.level) = (file, prefix, level)
    (self.forward, self.errorText) = (forward, errorText)
  }

  private var checkpoint: Checkpoint { file.checkpoint }

  /// The sections in order. Those without content are left out.
  var sections: [PageSection] {
    [
      section("safety", "Safety", safety), section("architecture", "Architecture", architecture),
      section("cost", "Cost per stage", cost), section("network", "Network", network),
      section("verification", "Verification", verification),
      section("forward", "Forward comparison", forward.map(comparison)),
      section("bytes", "Bytes", ByteMapFigure(file.map, prefix: prefix).markup),
      section("values", "Other values", values),
      section("tensors", "Tensors", ParameterTable(file, prefix: prefix).markup),
    ].compactMap(\.self)
  }

  private func section(_ id: String, _ title: String, _ body: Markup?) -> PageSection? {
    body.map { PageSection(id: prefix + id, title: title, level: level, body: $0) }
  }

  // MARK: The beginning

  /// A summary of the file: a sentence and a list of facts.
  var summary: Markup {
    let items = facts.map { "<div><dt>\($0.name)</dt><dd>\($0.value)</dd></div>\n" as Markup }
    return """
      <p class="lead">\(headline) \(badge)</p>
      <dl class="facts">
      \(items)</dl>
      """
  }

  /// The network in one sentence.
  private var headline: Markup {
    guard let network = file.network else {
      guard case .none(_, let family?) = file.finding else { return "Not recognised as a ResNet." }
      return "Not a ResNet; it looks like \(family)."
    }
    let found = network.identification
    guard found.isResNet else {
      return found.isPart
        ? "Not a ResNet: another network whose first layers are a ResNet’s."
        : "Not a complete ResNet: only some of its tensors match one."
    }
    if let name = found.architecture {
      let head = found.hasPublishedHead ? "" : ", except for its head"
      return "\(found.isProven ? "This is" : "Consistent with") <strong>\(name)</strong>\(head)."
    }
    if found.sameShapes.isEmpty {
      let nearest = found.nearest.map { ", like \($0.name)" } ?? ""
      return "A custom ResNet\(nearest)."
    }
    return "Consistent with several ResNets: \(found.sameShapes.joined(separator: ", "))."
  }

  private var badge: Markup {
    let (text, kind): (String, Markup) =
      switch file.verdict {
      case .clean: ("Safe to load", "good")
      case .unknown: ("Loading imports other libraries", "warm")
      case .unreadable: ("Safety not judged", "warm")
      case .dangerous: ("Dangerous to load", "bad")
      }
    return "<span class=\"badge \(kind)\">\(text)</span>"
  }

  /// The facts of the file. Their names are the same for every file.
  private var facts: [(name: String, value: Markup)] {
    let tensors = checkpoint.tensors.map(\.tensor)
    let size = checkpoint.files.reduce(0) { $0 + $1.byteCount }
    let dtypes = Dictionary(grouping: tensors, by: \.dtype).map { (dtype: $0.key, count: $0.value.count) }
      .sorted { ($1.count, $0.dtype.rawValue) < ($0.count, $1.dtype.rawValue) }
      .map { Format.count($0.count) + " " + $0.dtype.rawValue }
    let elements = Aliases.distinctSize(tensors).elementCount
    let keys = checkpoint.stateDictKeys.map { $0 == "." ? "the root" : $0 }
    let shown = keys.isEmpty ? "none" : keys.prefix(4).joined(separator: ", ")
    let more = keys.count > 4 ? " and \(keys.count - 4) more" : ""
    let files = checkpoint.files.count
    return [
      ("Format", "\(checkpoint.container.rawValue)"),
      ("Size", "\(Format.size(size))\(files == 1 ? "" : " in \(Format.count(files, "file"))")"),
      ("Tensors", "\(Format.count(tensors.count))"), ("Elements", "\(Format.count(elements))"),
      ("Types", "\(dtypes.isEmpty ? "none" : dtypes.joined(separator: ", "))"),
      ("State dicts", "\(shown)\(more)"),
    ]
  }

  /// The facts with the network and the verdict, to compare files by.
  var comparableFacts: [(name: String, value: Markup)] {
    let network = file.network.map { $0.identification.architecture ?? "a custom ResNet" }
    return facts + [("Network", "\(network ?? "not recognised")"), ("Scan", "\(file.verdict.rawValue)")]
  }

  // MARK: Safety

  private var safety: Markup {
    let answer: Markup =
      switch file.verdict {
      case .clean:
        "Loading it with PyTorch or NumPy only builds tensors and plain values. No code of its own runs."
      case .unknown: "Loading it imports libraries other than PyTorch and NumPy, and runs their code."
      case .unreadable:
        "A part of it cannot be judged: it is damaged, encrypted, or of a format that holds no pickle."
      case .dangerous:
        "Loading it can execute code, or it hides what it loads. Decant reads it without executing anything."
      }
    let findings = file.scans.flatMap { scan in scan.findings.map { (scan, $0) } }
    let warnings = checkpoint.warnings.map { "<p class=\"warm\">\(escaped: $0)</p>\n" as Markup }
    guard !findings.isEmpty else { return "<p>\(answer)</p>\n\(warnings)" }
    var table = PageTable(
      "What the scan found, the worst first.",
      [.init("Severity"), .init("Finding"), .init("Where"), .init("Rule", isOptional: true)])
    for (scan, finding) in findings.sorted(by: { $1.1.severity < $0.1.severity }).prefix(200) {
      let call: Markup = finding.call.map { "<br><code>\(escaped: $0)</code>" } ?? ""
      let kind: Markup = finding.severity == .dangerous ? "bad" : "warm"
      let place = finding.place.isEmpty ? ReportPage.fileName(scan.path) : finding.place
      table.row([
        .head("<span class=\"\(kind)\">\(finding.severity.word)</span>"),
        .text("\(escaped: finding.what)\(call)"),
        .text("\(place), byte \(Format.count(finding.offset))"), .text("\(finding.rule.rawValue)"),
      ])
    }
    return "<p>\(answer)</p>\n\(table.markup)\n\(warnings)"
  }

  // MARK: The network

  private var network: Markup {
    let notes = file.notes.map { "<p class=\"soft\">\($0)</p>\n" as Markup }
    guard let network = file.network else {
      guard case .none(let error, _) = file.finding else { return "" }
      let text = errorText(error)
      return "<p>\(escaped: text.prefix(1).uppercased() + text.dropFirst())</p>\n\(notes)"
    }
    let found = network.identification
    var table = PageTable("What the file shows.", [.init("Fact"), .init("Value"), .init("Source")])
    for fact in found.facts {
      table.row([
        .head("\(Self.name(of: fact.name))"), .text("\(fact.value)"),
        .text("<span class=\"soft\">\(fact.source)</span>"),
      ])
    }
    let key = network.file.part?.selection.key ?? "."
    let names: Markup = """
      <p>State dict: \(key == "." ? "the root of the file" : key). Naming: \(found.naming.dialect.name)\(found.naming.prefix.isEmpty ? "" : ", with the prefix \(found.naming.prefix)").\(found.sameShapes.count > 1 ? " Networks with the same names and shapes: \(found.sameShapes.joined(separator: ", "))." : "")</p>
      """
    return "\(names)\n\(table.markup)\n\(undetermined(found))\(contradictions(found))\(notes)"
  }

  private func undetermined(_ found: ResNetIdentification) -> Markup {
    guard !found.undetermined.isEmpty else { return "" }
    var table = PageTable(
      "Not in the file: no name or shape depends on these.", [.init("Fact"), .init("Default")])
    for question in found.undetermined {
      table.row([.head("\(Self.name(of: question.name))"), .text("\(question.usual)")])
    }
    return "\(table.markup)\n"
  }

  private func contradictions(_ found: ResNetIdentification) -> Markup {
    guard !found.contradictions.isEmpty else { return "" }
    var table = PageTable(
      "Sources that contradict each other, the strongest first.",
      [.init("Fact"), .init("Value"), .init("Source")])
    for contradiction in found.contradictions {
      for claim in contradiction.claims {
        table.row([
          .head("\(Self.name(of: contradiction.name))"), .text("\(claim.value)"), .text("\(claim.source)"),
        ])
      }
    }
    return table.markup
  }

  private static func name(of fact: String) -> String {
    fact == "stride0" ? "stem stride" : fact.replacing("_", with: " ")
  }

  private var architecture: Markup? {
    guard let network = file.network else { return nil }
    guard let diagram = network.diagram else {
      return
        "<p>An image of \(network.inputSize)×\(network.inputSize) is too small for this network, so it is not drawn.</p>"
    }
    let panels = diagram.drawnPanels.map { panel -> Markup in
      let id = "\(prefix)drawing-\(panel.title)"
      return """
        <li><svg viewBox="0 0 \(NetworkDiagram.panelWidth) \(panel.height)" role="img" aria-labelledby="\(id)-title \(id)-text"><title id="\(id)-title">\(panel.title)</title><desc id="\(id)-text">\(panel.description)</desc>\(panel.markup)</svg></li>

        """
    }
    let stride = network.identification.configuration.stride0
    let isOpen = network.identification.undetermined.contains { $0.name == "stride0" }
    let open =
      isOpen
      ? " The stride of the stem is not in the file; the drawing uses \(stride), and --stride0 \(3 - stride) draws the other. Channels, blocks and weights do not depend on it."
      : ""
    return """
      <p>Data flows from top to bottom. Widths stand for channels, on one scale: the widest shape has \(Format.count(diagram.mostChannels)) channels. Numbers at the right are channels. Sizes are those of one \(network.inputSize)×\(network.inputSize) image.\(open)</p>
      <ul class="legend">
      <li>\(Self.swatch("d-point")) 1×1 convolution or linear</li><li>\(Self.swatch("d-space")) 3×3 or larger</li><li>\(Self.swatch("d-other")) pooling, other</li><li>\(Self.swatch("d-box")) downsample shortcut</li>
      </ul>
      <ul class="panels">
      \(panels)</ul>
      """
  }

  static func swatch(_ kind: String) -> Markup {
    "<svg viewBox=\"0 0 14 14\" aria-hidden=\"true\"><rect class=\"\(kind)\" width=\"14\" height=\"14\" rx=\"2\"/></svg>"
  }

  private var cost: Markup? {
    guard let network = file.network, let costs = network.costs else { return nil }
    let stages = network.graph.stageCosts(costs)
    var table = PageTable(
      "The cost of one \(network.inputSize)×\(network.inputSize) image. A multiply-add counts once.",
      [
        .init("Stage"), .init("Output"), .init("Multiply-adds", isNumber: true),
        .init("Share", isNumber: true),
        .init("", isOptional: true), .init("Parameters", isNumber: true), .init("Share", isNumber: true),
        .init("", isOptional: true),
      ])
    func cells(_ values: KeyPath<StageCost, Int>, of stage: StageCost) -> [PageTable.Cell] {
      let value = stage[keyPath: values]
      let total = stages.reduce(0) { $0 + $1[keyPath: values] }
      let bar = Self.bar(value, of: stages.map { $0[keyPath: values] }.max() ?? 1)
      return [.number(Format.count(value)), .number(Format.percent(value, of: total)), .text(bar)]
    }
    for stage in stages {
      table.row(
        [.head("\(stage.name)"), .text("\(Format.shape(stage.shape))")] + cells(\.multiplyAdds, of: stage)
          + cells(\.parameterCount, of: stage))
    }
    let (multiplyAdds, parameters) = stages.reduce((0, 0)) {
      ($0.0 + $1.multiplyAdds, $0.1 + $1.parameterCount)
    }
    table.total([
      .head("Total"), .text(""), .number(Format.count(multiplyAdds)), .number(""), .text(""),
      .number(Format.count(parameters)), .number(""), .text(""),
    ])
    return table.markup
  }

  private static func bar(_ value: Int, of greatest: Int) -> Markup {
    let width = 100 * Double(value) / Double(max(greatest, 1))
    return """
      <svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect width="\(width)" height="10"/></svg>
      """
  }

  // MARK: Verification

  private var verification: Markup? {
    var table = PageTable("What does not match.", [.init("Finding"), .init("Tensor"), .init("Detail")])
    func add(_ kind: String, _ name: String, _ detail: Markup) {
      guard table.count < 300 else { return }
      table.row([
        .head("<span class=\"bad\">\(kind)</span>"), .text("<code>\(name)</code>"), .text(detail),
      ])
    }
    for error in file.damage {
      add("damaged", error.location.tensor ?? error.location.entry ?? "", "\(escaped: error.reason)")
    }
    guard let network = file.network else {
      return table.count > 0 ? "<p>The file is damaged.</p>\n\(table.markup)" : nil
    }
    let found = network.verification
    for missing in found.missing { add("missing", missing.name, "\(Format.shape(missing.shape))") }
    for name in found.unexpected { add("unexpected", name, "") }
    for mismatch in found.mismatched {
      switch mismatch.difference {
      case .shape(let expected, let shape):
        add("shape", mismatch.name, "expected \(Format.shape(expected)), found \(Format.shape(shape))")
      case .type(let expected, let dtype):
        add("type", mismatch.name, "expected \(expected), found \(dtype.rawValue)")
      }
    }
    for tensor in found.nonFinite {
      add("NaN or infinity", tensor.name, "\(Format.count(tensor.count, "element"))")
    }
    let name = network.identification.expectedArchitecture ?? "the network of these shapes"
    let isMatch = found.isMatch && file.damage.isEmpty
    let answer: Markup =
      isMatch
      ? "<span class=\"badge good\">Yes</span> Names, shapes and types match \(name): \(Format.count(found.matched, "tensor"))\(file.hasValues ? ", all values finite, all checksums right" : ". Values and checksums were not read")."
      : "<span class=\"badge bad\">No</span> \(Format.count(found.matched, "tensor")) match \(name), with \(Format.count(table.count, "finding"))."
    let beside: Markup =
      found.beside.isEmpty
      ? ""
      : "<p>\(Format.count(found.beside.count, "other tensor")) in the state dict, such as <code>\(found.beside[0])</code>.</p>\n"
    return "<p>\(answer)</p>\n\(beside)\(table.count > 0 ? table.markup : "")"
  }

  private func comparison(_ forward: ForwardComparison) -> Markup {
    var table = PageTable(
      "The stages of \(ReportPage.fileName(forward.input)), computed by the \(forward.engine), beside those of \(ReportPage.fileName(forward.reference)).",
      [
        .init("Stage"), .init("Compared", isNumber: true), .init("Largest value", isNumber: true),
        .init("Largest difference", isNumber: true), .init("Relative", isNumber: true),
        .init("Allowed", isNumber: true), .init("Result"),
      ])
    for stage in forward.stages {
      table.row([
        .head("\(stage.stage)"), .number(Format.count(stage.count)),
        .number(Format.significant(stage.largest)),
        .number(Format.significant(stage.maxAbsolute)), .number(Format.significant(stage.maxRelative)),
        .number(Format.significant(stage.tolerance)),
        .text(stage.passes ? "<span class=\"good\">equal</span>" : "<span class=\"bad\">differs</span>"),
      ])
    }
    let answer: Markup =
      forward.passes
      ? "<span class=\"badge good\">Equal</span> Every stage is within the tolerance."
      : "<span class=\"badge bad\">Differs</span> \(Format.count(forward.stages.count { !$0.passes }, "stage")) of \(forward.stages.count) beyond the tolerance."
    return "<p>\(answer) Differences are relative to each stage’s largest value.</p>\n\(table.markup)"
  }

  // MARK: Other values

  private static let mostValues = 400

  private var values: Markup? {
    let objects = checkpoint.objects
    let metadata = checkpoint.containerMetadata
    guard !objects.isEmpty || !metadata.isEmpty else { return nil }
    var table = PageTable(
      objects.count > Self.mostValues
        ? "Everything that is not a tensor: the first \(Format.count(Self.mostValues)) of \(Format.count(objects.count))."
        : "Everything that is not a tensor.",
      [.init("Path"), .init("Type"), .init("Value")])
    for item in metadata.prefix(100) {
      table.row([
        .head("<code>\(item.label)</code>"), .text("<span class=\"soft\">metadata</span>"),
        .text("\(Self.shortened(item.text))"),
      ])
    }
    for object in objects.prefix(Self.mostValues) {
      let value: String =
        object.unreadTensor.map { "a tensor that is not read: \($0)" }
        ?? object.value.map { $0.string ?? $0.text }
        ?? object.count.map { Format.count($0, "element") } ?? ""
      table.row([
        .head("<code>\(Self.name(object.path))</code>"), .text("\(object.type)"),
        .text("\(Self.shortened(value))"),
      ])
    }
    return table.markup
  }

  /// Returns the name of a path, in quotes when it is empty or has spaces at an end.
  static func name(_ path: [PathKey]) -> String {
    if path.isEmpty { return "(the root)" }
    let name = path.joinedName
    return name.isEmpty || name.hasPrefix(" ") || name.hasSuffix(" ") ? "\"\(name)\"" : name
  }

  private static func shortened(_ text: String) -> String {
    text.utf8.count > 400 ? String(text.prefix(300)) + "…" : text
  }
}
