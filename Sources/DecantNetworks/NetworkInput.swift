package import DecantBytes
internal import DecantCheckpoints
internal import DecantImages
package import DecantInference
package import DecantTensors

/// Reads prepared images, N×C×H×W, from files of numbers, without preprocessing.
package enum NetworkInput {
  /// Reads N×C×H×W floating-point values from a `.npy`.
  package static func read<T: ReferenceScalar>(_ path: String, as scalar: T.Type) throws(DecantError)
    -> Activation<T>
  {
    try activation(NpyArray.read(path: path), of: path)
  }

  /// Returns the Python expression that makes N×C×H×W of an array's axes.
  private static func axes(of shape: [Int]) -> String {
    switch shape.count {
    case 2: "array[None, None]"
    case 3: 1...4 ~= shape[2] && shape[0] > 4 ? "array.transpose(2, 0, 1)[None]" : "array[None]"
    default: "an array of four axes: images, channels, rows, columns"
    }
  }

  /// Returns the N×C×H×W floating-point values of a file's tensor.
  package static func activation<T: ReferenceScalar>(_ tensor: Tensor, of path: String, name: String? = nil)
    throws(DecantError) -> Activation<T>
  {
    guard tensor.shape.count == 4, tensor.shape.allSatisfy({ $0 > 0 }) else {
      throw DecantError(
        .invalidInput, "has shape \(Format.shape(tensor.shape)), not N×C×H×W", file: path,
        tensor: name,
        remedy: "In Python, pass \(axes(of: tensor.shape)).")
    }
    guard tensor.dtype.kind == .floatingPoint else {
      throw DecantError(
        .invalidInput,
        "holds \(tensor.dtype.rawValue), not normalised floating-point values",
        file: path, tensor: name,
        remedy: "In Python: (array / 255.0 - mean) / std, as the network was trained.")
    }
    let values: [T]
    do { values = try tensor.elements(as: T.self) } catch {
      throw DecantError(reading: error).located(file: path, tensor: name)
    }
    do throws(InferenceError) { return try Activation(shape: tensor.shape, values: values) } catch {
      throw DecantError(error, file: path)
    }
  }
}
