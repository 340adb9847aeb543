package import DecantBytes
internal import DecantCheckpoints
internal import DecantIO
package import DecantImages
internal import DecantInference
package import DecantTensors

/// A file to run a network on, with its type by its first bytes.
package struct InputSource {
  package enum Kind: Equatable {
    case picture, npy, safetensors
    /// Not an input format. When the user named the file, reading it reports its type as an error.
    case other
  }

  package let path: String
  package let kind: Kind

  /// Detects the type of a file from its first bytes.
  package init(_ path: String) throws(DecantError) {
    self.path = path
    let file = try InputFile(path)
    let count = min(file.byteCount, ImageFormat.headByteCount)
    var head = [UInt8](repeating: 0, count: count)
    try Self.read(file, into: &head)
    if ImageFormat(head: head) != nil || ImageFormat.unsupportedFormatName(head: head) != nil {
      kind = .picture
    } else if head.starts(with: [0x93] + Array("NUMPY".utf8)) {
      kind = .npy
    } else if head.count > 8, head[8] == UInt8(ascii: "{") {
      kind = .safetensors
    } else {
      kind = .other
    }
  }

  private static func read(_ file: InputFile, into bytes: inout [UInt8]) throws(DecantError) {
    var failure: DecantError?
    unsafe bytes.withUnsafeMutableBytes { buffer in
      do throws(DecantError) { unsafe try file.read(into: buffer, at: 0) } catch { failure = error }
    }
    if let failure { throw failure }
  }

  /// Returns the decoded image.
  package func picture(turning: Bool, limits: Limits) throws(DecantError) -> DecodedImage {
    let file = try InputFile(path)
    do throws(DecantError) {
      guard file.byteCount <= limits.imageBytes else {
        throw DecantError(
          limits.exceeded(\.imageBytes, need: file.byteCount), "has \(Format.count(file.byteCount, "byte"))")
      }
      var bytes = [UInt8](repeating: 0, count: file.byteCount)
      try Self.read(file, into: &bytes)
      return try DecodedImage(decoding: bytes, turning: turning, limits: limits)
    } catch { throw error.located(file: path) }
  }

  /// Returns the tensor of a `.npy` or `.safetensors` file, and its name when it has one.
  package func tensor(key: String?, limits: Limits) throws(DecantError) -> (tensor: Tensor, name: String?) {
    if kind == .npy { return (try NpyArray.read(path: path, limits: limits), nil) }
    let checkpoint = try Checkpoint(path: path, limits: limits)
    guard checkpoint.container == .safetensors else {
      throw DecantError(
        .invalidInput, "is a checkpoint (\(checkpoint.container.rawValue)), not an input", file: path,
        remedy: "Pass a .npy, .safetensors, PNG or JPEG file.")
    }
    // Only tensors with the shape and type of images can be inputs.
    let names = checkpoint.tensors.filter {
      $0.tensor.shape.count == 4 && $0.tensor.dtype.kind == .floatingPoint && $0.tensor.shape[1] <= 4
    }.prefix(20).map(\.name)
    if let key {
      guard let found = checkpoint.tensors.first(where: { $0.name.utf8.elementsEqual(key.utf8) }) else {
        throw DecantError(
          .tensorNotFound, "has no tensor named \(key.escapedForDisplay)", file: path,
          advice: .chooseInput(names))
      }
      return (found.tensor, found.name)
    }
    guard checkpoint.tensors.count == 1, let only = checkpoint.tensors.first else {
      throw DecantError(
        .invalidInput,
        "has \(Format.count(checkpoint.tensors.count, "tensor")), and none was chosen as the input",
        file: path,
        advice: .chooseInput(names))
    }
    return (only.tensor, only.name)
  }
}
