internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import Synchronization
internal import DecantTensors

/// Whole files that stand as bytes inside a pickle (`torch.storage._load_from_bytes`), each opened once.
///
/// Pickling a tensor without `torch.save` writes its storage so.
final class InnerFiles {
  /// What messages call the file around them.
  private let path: String
  private let limits: Limits
  /// How many files the pickle itself lies in.
  private let nesting: Int
  private var opened: [PickleValue: CheckpointContents] = [:]

  /// Files may lie in each other so deep, and no deeper.
  static let deepest = 4

  init(path: String, limits: Limits, nesting: Int) {
    self.path = path
    self.limits = limits
    self.nesting = nesting
  }

  /// What the file in some bytes holds.
  ///
  /// - Throws: ``DecantError`` when the value is no bytes, or the bytes are no checkpoint.
  func open(_ value: PickleValue, in graph: PickleGraph) throws(DecantError) -> CheckpointContents {
    if let known = opened[value] { return known }
    guard nesting < Self.deepest else {
      throw DecantError(.limitExceeded, "files contain each other more than \(Self.deepest) deep")
    }
    guard let bytes = graph.bytes(value) else {
      throw DecantError(.damaged, "a file within the pickle is not bytes")
    }
    let source = ByteSource(BytesInMemory(bytes), path: "\(path), the file within its pickle")
    let parts = try Checkpoint.parts(of: source, limits: limits, nesting: nesting + 1)
    try parts.requireIntact()
    let contents = parts.contents
    opened[value] = contents
    return contents
  }
}
