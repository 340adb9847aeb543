public import DecantBytes
internal import DecantCheckpoints
public import DecantImages
internal import DecantInference
internal import DecantTensors

/// A batch of images as input of a network: N×C×H×W float32 values.
///
///     let image = try ImageTensor(path: "photo.jpg", preprocessing: .imagenetEval)
public struct ImageTensor: Sendable, Equatable {
  /// The shape, N×C×H×W.
  public let shape: [Int]
  /// The values in row-major order, normalised as the network was trained.
  public let values: [Float]

  /// Creates a tensor from prepared values.
  ///
  /// - Parameter shape: N×C×H×W, each at least 1.
  /// - Throws: ``DecantError`` with the code `invalidInput` when shape and values disagree.
  public init(shape: [Int], values: [Float]) throws(DecantError) {
    guard shape.count == 4, shape.allSatisfy({ $0 > 0 }), checkedProduct(shape) == values.count else {
      throw DecantError(
        .invalidInput, "shape \(shape) is not N×C×H×W of \(Format.count(values.count, "value"))")
    }
    (self.shape, self.values) = (shape, values)
  }

  /// Reads an image, or a file of prepared values.
  ///
  /// - Parameters:
  ///   - path: a PNG or JPEG, or a `.npy` or one-tensor `.safetensors` of N×C×H×W values.
  ///   - preprocessing: the conversion of pixels to values. No checkpoint contains it, so images need one. Files of
  ///     values take `.none`.
  /// - Throws: ``DecantError``: `fileNotFound`, `damaged`, `unsupportedFormat`, `invalidInput`, `limitExceeded`,
  ///   `libraryMissing` without libpng or libjpeg-turbo. O(pixels).
  public init(
    path: String, preprocessing: Preprocessing = .none, limits: Limits = Limits()
  ) throws(DecantError) {
    let source = try InputSource(path)
    guard source.kind == .picture else {
      guard preprocessing == .none else {
        throw DecantError(
          .invalidInput, "is not an image, so the preprocessing \(preprocessing.rawValue) does not apply",
          file: path,
          advice: .text("Leave out the preprocessing."))
      }
      let (tensor, name) = try source.tensor(key: nil, limits: limits)
      let activation: Activation<Float> = try DecantError.mapping {
        try NetworkInput.activation(tensor, of: path, name: name)
      }
      (shape, values) = (activation.shape, activation.values)
      return
    }
    guard preprocessing != .none else {
      throw DecantError(
        .invalidInput, "is an image, and its preprocessing is not set", file: path,
        advice: .text("Pass a preprocessing such as .imagenetEval."))
    }
    let picture = try source.picture(turning: true, limits: limits)
    let size = preprocessing.size(of: picture)
    shape = [1, 3, size.height, size.width]
    values = preprocessing.values(of: picture) ?? []
  }
}
