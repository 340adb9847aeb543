/// Bounds on what a file may ask of the machine before it is refused.
///
/// Every default is far above what real checkpoints need and far below what hurts. A reader that meets a limit throws a
/// ``DecantError`` with the code `limitExceeded` that names the limit.
///
///     var limits = Limits()
///     limits.headerBytes = 1 << 20
///     let checkpoint = try Checkpoint(path: path, limits: limits)
public struct Limits: Sendable, Equatable {
  /// Values that may stand on the pickle machine's stack at once. Real files stay under 10,000.
  public var pickleStack = 10_000_000
  /// Entries of the pickle memo. CPython memoises most objects, so this follows ``pickleValues``.
  public var pickleMemo = 50_000_000
  /// Values one pickle may push, a shared one each time it is pushed. A checkpoint of 100,000 tensors pushes
  /// about two million; the worst of hostile ones costs 80 bytes for each.
  public var pickleValues = 20_000_000
  /// Nodes one pickle may make: strings, containers, objects. A tensor takes nine; ``pickleValues`` bounds them too.
  public var pickleNodes = 50_000_000
  /// Bytes of one integer (LONG1, LONG4, LONG lines); beyond this no checkpoint has a reason to go.
  public var longBytes = 1 << 20
  /// Bytes of a pickle that is read into memory (`data.pkl`). It never holds weights.
  public var pickleBytes = 1 << 30
  /// Paths, tensors and other leaves together, that one file may list. Shared containers can multiply few
  /// bytes into billions of paths.
  public var paths = 1_000_000
  /// Paths that lead to values, as a multiple of the values a pickle made; 100,000 are always allowed. Real
  /// files list a value once, or a few times.
  public var sharing = 16
  /// Bytes that the paths to them may take together, at 40 for each step and one for each byte of a name.
  public var pathBytes = 160 << 20
  /// Bytes of one text whose value is listed; a longer one is listed by its length.
  public var textBytes = 1 << 16
  /// Bytes of all texts whose values are listed.
  public var allTextBytes = 32 << 20
  /// Dimensions of a tensor: PyTorch's own operators take no more.
  public var rank = 64
  /// Depth of containers below the root of a pickle. A path longer than this says nothing to a reader.
  public var depth = 1_000
  /// Entries of one zip directory.
  public var zipEntries = 2_000_000
  /// Logical bytes of a tensor, as a multiple of the bytes it is stored in. Only views with a stride of 0,
  /// or that overlap, exceed 1.
  public var expansion = 64
  /// Logical bytes that are always allowed, whatever the ``expansion``.
  public var expansionFloor = 1 << 30
  /// Inflated bytes as a multiple of the deflated; DEFLATE itself cannot exceed 1,032.
  public var inflation = 1_032
  /// The same for entries that inflate to more than 128 MiB. Weights reach 2; only arrays of zeros exceed it.
  public var largeInflation = 64
  /// Bytes of a deflated pickle as a multiple of the deflated; 4 MiB are always allowed. Real ones reach 15.
  public var pickleInflation = 64
  /// Values that a deflated pickle may make, as a multiple of the deflated bytes; two million are always allowed, and
  /// ``pickleValues`` bounds them too. Real ones make about one.
  public var deflatedValues = 8
  /// Bytes that one deflated entry may inflate to. They are held in memory, which stored entries never need.
  public var inflatedBytes = 4 << 30
  /// Bytes of all entries and pickles of one archive that may be held in memory together.
  public var allocation = 8 << 30
  /// Bytes of a JSON header (safetensors). The format's own bound.
  public var headerBytes = 100_000_000
  /// Bytes of an image file, which is read into memory.
  public var imageBytes = 1 << 30
  /// Pixels of an image. Those of the largest cameras have half as many.
  public var imagePixels = 1 << 28
  /// Scans of one JPEG, each of which goes over the whole image. Progressive ones have about ten.
  public var imageScans = 100

  /// Makes the default limits.
  public init() {}

  /// Every limit by its name, for those who set them from text.
  package static var names: [String] { settings.map(\.name) }

  /// The limit of a name; nil when there is none of that name.
  package subscript(name: String) -> Int? {
    get { Self.settings.first { $0.name == name }.map { self[keyPath: $0.limit] } }
    set {
      guard let setting = Self.settings.first(where: { $0.name == name }), let newValue else { return }
      self[keyPath: setting.limit] = newValue
    }
  }

  /// Says that a limit was met.
  ///
  /// - Parameters:
  ///   - need: the value that would be enough, when it is known.
  ///   - seen: as much as was counted when the limit was met.
  package func exceeded(
    _ limit: KeyPath<Limits, Int>, need: Int? = nil, seen: Int = 0
  ) -> Excess {
    let value = self[keyPath: limit]
    return Excess(
      name: Self.settings.first { $0.limit == limit }?.name ?? "", value: value,
      advised: need ?? max(seen, value.checkedMultiplying(by: 2) ?? .max, 1))
  }

  /// A limit that was met.
  package struct Excess: Sendable, Equatable {
    /// The limit's name.
    package let name: String
    /// Its value.
    package let value: Int
    /// The value that is enough, or else twice the present one.
    package let advised: Int

    /// The end of the sentence that says so.
    package var clause: String { "more than the limit \(name) allows (\(value))" }
  }

  private static var settings: [(name: String, limit: WritableKeyPath<Limits, Int>)] {
    [
      ("pickleStack", \.pickleStack), ("pickleMemo", \.pickleMemo), ("pickleValues", \.pickleValues),
      ("pickleNodes", \.pickleNodes),
      ("longBytes", \.longBytes), ("pickleBytes", \.pickleBytes), ("paths", \.paths), ("sharing", \.sharing),
      ("pathBytes", \.pathBytes), ("textBytes", \.textBytes), ("allTextBytes", \.allTextBytes),
      ("rank", \.rank), ("depth", \.depth), ("zipEntries", \.zipEntries), ("expansion", \.expansion),
      ("expansionFloor", \.expansionFloor), ("inflation", \.inflation),
      ("largeInflation", \.largeInflation),
      ("pickleInflation", \.pickleInflation), ("deflatedValues", \.deflatedValues),
      ("inflatedBytes", \.inflatedBytes),
      ("allocation", \.allocation), ("headerBytes", \.headerBytes),
      ("imageBytes", \.imageBytes), ("imagePixels", \.imagePixels), ("imageScans", \.imageScans),
    ]
  }
}
