internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A reader of the specification of a Core ML model: the constants of its ML Programs are tensors, its interface and
/// operations are listed. Reads no weights.
///
/// Source: coremltools 9.0, `Model.proto`, `FeatureTypes.proto` and `MIL.proto`; docs/formats/coreml.md.
struct CoreMLReader {
  private let source: ByteSource
  private let limits: Limits
  private var weights: CompanionFiles
  private var listing: ModelListing
  private var operators = OperatorCounts()
  private var metadata: [(String, String)] = []
  private var warnings: [String] = []
  /// The files of weights by their name in the program, and the offsets of the arrays that it uses.
  private var blobs: [ExactText: (file: MILBlobFile, source: ByteSource, used: Set<UInt64>)] = [:]
  /// The number of constants that are parameters of operations, such as strides.
  private var parameterCount = 0
  private var models: [(range: Range<Int>, path: [PathKey])] = []

  /// The operations of a block, and the keys of the constants in it.
  private struct Block {
    let range: Range<Int>
    let path: [PathKey]
    /// The function's path.
    let stateDict: [PathKey]
  }

  /// Reads a model.
  ///
  /// - Throws: ``DecantError``: `unsupportedFormat` for a model that is no ML Program, `truncated`, `damaged`,
  ///   `partMissing`, `deceptive`, `limitExceeded`.
  static func open(
    _ source: ByteSource, _ weights: CompanionFiles, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile]) {
    var reader = CoreMLReader(source, weights, limits)
    reader.models = [(0..<source.byteCount, [])]
    // The models of a pipeline are found while it is read.
    var next = 0
    while next < reader.models.count {
      try reader.readModel(reader.models[next].range, at: reader.models[next].path)
      next += 1
    }
    try reader.finish()
    var parts = Checkpoint.Parts(
      container: .mlpackage, contents: reader.listing.contents, warnings: reader.warnings)
    parts.containerMetadata = reader.metadata
    return (parts, reader.weights.files)
  }

  private init(_ source: ByteSource, _ weights: CompanionFiles, _ limits: Limits) {
    self.source = source
    self.weights = weights
    self.limits = limits
    listing = ModelListing(path: source.path, limits: limits)
  }

  private mutating func finish() throws(DecantError) {
    try listing.add(operators: operators)
    if parameterCount > 0 {
      try listing.add(.exact(Int64(parameterCount)), type: "int", at: [.text("parameters of operations")])
    }
    for (name, blob) in blobs.sorted(by: { $0.key.text < $1.key.text })
    where blob.used.count < blob.file.count {
      let unused = blob.file.count - blob.used.count
      warnings.append(
        "\(Format.count(unused, "array")) of \(blob.file.count) in \(name.text.escapedForDisplay) \(unused == 1 ? "is" : "are") not used by the program"
      )
    }
  }

  // MARK: Model

  private mutating func readModel(_ range: Range<Int>, at path: [PathKey]) throws(DecantError) {
    typealias Field = CoreMLField.Model
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (Field.specificationVersion, .number(let version)):
        try listing.add(
          .exact(Int64(bitPattern: version)), type: "int", at: path + [.text("specification_version")])
      case (Field.description, .bytes(let message)): try readDescription(message, at: path)
      case (Field.program, .bytes(let message)): try readProgram(message, at: path)
      case (Field.pipeline, .bytes(let message)): try readPipeline(message, at: path)
      case (Field.pipelineClassifier, .bytes(let message)), (Field.pipelineRegressor, .bytes(let message)):
        var inner = ProtobufReader(source, message)
        while let (number, value) = try inner.next() {
          // The only field is the pipeline itself.
          if number == 1, case .bytes(let pipeline) = value { try readPipeline(pipeline, at: path) }
        }
      case (_, .bytes):
        guard let kind = Field.kinds[number] else { break }
        guard !path.isEmpty else {
          throw DecantError(
            .unsupportedFormat,
            "is a Core ML model of the type \(kind), and weights are read from ML Programs only",
            file: source.path,
            remedy:
              "Convert the network again with coremltools' convert_to=\"mlprogram\", or pass the PyTorch checkpoint it was made from."
          )
        }
        try listing.add(
          unread: "coreml.\(kind)", "model of Core ML's type \(kind)", shape: [], byteCount: nil, at: path,
          stateDict: nil)
      default: break
      }
    }
  }

  private mutating func readPipeline(_ range: Range<Int>, at path: [PathKey]) throws(DecantError) {
    guard path.count < limits.depth else {
      throw DecantError(
        limits.exceeded(\.depth, seen: path.count + 1), "pipelines are nested more than \(limits.depth) deep",
        file: source.path)
    }
    var fields = ProtobufReader(source, range)
    var (parts, names): ([Range<Int>], [String]) = ([], [])
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      if number == CoreMLField.Pipeline.models {
        try listing.admit(path)
        parts.append(bytes)
      }
      if number == CoreMLField.Pipeline.names {
        try listing.admit(path)
        names.append(try fields.text(bytes, limits))
      }
    }
    // Names may be missing or repeated.
    let isNamed = names.count == parts.count && Set(names.map(ExactText.init)).count == names.count
    for (position, part) in parts.enumerated() {
      models.append((part, path + [isNamed ? .text(names[position]) : .position(position)]))
    }
  }

  // MARK: Programs

  private mutating func readProgram(_ range: Range<Int>, at path: [PathKey]) throws(DecantError) {
    let functions = try entries(of: MILField.Program.functions, in: range)
    for function in functions {
      let functionPath = functions.count == 1 ? path : path + [.text(function.key)]
      let blocks = try entries(of: MILField.Function.blocks, in: function.value)
      for block in blocks {
        let blockPath = blocks.count == 1 ? functionPath : functionPath + [.text(block.key)]
        try readBlocks(Block(range: block.value, path: blockPath, stateDict: blockPath))
      }
    }
  }

  private mutating func readBlocks(_ block: Block) throws(DecantError) {
    var blocks = [block]
    while let block = blocks.popLast() {
      var fields = ProtobufReader(source, block.range)
      while let (number, value) = try fields.next() {
        guard number == MILField.Block.operations, case .bytes(let operation) = value else { continue }
        blocks += try readOperation(operation, in: block)
      }
    }
  }

  /// Adds the constants of an operation.
  ///
  /// - Returns: the blocks inside it.
  private mutating func readOperation(_ range: Range<Int>, in block: Block) throws(DecantError) -> [Block] {
    typealias Field = MILField.Operation
    var fields = ProtobufReader(source, range)
    var (type, output) = ("", "")
    var inner: [Range<Int>] = []
    var values: [(key: String, range: Range<Int>)] = []
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case Field.type: type = try fields.text(bytes, limits)
      case Field.outputs where output.isEmpty: output = try name(bytes)
      case Field.blocks:
        try listing.admit(block.path)
        inner.append(bytes)
      case Field.attributes:
        guard let entry = try entry(bytes) else { continue }
        try listing.admit([.text(entry.key)])
        values.append(entry)
      case Field.inputs:
        guard let entry = try entry(bytes) else { continue }
        for value in try boundValues(entry.range) {
          try listing.admit([.text(entry.key)])
          values.append((entry.key, value))
        }
      default: break
      }
    }
    operators.add(type)
    let own = block.path + [.text(output)]
    let isConstant = type == "const"
    // The second and later values of a parameter have their position as a key.
    var seen: [ExactText: Int] = [:]
    for (key, value) in values {
      let count = seen[ExactText(key), default: 0]
      seen[ExactText(key)] = count + 1
      let place = count == 0 ? [.text(key)] : [.text(key), PathKey.position(count)]
      try readValue(
        value, at: isConstant && key == "val" ? own : own + place, stateDict: block.stateDict)
    }
    guard block.path.count <= limits.depth else {
      throw DecantError(
        limits.exceeded(\.depth, seen: block.path.count), "blocks are nested more than \(limits.depth) deep",
        file: source.path, offset: range.lowerBound)
    }
    return inner.enumerated().map {
      Block(range: $1, path: own + [.position($0)], stateDict: block.stateDict)
    }
  }

  /// Returns the values that an argument is bound to.
  private mutating func boundValues(_ argument: Range<Int>) throws(DecantError) -> [Range<Int>] {
    var values: [Range<Int>] = []
    var fields = ProtobufReader(source, argument)
    while let (number, value) = try fields.next() {
      guard number == MILField.Argument.arguments, case .bytes(let binding) = value else { continue }
      var inner = ProtobufReader(source, binding)
      while let (number, value) = try inner.next() {
        if number == MILField.Binding.value, case .bytes(let range) = value {
          try listing.admit([])
          values.append(range)
        }
      }
    }
    return values
  }

  // MARK: Values

  /// The type of a tensor.
  private struct TensorType {
    var number: UInt64 = 0
    var shape: [Int] = []
    var type: MILDataType? { MILDataType(rawValue: Int(clamping: number)) }
  }

  /// Adds a value when it can be a weight: every array in a file of weights, floating-point arrays, and other arrays of
  /// ten or more elements. The others are parameters of operations, and are counted.
  private mutating func readValue(
    _ range: Range<Int>, at path: [PathKey], stateDict: [PathKey]
  ) throws(DecantError) {
    var fields = ProtobufReader(source, range)
    var type: TensorType?
    var (immediate, blob): (Range<Int>?, Range<Int>?)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case MILField.Value.type: type = try tensorType(bytes)
      case MILField.Value.immediate: immediate = bytes
      case MILField.Value.blobFile: blob = bytes
      default: break
      }
    }
    do throws(DecantError) {
      if let blob {
        guard let type else { throw DecantError(.damaged, "the array in the file of weights has no type") }
        return try add(blob: blob, type, at: path, stateDict)
      }
      guard let immediate else { return }
      guard let type, let tensor = try field(MILField.Immediate.tensor, in: immediate) else {
        // Lists of names and the like.
        return try listing.add(nil, type: "list", at: path)
      }
      let isVector = !type.shape.isEmpty
      let isLong = (checkedProduct(type.shape) ?? .max) >= 10
      if type.type == .string {
        // Every operation has its name as an attribute.
        return isVector ? try listing.add(nil, type: "list", at: path) : ()
      }
      guard isVector && (type.type?.isFloatingPoint ?? true) || isLong else {
        parameterCount += 1
        return
      }
      try add(immediate: tensor, type, at: path, stateDict)
    } catch { throw error.located(file: source.path, tensor: path.joinedName) }
  }

  private func tensorType(_ range: Range<Int>) throws(DecantError) -> TensorType? {
    guard let message = try field(MILField.ValueType.tensor, in: range) else { return nil }
    var fields = ProtobufReader(source, message)
    var type = TensorType()
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (MILField.TensorType.dataType, .number(let found)): type.number = found
      case (MILField.TensorType.dimensions, .bytes(let dimension)):
        guard type.shape.count < limits.rank else {
          throw DecantError(
            limits.exceeded(\.rank, seen: type.shape.count + 1),
            "the tensor has more than \(limits.rank) dimensions", file: source.path)
        }
        type.shape.append(try size(dimension))
      default: break
      }
    }
    return type
  }

  /// Returns a dimension's size; −1 when it is not fixed.
  private func size(_ dimension: Range<Int>) throws(DecantError) -> Int {
    guard let constant = try field(MILField.Dimension.constant, in: dimension) else { return -1 }
    var fields = ProtobufReader(source, constant)
    while let (number, value) = try fields.next() {
      if number == MILField.Dimension.size, case .number(let size) = value { return Int(clamping: size) }
    }
    return 0
  }

  private mutating func add(
    blob range: Range<Int>, _ type: TensorType, at path: [PathKey], _ stateDict: [PathKey]
  ) throws(DecantError) {
    var fields = ProtobufReader(source, range)
    var (name, offset) = ("", UInt64(0))
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (MILField.BlobFile.fileName, .bytes(let text)): name = try fields.text(text, limits)
      case (MILField.BlobFile.offset, .number(let found)): offset = found
      default: break
      }
    }
    let prefix = "@model_path/"
    let key = ExactText(name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : name)
    if blobs[key] == nil {
      let file = try weights.file(key.text)
      blobs[key] = (try MILBlobFile(file), file, [])
    }
    guard let (file, bytes, _) = blobs[key] else { return }
    let record = try file.record(at: offset)
    blobs[key]?.used.insert(offset)
    // The file has no type for truth values: they are bytes.
    let isSame = record.type == type.type || record.type == .uint8 && type.type == .bool
    guard record.type == nil || isSame else {
      throw DecantError(.damaged, "the program and the file of weights give it different types")
    }
    let content = try ByteRange(bytes, offset: record.range.lowerBound, byteCount: record.range.count)
    try add(content, key: "\(key.text):\(record.range.lowerBound)", type, at: path, stateDict)
  }

  private mutating func add(
    immediate range: Range<Int>, _ type: TensorType, at path: [PathKey], _ stateDict: [PathKey]
  ) throws(DecantError) {
    typealias Field = MILField.TensorValue
    var fields = ProtobufReader(source, range)
    var (number, values) = (0, 0..<0)
    while let (found, value) = try fields.next() {
      if case .bytes(let bytes) = value { (number, values) = (found, bytes) }
    }
    let width = (type.type?.bitCount ?? 8) / 8
    let encoding: ProtobufNumbers.Encoding?
    switch number {
    case Field.floats: encoding = type.type == .float32 ? .fixed(width: 4) : nil
    case Field.doubles: encoding = type.type == .float64 ? .fixed(width: 8) : nil
    case Field.ints, Field.bools: encoding = 1...4 ~= width ? .varint(width: width) : nil
    case Field.longInts: encoding = width == 8 ? .varint(width: 8) : nil
    case Field.bytes:
      let bytes = try field(Field.values, in: values) ?? values.lowerBound..<values.lowerBound
      let content = try ByteRange(source, offset: bytes.lowerBound, byteCount: bytes.count)
      return try add(content, key: String(bytes.lowerBound), type, at: path, stateDict)
    default: encoding = nil
    }
    guard let encoding else {
      throw DecantError(.damaged, "the constant's numbers are in the field of another type")
    }
    let content = try ProtobufNumbers.content(of: Field.values, in: values, of: source, as: encoding)
    try add(content, key: String(values.lowerBound), type, at: path, stateDict)
  }

  private mutating func add(
    _ content: any StorageContent, key: String, _ type: TensorType, at path: [PathKey],
    _ stateDict: [PathKey]
  ) throws(DecantError) {
    guard let element = type.type, let dtype = element.dtype else {
      let name = type.type.map { String(describing: $0) } ?? "type \(type.number)"
      return try listing.add(
        unread: "coreml.\(name)", "Core ML's \(name), which no PyTorch dtype stores", shape: type.shape,
        byteCount: content.byteCount, at: path, stateDict: stateDict)
    }
    guard let byteCount = checkedProduct(type.shape)?.checkedMultiplying(by: dtype.byteCount) else {
      throw DecantError(.damaged, "the shape \(type.shape) is negative or too large")
    }
    guard content.byteCount == byteCount else {
      throw DecantError(
        .damaged,
        "the shape \(type.shape) needs \(Format.count(byteCount, "byte")), but the tensor has \(Format.count(content.byteCount))"
      )
    }
    let storage = Storage(key: key, byteCount: byteCount, content: content)
    try listing.add(
      try Tensor(dtype: dtype, shape: type.shape, storage: storage, limits: limits), at: path,
      stateDict: stateDict)
  }

  // MARK: Messages

  /// Returns the bytes of the last field with this number; nil when there is no such field.
  private func field(_ wanted: Int, in range: Range<Int>) throws(DecantError) -> Range<Int>? {
    var fields = ProtobufReader(source, range)
    var found: Range<Int>?
    while let (number, value) = try fields.next() {
      if number == wanted, case .bytes(let bytes) = value { found = bytes }
    }
    return found
  }

  /// Returns the entries of a map whose values are messages.
  private mutating func entries(
    of wanted: Int, in range: Range<Int>
  ) throws(DecantError) -> [(key: String, value: Range<Int>)] {
    var fields = ProtobufReader(source, range)
    var found: [(key: String, value: Range<Int>)] = []
    while let (number, value) = try fields.next() {
      guard number == wanted, case .bytes(let bytes) = value, let entry = try entry(bytes) else { continue }
      try listing.admit([.text(entry.key)])
      found.append((entry.key, entry.range))
    }
    return found
  }

  /// Returns an entry of a map; nil without a value.
  private func entry(_ range: Range<Int>) throws(DecantError) -> (key: String, range: Range<Int>)? {
    var fields = ProtobufReader(source, range)
    var key = ""
    var found: Range<Int>?
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      if number == CoreMLField.Entry.key { key = try fields.text(bytes, limits) }
      if number == CoreMLField.Entry.value { found = bytes }
    }
    return found.map { (key, $0) }
  }

  /// Returns the name of a `NamedValueType`.
  private func name(_ range: Range<Int>) throws(DecantError) -> String {
    try text(MILField.NamedType.name, in: range)
  }

  /// Returns the text of the last field with this number; empty when there is no such field.
  private func text(_ number: Int, in range: Range<Int>) throws(DecantError) -> String {
    try field(number, in: range).map { range throws(DecantError) in
      try ProtobufReader(source).text(range, limits)
    } ?? ""
  }
}

// MARK: Interface

extension CoreMLReader {
  private mutating func readDescription(_ range: Range<Int>, at path: [PathKey]) throws(DecantError) {
    typealias Field = CoreMLField.Description
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case Field.input: try listFeature(bytes, at: path + [.text("inputs")])
      case Field.output: try listFeature(bytes, at: path + [.text("outputs")])
      case Field.state: try listFeature(bytes, at: path + [.text("states")])
      case Field.functions: try readFunction(bytes, at: path + [.text("functions")])
      case Field.metadata where path.isEmpty: try readMetadata(bytes)
      default: break
      }
    }
  }

  private mutating func readFunction(_ range: Range<Int>, at path: [PathKey]) throws(DecantError) {
    typealias Field = CoreMLField.FunctionDescription
    let path = path + [.text(try text(Field.name, in: range))]
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case Field.input: try listFeature(bytes, at: path + [.text("inputs")])
      case Field.output: try listFeature(bytes, at: path + [.text("outputs")])
      case Field.state: try listFeature(bytes, at: path + [.text("states")])
      default: break
      }
    }
  }

  private mutating func readMetadata(_ range: Range<Int>) throws(DecantError) {
    typealias Field = CoreMLField.Metadata
    let names = [
      Field.shortDescription: "description", Field.version: "version", Field.author: "author",
      Field.license: "license",
    ]
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      var found: (String, String)?
      if let name = names[number] { found = (name, try fields.text(bytes, limits)) }
      if number == Field.userDefined, let entry = try entry(bytes) {
        found = (entry.key, try fields.text(entry.range, limits))
      }
      if let found {
        try listing.admit([.text(found.0), .text(found.1)])
        metadata.append(found)
      }
    }
  }

  /// Lists an input, an output or a state: its kind as the type, its sizes as the value.
  private mutating func listFeature(_ range: Range<Int>, at path: [PathKey]) throws(DecantError) {
    typealias Field = CoreMLField.Feature
    var (name, kind, sizes): (String, String, String?) = ("", "unknown", nil)
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      if number == Field.name { name = try fields.text(bytes, limits) }
      if number == Field.type { (kind, sizes) = try featureType(bytes) }
    }
    try listing.add(sizes.map(JSONValue.string), type: kind, at: path + [.text(name)])
  }

  private func featureType(_ range: Range<Int>) throws(DecantError) -> (kind: String, sizes: String?) {
    typealias Field = CoreMLField.FeatureType
    var fields = ProtobufReader(source, range)
    var found: (kind: String, sizes: String?) = ("unknown", nil)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case Field.int64: found = ("int64", nil)
      case Field.double: found = ("double", nil)
      case Field.string: found = ("string", nil)
      case Field.image: found = try image(bytes)
      case Field.multiArray: found = try multiArray(bytes)
      case Field.state:
        // Its only field is a multi-array.
        found = try field(1, in: bytes).map { array throws(DecantError) in try multiArray(array) } ?? found
      case Field.dictionary: found = ("dictionary", nil)
      case Field.sequence: found = ("sequence", nil)
      default: break
      }
    }
    return found
  }

  private func multiArray(_ range: Range<Int>) throws(DecantError) -> (kind: String, sizes: String?) {
    typealias Field = CoreMLField.MultiArray
    var fields = ProtobufReader(source, range)
    var kind = "multi-array"
    var shape: [UInt64] = []
    var note = ""
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (Field.dataType, .number(let type)): kind += " " + (Field.dataTypes[type] ?? "of type \(type)")
      case (Field.shape, .number(let size)) where shape.count < limits.rank: shape.append(size)
      case (Field.shape, .bytes(let packed)):
        var sizes = ProtobufReader(source, packed)
        while let size = try sizes.nextPacked(), shape.count < limits.rank { shape.append(size) }
      case (Field.enumeratedShapes, _): note = " or another of several shapes"
      case (Field.shapeRange, _): note = " or another shape in a range"
      default: break
      }
    }
    let sizes = shape.map { String(Int64(bitPattern: $0)) }.joined(separator: ", ")
    return (kind, "[\(sizes)]\(note)")
  }

  private func image(_ range: Range<Int>) throws(DecantError) -> (kind: String, sizes: String?) {
    typealias Field = CoreMLField.Image
    var fields = ProtobufReader(source, range)
    var (width, height, space) = (UInt64(0), UInt64(0), "")
    while let (number, value) = try fields.next() {
      guard case .number(let found) = value else { continue }
      switch number {
      case Field.width: width = found
      case Field.height: height = found
      case Field.colorSpace: space = " " + (Field.colorSpaces[found] ?? "of colour space \(found)")
      default: break
      }
    }
    return ("image" + space, "\(width)×\(height)")
  }
}
