internal import DecantBytes
internal import DecantCheckpoints
internal import DecantConversion
internal import DecantIO
internal import DecantInference
internal import DecantTensors

/// The results of all images, collected to be written to one `.npy` file.
struct OutputAccumulator<T: ReferenceScalar> {
  private var shape: [Int] = []
  private var values: [T] = []
  private var first = ""

  /// Adds the results of some images.
  ///
  /// - Throws: ``DecantError`` when their shape differs from that of earlier results.
  mutating func append(_ results: Activation<T>, stage: String?, of image: InputImage) throws(DecantError) {
    if shape.isEmpty {
      shape = results.shape
      first = image.file
    } else {
      guard shape.dropFirst() == results.shape.dropFirst() else {
        throw DecantError(
          .invalidInput,
          "stage \(stage ?? "logits") is \(Format.shape(Array(results.shape.dropFirst()))) here and "
            + "\(Format.shape(Array(shape.dropFirst()))) for \(first.escapedForDisplay), but --output needs one shape",
          file: image.file, remedy: "Run images of one size together. Nothing was written.")
      }
      shape[0] += results.shape[0]
    }
    values += results.values
  }

  /// Writes the results. The files in `sources` were read and are never replaced.
  func write(to path: String, sources: [FileIdentity]) throws(DecantError) {
    try NpyArray.write(values, shape: shape, to: path, sources: sources)
  }
}
