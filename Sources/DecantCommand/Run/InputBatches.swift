internal import DecantBytes
internal import DecantCheckpoints
internal import DecantImages
internal import DecantInference
internal import DecantNetworks
internal import DecantTensors

/// The properties of one input image.
struct InputImage {
  let file: String
  /// The index of the image in its file; nil when the file is one image.
  var index: Int?
  /// The picture that the input was made from, without its pixels; nil for arrays of numbers.
  var picture: PictureFacts?
  /// The height and width of the network's input in pixels.
  var height: Int
  var width: Int
  /// The number of tiles that the image was split into.
  var tiles = 1
}

/// The properties of a picture before preprocessing.
struct PictureFacts {
  let format: ImageFormat
  let storedSize: (height: Int, width: Int)
  let orientation: Orientation
  let isOrientationApplied: Bool
  let notes: [String]

  init(_ picture: DecodedImage) {
    (format, storedSize) = (picture.format, picture.storedSize)
    (orientation, isOrientationApplied, notes) = (
      picture.orientation, picture.isOrientationApplied, picture.notes
    )
  }
}

/// A batch of images of one size.
struct InputBatch<T: ReferenceScalar> {
  var images: [InputImage] = []
  var channels = 0
  var values: [T] = []

  /// Records the number of tiles for each image.
  mutating func split(_ tiling: Tiling) {
    for place in images.indices { images[place].tiles = tiling.tiles.count }
  }

  func activation() throws(InferenceError) -> Activation<T> {
    try Activation(
      shape: [images.count, channels, images.first?.height ?? 0, images.first?.width ?? 0], values: values)
  }
}

/// The batches of a list of files. Pictures of one size are batched up to the requested number; a file of numbers is a
/// batch of its own.
struct InputBatches<T: ReferenceScalar> {
  private let sources: [InputSource]
  private let options: InputOptions
  private let limits: Limits
  private var next = 0
  /// The picture that did not fit into the previous batch.
  private var held: InputBatch<T>?
  /// The errors of unreadable files, in order. With a single source the error is thrown instead.
  private(set) var failures: [DecantError] = []

  init(_ sources: [InputSource], _ options: InputOptions, limits: Limits) {
    (self.sources, self.options, self.limits) = (sources, options, limits)
  }

  /// The number of files whose images were returned in a batch.
  var done: Int { next - (held == nil ? 0 : 1) }

  /// Returns the next batch, or nil at the end.
  ///
  /// - Parameter failed: Called with the error of an unreadable file when there are other sources to continue with.
  mutating func batch(failed: (DecantError) -> Void) throws -> InputBatch<T>? {
    var batch = held
    held = nil
    while next < sources.count {
      if let batch, batch.images.count >= options.batch || batch.images[0].picture == nil { return batch }
      let source = sources[next]
      next += 1
      let found: InputBatch<T>
      do {
        found = try read(source)
      } catch let error as DecantError {
        guard sources.count > 1 else { throw error }
        failed(error)
        failures.append(error)
        continue
      }
      guard let before = batch else {
        batch = found
        continue
      }
      let image = found.images[0]
      let isAlike =
        image.picture != nil && image.height == before.images[0].height
        && image.width == before.images[0].width
      guard isAlike else {
        held = found
        return before
      }
      batch?.images.append(image)
      batch?.values += found.values
    }
    return batch
  }

  private func read(_ source: InputSource) throws -> InputBatch<T> {
    guard source.kind == .picture, let preprocessing = options.preprocess else {
      var (tensor, name) = try source.tensor(key: options.inputKey, limits: limits)
      if options.inputLayout == .nhwc, tensor.shape.count == 4 {
        tensor = try tensor.permuted([0, 3, 1, 2])
      }
      let activation: Activation<T> = try NetworkInput.activation(tensor, of: source.path, name: name)
      let shape = activation.shape
      return InputBatch(
        images: (0..<shape[0]).map {
          InputImage(file: source.path, index: $0, height: shape[2], width: shape[3])
        },
        channels: shape[1], values: activation.values)
    }
    let picture = try source.picture(turning: !options.ignoreOrientation, limits: limits)
    let size = preprocessing.size(of: picture)
    let values = preprocessing.values(of: picture) ?? []
    return InputBatch(
      images: [
        InputImage(
          file: source.path, picture: PictureFacts(picture), height: size.height, width: size.width)
      ],
      channels: 3, values: T.self == Float.self ? values as? [T] ?? [] : values.map { T($0) })
  }
}
