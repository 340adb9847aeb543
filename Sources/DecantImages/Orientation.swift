/// The orientation of an image's rows relative to the scene: EXIF tag 274.
package enum Orientation: Int, Sendable, CaseIterable {
  case upright = 1
  case mirrored, upsideDown, flipped, transposed, turnRight, transversed, turnLeft

  /// The transformation that makes the image upright, in words.
  package var correction: String {
    switch self {
    case .upright: "upright as stored"
    case .mirrored: "mirrored left to right"
    case .upsideDown: "turned by 180°"
    case .flipped: "mirrored top to bottom"
    case .transposed: "mirrored over the falling diagonal"
    case .turnRight: "turned right by 90°"
    case .transversed: "mirrored over the rising diagonal"
    case .turnLeft: "turned left by 90°"
    }
  }

  /// True when height and width are swapped.
  var swapsSides: Bool { rawValue >= Self.transposed.rawValue }

  /// Returns the upright image, as PIL's `exif_transpose` does. O(pixels).
  func applied(to picture: DecodedImage) -> DecodedImage {
    guard self != .upright else { return picture }
    var result = picture
    (result.height, result.width) =
      swapsSides ? (picture.width, picture.height) : (picture.height, picture.width)
    let last = (row: picture.height - 1, column: picture.width - 1)
    let bytes = picture.pixels
    var pixels: [UInt8] = []
    pixels.reserveCapacity(bytes.count)
    for y in 0..<result.height {
      for x in 0..<result.width {
        let (row, column) =
          switch self {
          case .upright: (y, x)
          case .mirrored: (y, last.column - x)
          case .upsideDown: (last.row - y, last.column - x)
          case .flipped: (last.row - y, x)
          case .transposed: (x, y)
          case .turnRight: (last.row - x, y)
          case .transversed: (last.row - x, last.column - y)
          case .turnLeft: (x, last.column - y)
          }
        let place = (row * picture.width + column) * 3
        pixels.append(bytes[place])
        pixels.append(bytes[place + 1])
        pixels.append(bytes[place + 2])
      }
    }
    result.pixels = pixels
    return result
  }
}
