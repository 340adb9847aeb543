internal import CImageCodecs
internal import DecantBytes

/// JPEG decoding by libjpeg-turbo, with its accurate inverse DCT and smooth chroma upsampling, which are also
/// Pillow's.
enum JPEGDecoding {
  /// The largest number of pixels that one byte of Huffman codes can encode: a bit for a block of 64, in
  /// units of up to 16 blocks.
  private static let pixelsPerByte = 8 * 64 * 16

  static func picture(_ bytes: [UInt8], _ limits: Limits) throws(DecantError) -> DecodedImage {
    let markers = try JPEGMarkers(unsafe bytes.span.bytes)
    try check(markers, limits)
    guard markers.width * markers.height / pixelsPerByte <= bytes.count else {
      throw .truncatedImage(
        "claims \(markers.width)×\(markers.height) pixels, more than its \(Format.count(bytes.count, "byte")) can hold"
      )
    }
    if let problem = unsafe cimage_load_jpeg() {
      throw DecantError(.libraryMissing, "cannot be decoded: \(unsafe String(cString: problem))")
    }
    var notes: [String] = []
    var (samples, warning) = try decode(bytes, markers, goesOn: false)
    // Extra bytes before a marker are harmless, and cameras write them. Any other warning is damage.
    if let first = warning, isHarmless(first) {
      (samples, warning) = try decode(bytes, markers, goesOn: true)
      notes.append("libjpeg-turbo says: \(first)")
    }
    // TurboJPEG reports a fatal error as a warning when one came before, and has no code for either. Only the
    // text differs.
    if let warning, !isHarmless(warning) {
      throw DecantError(
        .damaged, "is a damaged JPEG: \(warning)", remedy: "Download the file again, or save it again.")
    }
    if markers.components == 4 {
      samples = rgb(inks: samples)
      notes.append("its four inks were taken as inverted and without a colour profile, as Pillow takes them")
    }
    var picture = DecodedImage(format: .jpeg, height: markers.height, width: markers.width, pixels: samples)
    picture.notes = notes
    picture.orient(exif: markers.exif, xmp: markers.xmp)
    return picture
  }

  private static func isHarmless(_ warning: String) -> Bool {
    warning.contains("extraneous bytes before marker")
  }

  private static func check(_ markers: JPEGMarkers, _ limits: Limits) throws(DecantError) {
    guard markers.frame != 0, markers.scans > 0 else {
      throw DecantError(
        .damaged, "is a JPEG without an image", remedy: "Download the file again.")
    }
    try DecodedImage.check(markers.height, markers.width, limits)
    let kind: String? =
      switch markers.frame {
      case 0xC0...0xC2: nil
      case 0xC3: "lossless"
      case 0xC9...0xCB: "arithmetically coded"
      default: "hierarchical"
      }
    if let kind {
      throw DecantError(
        .unsupportedFormat, "is a \(kind) JPEG, which is not supported", remedy: "Save it as PNG.")
    }
    guard markers.precision == 8 else {
      throw DecantError(
        .unsupportedFormat, "is a JPEG with \(markers.precision) bits per sample; only 8 are supported",
        remedy: "Save it with 8 bits.")
    }
    guard [1, 3, 4].contains(markers.components) else {
      throw DecantError(
        .unsupportedFormat, "is a JPEG with \(markers.components) components; only 1, 3 and 4 are supported",
        remedy: "Save it as PNG.")
    }
    // Each scan processes the whole image, and a scan takes only a few bytes.
    guard markers.scans <= limits.imageScans else {
      throw DecantError(
        limits.exceeded(\.imageScans, need: markers.scans), "is a JPEG with \(markers.scans) scans")
    }
  }

  /// Decodes the samples and returns the first warning. Without `goesOn`, decoding stops there and the
  /// samples are incomplete.
  private static func decode(_ bytes: [UInt8], _ markers: JPEGMarkers, goesOn: Bool) throws(DecantError)
    -> (samples: [UInt8], warning: String?)
  {
    var message = [CChar](repeating: 0, count: Int(CIMAGE_MESSAGE_SIZE))
    var status: Int32 = 0
    let isCMYK = markers.components == 4
    let count = markers.width * markers.height * (isCMYK ? 4 : 3)
    let samples = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
      if let rows = buffer.baseAddress {
        // Samples that a damaged file omits must not expose uninitialised memory.
        if goesOn { unsafe rows.initialize(repeating: 0, count: count) }
        status = unsafe cimage_decode_jpeg(
          bytes, markers.end, Int32(markers.width), Int32(markers.height), isCMYK ? 1 : 0, goesOn ? 1 : 0,
          rows,
          &message)
      }
      initialised = status == 0 || status == 1 && goesOn ? count : 0
    }
    let text = PNGDecoding.text(message)
    switch status {
    case 0: return (samples, nil)
    case 1: return (samples, text)
    default:
      throw DecantError(
        .damaged, "is a JPEG that cannot be decoded: \(text)",
        remedy: "Download the file again, or save it again.")
    }
  }

  /// Converts CMYK to RGB as Pillow does. Inks are stored inverted, as Adobe writes them.
  private static func rgb(inks: [UInt8]) -> [UInt8] {
    var pixels: [UInt8] = []
    pixels.reserveCapacity(inks.count / 4 * 3)
    for place in stride(from: 0, to: inks.count, by: 4) {
      let white = Int(inks[place + 3])
      for channel in 0..<3 {
        let product = (255 - Int(inks[place + channel])) * white + 128
        pixels.append(UInt8(clamping: white - ((product >> 8) + product) >> 8))
      }
    }
    return pixels
  }
}
