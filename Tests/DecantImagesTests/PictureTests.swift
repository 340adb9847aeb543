import DecantBytes
import TestSupport
import Testing
@testable import DecantImages

/// Tests of the images in `fixtures/pictures` against the pixels that Pillow reads from them.
@Suite struct PictureTests {
  @Test(arguments: [
    ("photo.jpg", 48, 36), ("progressive.jpg", 9, 13), ("grey.jpg", 9, 13), ("inks.jpg", 9, 13),
    ("colours.png", 13, 9), ("bits.png", 9, 13), ("palette.png", 9, 13), ("deep.png", 9, 13),
  ])
  func decodesAsPillow(_ name: String, _ height: Int, _ width: Int) throws {
    let picture = try DecodedImage(decoding: Fixtures.bytes("pictures/" + name))
    #expect(picture.height == height && picture.width == width)
    let stem = name.prefix { $0 != "." }
    #expect(try picture.pixels == Fixtures.bytes("pictures/\(stem).rgb"))
  }

  @Test func orientationIsAppliedAndStated() throws {
    let bytes = try Fixtures.bytes("pictures/photo.jpg")
    let upright = try DecodedImage(decoding: bytes)
    #expect(
      upright.orientation == .turnRight && upright.isOrientationApplied && upright.storedSize == (36, 48))
    let stored = try DecodedImage(decoding: bytes, turning: false)
    #expect(stored.orientation == .turnRight && !stored.isOrientationApplied && stored.height == 36)
    #expect(Orientation.turnRight.applied(to: stored).pixels == upright.pixels)
  }

  /// Tests each orientation with its inverse.
  @Test(arguments: zip(Orientation.allCases, [1, 2, 3, 4, 5, 8, 7, 6]))
  func orientationsAreTakenBack(_ orientation: Orientation, _ back: Int) throws {
    let picture = DecodedImage(format: .png, height: 2, width: 3, pixels: (0..<18).map { UInt8($0) })
    let turned = orientation.applied(to: picture)
    #expect((turned.pixels == picture.pixels) == (orientation == .upright))
    #expect(turned.height == (orientation.swapsSides ? 3 : 2))
    let undone = try #require(Orientation(rawValue: back)).applied(to: turned)
    #expect(undone.pixels == picture.pixels && undone.height == 2)
  }

  @Test func whatWasDroppedIsSaid() throws {
    func notes(_ name: String) throws -> [String] {
      try DecodedImage(decoding: Fixtures.bytes("pictures/" + name)).notes
    }
    #expect(try notes("deep.png") == ["its alpha channel was dropped", "of 16 bits the upper 8 were taken"])
    #expect(try notes("palette.png") == ["its transparency was dropped"])
    #expect(try notes("inks.jpg").first?.contains("four inks") == true)
    #expect(try notes("photo.jpg") == [])
  }

  @Test(arguments: [("photo", 20, 15), ("colours", 31, 29)])
  func resizesAsPillow(_ name: String, _ height: Int, _ width: Int) throws {
    let suffix = name == "photo" ? "jpg" : "png"
    let picture = try DecodedImage(decoding: Fixtures.bytes("pictures/\(name).\(suffix)"))
    let golden = try Fixtures.bytes("pictures/\(name)-\(width)x\(height).rgb")
    let whole = ResamplingTarget(height: height, width: width, rows: 0..<height, columns: 0..<width)
    #expect(picture.resampled(to: whole) == golden)
    // A crop of the result is computed on its own.
    let part = ResamplingTarget(height: height, width: width, rows: 3..<9, columns: 5..<7)
    var cut: [UInt8] = []
    for row in 3..<9 {
      let start = (row * width + 5) * 3
      cut += golden[start..<start + 6]
    }
    #expect(picture.resampled(to: part) == cut)
  }

  /// The sizes of torchvision's `Resize(256)` and the offsets of its `CenterCrop(224)`.
  @Test(arguments: [
    (256, 256, 256, 256, 16, 16), (300, 400, 256, 341, 16, 58), (400, 300, 341, 256, 58, 16),
    (97, 131, 256, 345, 16, 60), (1, 1, 256, 256, 16, 16), (1, 1000, 256, 256_000, 16, 127_888),
  ])
  func evaluationTarget(
    _ height: Int, _ width: Int, _ newHeight: Int, _ newWidth: Int, _ top: Int, _ left: Int
  ) {
    let picture = DecodedImage(format: .png, height: height, width: width, pixels: [])
    #expect(
      Preprocessing.target(picture)
        == ResamplingTarget(
          height: newHeight, width: newWidth, rows: top..<top + 224, columns: left..<left + 224))
  }

  @Test func normalisesAsTorchvision() throws {
    let picture = DecodedImage(format: .png, height: 1, width: 2, pixels: [0, 128, 255, 255, 0, 1])
    let values = try #require(Preprocessing.imagenetRaw.values(of: picture))
    // The result of transforms.Normalize for these bytes, in float32.
    let expected: [Float] = [-2.1179039, 2.2489083, 0.20518214, -2.0357141, 2.64, -1.7870152]
    #expect(values.count == 6 && zip(values, expected).allSatisfy { abs($0 - $1) < 1e-6 })
    #expect(Preprocessing.none.values(of: picture) == nil)
  }

  @Test(arguments: [
    (1536, 4000, 1), (4000, 1536, 1), (1537, 1537, 4), (2048, 2049, 6), (3000, 2048, 6), (1, 1, 1),
  ])
  func tiles(_ height: Int, _ width: Int, _ count: Int) {
    let tiling = Tiling(height: height, width: width)
    #expect(tiling.tiles.count == count)
    #expect(tiling.tiles.reduce(0) { $0 + $1.area } == height * width)
    if count > 1 { #expect(tiling.tiles.allSatisfy { max($0.rows.count, $0.columns.count) <= 1_024 }) }
  }

  @Test func theMeanIsWeighedByArea() {
    let tiling = Tiling(height: 2_048, width: 1_537)
    #expect(tiling.tiles.map(\.area) == [1_024 * 1_024, 1_024 * 513, 1_024 * 1_024, 1_024 * 513])
    let mean = tiling.mean(of: [[1, 0], [2, 0], [3, 0], [4, 8]])
    #expect(
      abs(mean[0] - (4 * 1_024.0 + 6 * 513) / 3_074) < 1e-12 && abs(mean[1] - 8 * 513.0 / 3_074) < 1e-12)
  }

  @Test func aTileIsCutOutOfEveryPlane() {
    let tile = Tiling.Tile(rows: 1..<3, columns: 2..<3)
    #expect(tile.values(of: Array(0..<24), height: 4, width: 3) == [5, 8, 17, 20])
  }
}
