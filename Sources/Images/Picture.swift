public import ByteParsing

/// A picture as 8-bit RGB: what `Image.open(path).convert("RGB")` gives, set upright or as stored.
public struct Picture: Sendable, Equatable {
  public internal(set) var height: Int
  public internal(set) var width: Int
  /// Row by row, three bytes a pixel.
  public internal(set) var pixels: [UInt8]
  public internal(set) var format: ImageFormat
  /// What the file calls its orientation; `upright` where it says nothing.
  public internal(set) var orientation = Orientation.upright
  /// Whether the orientation was applied to the pixels.
  public internal(set) var isTurned = false
  /// Height and width as stored, before the orientation was applied.
  public internal(set) var storedSize: (height: Int, width: Int)
  /// What was left out or decided on the way, one clause each: an alpha channel, bits, inks.
  public internal(set) var notes: [String] = []

  /// Decodes a PNG or a JPEG.
  ///
  /// The codecs are C libraries, loaded on first use (docs/adr/0014). Nothing is allocated that the file's bytes
  /// could not fill.
  ///
  /// - Parameter turning: whether the orientation that the file states is applied.
  /// - Throws: ``ImageError`` for bytes that are no picture, that break off or are damaged, for kinds that are
  ///   refused, beyond `limits`, or when a library is not installed.
  public init(decoding bytes: [UInt8], turning: Bool = true, limits: Limits = Limits()) throws(ImageError) {
    guard bytes.count <= limits.imageBytes else {
      throw .tooLarge("a picture of \(bytes.count) bytes", limit: "imageBytes", limits.imageBytes)
    }
    switch ImageFormat(head: bytes.prefix(ImageFormat.headByteCount)) {
    case .png: self = try PNGDecoding.picture(bytes, limits)
    case .jpeg: self = try JPEGDecoding.picture(bytes, limits)
    case nil:
      let name = ImageFormat.foreignName(head: bytes.prefix(ImageFormat.headByteCount))
      throw ImageError(
        name.map { "is a \($0) picture, which is not read" } ?? "is no picture that is read",
        remedy: "Pictures are PNG or JPEG: save it as PNG.")
    }
    guard turning, orientation != .upright else { return }
    self = orientation.applied(to: self)
    isTurned = true
  }

  init(format: ImageFormat, height: Int, width: Int, pixels: [UInt8]) {
    (self.format, self.height, self.width, self.pixels) = (format, height, width, pixels)
    storedSize = (height, width)
  }

  /// Takes over what a file says of its orientation.
  mutating func orient(exif: [UInt8]?, xmp: [UInt8]?) {
    let (tag, isDamaged) = OrientationTag.read(exif: exif, xmp: xmp)
    if isDamaged { notes.append("its EXIF cannot be read, and no orientation is taken from it") }
    guard let tag else { return }
    if let known = Orientation(rawValue: tag.value) {
      orientation = known
    } else {
      notes.append("its \(tag.place) has the orientation \(tag.value), which is none")
    }
  }

  public static func == (left: Picture, right: Picture) -> Bool {
    left.height == right.height && left.width == right.width && left.pixels == right.pixels
      && left.orientation == right.orientation && left.isTurned == right.isTurned && left.notes == right.notes
  }

  /// Refuses sizes of 0 and beyond the limit.
  static func check(_ height: Int, _ width: Int, _ limits: Limits) throws(ImageError) {
    guard height > 0, width > 0 else {
      throw ImageError("is a picture of \(width)×\(height) pixels, which is none", remedy: "Save it anew.")
    }
    guard let count = checkedProduct([height, width]), count <= limits.imagePixels else {
      throw .tooLarge("is a picture of \(width)×\(height) pixels", limit: "imagePixels", limits.imagePixels)
    }
  }
}
