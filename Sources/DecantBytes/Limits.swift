/// Upper bounds on the resources that reading a file may use.
///
/// Every default is far above the needs of real checkpoints and far below harmful amounts. A reader that
/// exceeds a limit throws a ``DecantError`` with the code `limitExceeded`, which names the limit.
///
///     var limits = Limits()
///     limits.headerBytes = 1 << 20
///     let checkpoint = try Checkpoint(path: path, limits: limits)
public struct Limits: Sendable, Equatable {
  /// The number of values on the pickle machine's stack at one time. Real files stay under 10,000.
  public var pickleStack = 10_000_000
  /// The number of entries in the pickle memo. CPython memoises most objects, so this follows
  /// ``pickleValues``.
  public var pickleMemo = 50_000_000
  /// The number of values that one pickle may push. A shared value counts each time. A checkpoint of 100,000
  /// tensors pushes about two million. The worst hostile pickle costs 80 bytes for each value.
  public var pickleValues = 20_000_000
  /// The number of nodes that one pickle may create: strings, containers and objects. A tensor takes nine.
  /// ``pickleValues`` also bounds them.
  public var pickleNodes = 50_000_000
  /// The number of bytes of one integer (LONG1, LONG4, LONG lines). No checkpoint needs a larger one.
  public var longBytes = 1 << 20
  /// The number of bytes of a pickle that is read into memory (`data.pkl`). It never contains weights.
  public var pickleBytes = 1 << 30
  /// The number of paths, tensors and other leaves together, that one file may list. Shared containers can
  /// turn a few bytes into billions of paths.
  public var paths = 1_000_000
  /// The number of paths to values, as a multiple of the values that a pickle created. 100,000 are always
  /// allowed. Real files list a value once or a few times.
  public var sharing = 16
  /// The number of bytes of all these paths: 40 for each component and one for each byte of a key.
  public var pathBytes = 160 << 20
  /// The number of bytes of one string whose value is listed. Longer strings are listed by their length.
  public var textBytes = 1 << 16
  /// The number of bytes of all strings whose values are listed.
  public var allTextBytes = 32 << 20
  /// The number of dimensions of a tensor. PyTorch's own operators support no more.
  public var rank = 64
  /// The depth of nested containers below the root of a pickle. Longer paths are of no use to a reader.
  public var depth = 1_000
  /// The number of entries in one zip directory.
  public var zipEntries = 2_000_000
  /// The logical bytes of a tensor, as a multiple of its stored bytes. Only views that overlap or have a
  /// stride of 0 exceed 1.
  public var expansion = 64
  /// The number of logical bytes that are always allowed, whatever the ``expansion``.
  public var expansionFloor = 1 << 30
  /// The inflated bytes as a multiple of the deflated bytes. DEFLATE itself cannot exceed 1,032.
  public var inflation = 1_032
  /// The same ratio for entries that inflate to more than 128 MiB. Weights reach 2; only arrays of zeros
  /// exceed 64.
  public var largeInflation = 64
  /// The inflated bytes of a deflated pickle, as a multiple of the deflated bytes. 4 MiB are always allowed.
  /// Real pickles reach 15.
  public var pickleInflation = 64
  /// The number of values that a deflated pickle may create, as a multiple of the deflated bytes. Two million
  /// are always allowed, and ``pickleValues`` also bounds them. Real pickles create about one value a byte.
  public var deflatedValues = 8
  /// The number of bytes that one deflated entry may inflate to. Unlike stored entries, they are kept in
  /// memory.
  public var inflatedBytes = 4 << 30
  /// The number of bytes of all entries and pickles of one archive that are in memory at one time.
  public var allocation = 8 << 30
  /// The number of bytes of a JSON header (safetensors). It is the format's own bound.
  public var headerBytes = 100_000_000
  /// The number of bytes of an image file, which is read into memory.
  public var imageBytes = 1 << 30
  /// The number of pixels of an image. The largest cameras produce 151 million.
  public var imagePixels = 160 << 20
  /// The work of scanning one file for code, in values made or judged, for a file of no size. It grows by as much for
  /// each 50 MB that are not tensor data. Ten million take about a second.
  public var scanWork = 10_000_000
  /// The number of scans of one JPEG, each of which processes the whole image. Progressive JPEGs have about
  /// ten.
  public var imageScans = 100

  /// Creates the default limits.
  public init() {}

  /// The names of all limits, for callers that set them from text.
  package static var names: [String] { settings.map(\.name) }

  /// The limit with this name; nil when there is none. Setting an unknown name has no effect.
  package subscript(name: String) -> Int? {
    get { Self.settings.first { $0.name == name }.map { self[keyPath: $0.limit] } }
    set {
      guard let setting = Self.settings.first(where: { $0.name == name }), let newValue else { return }
      self[keyPath: setting.limit] = newValue
    }
  }

  /// Returns a description of an exceeded limit.
  ///
  /// - Parameters:
  ///   - need: the value that would be enough, when it is known.
  ///   - seen: the amount counted when the limit was exceeded.
  package func exceeded(
    _ limit: KeyPath<Limits, Int>, need: Int? = nil, seen: Int = 0
  ) -> Excess {
    let value = self[keyPath: limit]
    return Excess(
      name: Self.settings.first { $0.limit == limit }?.name ?? "", value: value,
      advised: need ?? max(seen, value.checkedMultiplying(by: 2) ?? .max, 1))
  }

  /// A limit that was exceeded.
  package struct Excess: Sendable, Equatable {
    /// The limit's name.
    package let name: String
    /// The value of the limit.
    package let value: Int
    /// The suggested value: the one that is enough when it is known, otherwise at least twice the present
    /// one.
    package let advised: Int

    /// The last clause of an error message about the limit.
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
      ("imageBytes", \.imageBytes), ("imagePixels", \.imagePixels), ("scanWork", \.scanWork),
      ("imageScans", \.imageScans),
    ]
  }
}
