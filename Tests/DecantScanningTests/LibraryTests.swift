import DecantScanning
import TestSupport
import Testing

/// Names of the libraries that come with torch, values that are known to be harmless, and loading that never ends.
@Suite struct LibraryTests {
  private static func scan(_ stream: Stream) -> FileScan {
    CheckpointScanner().scan((.proto4 + stream + ".").bytes, named: "file")
  }

  private static func call(_ module: String, _ name: String, _ arguments: Stream) -> Stream {
    .stackName(module, name) + "(" + arguments + "tR"
  }

  // MARK: - Functions that run text, import, or open files

  static let dangerous = [
    ("sympy", "sympify"), ("sympy.core.sympify", "sympify"), ("sympy", "S"), ("sympy.core.singleton", "S"),
    ("sympy.parsing.sympy_parser", "parse_expr"), ("sympy.printing.preview", "preview"),
    ("sympy.utilities.lambdify", "lambdify"), ("sympy.external.importtools", "import_module"),
    ("sympy", "simplify"), ("sympy.utilities._compilation.runners", "CompilerRunner"),
    ("mpmath.libmp.backend", "exec_"), ("mpmath.libmp", "exec_"), ("mpmath", "identify"),
    ("pygments.lexers", "load_lexer_from_file"), ("pygments.formatters", "load_formatter_from_file"),
    ("pygments.lexers", "_load_lexers"), ("pygments.formatters.img", "FontManager"),
    ("networkx.utils.decorators", "argmap"), ("networkx.drawing.nx_agraph", "view_pygraphviz"),
    ("networkx.lazy_imports", "attach"), ("filelock", "FileLock"), ("fsspec", "open"),
    ("fsspec.core", "get_fs_token_paths"), ("jinja2", "Template"), ("typing_extensions", "get_type_hints"),
    ("packaging.tags", "mac_platforms"), ("packaging._musllinux", "_get_musl_version"),
    ("setuptools", "setup"), ("triton.runtime.build", "compile_module_from_src"),
    ("picklescan.scanner", "scan_url"), ("modelscan.modelscan", "ModelScan"), ("fickling.hook", "run_hook"),
    ("fickling.loader", "load"), ("modelaudit.core", "scan_model_directory_or_file"),
  ]

  @Test(arguments: dangerous)
  func functionIsDangerous(_ module: String, _ name: String) {
    #expect(Self.scan(Self.call(module, name, .text("x"))).verdict == .dangerous)
  }

  @Test(arguments: [
    call("sympy", "Integral", .text("f(x)")),
    call("sympy.matrices.dense", "Matrix", "](" + .text("a+b") + "e"),
    .stackName("sympy.core.numbers", "Integer") + .text("1 + 1") + "\u{85}\u{81}",
  ])
  func textForSymPyIsDangerous(_ stream: Stream) {
    #expect(Self.scan(stream).verdict == .dangerous)
  }

  @Test(arguments: [
    call("sympy.core.symbol", "Symbol", .text("x")), call("sympy.core.numbers", "Integer", "K\u{1}"),
    call("packaging.version", "Version", .text("1.0")), call("networkx.classes.graph", "Graph", ""),
    call("torch.distributed.remote_device", "_remote_device", .text("cpu")),
    .stackName("torch.distributed", "remote_device"),
    call("numpy._core._multiarray_umath", "_reconstruct", ""),
    call("functools", "partial", .stackName("pandas.core.internals.blocks", "new_block"))
      + "(" + .stackName("pandas.core.internals.blocks", "new_block") + ")}NtbK\u{1}\u{85}R",
    call("lightning_fabric.utilities.data", "AttributeDict", ""),
    call("transformers.training_args", "TrainingArguments", ""),
  ])
  func classOfALibraryIsUnknown(_ stream: Stream) {
    let scan = Self.scan(stream)
    #expect(scan.verdict == .unknown, "\(scan.findings)")
  }

  // MARK: - Harmless values

  private static let numpy: Stream = call(
    "numpy.random._pickle", "__randomstate_ctor",
    .text("MT19937") + .stackName("numpy.random._pickle", "__bit_generator_ctor"))

  static let harmless: [(name: String, stream: Stream)] = [
    ("an optimizer's class", .stackName("torch.optim.adamw", "AdamW")),
    ("a scheduler's class", .stackName("torch.optim.lr_scheduler", "StepLR")),
    (
      "a namespace",
      .stackName("argparse", "Namespace") + ")\u{81}}(" + .text("lr") + "K\u{1}" + .text("act")
        + .stackName("torch.nn.functional", "relu") + "ub"
    ),
    ("a path", call("pathlib", "PosixPath", .text("/") + .text("tmp"))),
    ("a path of 3.13", call("pathlib._local", "PosixPath", .text("/") + .text("tmp"))),
    ("a time", call("datetime", "datetime", .bytes([7, 0xE8, 1, 2, 3, 4, 5, 0, 0, 0]))),
    ("a span of time", call("datetime", "timedelta", "K\u{1}K\u{2}K\u{3}")),
    ("a deque", call("collections", "deque", ")K\u{9}") + "(K\u{1}K\u{2}e"),
    ("a generator's state", numpy + "}(" + .text("bit_generator") + .text("MT19937") + "ub"),
    (
      "a generator",
      call(
        "numpy.random._pickle", "__generator_ctor",
        call("numpy.random._pickle", "__bit_generator_ctor", .stackName("numpy.random._pcg64", "PCG64")))
    ),
    (
      "a masked array",
      call(
        "numpy.ma.core", "_mareconstruct",
        .stackName("numpy.ma", "MaskedArray") + .stackName("numpy", "ndarray") + "K\u{0}\u{85}"
          + .bytes([0x62]))
    ),
    ("an activation", .stackName("torch.nn.functional", "gelu")),
    (
      "a record of DCP",
      .stackName("torch.distributed.checkpoint.metadata", "Metadata") + ")\u{81}}(" + .text("storage_data")
        + "}ub"
    ),
    (
      "an enumeration of DCP", call("torch.distributed.checkpoint.metadata", "_MEM_FORMAT_ENCODING", "K\u{0}")
    ),
  ]

  @Test(arguments: harmless)
  func valueIsClean(_ name: String, _ stream: Stream) {
    let scan = Self.scan(stream)
    #expect(scan.verdict == .clean, "\(name): \(scan.findings)")
  }

  /// The same names, used in other ways.
  @Test(arguments: [
    call("torch.optim.adamw", "AdamW", ""), call("torch.nn.functional", "relu", "N"),
    .stackName("argparse", "Namespace") + ")\u{81}}(" + .text("keys") + .stackName("torch", "manual_seed")
      + "ub",
    call("pathlib", "PosixPath", "") + "}(" + .text("a") + "Nub",
    call("collections", "deque", "") + "K\u{1}b",
    call("numpy.random._pickle", "__randomstate_ctor", .text("x") + .stackName("torch", "manual_seed")),
    call("numpy.random._pickle", "__bit_generator_ctor", .stackName("package", "Class")),
    call("numpy.ma.core", "_mareconstruct", .stackName("package", "Class") + .stackName("numpy", "ndarray")),
    call(
      "torch._tensor", "_rebuild_from_type_v2",
      .stackName("numpy.random._pickle", "__randomstate_ctor") + .stackName("torch", "Tensor") + ")N"),
    call("collections", "deque", call("builtins", "range", "J\u{0}\u{0}\u{0}\u{7f}")),
  ])
  func otherUseIsNotClean(_ stream: Stream) {
    #expect(Self.scan(stream).verdict != .clean)
  }

  /// The records of DCP name the files to read.
  @Test(arguments: ["/etc/passwd", "../other/__0_0.distcp", "a\\b"])
  func fileOutsideTheFolder(_ path: String) {
    func info(_ path: String) -> Stream {
      .stackName("torch.distributed.checkpoint.filesystem", "_StorageInfo") + ")\u{81}}("
        + .text("relative_path") + .text(path) + "ub"
    }
    let scan = Self.scan(info(path))
    #expect(scan.findings.map(\.rule) == [.archiveName] && scan.verdict == .dangerous)
    #expect(Self.scan(info("__0_0.distcp")).verdict == .clean)
  }

  // MARK: - Loading that never ends

  private static func doubled(_ levels: Int) -> Stream {
    Stream(Array("N".utf8) + Array(repeatElement([0x32, 0x86] as [UInt8], count: levels).joined()))
  }
  private static let range = call("builtins", "range", "J\u{0}\u{0}\u{0}\u{7f}")
  private static func tensor(_ size: Stream) -> Stream {
    let storage: Stream =
      "(" + .text("storage") + .name("torch", "FloatStorage") + .text("0") + .text("cpu") + "K\u{8}tQ"
    return call("torch._utils", "_rebuild_tensor_v2", storage + "K\u{0}" + size + "\u{85}K\u{1}\u{85}\u{89}N")
  }

  static let endless: [(name: String, stream: Stream)] = [
    ("tuples in tuples as a key", "}" + doubled(60) + "Ns"),
    ("tuples in tuples in a set", "\u{8f}(" + doubled(60) + "\u{90}"),
    ("a key nested 100,000 deep", "}" + Stream([0x4E] + [UInt8](repeating: 0x85, count: 100_000)) + "Ns"),
    ("a size of ten billion", call("torch", "Size", range)),
    ("a list of a range", call("builtins", "list", range)),
    ("a set of a range", call("builtins", "set", range)),
    ("a text of a container", call("builtins", "str", "]")),
    (
      "an integer of a text",
      call("builtins", "int", Stream([0x58, 0, 0x20, 0, 0] + [UInt8](repeating: 0x39, count: 8_192)))
    ),
    ("zeros", call("builtins", "bytes", "J\u{0}\u{0}\u{0}\u{40}")),
    (
      "an array's shape",
      call(
        "numpy._core.multiarray", "_reconstruct",
        .name("numpy", "ndarray") + "J\u{0}\u{0}\u{0}\u{40}\u{85}" + .bytes([0x62]))
    ),
    ("a tensor of a size", call("torch", "FloatTensor", "J\u{0}\u{0}\u{0}\u{40}")),
    ("a tensor beyond its storage", tensor("J\u{0}\u{0}\u{0}\u{40}")),
    ("a memo index", "Nr\u{ff}\u{ff}\u{ff}\u{ff}"),
    ("a decimal integer", Stream([0x4C] + [UInt8](repeating: 0x39, count: 10_000)) + "L\n"),
    (
      "an integer of two megabytes",
      Stream([0x8B] + ZipBuilder.little(UInt32(2 << 20)) + [UInt8](repeating: 1, count: 2 << 20))
    ),
  ]

  @Test(arguments: endless)
  func loadingIsReported(_ name: String, _ stream: Stream) {
    let scan = Self.scan(stream)
    #expect(scan.findings.contains { $0.rule == .exhaustsLoader }, "\(name): \(scan.findings)")
  }

  /// Returns a dictionary of keys whose hash is 0 in CPython: multiples of 2^61 - 1.
  private static func equalHashes(_ count: Int, _ wrap: Stream = "", open: Stream = "}(", close: Stream = "u")
    -> Stream
  {
    var stream = open
    for index in 1...count {
      let (high, low) = ((UInt64(1) << 61) - 1).multipliedFullWidth(by: UInt64(index))
      stream =
        stream + Stream([0x8A, 10] + ZipBuilder.little(low) + ZipBuilder.little(UInt16(high))) + wrap
        + (close.bytes == [0x75] ? "N" : "")
    }
    return stream + close
  }

  @Test(arguments: [
    equalHashes(1_200), equalHashes(1_200, .tuple1), equalHashes(1_200, "K\u{7}" + .tuple2),
    Stream([0x8F]) + equalHashes(1_200, open: "(", close: Stream([0x90])),
    .name("collections", "OrderedDict") + ")R" + equalHashes(1_200, open: "("),
    .name("builtins", "set") + equalHashes(1_200, open: "](", close: "e") + .tuple1 + "R",
  ])
  func equalHashesAreReported(_ stream: Stream) {
    let scan = Self.scan(stream)
    #expect(
      scan.findings.contains {
        $0.rule == .exhaustsLoader && $0.what.contains("1,200 keys of one container")
      },
      "\(scan.findings)")
  }

  /// The search for equal hashes takes linear time: tuples that share each other as keys, and one list for many calls.
  @Test func searchingIsBounded() {
    var tuples: Stream = "}(", calls: Stream = "]("
    for _ in 0..<2_000 { tuples = tuples + "h\u{1e}K\u{1}\u{86}N" }
    for index in 0..<5_000 { calls = calls + Stream([0x4A] + ZipBuilder.little(Int32(index))) }
    calls = calls + "eq\u{0}0"
    for _ in 0..<2_000 { calls = calls + .name("builtins", "set") + "h\u{0}" + .tuple1 + "R0" }
    var shared: Stream = "K\u{1}q\u{0}0"
    for level in 0..<30 {
      shared =
        shared + "h" + Stream([UInt8(level)]) + "h" + Stream([UInt8(level)]) + "\u{86}q"
        + Stream([UInt8(level + 1)]) + "0"
    }
    #expect(Self.scan(shared + tuples + "u").verdict != .dangerous)
    #expect(!Self.scan(calls + "N").findings.contains { $0.rule == .exhaustsLoader })
  }

  /// Keys such as an optimizer's, negative ones and floats, and one key again and again.
  @Test func honestKeysAreClean() {
    var (numbers, floats, same): (Stream, Stream, Stream) = ("}(", "}(", "}(")
    for index in 0..<5_000 {
      numbers = numbers + Stream([0x4A] + ZipBuilder.little(Int32(index - 2_500))) + "N"
      floats = floats + Stream([0x47] + ZipBuilder.little((Double(index) * 0.25).bitPattern).reversed()) + "N"
      same = same + "K\u{1}N"
    }
    for stream in [numbers + "u", floats + "u", same + "u", Self.equalHashes(900)] {
      #expect(Self.scan(stream).verdict == .clean)
    }
  }

  @Test(arguments: [
    "}" + doubled(10) + "Ns", call("torch", "Size", "K\u{2}K\u{3}\u{86}"),
    call("builtins", "range", "K\u{5}"),
    call("builtins", "list", "]"), tensor("K\u{8}"), "Nr\u{ff}\u{ff}\u{0}\u{0}",
    call(
      "numpy._core.multiarray", "_reconstruct", .name("numpy", "ndarray") + "K\u{0}\u{85}" + .bytes([0x62])),
  ])
  func ordinaryLoadingIsNot(_ stream: Stream) {
    let scan = Self.scan(stream)
    #expect(!scan.findings.contains { $0.rule == .exhaustsLoader }, "\(scan.findings)")
  }
}
