package import DecantBytes

/// An image as 8-bit RGB, equal to `Image.open(path).convert("RGB")`, upright or as stored.
package struct DecodedImage: Sendable, Equatable {
  package internal(set) var height: Int
  package internal(set) var width: Int
  /// The pixels, row by row, three bytes each.
  package internal(set) var pixels: [UInt8]
  package internal(set) var format: ImageFormat
  /// The orientation in the file; `upright` when it has none.
  package internal(set) var orientation = Orientation.upright
  /// True when the orientation was applied to the pixels.
  package internal(set) var isOrientationApplied = false
  /// The height and width as stored, before the orientation was applied.
  package internal(set) var storedSize: (height: Int, width: Int)
  /// Notes on what decoding ignored or assumed, one clause each: an alpha channel, bits, inks.
  package internal(set) var notes: [String] = []

  /// Decodes a PNG or a JPEG.
  ///
  /// The codecs are C libraries, loaded on first use (docs/adr/0014). The file's size bounds what is
  /// allocated.
  ///
  /// - Parameter turning: true to apply the orientation in the file.
  /// - Throws: ``DecantError`` for bytes that are not an image, that are truncated or damaged, for
  ///   unsupported kinds of image, beyond `limits`, or when a library is not installed.
  package init(decoding bytes: [UInt8], turning: Bool = true, limits: Limits = Limits()) throws(DecantError) {
    guard bytes.count <= limits.imageBytes else {
      throw DecantError(
        limits.exceeded(\.imageBytes, need: bytes.count),
        "is an image of \(Format.count(bytes.count, "byte"))")
    }
    switch ImageFormat(head: bytes.prefix(ImageFormat.headByteCount)) {
    case .png: self = try PNGDecoding.picture(bytes, limits)
    case .jpeg: self = try JPEGDecoding.picture(bytes, limits)
    case nil:
      let name = ImageFormat.unsupportedFormatName(head: bytes.prefix(ImageFormat.headByteCount))
      throw DecantError(
        .unsupportedFormat, name.map { "is a \($0) image, which is not supported" } ?? "is not an image",
        remedy: "Save it as PNG or JPEG.")
    }
    guard turning, orientation != .upright else { return }
    self = orientation.applied(to: self)
    isOrientationApplied = true
  }

  init(format: ImageFormat, height: Int, width: Int, pixels: [UInt8]) {
    (self.format, self.height, self.width, self.pixels) = (format, height, width, pixels)
    storedSize = (height, width)
  }

  /// Sets the orientation from the file's metadata.
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

  package static func == (left: DecodedImage, right: DecodedImage) -> Bool {
    left.height == right.height && left.width == right.width && left.pixels == right.pixels
      && left.orientation == right.orientation && left.isOrientationApplied == right.isOrientationApplied
      && left.notes == right.notes
  }

  /// Refuses sizes of 0 and sizes beyond the limit.
  static func check(_ height: Int, _ width: Int, _ limits: Limits) throws(DecantError) {
    guard height > 0, width > 0 else {
      throw DecantError(
        .damaged, "is an image of \(width)×\(height) pixels",
        remedy: "Download the file again, or save it again.")
    }
    let count = checkedProduct([height, width]) ?? .max
    guard count <= limits.imagePixels else {
      throw DecantError(
        limits.exceeded(\.imagePixels, need: count), "is an image of \(width)×\(height) pixels")
    }
  }
}

extension DecantError {
  /// Returns an error for a truncated image file. `offset` counts bytes from its start.
  static func truncatedImage(_ reason: String, at offset: Int? = nil) -> DecantError {
    DecantError(.truncated, reason, offset: offset, remedy: "The file is truncated. Download it again.")
  }
}
