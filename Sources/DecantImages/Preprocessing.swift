/// The conversion of an image to the network's input. No file records which one its network was trained with.
public enum Preprocessing: String, Sendable, CaseIterable {
  /// torchvision's `Resize(256)`, `CenterCrop(224)`, `ToTensor()` and `Normalize` with ImageNet's mean and
  /// standard deviation.
  case imagenetEval = "imagenet-eval"
  /// `ToTensor()` and the same `Normalize` at the image's own size.
  case imagenetRaw = "imagenet-raw"
  /// No preprocessing, for tensors that are used as they are.
  case none

  /// A short description of the conversion.
  package var summary: String {
    switch self {
    case .imagenetEval: "resize to 256, center crop to 224×224, ImageNet mean and standard deviation"
    case .imagenetRaw: "no resizing, ImageNet mean and standard deviation"
    case .none: "none"
    }
  }

  /// The sizes of torchvision's transforms for ImageNet.
  private static let (shorterSide, cropSide) = (256, 224)
  /// The means and standard deviations of ImageNet's channels on a scale from 0 to 1.
  private static let means: [Float] = [0.485, 0.456, 0.406]
  private static let deviations: [Float] = [0.229, 0.224, 0.225]

  /// Returns the height and width of the network's input for an image.
  package func size(of picture: DecodedImage) -> (height: Int, width: Int) {
    self == .imagenetEval ? (Self.cropSide, Self.cropSide) : (picture.height, picture.width)
  }

  /// Returns the input values of an image: 3×H×W, row-major; nil for `none`, which does not accept images.
  /// O(pixels).
  package func values(of picture: DecodedImage) -> [Float]? {
    switch self {
    case .none: nil
    case .imagenetRaw: Self.normalised(picture.pixels)
    case .imagenetEval: Self.normalised(picture.resampled(to: Self.target(picture)))
    }
  }

  /// Returns the target of torchvision's `Resize` and `CenterCrop`. The longer side is rounded down; a crop
  /// offset of half a pixel is rounded to even.
  static func target(_ picture: DecodedImage) -> ResamplingTarget {
    let (short, long) = (min(picture.height, picture.width), max(picture.height, picture.width))
    let longer = Int(Double(shorterSide * long) / Double(short))
    let isUpright = picture.width <= picture.height
    let (height, width) = isUpright ? (longer, shorterSide) : (shorterSide, longer)
    func middle(_ size: Int) -> Range<Int> {
      let start = Int((Double(size - cropSide) / 2).rounded(.toNearestOrEven))
      return start..<start + cropSide
    }
    return ResamplingTarget(height: height, width: width, rows: middle(height), columns: middle(width))
  }

  /// Converts interleaved pixels to planes, in float32 as `ToTensor` and `Normalize` compute.
  private static func normalised(_ pixels: [UInt8]) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(pixels.count)
    for channel in 0..<3 {
      let table = (0..<256).map { (Float($0) / 255 - means[channel]) / deviations[channel] }
      for place in stride(from: channel, to: pixels.count, by: 3) { values.append(table[Int(pixels[place])]) }
    }
    return values
  }
}
