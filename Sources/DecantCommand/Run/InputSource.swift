import ByteParsing
import Checkpoints
import Images
import Inference
import Tensors

/// A file to run, and what it is by its first bytes.
struct InputSource {
  enum Kind: Equatable {
    case picture, npy, safetensors
    /// Nothing that is run, unless it was named by the user: then the error says what it is.
    case other
  }

  let path: String
  let kind: Kind

  /// Looks at the first bytes.
  init(_ path: String) throws(CheckpointError) {
    self.path = path
    let file = try InputFile(path)
    let count = min(file.byteCount, ImageFormat.headByteCount)
    var head = [UInt8](repeating: 0, count: count)
    try Self.read(file, into: &head)
    if ImageFormat(head: head) != nil || ImageFormat.foreignName(head: head) != nil {
      kind = .picture
    } else if head.starts(with: [0x93] + Array("NUMPY".utf8)) {
      kind = .npy
    } else if head.count > 8, head[8] == UInt8(ascii: "{") {
      kind = .safetensors
    } else {
      kind = .other
    }
  }

  private static func read(_ file: InputFile, into bytes: inout [UInt8]) throws(CheckpointError) {
    var failure: CheckpointError?
    unsafe bytes.withUnsafeMutableBytes { buffer in
      do throws(CheckpointError) { unsafe try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// The picture, decoded.
  func picture(turning: Bool, limits: Limits) throws(CheckpointError) -> Picture {
    let file = try InputFile(path)
    do throws(ImageError) {
      guard file.byteCount <= limits.imageBytes else {
        throw ImageError(
          "has \(file.byteCount) bytes, more than the \(limits.imageBytes) that the limit imageBytes allows",
          remedy: "Allow it with --limit imageBytes=NUMBER if you trust the file.")
      }
      var bytes = [UInt8](repeating: 0, count: file.byteCount)
      do throws(CheckpointError) { try Self.read(file, into: &bytes) } catch {
        throw ImageError(error.reason, offset: error.offset, remedy: error.remedy)
      }
      return try Picture(decoding: bytes, turning: turning, limits: limits)
    } catch {
      throw CheckpointError(error.reason, file: path, offset: error.offset, remedy: error.remedy)
    }
  }

  /// The tensor of a file of numbers.
  func tensor(key: String?, limits: Limits) throws(CheckpointError) -> (tensor: Tensor, name: String?) {
    if kind == .npy { return (try NpyArray.read(path: path, limits: limits), nil) }
    let checkpoint = try Checkpoint(path: path, limits: limits)
    guard checkpoint.container == .safetensors else {
      throw CheckpointError(
        "is no input but a checkpoint (\(checkpoint.container.rawValue))", file: path,
        remedy: "An input is a .npy, a .safetensors, a PNG or a JPEG.")
    }
    let names = checkpoint.tensors.prefix(20).map { $0.name.escapedForDisplay }.joined(separator: ", ")
    if let key {
      guard let found = checkpoint.tensors.first(where: { $0.name.utf8.elementsEqual(key.utf8) }) else {
        throw CheckpointError(
          "holds no tensor \(key.escapedForDisplay)", file: path, remedy: "There are: \(names).")
      }
      return (found.tensor, found.name)
    }
    guard checkpoint.tensors.count == 1, let only = checkpoint.tensors.first else {
      throw CheckpointError(
        "holds \(Spelling.count(checkpoint.tensors.count, "tensor")), and one is the input", file: path,
        remedy: checkpoint.tensors.isEmpty ? nil : "Say which with --input-key: \(names).")
    }
    return (only.tensor, only.name)
  }
}
