internal import DecantBytes

extension UnsupportedFile {
  /// Recognises a zip that is not a checkpoint by the names of its entries.
  package init?(archive names: [String]) {
    func has(_ name: String) -> Bool { names.contains(name) }
    if has("config.json") && has("model.weights.h5") {
      self.init(
        "is a Keras model (.keras), whose weights are in HDF5, not a PyTorch checkpoint", "Pass a .pth file.",
        .unsupportedFormat)
    } else if names.contains(where: { $0.hasSuffix("Data/com.apple.CoreML/model.mlmodel") }) {
      self.init(
        "is a Core ML package in a zip", "Unzip it, then pass the folder that ends in .mlpackage.",
        .unsupportedFormat)
    } else if names.contains(where: { $0 == "saved_model.pb" || $0.hasSuffix("/saved_model.pb") }) {
      self.init(
        "is a TensorFlow SavedModel in a zip", "Pass the PyTorch checkpoint it was made from.",
        .unsupportedFormat)
    } else if has("[Content_Types].xml") {
      self.init("is an Office document", "Pass the file with the weights.", .notACheckpoint)
    } else if has("META-INF/MANIFEST.MF") || has("AndroidManifest.xml") {
      self.init("is a Java or Android package", "Pass the file with the weights.", .notACheckpoint)
    } else if has("mimetype") {
      self.init("is a document (OpenDocument or EPUB)", "Pass the file with the weights.", .notACheckpoint)
    } else {
      return nil
    }
  }
}
