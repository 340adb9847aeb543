import DecantScanning
import TestSupport
import Testing

/// Every rule, with bytes that match it and similar bytes that do not.
@Suite struct RuleTests {
  struct Case: Sendable, CustomTestStringConvertible {
    let rule: ScanRule
    let severity: ScanSeverity
    let hostile: [UInt8]
    let near: [UInt8]
    let nearVerdict: ScanVerdict
    var testDescription: String { rule.rawValue }

    init(_ rule: ScanRule, _ severity: ScanSeverity, _ hostile: Stream, near: Stream, _ verdict: ScanVerdict)
    {
      self.init(rule, severity, hostile.bytes, near: near.bytes, verdict)
    }

    init(
      _ rule: ScanRule, _ severity: ScanSeverity, _ hostile: [UInt8], near: [UInt8], _ verdict: ScanVerdict
    ) {
      self.rule = rule
      self.severity = severity
      self.hostile = hostile
      self.near = near
      nearVerdict = verdict
    }
  }

  private static let dictionary = Stream.name("collections", "OrderedDict") + ")R"
  private static let loader = Stream.name("torch.storage", "_load_from_bytes")

  static let names: [Case] = [
    Case(.runsCode, .dangerous, .call, near: .proto4 + .text("os.system") + ".", .clean),
    Case(
      .runsCode, .dangerous, .proto4 + .name("os", "system") + ".", near: .proto4 + .text("os") + ".", .clean),
    Case(
      .runsCode, .dangerous, Stream("(iposix\nsystem\n."), near: Stream("(icollections\nOrderedDict\n."),
      .clean),
    Case(
      .runsCode, .dangerous, .proto4 + .name("builtins", "type") + .text("X") + ")}" + Stream([0x87]) + "R.",
      near: .proto4 + .name("builtins", "type") + ".", .unknown),
    Case(
      .standardLibrary, .dangerous, .proto4 + .name("uuid", "_get_command_stdout") + ")R.",
      near: .proto4 + .name("uuid", "UUID") + .newObject + ".", .unknown),
    Case(
      .libraryFunction, .dangerous,
      .proto4 + .name("requests.api", "get") + .text("http://x") + .tuple1 + "R.",
      near: .proto4 + .name("requests_like.api", "Reply") + .newObject + ".", .unknown),
    Case(
      .libraryFunction, .dangerous, .proto4 + .name("torch.hub", "Loader") + ".",
      near: .proto4 + .name("torch.nn", "Linear") + ".", .unknown),
    Case(
      .libraryFunction, .dangerous, .proto4 + .name("torch", "manual_seed") + "K\u{1}" + .tuple1 + "R.",
      near: .proto4 + .name("torch.nn.functional", "relu") + ".", .clean),
    Case(
      .libraryFunction, .dangerous,
      .proto4 + .name("numpy.core", "_ufunc_reconstruct") + .text("os") + .text("system")
        + .tuple2 + "R.",
      near: .proto4 + .name("numpy", "float64") + ".", .clean),
    // Nested classes and an instance of one, as CPython pickles them at protocol 2, and attributes that only look like
    // them.
    Case(
      .runsCode, .dangerous, .proto4 + .attribute(of: .name("os", "path"), "system") + ".",
      near: .proto4 + .attribute(of: .name("package", "Outer"), "Inner") + "K\u{1}" + .tuple1 + "R.", .unknown
    ),
    Case(
      .libraryFunction, .dangerous, .proto4 + .attribute(of: .name("torch", "hub"), "load") + ".",
      near: .proto4 + .attribute(of: .attribute(of: .name("package", "A"), "B"), "C") + ".", .unknown),
    Case(
      .methodPath, .dangerous, .proto4 + .attribute(of: .name("package", "Outer"), "method") + ")R.",
      near: .proto4 + .attribute(of: .name("package", "Outer"), "method") + ".", .unknown),
    Case(
      .methodPath, .dangerous, .proto4 + .attribute(of: .name("package", "Outer"), "_scale") + ")R.",
      near: .proto4 + .attribute(of: .name("package", "Outer"), "_scale") + ".", .unknown),
    Case(
      .runsCode, .dangerous, .proto4 + .attribute(of: .name("package", "Outer"), "__class__") + ".",
      near: .proto4 + .attribute(of: .name("package", "Outer"), "Inner") + ".", .unknown),
    // Bound methods as they are pickled, methods that Python looks up itself, and a call of the method.
    Case(
      .runsCode, .dangerous,
      .proto4 + .attribute(of: .name("package", "Class") + .newObject, "__reduce__") + ".",
      near: .proto4 + .attribute(of: .name("package", "Class") + .newObject, "_hook") + ".", .unknown),
    Case(
      .runsCode, .dangerous, .proto4 + .attribute(of: .name("package", "Class") + .newObject, "system") + ".",
      near: .proto4 + .attribute(of: .name("package", "Class") + .newObject, "step") + ".", .unknown),
    Case(
      .computedCall, .dangerous,
      .proto4 + .attribute(of: .name("package", "Class") + .newObject, "step") + ")R.",
      near: .proto4 + .attribute(of: .name("package", "Class") + .newObject, "step") + ".", .unknown),
    Case(
      .runsCode, .dangerous,
      .proto4 + .attribute(of: .attribute(of: .name("package", "Class") + .newObject, "a"), "b") + ".",
      near: .proto4 + .attribute(of: .name("package", "Class") + .newObject, "a") + ".", .unknown),
    Case(
      .runsCode, .dangerous,
      .proto4 + .name("builtins", "iter") + .name("package", "f") + "N" + .tuple2 + "R.",
      near: .proto4 + .name("builtins", "iter") + "]" + .tuple1 + "R.", .unknown),
    Case(
      .runsCode, .dangerous, .proto4 + .name("builtins", "len") + "]" + .tuple1 + "R.",
      near: .proto4 + .name("builtins", "len") + ".", .unknown),
    Case(
      .runsCode, .dangerous, .proto4 + .name("_operator", "methodcaller") + ".",
      near: .proto4 + .name("_operator", "add") + ".", .unknown),
    Case(
      .libraryFunction, .dangerous,
      .proto4 + .name("torch.fx.graph_module", "reduce_graph_module") + "}" + .tuple1 + "R.",
      near: .proto4 + .name("torch.fx.node", "Node") + .newObject + ".", .unknown),
    Case(
      .methodPath, .dangerous, .proto4 + .stackName("package", "Class.method") + ")R.",
      near: .proto4 + .stackName("package", "Outer.Inner") + ")R.", .unknown),
    Case(
      .methodPath, .dangerous, .proto4 + .stackName("torch.storage", "io.open_code") + ")R.",
      near: .proto4 + .stackName("torch.storage", "UntypedStorage") + ".", .clean),
    Case(
      .libraryName, .unknown, .proto4 + .name("package.module", "Class") + .newObject + ".",
      near: .proto4 + dictionary + ".", .clean),
    Case(
      .torchObject, .unknown, .proto4 + .name("torch.nn.modules.linear", "Linear") + .newObject + ".",
      near: .proto4 + .name("torch.nn.parameter", "Parameter") + .newObject + ".", .clean),
    Case(
      .standardValue, .unknown, .proto4 + .name("decimal", "Decimal") + ")R.",
      near: .proto4 + .name("collections", "Counter") + "}" + .tuple1 + "R.", .clean),
    Case(
      .mainName, .unknown, .proto4 + .name("__main__", "Settings") + .newObject + ".",
      near: .proto4 + .name("builtins", "set") + "]" + .tuple1 + "R.", .clean),
    Case(
      .oddUse, .unknown, .proto4 + .name("torch", "float32") + ")R.",
      near: .proto4 + .name("torch", "float32") + ".",
      .clean),
    Case(
      .oddUse, .unknown, .proto4 + .name("_codecs", "encode") + .text("x") + .text("rot13") + .tuple2 + "R.",
      near: .proto4 + .name("_codecs", "encode") + .text("x") + .text("latin1") + .tuple2 + "R.", .clean),
    Case(
      .oddUse, .unknown,
      .proto4 + .name("collections", "defaultdict") + .name("package", "Factory") + .tuple1 + "R.",
      near: .proto4 + .name("collections", "defaultdict") + .name("builtins", "list") + .tuple1 + "R.", .clean
    ),
    Case(
      .exhaustsLoader, .unknown,
      .proto4 + .name("builtins", "bytes") + "J\u{0}\u{0}\u{0}\u{40}" + .tuple1 + "R.",
      near: .proto4 + .name("builtins", "bytearray") + .bytes([1]) + .tuple1 + "R.", .clean),
  ]

  static let disguises: [Case] = [
    Case(
      .computedName, .dangerous, .proto4 + "K\u{1}K\u{2}" + Stream([0x93]) + ".",
      near: .proto4 + .text("collections") + "q\u{0}0h\u{0}" + .text("OrderedDict") + Stream([0x93]) + ")R.",
      .clean),
    Case(
      .computedName, .dangerous,
      .proto4 + .name("builtins", "str") + .bytes(Array("os".utf8)) + .text("latin1") + .tuple2 + "R"
        + .text("system")
        + Stream([0x93]) + ".",
      near: .proto4 + .name("builtins", "str") + .text("os") + .tuple1 + "R.", .clean),
    Case(.computedCall, .dangerous, .proto4 + dictionary + ")R.", near: .proto4 + dictionary + ".", .clean),
    Case(
      .computedCall, .dangerous,
      .proto4 + .name("torch._tensor", "_rebuild_from_type_v2") + "(" + dictionary + .name("torch", "Tensor")
        + ")}tR.",
      near: .proto4 + .name("torch._tensor", "_rebuild_from_type_v2") + "("
        + .name("torch._utils", "_rebuild_parameter") + .name("torch", "Tensor") + ")}tR.", .clean),
    Case(
      .importChanged, .dangerous,
      .proto4 + .name("torch", "_utils") + "}" + .text("_rebuild_tensor") + .text("eval")
        + "sb.",
      near: .proto4 + dictionary + "}" + .text("_metadata") + "}sb.", .clean),
    Case(
      .importChanged, .dangerous, .proto4 + .name("collections", "OrderedDict") + .text("a") + "Ns.",
      near: .proto4 + dictionary + .text("a") + "Ns.", .clean),
    Case(
      .importChanged, .dangerous, .proto4 + .name("torch.storage", "UntypedStorage") + "Na.",
      near: .proto4 + "]Na.",
      .clean),
    Case(
      .methodReplaced, .dangerous, .proto4 + dictionary + "}" + .text("__setstate__") + loader + "sb.",
      near: .proto4 + dictionary + "}" + .text("__setstate__") + .text("x") + "sb.", .clean),
    Case(
      .methodReplaced, .dangerous,
      .proto4 + dictionary + .name("builtins", "dict") + "]" + .text("append") + loader + .tuple2 + "a"
        + .tuple1 + "Rb.",
      near: .proto4 + dictionary + .name("builtins", "dict") + "]" + .tuple1 + "Rb.", .clean),
    Case(
      .methodReplaced, .dangerous,
      .proto4 + dictionary + "N}" + .name("builtins", "str") + .text("extend") + .tuple1 + "R" + loader + "s"
        + .tuple2
        + "b.",
      near: .proto4 + dictionary + "N}" + .text("extend") + "Ns" + .tuple2 + "b.", .clean),
    Case(
      .memoChanged, .dangerous, .proto4 + .text("torch") + "q\u{0}" + .text("os") + "q\u{0}.",
      near: .proto4 + .text("torch") + "q\u{0}" + .text("torch") + "q\u{0}.", .clean),
    Case(.extensionCode, .dangerous, .proto4 + Stream([0x82, 1]) + ".", near: .proto4 + "K\u{1}.", .clean),
    Case(
      .persistentCall, .dangerous,
      .proto4 + "(" + .text("storage") + dictionary + .text("0") + .text("cpu") + "K\u{1}tQ.",
      near: .proto4 + "(" + .text("storage") + .name("torch", "FloatStorage") + .text("0") + .text("cpu")
        + "K\u{1}tQ.",
      .clean),
    Case(
      .nestedPickle, .dangerous, .proto4 + .bytes(Stream.call.bytes) + ".",
      near: .proto4 + .bytes(Stream.clean.bytes) + ".", .clean),
    Case(
      .nestedPickle, .dangerous,
      .proto4 + .name("_codecs", "encode") + .text("cos\nsystem\n.") + .text("latin1") + .tuple2 + "R.",
      near: .proto4 + .text("cos\nsystem\n.") + ".", .clean),
    Case(
      .loadFromBytes, .unknown, .proto4 + loader + .bytes(legacyFile()) + .tuple1 + "R.",
      near: .proto4 + .bytes(legacyFile()) + ".", .clean),
    Case(
      .loadFromBytes, .dangerous, .proto4 + loader + dictionary + .tuple1 + "R.",
      near: .proto4 + dictionary + ".", .clean),
    Case(
      .expansion, .unknown, .proto4 + bomb(levels: 10),
      near: .proto4 + bomb(levels: 3), .clean),
  ]

  /// Returns nested lists of ten references to the same list, `levels` deep: DUP ten times, then LIST.
  private static func bomb(levels: Int) -> Stream {
    var stream: Stream = "N"
    for _ in 0..<levels { stream = "(" + stream + "2222222222l" }
    return stream + "."
  }

  static let streams: [Case] = [
    Case(
      .computedMagic, .dangerous,
      legacyFile(
        first: (Stream.proto4 + .name("builtins", "eval") + .text("0x1950a8") + .tuple1 + "R.").bytes),
      near: legacyFile(), .clean),
    Case(
      .computedMagic, .dangerous,
      legacyFile(first: (Stream.proto4 + .name("builtins", "int") + .text("1") + .tuple1 + "R.").bytes),
      near: legacyFile(first: Array("I119547037146038801333356\n.".utf8)), .clean),
    Case(.secondStream, .unknown, Stream.clean + Stream.clean, near: .clean, .clean),
    Case(.secondStream, .unknown, Stream(legacyFile() + legacyFile()), near: Stream(legacyFile()), .clean),
    Case(.trailingData, .dangerous, Stream.clean + "\u{ff}\u{ff}\u{ff}", near: .clean, .clean),
    Case(.trailingData, .unknown, Stream.clean + "\u{0}\u{0}\u{0}\u{0}", near: .clean, .clean),
    Case(.trailingData, .dangerous, legacyFile() + [1, 2, 3], near: legacyFile(), .clean),
    Case(.brokenPickle, .unknown, .proto4 + "}h\u{7}.", near: .proto4 + "}q\u{7}h\u{7}0.", .clean),
    Case(
      .nameAfterBreak, .dangerous, .proto4 + "}h\u{7}" + .name("posix", "system") + ".",
      near: .proto4 + "}h\u{7}" + .name("package", "Class") + ".", .unknown),
    Case(
      .nameAfterBreak, .dangerous, .proto4 + "}h\u{7}" + .stackName("posix", "system") + ".",
      near: .proto4 + "}h\u{7}" + .text("posix") + ".", .unknown),
    Case(
      .frameCrossed, .dangerous,
      .proto4 + Stream([0x95, 2, 0, 0, 0, 0, 0, 0, 0]) + "NK\u{1}.",
      near: .proto4 + Stream([0x95, 4, 0, 0, 0, 0, 0, 0, 0]) + "NK\u{1}.", .clean),
    Case(
      .embeddedSource, .unknown,
      legacyFile(
        object: "(" + .text("module") + .name("torch.nn.modules.linear", "Linear") + .text("linear.py")
          + .text("class Linear:")
          + "tQ."),
      near: legacyFile(
        object: "(" + .text("storage") + .name("torch", "FloatStorage") + .text("0") + .text("cpu")
          + "K\u{0}NtQ."), .clean),
    Case(.notACheckpoint, .unreadable, "hello, world", near: .clean, .clean),
  ]

  static let archives: [Case] = [
    Case(
      .zipFlags, .dangerous, zip([("a.pkl", Stream.clean.bytes)]) { $0[0].flags = 0x20 },
      near: zip([("a.pkl", Stream.clean.bytes)]) { $0[0].flags = 0x0800 }, .clean),
    Case(
      .encrypted, .unreadable, zip([("a.bin", [9, 9, 9, 9])]) { $0[0].flags = 1 },
      near: zip([("a.pkl", Stream.clean.bytes)]) { _ in }, .clean),
    // Encrypted bytes that begin like a pickle by chance are not one; a whole pickle under the flag is, as for torch.
    Case(
      .encrypted, .unreadable, zip([("a.pkl", Array("I1f:\u{1}".utf8))]) { $0[0].flags = 1 },
      near: zip([("a.pkl", Stream.clean.bytes)]) { $0[0].flags = 1 }, .dangerous),
    Case(
      .zipName, .dangerous, zip([("a.pkl", Stream.clean.bytes)]) { $0[0].localName = "b.pkl" },
      near: zip(("a.pkl", Stream.clean.bytes)), .clean),
    Case(
      .zipName, .dangerous, zip(("a.pkl", Stream.clean.bytes), ("a.pkl", Stream.clean.bytes)),
      near: zip(("a.pkl", Stream.clean.bytes), ("b.pkl", Stream.clean.bytes)), .clean),
    Case(
      .zipHeaders, .dangerous, zip([("a.pkl", Stream.clean.bytes)]) { $0[0].localSize = 3 },
      near: zip([("a.pkl", Stream.clean.bytes)]) { $0[0].localSize = 4 }, .clean),
    Case(
      .zipHidden, .dangerous,
      hidingLast(zip(("a.pkl", Stream.clean.bytes), ("b.pkl", Stream.call.bytes)), nameLength: 5),
      near: zip(("a.pkl", Stream.clean.bytes), ("b.pkl", Stream.clean.bytes)), .clean),
    // In a truncated archive no entry counts as hidden.
    Case(
      .zipHidden, .dangerous,
      hidingLast(zip(("a/data.pkl", Stream.clean.bytes), ("a/b", [1, 2])), nameLength: 3),
      near: Array(zip(("a/data.pkl", Stream.clean.bytes), ("a/b", [1, 2])).dropLast(40)), .unknown),
    Case(
      .archivedCode, .dangerous, package("import os\nos.system('echo hi')\n"),
      near: package("import os\nos.path.join('a')\n"), .unknown),
    // A tar that contains a zip archive, and a zip archive after the end of a tar.
    Case(
      .polyglot, .dangerous,
      tar([("a", "0", Stream.clean.bytes)]) + zip(("a.pkl", Stream.clean.bytes)),
      near: tar([("a.zip", "0", zip(("a.pkl", Stream.clean.bytes)))]), .clean),
    Case(
      .trailingData, .dangerous, zip(("a.pkl", Stream.clean.bytes)) + [1, 2, 3],
      near: zip(("a.pkl", Stream.clean.bytes)) + safetensors("{}"), .unknown),
    Case(
      .zipOverlap, .dangerous,
      zip([("a.pkl", Stream.clean.bytes), ("b.pkl", Stream.clean.bytes)]) {
        $0[1].headerOffset = 0
        $0[1].localName = "a.pkl"
      },
      near: zip(("a.pkl", Stream.clean.bytes)), .clean),
    Case(
      .zipOutside, .dangerous,
      zip(("a/data.pkl", Stream.clean.bytes), ("a/version", [0x33, 0x0A]), ("b/x", Stream.call.bytes)),
      near: zip(("a/data.pkl", Stream.storage(2).bytes), ("a/version", [0x33, 0x0A]), ("a/data/0", [1, 2])),
      .clean),
    Case(
      .unaccounted, .unknown, zip(("a/data.pkl", Stream.clean.bytes), ("a/data/0", [1, 2])),
      near: zip(("a/data.pkl", Stream.storage(2).bytes), ("a/data/0", [1, 2])), .clean),
    Case(
      .zipCrc, .unknown, zip([("a.pkl", Stream.clean.bytes)]) { $0[0].crc32 = 7 },
      near: zip([("a.pkl", Stream.clean.bytes)]) { $0[0].crc32 = 0 }, .clean),
    Case(
      .zipBroken, .unknown, Array(zip(("a.pkl", Stream.clean.bytes)).dropLast(60)),
      near: zip(("a.pkl", Stream.clean.bytes)), .clean),
    Case(
      .archiveName, .dangerous, zip(("../a.pkl", Stream.clean.bytes)),
      near: zip(("..a/b..pkl", Stream.clean.bytes)), .clean),
    Case(
      .archiveName, .dangerous, zip(("/a.pkl", Stream.clean.bytes)),
      near: zip(("a/a.pkl", Stream.clean.bytes)), .clean),
    Case(
      .archiveName, .dangerous, zip(("a\\b.pkl", Stream.clean.bytes)),
      near: zip(("a b.pkl", Stream.clean.bytes)), .clean),
    Case(
      .archiveLink, .dangerous, tar([("pickle", "2", [])]), near: tar([("a.pkl", "0", Stream.clean.bytes)]),
      .clean),
    Case(
      .concatenated, .unknown,
      zip(("a/data.pkl", Stream.clean.bytes)) + zip(("a/data.pkl", Stream.clean.bytes)),
      near: zip(("a/data.pkl", Stream.clean.bytes)), .clean),
    Case(
      .unexpectedMember, .unknown, zip(("a/data.pkl", Stream.clean.bytes), ("a/run.sh", [0x23, 0x21])),
      near: zip(("a/data.pkl", Stream.storage(2).bytes), ("a/data/0", [0x23, 0x21])), .clean),
    Case(
      .unexpectedMember, .unknown, tar([("pickle", "x", []), ("a", "0", Stream.clean.bytes)]),
      near: tar([("a", "0", Stream.clean.bytes)]), .clean),
    Case(
      .polyglot, .dangerous, Stream.clean.bytes + zip(("a.pkl", Stream.clean.bytes)),
      near: zip(("a.pkl", Stream.clean.bytes)), .clean),
    Case(
      .polyglot, .dangerous, polyglotTensors(), near: safetensors("{\"__metadata__\":{\"a\":\"b\"}}"), .clean),
    Case(
      .templateCode, .dangerous, TemplateTests.gguf([("tokenizer.chat_template", "{{ x.__class__ }}")]),
      near: TemplateTests.gguf([("tokenizer.chat_template", "{{ x.class }}")]), .clean),
    Case(
      .malformed, .unknown, npy("{'descr': 'float', 'fortran_order': False, 'shape': (0,)}", []),
      near: npy("{'descr': '<f8', 'fortran_order': False, 'shape': (0,)}", []), .clean),
    Case(
      .torchscriptCode, .unknown,
      zip(("a/data.pkl", Stream.clean.bytes), ("a/code/x.py", Array("def f(): pass".utf8))),
      near: zip(("a/data.pkl", Stream.storage(13).bytes), ("a/data/0", Array("def f(): pass".utf8))), .clean),
    Case(
      .torchscriptCall, .dangerous,
      zip(("a/data.pkl", Stream.clean.bytes), ("a/code/x.py", Array("y = ops.evil.run(x)".utf8))),
      near: zip(("a/data.pkl", Stream.clean.bytes), ("a/code/x.py", Array("y = ops.prim.data(x)".utf8))),
      .unknown),
    Case(
      .metadataScript, .unknown, safetensors("{\"__metadata__\":{\"note\":\"<SCRIPT>alert(1)</script>\"}}"),
      near: safetensors("{\"__metadata__\":{\"note\":\"a manuscript\"}}"), .clean),
    Case(
      .trailingData, .dangerous, safetensors("{\"__metadata__\":{}}", data: [1, 2, 3]),
      near: safetensors("{\"__metadata__\":{}}"), .clean),
    Case(
      .runsCode, .dangerous,
      npy("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n", Stream.call.bytes),
      near: npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1,), }\n", [0, 0, 0, 0]), .clean),
    Case(
      .runsCode, .dangerous,
      npy(
        "{'descr': [('Offset', '<i4'), ('b', 'object')], 'fortran_order': False, 'shape': (1,)}\n",
        Stream.call.bytes),
      near: npy("{'descr': [('Offset', '<i4')], 'fortran_order': False, 'shape': (1,)}\n", [0, 0, 0, 0]),
      .clean),
    Case(
      .runsCode, .dangerous,
      npy("{'descr': 'ob' 'ject', 'fortran_order': False, 'shape': (1,)}\n", Stream.call.bytes),
      near: npy("{'descr': '<f8', 'fortran_order': False, 'shape': ()}\n", [UInt8](repeating: 0, count: 8)),
      .clean),
    Case(
      .runsCode, .dangerous, zip(("a.zip", zip(("b.pth", zip(("c/data.pkl", Stream.call.bytes)))))),
      near: zip(("a.zip", zip(("b.pth", zip(("c/data.pkl", Stream.clean.bytes)))))), .clean),
  ]

  /// Returns a safetensors file that torch.load reads as a pickle.
  ///
  /// The first byte of the header's length is BINUNICODE, and the next four are the text's length. The text of 100
  /// bytes ends inside a metadata string. A chain of SHORT_BINBYTES follows, each with a letter as its length and as
  /// many spaces. The last one skips the end of the header and reaches the tensor's data, which contains a call.
  private static func polyglotTensors() -> [UInt8] {
    let call = Stream.call.bytes.dropFirst(2)
    let headerCount = 0x58 + 100 << 8
    var header = Array(
      "{\"t\":{\"dtype\":\"U8\",\"shape\":[\(call.count)],\"data_offsets\":[0,\(call.count)]},\"__metadata__\":{\"a\":\""
        .utf8)
    header += [UInt8](repeating: 0x20, count: 97 - header.count)
    while headerCount - header.count > 2 * 128 {
      header += [0x43, 126] + [UInt8](repeating: 0x20, count: 126)
    }
    let left = headerCount - header.count
    for part in [left / 2, left - left / 2] {
      header += [0x43, UInt8(part - 2)] + [UInt8](repeating: 0x20, count: part - 2)
    }
    header.replaceSubrange(headerCount - 3..<headerCount, with: Array("\"}}".utf8))
    return safetensors(String(decoding: header, as: UTF8.self), data: Array(call))
  }

  @Test(arguments: names + disguises + streams + archives)
  func isFound(_ example: Case) {
    let scan = CheckpointScanner().scan(example.hostile, named: "file")
    let findings = scan.findings.filter { $0.rule == example.rule }
    #expect(
      findings.contains { $0.severity == example.severity },
      "\(scan.verdict): \(scan.findings.map { "\($0.rule.rawValue) \($0.what)" })")
    #expect(scan.verdict != .clean)
  }

  @Test(arguments: names + disguises + streams + archives)
  func isNotFoundNearBy(_ example: Case) {
    let scan = CheckpointScanner().scan(example.near, named: "file")
    #expect(
      scan.verdict == example.nearVerdict,
      "\(scan.findings.map { "\($0.rule.rawValue) \($0.place) \($0.what)" })")
    #expect(!scan.findings.contains { $0.rule == example.rule && $0.severity == example.severity })
  }

  @Test func everyRuleHasAnExample() {
    let covered = Set((Self.names + Self.disguises + Self.streams + Self.archives).map(\.rule))
    // Limits are tested with small values in LimitTests, work in WorkTests.
    #expect(Set(ScanRule.allCases).subtracting(covered) == [.limit, .exhaustsScanner])
  }
}
