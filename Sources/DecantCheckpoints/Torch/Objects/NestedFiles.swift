internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors
internal import Synchronization

/// The checkpoint files stored as bytes inside a pickle (`torch.storage._load_from_bytes`). Each is opened once.
///
/// Pickling a tensor without `torch.save` writes its storage as such a file.
final class NestedFiles {
  /// The path of the outer file, for messages.
  private let path: String
  private let limits: Limits
  /// The number of files around the pickle.
  private let nesting: Int
  private var opened: [PickleValue: CheckpointContents] = [:]

  /// The greatest depth to which files may be nested.
  static let maxDepth = 4

  init(path: String, limits: Limits, nesting: Int) {
    self.path = path
    self.limits = limits
    self.nesting = nesting
  }

  /// Returns the contents of the file that a value holds as bytes.
  ///
  /// - Throws: ``DecantError`` when the value is not bytes, or the bytes are not a checkpoint.
  func open(_ value: PickleValue, in graph: PickleGraph) throws(DecantError) -> CheckpointContents {
    if let known = opened[value] { return known }
    guard nesting < Self.maxDepth else {
      throw DecantError(.limitExceeded, "files contain each other more than \(Self.maxDepth) deep")
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
