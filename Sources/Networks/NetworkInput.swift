internal import ByteParsing
internal import Checkpoints
internal import Images
package import Inference
package import Tensors

/// Images that a network takes, read from a file of numbers and used as they are.
package enum NetworkInput {
  /// N×C×H×W floating-point numbers of a `.npy`.
  package static func read<T: ReferenceScalar>(_ path: String, as scalar: T.Type) throws -> Activation<T> {
    try activation(NpyArray.read(path: path), of: path)
  }

  /// N×C×H×W floating-point numbers of a file's tensor.
  package static func activation<T: ReferenceScalar>(_ tensor: Tensor, of path: String, name: String? = nil)
    throws
    -> Activation<T>
  {
    guard tensor.shape.count == 4, tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw DecantError(
        .unclassified, "has shape \(Spelling.shape(tensor.shape)); a network takes N×C×H×W", file: path,
        tensor: name,
        remedy: "In Python, add the batch: array[None], or move the channels: array.transpose(0, 3, 1, 2).")
    }
    guard tensor.dtype.kind == .floatingPoint else {
      throw DecantError(
        .unclassified,
        "holds \(tensor.dtype.rawValue), and a network takes numbers that are already normalised",
        file: path, tensor: name,
        remedy: "In Python: (array / 255.0 - mean) / std, as the network was trained.")
    }
    return try Activation(shape: tensor.shape, values: try tensor.elements(as: T.self))
  }
}
