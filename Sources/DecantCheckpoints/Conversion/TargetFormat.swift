/// The formats that weights are written in.
public enum OutputFormat: String, Sendable, CaseIterable {
  case safetensors, npz, npy
  /// A folder of one `.npy` file for each tensor.
  case npyFolder = "npy-folder"
  case gguf
  case torchZip = "torch-zip"

  /// Chooses the format by a path's extension; a path that ends in `/` is a folder of `.npy` files. Nil for other extensions.
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

  /// The extensions and the formats that they choose.
  static let extensions: KeyValuePairs<String, OutputFormat> = [
    ".safetensors": .safetensors, ".npz": .npz, ".npy": .npy, ".gguf": .gguf, ".pth": .torchZip,
    ".pt": .torchZip,
  ]

  /// What messages call it.
  package var name: String {
    switch self {
    case .safetensors: "safetensors"
    case .npz, .npy, .npyFolder: "NumPy"
    case .gguf: "GGUF"
    case .torchZip: "PyTorch"
    }
  }

  /// Whether it has a place for metadata.
  var holdsMetadata: Bool { self == .safetensors || self == .gguf }
}

extension KeyValuePairs<String, OutputFormat> {
  fileprivate subscript(name: String) -> OutputFormat? { first { $0.key == name }?.value }
}
