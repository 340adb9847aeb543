import DecantNetworks
import DecantBytes
import DecantCheckpoints
import DecantImages
import DecantInference
import DecantTensors

/// What is known of one image that is run.
struct InputImage {
  let file: String
  /// Which one of its file's images; nil where a file is one image.
  var index: Int?
  /// The picture it was made of, without its pixels; nil for numbers.
  var picture: PictureFacts?
  /// Height and width of what the network gets.
  var height: Int
  var width: Int
  /// In how many parts it was scored.
  var tiles = 1
}

/// What a picture was before it became numbers.
struct PictureFacts {
  let format: ImageFormat
  let storedSize: (height: Int, width: Int)
  let orientation: Orientation
  let isTurned: Bool
  let notes: [String]

  init(_ picture: Picture) {
    (format, storedSize) = (picture.format, picture.storedSize)
    (orientation, isTurned, notes) = (picture.orientation, picture.isTurned, picture.notes)
  }
}

/// Images of one size that are run at once.
struct InputBatch<T: ReferenceScalar> {
  var images: [InputImage] = []
  var channels = 0
  var values: [T] = []

  /// Notes in how many parts each image is scored.
  mutating func split(_ tiling: Tiling) {
    for place in images.indices { images[place].tiles = tiling.tiles.count }
  }

  func activation() throws(InferenceError) -> Activation<T> {
    try Activation(
      shape: [images.count, channels, images.first?.height ?? 0, images.first?.width ?? 0], values: values)
  }
}

/// The files one after the other: as many pictures of one size together as asked, a file of numbers by itself.
struct InputBatches<T: ReferenceScalar> {
  private let sources: [InputSource]
  private let options: InputOptions
  private let limits: Limits
  private var next = 0
  /// A picture that did not fit the batch before.
  private var held: InputBatch<T>?
  /// What could not be read, in order; with one source it is thrown instead.
  private(set) var failures: [DecantError] = []

  init(_ sources: [InputSource], _ options: InputOptions, limits: Limits) {
    (self.sources, self.options, self.limits) = (sources, options, limits)
  }

  /// How many files have been read.
  var done: Int { next - (held == nil ? 0 : 1) }

  /// The next images; nil after the last.
  ///
  /// - Parameter failed: is told what could not be read, when there are other sources to go on with.
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
    guard source.kind == .picture, let preprocessing = options.preprocessing else {
      let (tensor, name) = try source.tensor(key: options.inputKey, limits: limits)
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
