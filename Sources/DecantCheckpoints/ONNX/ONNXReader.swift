internal import DecantBytes
internal import DecantFormats
internal import DecantIO
internal import DecantTensors

/// A reader of ONNX models: the initialisers and constants are tensors, everything else that describes the network is
/// listed. Reads no weights.
///
/// Source: onnx 1.23, `onnx.proto`; docs/formats/onnx.md.
struct ONNXReader {
  private let source: ByteSource
  private let limits: Limits
  private var data: CompanionFiles
  private var listing: ModelListing
  private var operators = OperatorCounts()
  private var metadata: [(String, String)] = []
  /// The names of the main graph's initialisers that are constants of operators, where Decant wrote the model.
  private var constants: Set<ExactText> = []
  /// The inputs of the main graph. Those with an initialiser are not inputs but weights.
  private var inputs: [Range<Int>] = []
  private var outputs: [Range<Int>] = []
  /// The bodies that were found and not yet read.
  private var bodies: [Body] = []

  /// A graph or a function: the range of its message, and the keys of the tensors in it.
  private struct Body {
    enum Kind {
      /// The graph that the model executes. Its initialisers are the state dict.
      case main
      case graph, function, training
    }
    let kind: Kind
    let range: Range<Int>
    let path: [PathKey]
  }

  /// Reads a model.
  ///
  /// - Parameter folder: the folder of the model, for files with its weights; nil for a model in memory.
  /// - Returns: the contents, and the files beside the model that hold weights.
  /// - Throws: ``DecantError``: `truncated`, `damaged`, `partMissing`, `deceptive`, `limitExceeded`.
  static func open(
    _ source: ByteSource, in folder: CheckpointFolder?, limits: Limits
  ) throws(DecantError) -> (Checkpoint.Parts, [InputFile]) {
    var reader = ONNXReader(source, folder, limits)
    try reader.readModel()
    // Bodies are found while others are read.
    var next = 0
    while next < reader.bodies.count {
      try reader.read(reader.bodies[next])
      next += 1
    }
    try reader.listInterface()
    try reader.listing.add(operators: reader.operators)
    return (
      Checkpoint.Parts(
        container: .onnx, contents: reader.listing.contents, containerMetadata: reader.metadata),
      reader.data.files
    )
  }

  private init(_ source: ByteSource, _ folder: CheckpointFolder?, _ limits: Limits) {
    self.source = source
    self.limits = limits
    data = CompanionFiles(folder: folder, model: source.path)
    listing = ModelListing(path: source.path, limits: limits)
  }

  // MARK: Messages

  private mutating func readModel() throws(DecantError) {
    typealias Field = ONNXField.Model
    var fields = ProtobufReader(source)
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (Field.irVersion, .number(let version)): try list(version, at: [.text("ir_version")])
      case (Field.modelVersion, .number(let version)): try list(version, at: [.text("model_version")])
      case (Field.producerName, .bytes(let text)): try list(text, at: "producer_name")
      case (Field.producerVersion, .bytes(let text)): try list(text, at: "producer_version")
      case (Field.domain, .bytes(let text)): try list(text, at: "domain")
      case (Field.docString, .bytes(let text)): try list(text, at: "doc_string")
      case (Field.opsetImport, .bytes(let range)): try listOpset(range)
      case (Field.metadataProps, .bytes(let range)):
        let entry = try ONNXTensorProto.entry(source, range, limits)
        try listing.admit([.text(entry.key), .text(entry.value)])
        metadata.append(entry)
        if entry.key == ONNXField.constantsKey,
          let names = try? JSONValue(parsing: unsafe Array(entry.value.utf8).span.bytes, depth: 2)
        {
          constants.formUnion((names.array ?? []).compactMap { $0.string.map(ExactText.init) })
        }
      case (Field.graph, .bytes(let range)): try append(.main, range, at: [])
      case (Field.trainingInfo, .bytes(let range)): try append(.training, range, at: [.text("training_info")])
      case (Field.functions, .bytes(let range)):
        try append(.function, range, at: [.text("functions"), .text(try functionName(range))])
      default: break
      }
    }
  }

  private mutating func append(_ kind: Body.Kind, _ range: Range<Int>, at path: [PathKey]) throws(DecantError)
  {
    guard path.count <= limits.depth else {
      throw DecantError(
        limits.exceeded(\.depth, seen: path.count), "graphs are nested more than \(limits.depth) deep",
        file: source.path, offset: range.lowerBound)
    }
    try listing.admit(path)
    bodies.append(Body(kind: kind, range: range, path: path))
  }

  private func functionName(_ range: Range<Int>) throws(DecantError) -> String {
    var fields = ProtobufReader(source, range)
    var (domain, name, overload) = ("", "", "")
    while let (number, value) = try fields.next() {
      guard case .bytes(let text) = value else { continue }
      if number == ONNXField.Function.name { name = try fields.text(text, limits) }
      if number == ONNXField.Function.domain { domain = try fields.text(text, limits) }
      if number == ONNXField.Function.overload { overload = try fields.text(text, limits) }
    }
    return [domain, name, overload].filter { !$0.isEmpty }.joined(separator: ".")
  }

  private mutating func read(_ body: Body) throws(DecantError) {
    var fields = ProtobufReader(source, body.range)
    while let (number, value) = try fields.next() {
      guard case .bytes(let range) = value else { continue }
      switch (body.kind, number) {
      case (.training, ONNXField.Training.initialization), (.training, ONNXField.Training.algorithm):
        let name = number == ONNXField.Training.initialization ? "initialization" : "algorithm"
        try append(.graph, range, at: body.path + [.text(name)])
      case (.training, _): break
      case (.function, ONNXField.Function.node): try readNode(range, in: body)
      case (.function, ONNXField.Function.attributeProto):
        try readAttribute(range, of: Node(name: "attributes", type: "", output: ""), in: body)
      case (.function, _): break
      case (_, ONNXField.Graph.node): try readNode(range, in: body)
      case (_, ONNXField.Graph.initializer):
        let tensor = try ONNXTensorProto(source, range, limits: limits)
        let isConstant = body.kind == .main && constants.contains(ExactText(tensor.name))
        try add(
          tensor, at: body.path + [.text(tensor.name)],
          stateDict: body.kind == .main && !isConstant ? [] : nil, purpose: isConstant ? .attribute : nil)
      case (_, ONNXField.Graph.sparseInitializer):
        try addSparse(range, name: nil, at: body.path, stateDict: body.kind == .main ? [] : nil)
      case (.main, ONNXField.Graph.name): try list(range, at: "graph")
      case (.main, ONNXField.Graph.input):
        try listing.admit([])
        inputs.append(range)
      case (.main, ONNXField.Graph.output):
        try listing.admit([])
        outputs.append(range)
      default: break
      }
    }
  }

  private struct Node {
    var name = ""
    var type = ""
    /// The name of the first output.
    var output = ""

    var isConstant: Bool { type == "Constant" }
    /// The name of the first output, which is unique in a graph; names of nodes need not be.
    var key: String { output.isEmpty ? name : output }
  }

  private mutating func readNode(_ range: Range<Int>, in body: Body) throws(DecantError) {
    var fields = ProtobufReader(source, range)
    var node = Node()
    var hasAttributes = false
    while let (number, value) = try fields.next() {
      guard case .bytes(let text) = value else { continue }
      switch number {
      case ONNXField.Node.output where node.output.isEmpty: node.output = try fields.text(text, limits)
      case ONNXField.Node.name: node.name = try fields.text(text, limits)
      case ONNXField.Node.operatorType: node.type = try fields.text(text, limits)
      case ONNXField.Node.attribute: hasAttributes = true
      default: break
      }
    }
    operators.add(node.type)
    guard hasAttributes else { return }
    fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      if number == ONNXField.Node.attribute, case .bytes(let attribute) = value {
        try readAttribute(attribute, of: node, in: body)
      }
    }
  }

  /// Adds the tensors of an attribute, and the graphs in it to the bodies to be read.
  private mutating func readAttribute(
    _ range: Range<Int>, of node: Node, in body: Body
  ) throws(DecantError) {
    typealias Field = ONNXField.Attribute
    var fields = ProtobufReader(source, range)
    var name = ""
    var parts: [(number: Int, range: Range<Int>)] = []
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      switch number {
      case Field.name: name = try fields.text(bytes, limits)
      case Field.tensor, Field.graph, Field.tensors, Field.graphs, Field.sparseTensor, Field.sparseTensors:
        try listing.admit([])
        parts.append((number, bytes))
      default: break
      }
    }
    let path = body.path + (node.isConstant ? [.text(node.output)] : [.text(node.key), .text(name)])
    if node.isConstant, try addNumbers(name, range, at: path, in: body) { return }
    let isSeveral = parts.count > 1
    for (position, part) in parts.enumerated() {
      let path = isSeveral ? path + [.position(position)] : path
      switch part.number {
      case Field.tensor, Field.tensors:
        let tensor = try ONNXTensorProto(source, part.range, limits: limits)
        try add(tensor, at: path, stateDict: node.isConstant ? owner(tensor, in: body) : nil)
      case Field.sparseTensor, Field.sparseTensors:
        try addSparse(
          part.range, name: path, at: path, stateDict: node.isConstant && body.kind == .main ? [] : nil)
      default: try append(.graph, part.range, at: path)
      }
    }
  }

  /// Returns the state dict of a constant: the main graph's, unless it can only be sizes, axes or indices of an operator.
  private func owner(_ tensor: ONNXTensorProto, in body: Body) -> [PathKey]? {
    guard body.kind == .main else { return nil }
    let isVector = tensor.shape.count { $0 > 1 } <= 1
    switch tensor.elementType {
    case .int64, .int32, .bool, .string: return isVector ? nil : []
    default: return []
    }
  }

  /// Adds the constant whose numbers are in the attribute itself.
  ///
  /// - Returns: false when the attribute holds none.
  private mutating func addNumbers(
    _ name: String, _ attribute: Range<Int>, at path: [PathKey], in body: Body
  ) throws(DecantError) -> Bool {
    typealias Field = ONNXField.Attribute
    let (field, dtype, encoding): (Int, DType, ProtobufNumbers.Encoding)
    switch name {
    case "value_float": (field, dtype, encoding) = (Field.float, .float32, .fixed(width: 4))
    case "value_floats": (field, dtype, encoding) = (Field.floats, .float32, .fixed(width: 4))
    case "value_int": (field, dtype, encoding) = (Field.integer, .int64, .varint(width: 8))
    case "value_ints": (field, dtype, encoding) = (Field.integers, .int64, .varint(width: 8))
    case "value_string", "value_strings":
      try listing.add(nil, type: "str", at: path)
      return true
    default: return false
    }
    let content = try ProtobufNumbers.content(of: field, in: attribute, of: source, as: encoding)
    let count = content.byteCount / encoding.width
    let isScalar = field == Field.float || field == Field.integer
    guard !isScalar || count == 1 else {
      throw DecantError(
        .damaged, "the constant does not hold one number", file: source.path, tensor: path.joinedName)
    }
    let storage = Storage(
      key: String(attribute.lowerBound), byteCount: content.byteCount, content: content)
    let tensor = try Tensor(dtype: dtype, shape: isScalar ? [] : [count], storage: storage, limits: limits)
    try listing.add(tensor, at: path, stateDict: body.kind == .main && dtype == .float32 ? [] : nil)
    return true
  }

  // MARK: Tensors

  private mutating func add(
    _ proto: ONNXTensorProto, at path: [PathKey], stateDict: [PathKey]?, purpose: Purpose? = nil
  ) throws(DecantError) {
    do throws(DecantError) {
      if let tensor = try tensor(proto) {
        try listing.add(tensor, at: path, stateDict: stateDict, purpose: purpose)
      } else if proto.elementType == .string {
        try listing.add(nil, type: "onnx.STRING", at: path)
      } else {
        let bits = proto.elementType?.bitCount
        let count = checkedProduct(proto.shape).flatMap { count in
          bits.flatMap { count.checkedMultiplying(by: $0) }
        }
        let name = proto.elementType?.name ?? "type \(proto.typeNumber)"
        try listing.add(
          unread: "onnx.\(name)",
          proto.isSegment ? "a segment of a tensor" : "ONNX's \(name), which no PyTorch dtype stores",
          shape: proto.shape,
          byteCount: count?.dividedRoundingUp(by: 8), at: path, stateDict: stateDict)
      }
    } catch { throw error.located(file: source.path, tensor: path.joinedName) }
  }

  /// Returns the tensor of a message; nil for a type that is not read.
  private mutating func tensor(_ proto: ONNXTensorProto) throws(DecantError) -> Tensor? {
    guard let type = proto.elementType, let dtype = type.dtype, let bits = type.bitCount, !proto.isSegment
    else {
      return nil
    }
    var shape = proto.shape
    guard let count = checkedProduct(shape), let bitCount = count.checkedMultiplying(by: bits) else {
      throw DecantError(.damaged, "the shape \(shape) is negative or too large")
    }
    if dtype == .float4_e2m1fn_x2 {
      // PyTorch counts pairs of four-bit elements, along the last dimension.
      guard let last = shape.last, last % 2 == 0 else { return nil }
      shape[shape.count - 1] = last / 2
    }
    let (key, content) = try content(proto, type, byteCount: bitCount.dividedRoundingUp(by: 8))
    let storage = Storage(key: key, byteCount: content.byteCount, content: content)
    return try Tensor(dtype: dtype, shape: shape, storage: storage, limits: limits)
  }

  /// Returns the bytes of a tensor, and the place where they begin.
  ///
  /// - Throws: ``DecantError`` unless there are exactly as many as the shape needs.
  private mutating func content(
    _ proto: ONNXTensorProto, _ type: ONNXElementType, byteCount: Int
  ) throws(DecantError) -> (key: String, content: any StorageContent) {
    if proto.isExternal { return try externalContent(proto, byteCount: byteCount) }
    let content: any StorageContent
    if let raw = proto.rawData {
      guard proto.dataFields.isEmpty else {
        throw DecantError(.deceptive, "the tensor has its data twice, in raw_data and in another field")
      }
      content = try ByteRange(source, offset: raw.lowerBound, byteCount: raw.count)
    } else {
      guard let field = type.dataField, proto.dataFields.isSubset(of: [field.number]) else {
        throw DecantError(.damaged, "the tensor's data is in the field of another type")
      }
      content = try ProtobufNumbers.content(
        of: field.number, in: proto.range, of: source, as: field.encoding)
    }
    guard content.byteCount == byteCount else {
      throw DecantError(
        .damaged,
        "the shape \(proto.shape) needs \(Format.count(byteCount, "byte")), but the tensor has \(Format.count(content.byteCount))"
      )
    }
    return (String(proto.rawData?.lowerBound ?? proto.range.lowerBound), content)
  }

  private mutating func externalContent(
    _ proto: ONNXTensorProto, byteCount: Int
  ) throws(DecantError) -> (key: String, content: any StorageContent) {
    guard let location = proto.external("location"), !location.isEmpty else {
      throw DecantError(.damaged, "the tensor's data is in another file, which is not named")
    }
    guard proto.rawData == nil, proto.dataFields.isEmpty else {
      throw DecantError(.deceptive, "the tensor has its data twice, in the model and in another file")
    }
    guard let offset = Int(proto.external("offset") ?? "0"), offset >= 0,
      let length = proto.external("length").map({ Int($0) }) ?? byteCount
    else { throw DecantError(.damaged, "the offset or length of the tensor's data is not a number") }
    guard length == byteCount else {
      throw DecantError(
        .damaged,
        "the shape \(proto.shape) needs \(Format.count(byteCount, "byte")), but the tensor has \(Format.count(length))"
      )
    }
    let file = try data.file(location)
    guard offset <= file.byteCount, byteCount <= file.byteCount - offset else {
      throw DecantError(
        .truncated,
        "is cut short, or belongs to another model: it has \(Format.count(file.byteCount, "byte")), but \(Format.count(byteCount)) at offset \(offset) are needed",
        file: file.path, remedy: "Download it again, or copy it again from where the model was made.")
    }
    return (
      "\(location):\(offset)", try ByteRange(file, offset: offset, byteCount: byteCount)
    )
  }

  /// Adds a tensor in coordinate form.
  ///
  /// - Parameters:
  ///   - name: its path; nil to take the name that its values have, below `parent`.
  private mutating func addSparse(
    _ range: Range<Int>, name: [PathKey]?, at parent: [PathKey], stateDict: [PathKey]?
  ) throws(DecantError) {
    var fields = ProtobufReader(source, range)
    var (values, indices): (ONNXTensorProto?, ONNXTensorProto?)
    var shape: [Int] = []
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (ONNXField.SparseTensor.values, .bytes(let message)):
        values = try ONNXTensorProto(source, message, limits: limits)
      case (ONNXField.SparseTensor.indices, .bytes(let message)):
        indices = try ONNXTensorProto(source, message, limits: limits)
      case (ONNXField.SparseTensor.dims, .number(let size)) where shape.count < limits.rank:
        shape.append(Int(truncatingIfNeeded: size))
      case (ONNXField.SparseTensor.dims, .bytes(let packed)):
        var sizes = ProtobufReader(source, packed)
        while let size = try sizes.nextPacked(), shape.count < limits.rank {
          shape.append(Int(truncatingIfNeeded: size))
        }
      default: break
      }
    }
    guard let values, let indices else {
      throw DecantError(
        .damaged, "a sparse tensor has no values or no indices", file: source.path, offset: range.lowerBound)
    }
    let path = name ?? parent + [.text(values.name)]
    do throws(DecantError) {
      if let sparse = try sparseTensor(values, indices, shape) {
        try listing.add(sparse, at: path, stateDict: stateDict)
      } else {
        try listing.add(
          unread: "onnx.SparseTensor", "sparse tensor with flat indices", shape: shape,
          byteCount: nil, at: path, stateDict: stateDict)
      }
    } catch { throw error.located(file: source.path, tensor: path.joinedName) }
  }

  /// Returns a sparse tensor; nil for flat indices into several dimensions, and for values of a type that is not read.
  private mutating func sparseTensor(
    _ values: ONNXTensorProto, _ indices: ONNXTensorProto, _ shape: [Int]
  ) throws(DecantError) -> Tensor? {
    guard let values = try tensor(values), let indices = try tensor(indices),
      indices.shape.count == 2 || shape.count == 1
    else { return nil }
    // ONNX has a row for each value, PyTorch a column. Flat indices are one row.
    let columns = try indices.permuted(indices.shape.count == 2 ? [1, 0] : [nil, 0])
    return try Tensor.sparse(.sparseCOO, shape: shape, parts: [columns, values], limits: limits)
  }

  // MARK: Values that are not tensors

  private mutating func list(_ number: UInt64, at path: [PathKey]) throws(DecantError) {
    try listing.add(.exact(Int64(bitPattern: number)), type: "int", at: path)
  }

  private mutating func list(_ text: Range<Int>, at key: String) throws(DecantError) {
    let isShort = text.count <= limits.textBytes
    let value = isShort ? JSONValue.string(try ProtobufReader(source).text(text)) : nil
    try listing.add(value, type: "str", at: [.text(key)])
  }

  private mutating func listOpset(_ range: Range<Int>) throws(DecantError) {
    var fields = ProtobufReader(source, range)
    var (domain, version) = ("", UInt64(0))
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (ONNXField.Opset.domain, .bytes(let text)): domain = try fields.text(text, limits)
      case (ONNXField.Opset.version, .number(let found)): version = found
      default: break
      }
    }
    try list(version, at: [.text("opset_import"), .text(domain.isEmpty ? "ai.onnx" : domain)])
  }

  private mutating func listInterface() throws(DecantError) {
    let weights = Set(listing.contents.tensors.filter { $0.path.count == 1 }.map(\.path))
    for (key, ranges) in [("inputs", inputs), ("outputs", outputs)] {
      for range in ranges {
        let (name, type, sizes) = try value(range)
        // Models before IR version 4 list their weights as inputs, too.
        if key == "inputs", weights.contains([.text(name)]) { continue }
        try listing.add(sizes.map(JSONValue.string), type: type, at: [.text(key), .text(name)])
      }
    }
  }

  /// Returns the name, the type of the elements, and the sizes as text, of an input or output.
  private func value(_ range: Range<Int>) throws(DecantError) -> (name: String, type: String, sizes: String?)
  {
    var fields = ProtobufReader(source, range)
    var found: (name: String, type: String, sizes: String?) = ("", "unknown", nil)
    while let (number, value) = try fields.next() {
      guard case .bytes(let bytes) = value else { continue }
      if number == ONNXField.Value.name { found.name = try fields.text(bytes, limits) }
      guard number == ONNXField.Value.type else { continue }
      var kinds = ProtobufReader(source, bytes)
      while let (kind, value) = try kinds.next() {
        guard case .bytes(let message) = value else { continue }
        switch kind {
        case ONNXField.ValueType.tensor, ONNXField.ValueType.sparseTensor:
          (found.type, found.sizes) = try tensorType(message)
        case ONNXField.ValueType.sequence: found.type = "sequence"
        case ONNXField.ValueType.map: found.type = "map"
        case ONNXField.ValueType.optional: found.type = "optional"
        default: break
        }
      }
    }
    return found
  }

  private func tensorType(_ range: Range<Int>) throws(DecantError) -> (type: String, sizes: String?) {
    var fields = ProtobufReader(source, range)
    var type = "unknown"
    var sizes: [String]?
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (ONNXField.TensorType.elementType, .number(let raw)):
        let element = ONNXElementType(rawValue: Int(clamping: raw))
        type = element?.dtype?.rawValue ?? element?.name ?? "type \(raw)"
      case (ONNXField.TensorType.shape, .bytes(let message)):
        var dimensions = ProtobufReader(source, message)
        var found: [String] = []
        while let (number, value) = try dimensions.next(), found.count <= limits.rank {
          guard number == ONNXField.Shape.dimension, case .bytes(let dimension) = value else { continue }
          found.append(try size(dimension))
        }
        sizes = found
      default: break
      }
    }
    return (type, sizes.map { "[\($0.joined(separator: ", "))]" })
  }

  private func size(_ range: Range<Int>) throws(DecantError) -> String {
    var fields = ProtobufReader(source, range)
    while let (number, value) = try fields.next() {
      switch (number, value) {
      case (ONNXField.Dimension.size, .number(let size)): return String(Int64(bitPattern: size))
      case (ONNXField.Dimension.parameter, .bytes(let text)): return try fields.text(text, limits)
      default: break
      }
    }
    return "?"
  }
}
