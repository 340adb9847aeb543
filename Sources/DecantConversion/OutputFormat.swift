internal import DecantCheckpoints
internal import DecantIO

/// The formats that Decant writes.
public enum OutputFormat: String, Sendable, CaseIterable {
  case safetensors, npz, npy
  /// A folder of one `.npy` file for each tensor.
  case npyFolder = "npy-folder"
  case gguf
  case torchZip = "torch-zip"

  /// Selects the format by a path's extension; nil for other extensions. A path that ends in `/` is a folder of
  /// `.npy` files.
  public init?(path: String) {
    if path.hasSuffix("/") {
      self = .npyFolder
      return
    }
    let name = path[(path.lastIndex(of: "/").map { path.index(after: $0) } ?? path.startIndex)...]
    guard let dot = name.lastIndex(of: "."), let format = Self.extensions[name[dot...].lowercased()] else {
      return nil
    }
    self = format
  }

  /// The extensions and the formats that they select.
  package static let extensions: KeyValuePairs<String, OutputFormat> = [
    ".safetensors": .safetensors, ".npz": .npz, ".npy": .npy, ".gguf": .gguf, ".pth": .torchZip,
    ".pt": .torchZip, ".bin": .torchZip, ".ckpt": .torchZip,
  ]

  /// The usual extension of the format's files; empty for a folder.
  package var usualExtension: String { Self.extensions.first { $0.value == self }?.key ?? "" }

  /// The format's name in messages.
  package var name: String {
    switch self {
    case .safetensors: "safetensors"
    case .npz, .npy, .npyFolder: "NumPy"
    case .gguf: "GGUF"
    case .torchZip: "PyTorch"
    }
  }

  /// True when the format stores metadata.
  package var holdsMetadata: Bool { self == .safetensors || self == .gguf }
}

extension OutputFormat {
  /// True when files of this format record which weights are channels last: in their metadata, in the comment of the zip
  /// archive, or in a file of the folder.
  package func recordsLayout(_ options: WriteOptions) -> Bool {
    holdsMetadata || self == .npz || self == .npyFolder || (self == .torchZip && !options.isLegacy)
  }

  /// Returns the reason why a file cannot hold a record of the layout; nil when it can.
  func reasonAgainst(record: String, _ options: WriteOptions) -> String? {
    guard recordsLayout(options) else {
      return self == .torchZip
        ? "the format before PyTorch 1.6 cannot record it" : "a .npy file cannot record it"
    }
    let fits =
      holdsMetadata || self == .npyFolder
      || ConvolutionRecord.comment(record).count <= ZipWriter.longestComment
    return fits ? nil : "the list of their names is too long for the comment of a zip archive"
  }
}

extension KeyValuePairs<String, OutputFormat> {
  fileprivate subscript(name: String) -> OutputFormat? { first { $0.key == name }?.value }
}
