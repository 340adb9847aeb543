import Checkpoints
import Inference
import Tensors

/// Images that a network takes, read from a `.npy` and used as they are.
enum NetworkInput {
  /// N×C×H×W floating-point numbers.
  static func read<T: ReferenceScalar>(_ path: String, as scalar: T.Type) throws -> Activation<T> {
    let tensor = try NpyArray.read(path: path)
    guard tensor.shape.count == 4, tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw CheckpointError(
        "has shape \(Spelling.shape(tensor.shape)); a network takes N×C×H×W", file: path,
        remedy: "In Python, add the batch: array[None], or move the channels: array.transpose(0, 3, 1, 2).")
    }
    guard tensor.dtype.kind == .floatingPoint else {
      throw CheckpointError(
        "holds \(tensor.dtype.rawValue), and a network takes numbers that are already normalised",
        file: path,
        remedy: "In Python: (array / 255.0 - mean) / std, as the network was trained.")
    }
    return try Activation(shape: tensor.shape, values: try tensor.elements(as: T.self))
  }
}
