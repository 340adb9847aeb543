import DecantBytes
import DecantPickle
import Foundation
import Testing

/// The bytes of a hand-written stream.
struct Stream: ExpressibleByArrayLiteral, ExpressibleByStringLiteral, CustomTestStringConvertible {
  var bytes: [UInt8]

  init(_ bytes: [UInt8]) { self.bytes = bytes }
  init(arrayLiteral elements: UInt8...) { bytes = elements }
  /// Converts each scalar to the byte with that number.
  init(stringLiteral value: String) { bytes = value.unicodeScalars.map { UInt8($0.value) } }

  static func + (left: Stream, right: Stream) -> Stream { Stream(left.bytes + right.bytes) }

  var testDescription: String {
    String(String.UnicodeScalarView(bytes.prefix(60).map { Unicode.Scalar($0) })).debugDescription
  }

  func interpret(limits: Limits = Limits()) throws(PickleError) -> PickleGraph {
    try PickleMachine.interpret(bytes.span.bytes, limits: limits)
  }

  /// Returns the result as text, in the notation of ``describe(_:in:)``.
  func result(limits: Limits = Limits()) throws(PickleError) -> String {
    let graph = try interpret(limits: limits)
    return describe(graph.root, in: graph)
  }

  /// Returns the lines of the disassembly. When it fails early, the last line is `!! ` and the reason.
  func disassembly(limits: Limits = Limits()) -> [String] {
    var lines: [String] = []
    do {
      try PickleDisassembler.disassemble(bytes.span.bytes, limits: limits) { lines.append($0) }
    } catch let error as PickleError {
      lines.append("!! " + error.reason)
    } catch {
      lines.append("?? \(error)")
    }
    return lines
  }
}

/// Returns a value in Python's notation, with `<…>` for everything that Python would have imported or called.
func describe(_ value: PickleValue, in graph: PickleGraph, depth: Int = 0) -> String {
  guard depth < 12 else { return "…" }
  func all(_ values: [PickleValue]) -> String {
    values.map { describe($0, in: graph, depth: depth + 1) }.joined(separator: ", ")
  }
  func all(_ pairs: [PicklePair]) -> String {
    pairs.map { all([$0.key]) + ": " + all([$0.value]) }.joined(separator: ", ")
  }
  func hex(_ bytes: [UInt8]) -> String {
    bytes.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
  switch value {
  case .none: return "None"
  case .bool(let value): return value ? "True" : "False"
  case .int(let value): return String(value)
  case .float(let value): return String(value)
  case .node(let id):
    switch graph[id] {
    case .longInteger(let bytes): return "long " + hex(bytes)
    case .text(let text): return "'" + text.string + "'"
    case .bytes(let bytes): return "b'" + hex(bytes) + "'"
    case .byteArray(let bytes): return "bytearray'" + hex(bytes) + "'"
    case .byteString(let bytes): return "s'" + hex(bytes) + "'"
    case .list(let values): return "[" + all(values) + "]"
    case .tuple(let values): return "(" + all(values) + ")"
    case .dictionary(let pairs): return "{" + all(pairs) + "}"
    case .set(let values): return "set(" + all(values) + ")"
    case .frozenSet(let values): return "frozenset(" + all(values) + ")"
    case .global(let global): return "<" + global.qualifiedName + ">"
    case .persistentID(let id): return "<id " + all([id]) + ">"
    case .extensionCode(let code): return "<extension \(code)>"
    case .outOfBandBuffer(let index, let isReadOnly):
      return "<buffer \(index)\(isReadOnly ? " read-only" : "")>"
    case .object(let object):
      var text = "<" + object.construction.rawValue + " " + all([object.callable, object.arguments])
      if let keywords = object.keywords { text += " keywords " + all([keywords]) }
      if !object.states.isEmpty { text += " states " + all(object.states) }
      if !object.items.isEmpty { text += " items " + all(object.items) }
      if !object.pairs.isEmpty { text += " pairs " + all(object.pairs) }
      return text + ">"
    }
  }
}

/// Returns the thrown error as text, or a message with the value that was returned instead.
func refusal(_ stream: Stream, limits: Limits = Limits()) -> String {
  do {
    return "accepted: " + (try stream.result(limits: limits))
  } catch {
    return error.description
  }
}

/// The committed pickles and their reference disassemblies, written by CPython 3.11 (`fixtures/generate.py`).
enum Fixtures {
  static let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "fixtures/pickles")

  /// The names, without extension, of the pickles that have a reference disassembly.
  static let names: [String] = {
    let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
    return files.filter { $0.hasSuffix(".dis") }.map { String($0.dropLast(4)) }.sorted()
  }()

  static func stream(_ name: String) throws -> Stream {
    Stream([UInt8](try Data(contentsOf: folder.appending(path: name + ".pkl"))))
  }

  static func golden(_ name: String) throws -> [String] {
    let text = String(decoding: try Data(contentsOf: folder.appending(path: name + ".dis")), as: UTF8.self)
    return text.split(separator: "\n", omittingEmptySubsequences: false).dropLast().map(String.init)
  }
}

/// SplitMix64: a small seeded generator with the same sequence on every platform.
struct SeededGenerator: RandomNumberGenerator {
  private var state: UInt64
  init(seed: UInt64) { state = seed }
  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var mixed = state
    mixed = (mixed ^ mixed >> 30) &* 0xBF58_476D_1CE4_E5B9
    mixed = (mixed ^ mixed >> 27) &* 0x94D0_49BB_1331_11EB
    return mixed ^ mixed >> 31
  }
}
