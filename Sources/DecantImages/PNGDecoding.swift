internal import CImageCodecs
internal import DecantBytes

/// PNG decoding by libpng, converted to RGB as Pillow converts its modes.
enum PNGDecoding {
  static func picture(_ bytes: [UInt8], _ limits: Limits) throws(DecantError) -> DecodedImage {
    let chunks = try PNGChunks(unsafe bytes.span.bytes)
    try DecodedImage.check(chunks.height, chunks.width, limits)
    let channels = try channels(chunks)
    // Bytes of the file's rows, without the filter byte before each row. A small file that claims many pixels
    // is refused before anything is allocated for them.
    let held = (chunks.width * channels * chunks.bitDepth + 7) / 8 * chunks.height
    guard held / limits.inflation <= chunks.dataByteCount else {
      throw .truncatedImage(
        "claims \(chunks.width)×\(chunks.height) pixels, more than its \(Format.count(chunks.dataByteCount, "byte")) of data can hold"
      )
    }
    if let problem = unsafe cimage_load_png() {
      throw DecantError(.libraryMissing, "cannot be decoded: \(unsafe String(cString: problem))")
    }
    let rows = try decode(bytes, chunks, rowByteCount: chunks.width * channels)
    var picture = DecodedImage(
      format: .png, height: chunks.height, width: chunks.width,
      pixels: rgb(rows.samples, rows.palette, chunks))
    if chunks.colourType == 4 || chunks.colourType == 6 {
      picture.notes.append("its alpha channel was dropped")
    } else if chunks.hasTransparency {
      picture.notes.append("its transparency was dropped")
    }
    if chunks.bitDepth == 16 { picture.notes.append("of 16 bits the upper 8 were taken") }
    if chunks.isAnimated { picture.notes.append("it is animated, and the first image was taken") }
    if chunks.colourType == 3, let largest = rows.samples.max(), Int(largest) >= rows.palette.count / 3 {
      picture.notes.append("pixels whose colour the palette lacks are black")
    }
    picture.orient(exif: chunks.exif, xmp: chunks.xmp)
    return picture
  }

  /// Returns the number of samples in a pixel.
  private static func channels(_ chunks: PNGChunks) throws(DecantError) -> Int {
    switch (chunks.colourType, chunks.bitDepth) {
    case (0, 1), (0, 2), (0, 4), (0, 8), (3, 1), (3, 2), (3, 4), (3, 8): return 1
    case (4, 8), (4, 16): return 2
    case (2, 8), (2, 16): return 3
    case (6, 8), (6, 16): return 4
    case (0, 16):
      // Pillow's I;16 → RGB clips at 255, so nearly every pixel would be white.
      throw DecantError(
        .unsupportedFormat,
        "is a greyscale PNG with 16 bits, which cannot be converted to 8 bits unambiguously",
        remedy: "Save it with 8 bits, scaled as the network was trained.")
    default:
      throw DecantError(
        .damaged,
        "is a PNG with colour type \(chunks.colourType) and \(chunks.bitDepth) bits, which is not valid",
        remedy: "Download the file again, or save it again.")
    }
  }

  private static func decode(_ bytes: [UInt8], _ chunks: PNGChunks, rowByteCount: Int) throws(DecantError)
    -> (samples: [UInt8], palette: [UInt8])
  {
    var message = [CChar](repeating: 0, count: Int(CIMAGE_MESSAGE_SIZE))
    var palette = [UInt8](repeating: 0, count: 768)
    var paletteCount: Int32 = 0
    var status: Int32 = 0
    let count = rowByteCount * chunks.height
    // The memory is not zeroed: pages that no pixel reaches then take none.
    let samples = unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initialised in
      if let rows = buffer.baseAddress {
        status = unsafe cimage_decode_png(
          bytes, bytes.count, UInt32(chunks.width), UInt32(chunks.height), rowByteCount, rows, &palette,
          &paletteCount, &message)
      }
      initialised = status == 0 ? count : 0
    }
    guard status == 0 else {
      throw DecantError(
        .damaged, "is a PNG that cannot be decoded: \(text(message))",
        remedy: "Download the file again, or save it again.")
    }
    return (samples, Array(palette.prefix(Int(paletteCount) * 3)))
  }

  /// Returns a library's message, escaped.
  static func text(_ message: [CChar]) -> String {
    String(decoding: message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
      .escapedForDisplay
  }

  private static func rgb(_ samples: [UInt8], _ palette: [UInt8], _ chunks: PNGChunks) -> [UInt8] {
    if chunks.colourType == 2 { return samples }
    var pixels: [UInt8] = []
    pixels.reserveCapacity(chunks.width * chunks.height * 3)
    switch chunks.colourType {
    case 3:
      let colours = palette + [UInt8](repeating: 0, count: 768 - palette.count)
      for sample in samples {
        let place = Int(sample) * 3
        pixels.append(colours[place])
        pixels.append(colours[place + 1])
        pixels.append(colours[place + 2])
      }
    case 6:
      for place in stride(from: 0, to: samples.count, by: 4) {
        pixels.append(samples[place])
        pixels.append(samples[place + 1])
        pixels.append(samples[place + 2])
      }
    default:
      let scale: UInt8 = [1: 255, 2: 85, 4: 17][chunks.bitDepth] ?? 1
      for place in stride(from: 0, to: samples.count, by: chunks.colourType == 4 ? 2 : 1) {
        let grey = samples[place] &* scale
        pixels.append(grey)
        pixels.append(grey)
        pixels.append(grey)
      }
    }
    return pixels
  }
}
