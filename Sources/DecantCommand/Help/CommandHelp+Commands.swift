extension InspectCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["inspect FILE [options]"],
    examples: [
      ("decant inspect model.pth", "every tensor and value"),
      ("decant inspect model.pth -k epoch", "one value"),
      ("decant inspect model.pth --filter '*.bn1.*' --stats", "their ranges"),
      ("cat model.pth | decant inspect - --json", "from a pipe, as JSON"),
    ],
    sections: [
      .tensors(["key", "filter"], rare: ["recursive", "join"]),
      .init(
        title: "Show", options: ["tree", "flat", "depth", "sort", "stats", "head", "digest", "checksums"],
        rare: ["summary", "pickle"]),
      .general,
    ])
}

extension IdentifyCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["identify FILE [options]", "identify --architectures | --dialects"],
    examples: [
      ("decant identify model.pth", "which ResNet it is"),
      ("decant identify model.pth --explain", "its stages, blocks and cost"),
      ("decant identify --architectures", "the names that are known"),
    ],
    sections: [
      .tensors(["key", "prefix", "except"], rare: ["recursive", "join", "skip-unread"]),
      .init(title: "Explain", options: ["explain", "size", "stride0"], rare: ["measure", "images"]),
      .init(title: "List instead", options: ["architectures", "dialects"]),
      .general,
    ])
}

extension VerifyCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["verify FILE [options]"],
    examples: [
      ("decant verify model.pth", "against the network it looks like"),
      ("decant verify model.pth --arch resnet50", "against this one"),
      ("decant verify model.pth --num-classes 10", "with a head of 10 classes"),
    ],
    sections: [
      .tensors(["key", "prefix", "except"], rare: ["recursive", "join", "skip-unread"]), .network, .general,
    ])
}

extension DiffCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["diff FILE FILE [options]"],
    examples: [
      ("decant diff model.pth model.safetensors", "whether they are equal"),
      ("decant diff before.pth after.pth --top 10", "what changed most"),
      ("decant diff model.pth half.pth --tolerance-rel 1e-3", "up to rounding"),
    ],
    sections: [
      .tensors(["key", "key-a", "key-b", "only", "except"], rare: ["join", "skip-unread"]),
      .init(
        title: "Compare", options: ["tolerance-abs", "tolerance-rel", "tolerance-ulp", "ignore-names"],
        rare: ["exact-names", "dequantize", "to-dense", "resolve"]),
      .init(title: "Show", options: ["top", "all"]),
      .general,
    ])
}

extension ConvertCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["convert FILE OUTPUT [options]"],
    examples: [
      ("decant convert model.pth model.safetensors", "the state dict alone"),
      ("decant convert model.pth half.safetensors --dtype fp16", "as float16"),
      ("decant convert model.pth model.onnx", "the network"),
      ("decant convert model.pth copy.pth --key .", "everything"),
    ],
    sections: [
      .tensors(
        ["key", "only", "except", "recursive"],
        rare: ["join", "prefix", "skip-unread", "with-attributes", "salvage"]),
      .init(title: "Change names", options: ["names", "strip-prefix", "rename"]),
      .init(
        title: "Change values", options: ["dtype", "layout", "fold-bn"],
        rare: ["layout-only", "layout-transposed", "dequantize", "to-dense", "resolve"]),
      .init(
        title: "Output", options: ["output", "format", "shard-size", "check", "no-clobber"],
        rare: [
          "metadata", "source-digest", "durable", "drop-objects", "shrink", "legacy", "external-data",
        ]),
      .network, .general,
    ])
}

extension RunCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["run FILE --input INPUT… [options]"],
    examples: [
      ("decant run model.pth --input photo.jpg --preprocess imagenet-eval", "its class"),
      ("decant run model.pth --input x.npy -o logits.npy", "logits"),
      ("decant run model.pth --input x.npy --compare stages.safetensors", "check"),
    ],
    sections: [
      .init(
        title: "Input", options: ["input", "preprocess", "tile"],
        rare: ["input-key", "input-layout", "batch", "ignore-orientation"]),
      .init(title: "Output", options: ["top", "labels", "output", "stage", "stages"]),
      .init(title: "Check", options: ["compare", "tolerance", "validate"]),
      .init(title: "Compute", options: ["engine", "threads", "repeat"], rare: ["numerics", "float64"]),
      .tensors(["key", "prefix", "except"], rare: ["join", "skip-unread"]), .network, .general,
    ])
}

extension ScanCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["scan PATH… [options]"],
    examples: [
      ("decant scan model.pth", "what loading it would execute"),
      ("decant scan models/ --only-findings", "a folder, without clean files"),
      ("decant scan . --sarif > decant.sarif", "for code scanning"),
    ],
    sections: [
      .init(title: "Choose files", options: ["skip", "only-findings"]),
      .init(title: "Answer", options: ["fail-on", "sarif", "rules"], rare: ["threads"]),
      .general,
    ])
}

extension ReportCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["report FILE… [-o OUTPUT] [options]"],
    examples: [
      ("decant report model.pth -o report.html", "a page to look at"),
      ("decant report model.pth half.pth -o report.html", "two files compared"),
      ("decant report model.pth -o network.svg", "the drawing alone"),
    ],
    sections: [
      .init(title: "Output", options: ["output", "format", "size", "no-values"]),
      .init(
        title: "Forward comparison", options: ["input", "compare", "preprocess", "tolerance"],
        rare: ["input-key", "engine", "numerics"]),
      .tensors(["key", "prefix", "except"], rare: ["join", "skip-unread"]), .network, .general,
    ])
}

extension SynthesizeCommand: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["synthesize ARCHITECTURE -o FILE.pth [options]"],
    examples: [
      ("decant synthesize resnet50 -o model.pth", "random weights"),
      ("decant synthesize resnet18 -o model.pth --num-classes 10", "a smaller head"),
    ],
    sections: [
      .init(title: "Contents", options: ["output", "num-classes", "seed", "key"], rare: ["epoch"]), .general,
    ])
}

extension Decant: DocumentedCommand {
  static let help = CommandHelp(
    usage: ["FILE… [options]", "COMMAND [options]"],
    examples: [
      ("decant model.pth", "say what is in a file"),
      ("decant inspect model.pth", "list its tensors and values"),
      ("decant scan model.pth", "show what loading it would execute"),
      ("decant convert model.pth model.safetensors", "write the weights as safetensors"),
    ],
    sections: [.init(title: "Options", options: ["help", "version"])])
}
