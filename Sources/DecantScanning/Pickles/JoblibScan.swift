internal import DecantBytes
internal import DecantPickle

/// Scans of the pickles that joblib has written since 0.10. The data of each array lies in the stream, after the BUILD of
/// an object that describes it: joblib reads it there, and goes on with the pickle behind it.
///
/// Source: joblib 0.10 to 1.6 `joblib/numpy_pickle.py`, `NumpyArrayWrapper`.
extension ContentScan {
  /// Returns true when a stream describes arrays as joblib does.
  static func usesJoblib(_ graph: PickleGraph) -> Bool {
    graph.imports.contains { graph.global($0.value).map(JoblibArrays.isWrapper) ?? false }
  }

  /// Scans a stream as joblib reads it. `plain` is the reading of `pickle.load`, which takes the data of the first array
  /// for opcodes.
  func scanJoblib(
    _ bytes: RawSpan, plain: (graph: PickleGraph, error: PickleError?), in place: String
  ) {
    let arrays = JoblibArrays(limits: audit.limits)
    let (graph, error) = interpret(bytes, arrays)
    follow(graph, of: bytes, in: place)
    for nested in arrays.nested {
      follow(nested.graph, of: part(bytes, nested), in: join(place, "array at \(nested.offset)"))
    }
    for fault in arrays.faults {
      audit.report(.unknown, .malformed, in: place, at: fault.offset, fault.reason)
    }
    if let error {
      ledger.markUnread(0..<bytes.byteCount)
      reportBreak(error, graph, bytes, at: 0, in: place)
    } else {
      ledger.claim(0..<graph.byteCount, as: .pickle)
      reportTrailing(bytes, from: graph.byteCount, in: place)
    }
    guard let first = arrays.ranges.first?.lowerBound else { return }
    let places = arrays.nested.reduce(into: Self.actions(graph, from: 0)) { places, nested in
      places.formUnion(Self.actions(nested.graph, from: 0).map { $0 + nested.offset })
    }
    checkReading(plain, of: bytes, from: first, expecting: places, by: "pickle.load", in: place)
    if arrays.isAligned {
      // Versions before 1.2 do not know the padding in front of an array's data.
      let other = JoblibArrays(limits: audit.limits, knowsPadding: false)
      let reading = interpret(bytes, other)
      checkReading(reading, of: bytes, from: first, expecting: places, by: "joblib before 1.2", in: place)
      for nested in other.nested where !arrays.nested.contains(where: { $0.offset == nested.offset }) {
        follow(nested.graph, of: part(bytes, nested), in: join(place, "array at \(nested.offset)"))
      }
    }
  }

  /// Returns the bytes from a pickle in an array's data on.
  @_lifetime(copy bytes)
  private func part(_ bytes: RawSpan, _ nested: (graph: PickleGraph, offset: Int)) -> RawSpan {
    bytes.part(nested.offset..<bytes.byteCount)
  }

  /// Returns the offsets of the imports and calls of a stream.
  private static func actions(_ graph: PickleGraph, from start: Int) -> Set<Int> {
    var offsets = Set(graph.imports.map(\.offset).filter { $0 >= start })
    for case .object(let object) in graph.nodes where object.offset >= start { offsets.insert(object.offset) }
    return offsets
  }

  private func interpret(
    _ bytes: RawSpan, _ arrays: JoblibArrays
  ) -> (graph: PickleGraph, error: PickleError?) {
    interpret(
      bytes,
      dataAfterBuild: { graph, object, rest, offset in
        arrays.byteCount(of: object, graph, rest, at: offset)
      })
  }

  /// Reports a reading that imports or calls anything in or after the data of the first array, where the reading of
  /// joblib does not.
  private func checkReading(
    _ reading: (graph: PickleGraph, error: PickleError?), of bytes: RawSpan, from start: Int,
    expecting places: Set<Int>, by reader: String, in place: String
  ) {
    if !Self.actions(reading.graph, from: start).isSubset(of: places) || hasExtensions(reading.graph) {
      audit.report(
        .dangerous, .polyglot, in: place, at: start,
        "\(reader) reads the data of an array as a pickle, which imports names")
      follow(reading.graph, of: bytes, in: join(place, "read by \(reader)"))
    } else if case .limit = reading.error?.cause {
      audit.report(
        .unknown, .limit, in: place, at: start,
        "\(reader) reads the data of an array as a pickle that is too long")
    }
  }
}

/// The arrays in one stream of joblib, collected while it is interpreted.
final class JoblibArrays {
  /// The data of each array, with its padding.
  private(set) var ranges: [Range<Int>] = []
  /// The pickles of arrays of objects.
  private(set) var nested: [(graph: PickleGraph, offset: Int)] = []
  private(set) var faults: [ParsingError] = []
  /// True when the data of an array has padding in front of it.
  private(set) var isAligned = false
  private let limits: Limits
  private let knowsPadding: Bool

  init(limits: Limits, knowsPadding: Bool = true) {
    self.limits = limits
    self.knowsPadding = knowsPadding
  }

  static func isWrapper(_ global: PickleGlobal) -> Bool {
    global.name == "NumpyArrayWrapper"
      && ["joblib.numpy_pickle", "sklearn.externals.joblib.numpy_pickle"].contains(global.module)
  }

  /// Returns the number of bytes of an array's data after its description; nil for other objects.
  func byteCount(of object: PickleObject, _ graph: PickleGraph, _ rest: RawSpan, at offset: Int) -> Int? {
    guard let global = graph.global(object.callable), Self.isWrapper(global) else { return nil }
    // After a fault the stream is no longer followed as joblib reads it, so that no data is read twice.
    guard faults.isEmpty else { return nil }
    guard let count = read(object, graph, rest, at: offset) else {
      faults.append(ParsingError(offset: offset, "an array of joblib whose description cannot be followed"))
      return nil
    }
    ranges.append(offset..<offset + count)
    return count
  }

  private func read(_ object: PickleObject, _ graph: PickleGraph, _ rest: RawSpan, at offset: Int) -> Int? {
    guard object.states.count == 1, let state = object.states.first,
      case .dictionary(let pairs) = graph.node(state)
    else { return nil }
    var values: [String: PickleValue] = [:]
    for pair in pairs {
      guard let key = graph.text(pair.key), values.updateValue(pair.value, forKey: key) == nil else {
        return nil
      }
    }
    guard let dtype = values["dtype"], let shape = values["shape"].flatMap({ graph.tuple($0) }) else {
      return nil
    }
    switch elements(dtype, graph, depth: 0) {
    case nil: return nil
    case .objects:
      let (inner, error) = PickleMachine.interpretAsFarAsPossible(rest, limits: limits)
      nested.append((inner, offset))
      return error == nil ? inner.byteCount : nil
    case .bytes(let size):
      let sizes = shape.compactMap { integer($0, graph) }
      guard sizes.count == shape.count, let count = checkedProduct(sizes)?.checkedMultiplying(by: size) else {
        return nil
      }
      var padding = 0
      if let alignment = values["numpy_array_alignment_bytes"], alignment != .none {
        isAligned = true
        if knowsPadding {
          guard let length = rest.byte(0), rest.holdsOnly(0xFF, in: 1..<1 + Int(length)) else { return nil }
          padding = 1 + Int(length)
        }
      }
      guard let total = count.checkedAdding(padding), total <= rest.byteCount else { return nil }
      return total
    }
  }

  private func integer(_ value: PickleValue, _ graph: PickleGraph) -> Int? {
    switch value {
    case .int(let number): return Int(exactly: number).flatMap { $0 >= 0 ? $0 : nil }
    default:
      // Python 2 wrote long integers, in little-endian order.
      guard case .longInteger(let bytes) = graph.node(value), bytes.count < 8, (bytes.last ?? 0) < 0x80 else {
        return nil
      }
      return bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }
  }

  private enum Elements {
    case bytes(Int)
    case objects
  }

  /// Returns the elements of a pickled `numpy.dtype`; nil for one that NumPy does not write, or of fields with objects.
  ///
  /// Source: NumPy `numpy/_core/src/multiarray/descriptor.c`, `arraydescr_reduce`.
  private func elements(_ value: PickleValue, _ graph: PickleGraph, depth: Int) -> Elements? {
    guard depth < 8, let object = graph.object(value), let global = graph.global(object.callable),
      global.module == "numpy", global.name == "dtype", object.states.count <= 1, object.items.isEmpty,
      let name = graph.tuple(object.arguments)?.first.flatMap({ graph.text($0) }), let kind = name.first
    else { return nil }
    let digits = name.dropFirst()
    guard digits.utf8.allSatisfy({ 0x30...0x39 ~= $0 }), digits.utf8.count < 10, let size = Int(digits) else {
      return nil
    }
    var flags = 0
    var fields: [PicklePair] = []
    var itemByteCount: Int?
    if let state = object.states.first {
      // The version, byte order, base type, names, fields, size, alignment and flags.
      guard let parts = graph.tuple(state), parts.count == 8 || parts.count == 9,
        case .int(let given) = parts[7], case .int(let bytes) = parts[5]
      else { return nil }
      flags = Int(given)
      itemByteCount = bytes == -1 ? nil : Int(bytes)
      if parts[2] != .none {
        // A type with a shape: the type of its elements, and the shape.
        guard kind == "V", let base = graph.tuple(parts[2])?.first,
          case .bytes = elements(base, graph, depth: depth + 1)
        else { return nil }
      }
      if parts[4] != .none {
        guard case .dictionary(let pairs) = graph.node(parts[4]) else { return nil }
        fields = pairs
      }
    }
    let holdsObjects = flags & 1 != 0
    if kind == "O" { return holdsObjects && fields.isEmpty ? .objects : nil }
    guard !holdsObjects, "biufcSUVMm".contains(kind) else { return nil }
    for field in fields {
      guard let parts = graph.tuple(field.value), let type = parts.first, kind == "V",
        case .bytes = elements(type, graph, depth: depth + 1)
      else { return nil }
    }
    let byteCount = kind == "U" ? size * 4 : size
    if let itemByteCount, itemByteCount != byteCount { return nil }
    return .bytes(byteCount)
  }
}
