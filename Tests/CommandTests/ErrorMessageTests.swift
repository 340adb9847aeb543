import Foundation
import TestSupport
import Testing

/// Every text a user can meet when the file or the request is wrong: one paragraph with the remedy on standard
/// error, exit 2, nothing written.
@Suite struct ErrorMessageTests {
  private let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  /// Runs a command on a file of these bytes; checks what every refusal has in common; returns its text.
  private func refusal(_ bytes: [UInt8]?, _ arguments: [String] = ["inspect", "FILE"], status: Int32 = 2)
    throws -> String
  {
    let path = folder.path("FILE")
    if let bytes { _ = try folder.write("FILE", bytes) }
    let before = folder.names
    let run = try DecantProcess.run(arguments, in: folder.url)
    #expect(run.status == status && !run.wasKilled)
    #expect(run.output.isEmpty)
    #expect(folder.names == before)
    #expect(run.errors.hasPrefix("decant: error: ") && run.errors.hasSuffix("\n"))
    #expect(run.errors.dropLast().contains("\n") == false, "one paragraph")
    return String(run.errors.dropLast().dropFirst("decant: error: ".count)).replacing(path, with: "FILE")
  }

  @Test func notThere() throws {
    #expect(try refusal(nil) == "FILE: cannot be opened: No such file or directory. Check the path.")
  }

  @Test func aDirectory() throws {
    try FileManager.default.createDirectory(atPath: folder.path("FILE"), withIntermediateDirectories: true)
    #expect(
      try refusal(nil)
        == "FILE: is a folder without files. Name a checkpoint file, an index.json of shards, or a folder with a .metadata."
    )
  }

  @Test func aPipe() throws {
    #expect(mkfifo(folder.path("FILE"), 0o600) == 0)
    #expect(
      try refusal(nil)
        == "FILE: is not a regular file. Copy its contents to a regular file first: reading needs to seek.")
  }

  @Test(
    arguments: [
      ([], "is empty. The download or copy failed: fetch the file again."),
      (
        Array("version https://git-lfs.github.com/spec/v1\n".utf8),
        "is a Git LFS pointer, not the file itself. Run git lfs pull in its repository to fetch the file."
      ),
      (
        Array("<!DOCTYPE html>".utf8),
        "is a web page (HTML or XML), as a download that needed a login leaves behind. Open the address in a browser to see what it says, then fetch the file itself."
      ),
      (Array(#"{"a": 1}"#.utf8), "is JSON text, not a checkpoint. Name the file with the weights."),
      ([0x1F, 0x8B, 8, 0], "is compressed by gzip. Decompress it first: gunzip FILE.gz"),
      (
        [0x89, 0x48, 0x44, 0x46],
        "is an HDF5 file, as Keras writes, not a PyTorch checkpoint. In Python: numpy.savez(NEW, **arrays) of what h5py gives writes one that is read."
      ),
      ([0x37, 0x7A, 0xBC, 0xAF], "is a 7z archive. Extract it first: 7z x FILE"),
      (
        [0xDE, 0xAD, 0xBE, 0xEF, 1],
        "is no checkpoint: it begins with the bytes de ad be ef. Name a .pth file written by torch.save, or a .safetensors file."
      ),
      (
        [0x80, 2, 0x7D],
        "the pickle: the stream ends before STOP. The file is damaged or was never a checkpoint; decant inspect --pickle shows how far it reads."
      ),
      (
        Array("GGUF".utf8),
        "is cut short: it has 4 bytes and its header goes on. The download or copy broke off: fetch the file again, or resume it."
      ),
      (
        [0x50, 0x4B, 3, 4, 0],
        "begins like a zip archive and has no directory at its end. The file is truncated, as after a download that broke off: fetch it again."
      ),
    ] as [([UInt8], String)])
  func wrongKind(_ bytes: [UInt8], _ text: String) throws {
    let found = try refusal(bytes)
    #expect(found == "FILE: " + text || found == "FILE, offset \(bytes.count): " + text)
  }

  /// Files of other kinds, by their formats' own signatures.
  @Test(
    arguments: [
      (
        Array(
          "version https://git-lfs.github.com/spec/v1\noid sha256:a1\nsize 282549121\n".utf8),
        "is a Git LFS pointer, not the file itself, which has 282549121 bytes and the SHA-256 a1. Run git lfs pull in its repository to fetch the file."
      ),
      (
        Array("\n <?xml version='1.0'?><Error/>".utf8),
        "is a web page (HTML or XML), as a download that needed a login leaves behind. Open the address in a browser to see what it says, then fetch the file itself."
      ),
      (
        Array(#"{"architectures": ["ResNetForImageClassification"]}"#.utf8),
        "is the configuration of a model (JSON), not its weights. Name the file with the weights."
      ),
      (
        Array("model:\n  name: resnet50\n".utf8),
        #"is text, not a checkpoint: it begins "model:". If it is the answer of a server, fetch the file again; if it is a configuration, name the weights beside it."#
      ),
      (
        Array("Entry not found \u{1B}[31m".utf8),
        #"is text, not a checkpoint: it begins "Entry not found \x1b[31m". If it is the answer of a server, fetch the file again; if it is a configuration, name the weights beside it."#
      ),
      (
        [UInt8](repeating: 0, count: 5000),
        "begins with 512 zero bytes, as a file does whose download set room aside and broke off. Fetch the file again."
      ),
      ([0, 0, 0], "holds 3 zero bytes and nothing else. Fetch the file again."),
      ([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0], "is compressed by xz. Decompress it first: unxz FILE.xz"),
      (
        Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59],
        "is compressed by bzip2. Decompress it first: bunzip2 FILE.bz2"
      ),
      ([0x28, 0xB5, 0x2F, 0xFD], "is compressed by Zstandard. Decompress it first: unzstd FILE.zst"),
      ([0x04, 0x22, 0x4D, 0x18], "is compressed by LZ4. Decompress it first: unlz4 FILE.lz4"),
      ([0x5D, 0, 0, 0x40, 0, 0xFF], "is compressed by LZMA. Decompress it first: unlzma FILE.lzma"),
      (Array("SQLite format 3\u{0}".utf8), "is an SQLite database. Name the file with the weights."),
      (Array("PAR1".utf8) + [0x15, 4], "is a Parquet table. Name the file with the weights."),
      (Array("ARROW1".utf8) + [0, 0], "is an Arrow table. Name the file with the weights."),
      (
        [0x81, 0xA6] + Array("params".utf8) + [0x80],
        "is MessagePack, as Flax and JAX write, not a PyTorch checkpoint. In Python: numpy.savez(NEW, **arrays) of what flax.serialization.msgpack_restore gives writes one that is read."
      ),
      (
        // ir_version 8, graph { node { input: "x" } }: ONNX without a producer's name.
        [8, 8, 0x3A, 5, 0x0A, 3, 0x0A, 1, 0x78],
        "is an ONNX model. Name the PyTorch checkpoint it was made from."
      ),
      (
        // A pickle that imports joblib's wrapper beyond the first 512 bytes, then the bytes of an array.
        [0x80, 3, 0x58] + [88, 2, 0, 0] + [UInt8](repeating: 0x61, count: 600)
          + Array("cjoblib.numpy_pickle\nNumpyArrayWrapper\n".utf8) + [0xFF, 0xFF],
        "is a joblib file, whose arrays stand between the opcodes of a pickle and are not read. In Python: numpy.savez(NEW, **arrays) of its arrays writes one that is read."
      ),
      (Array("Rar!".utf8) + [0x1A, 7, 1, 0], "is a RAR archive. Extract it first: unrar x FILE"),
      (
        [0x1C, 0, 0, 0] + Array("TFL3".utf8),
        "is a TensorFlow Lite model. Name the checkpoint it was made from."
      ),
      (
        [0x30, 0, 0, 0] + Array("PTMF".utf8),
        "is a PyTorch Mobile model (flatbuffer), which is not read. Name the checkpoint it was made from."
      ),
      (
        Array("PYTORCH1".utf8) + [2],
        "is a file of PyTorch 1.0's release candidates, which is not read. Ask who made it for a checkpoint of torch.save."
      ),
      (
        Array("lmgg".utf8) + [0],
        "is a GGML file, older than GGUF. Make it again from its source with a current llama.cpp, which writes GGUF."
      ),
      (
        Array("tjgg".utf8) + [3],
        "is a GGJT file, older than GGUF. Make it again from its source with a current llama.cpp, which writes GGUF."
      ),
      (
        Array("algg".utf8) + [1],
        "is a GGLA adapter (LoRA), older than GGUF. Make it again from its source with a current llama.cpp, which writes GGUF."
      ),
      (
        Array("MATLAB 5.0 MAT-file, Platform: GLNXA64".utf8),
        "is a MATLAB file, as MatConvNet writes. In Python: numpy.savez(NEW, **arrays) of what scipy.io.loadmat gives writes one that is read."
      ),
      ([0x89, 0x50, 0x4E, 0x47, 0x0D], "is a PNG picture. Name the file with the weights."),
      ([0xFF, 0xD8, 0xFF, 0xE0], "is a JPEG picture. Name the file with the weights."),
      (Array("%PDF-1.7".utf8), "is a PDF document. Name the file with the weights."),
      (
        [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1],
        "is a program or library (ELF). Name the file with the weights."
      ),
      (
        [0x80, 4, 0x95, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x8C, 18] + Array("joblib.numpy_pickle".utf8),
        "is a joblib file, whose arrays stand between the opcodes of a pickle and are not read. In Python: numpy.savez(NEW, **arrays) of its arrays writes one that is read."
      ),
      (
        [0x78, 0x9C, 1],
        "is compressed by zlib, as joblib writes. In Python: numpy.savez(NEW, **arrays) of its arrays writes one that is read."
      ),
      // ir_version 8, producer_name "pytorch", producer_version "2.1", a graph.
      (
        [8, 8, 0x12, 7] + Array("pytorch".utf8) + [0x1A, 3] + Array("2.1".utf8) + [0x3A, 0x90, 1, 0x0A],
        "is an ONNX model. Name the PyTorch checkpoint it was made from."
      ),
      // specificationVersion 4, description { input { name "image" … } … }
      (
        [8, 4, 0x12, 0x20, 0x0A, 0x09, 0x0A, 5] + Array("image".utf8) + [0x1A, 0, 0x52, 0x10],
        "is a Core ML model. Name the PyTorch checkpoint it was made from."
      ),
      // saved_model_schema_version 1, meta_graphs { meta_info_def { stripped_op_list … } }
      (
        [8, 1, 0x12, 0x9A, 0x83, 4, 0x0A, 0x9C, 0x0B, 0x12, 0xD8, 0x0A, 0x0A],
        "is a TensorFlow SavedModel. Name the PyTorch checkpoint it was made from."
      ),
      // node { name "input" op "Placeholder" }
      (
        [0x0A, 20, 0x0A, 5] + Array("input".utf8) + [0x12, 11] + Array("Placeholder".utf8) + [0x0A],
        "is a frozen TensorFlow graph. Name the PyTorch checkpoint it was made from."
      ),
      // name "ResNet-50", input "data"
      (
        [0x0A, 9] + Array("ResNet-50".utf8) + [0x1A, 4] + Array("data".utf8) + [0x20, 1],
        "is a Caffe model. Name the PyTorch checkpoint it was made from."
      ),
      // blocks { idx 0 parent_idx -1 vars { … } }
      (
        [0x0A, 0x40, 8, 0, 0x10] + [UInt8](repeating: 0xFF, count: 9) + [1, 0x1A, 4, 0, 0, 0, 0],
        "is a PaddlePaddle program (.pdmodel). Name the .pdparams file beside it."
      ),
      (
        [0xC0, 1, 2, 3, 0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB],
        "is the index of a TensorFlow checkpoint. Name the PyTorch checkpoint it was made from."
      ),
      (
        Array("GGUF".utf8) + [1, 0, 0, 0, 0, 0, 0, 0],
        "is a GGUF file of version 1, and 2 and 3 are read. Make it again from its source with a current llama.cpp: version 1 was in use for two months of 2023."
      ),
    ] as [([UInt8], String)])
  func foreign(_ bytes: [UInt8], _ text: String) throws {
    #expect(try refusal(bytes).replacing("FILE, offset 4:", with: "FILE:") == "FILE: " + text)
  }

  /// Zips of other kinds, by the names inside.
  @Test(arguments: [
    (
      ["metadata.json", "config.json", "model.weights.h5"],
      "is a Keras model (.keras), whose weights are in HDF5, not a PyTorch checkpoint. Name a .pth file."
    ),
    (
      ["a.mlpackage/Manifest.json", "a.mlpackage/Data/com.apple.CoreML/model.mlmodel"],
      "is a Core ML package. Name the PyTorch checkpoint it was made from."
    ),
    (
      ["m/saved_model.pb", "m/variables/variables.index"],
      "is a TensorFlow SavedModel in a zip. Name the PyTorch checkpoint it was made from."
    ),
    (
      ["[Content_Types].xml", "word/document.xml"],
      "is an Office document. Name the file with the weights."
    ),
    (["META-INF/MANIFEST.MF"], "is a Java or Android package. Name the file with the weights."),
    (["mimetype"], "is a document (OpenDocument or EPUB). Name the file with the weights."),
    (
      ["w.npy", "readme.txt"],
      "is a zip archive with both NumPy arrays (w.npy) and something else (readme.txt), so neither an .npz file nor a checkpoint. Unzip it and name the file inside that you mean."
    ),
    (
      ["archive/data.pkl", "archive/version", "w.npy"],
      "is a zip archive with both NumPy arrays (w.npy) and something else (archive/data.pkl), so neither an .npz file nor a checkpoint. Unzip it and name the file inside that you mean."
    ),
  ])
  func foreignArchives(_ names: [String], _ text: String) throws {
    #expect(try refusal(ZipBuilder(names.map { ZipBuilder.Entry($0, []) }).bytes) == "FILE: " + text)
  }

  @Test func legacy() throws {
    let whole = try Fixtures.bytes("torch/legacy.pth")
    #expect(
      try refusal(Array(whole.dropLast()), ["convert", "FILE", "OUT.safetensors"])
        == "FILE: is cut short: it has \(whole.count - 1) of \(whole.count) bytes; 5 of 6 tensors are whole. Fetch it again; decant convert --salvage keeps the tensors that are whole."
    )
    var later = whole
    later[18] = 0xEA
    #expect(
      try refusal(later)
        == "FILE, offset 15: the format's version is 1002, and PyTorch writes only 1001. The file is damaged: fetch it again."
    )
  }

  @Test func truncated() throws {
    let whole = try Fixtures.bytes("torch/nested.pth")
    for step in 1..<50 {
      let count = whole.count * step / 50
      let text = try refusal(Array(whole[..<count]), ["convert", "FILE", "OUT.safetensors"])
      // Within data.pkl nothing is known; then the storages; then what of the file is whole.
      #expect(
        text
          == "FILE: begins like a zip archive and has no directory at its end. The file is truncated, as after a download that broke off: fetch it again."
          || text.hasPrefix("FILE: is cut short: it has \(count)")
            && text.hasSuffix(
              " tensors are whole. Fetch it again; decant convert --salvage keeps the tensors that are whole."
            )
          || text.hasPrefix("FILE: its directory is damaged"))
    }
    #expect(
      try refusal(Array(whole[..<(whole.count / 2)]), ["convert", "FILE", "OUT.safetensors"])
        .contains("it has \(whole.count / 2) of \(whole.count) bytes; "))
  }

  @Test func aHeaderThatLies() throws {
    let length: [UInt8] = [0xFF, 0, 0, 0, 0, 0, 0, 0]
    #expect(
      try refusal(length + Array("{}".utf8))
        == "FILE, offset 8: the header has 255 bytes and only 2 follow. The file is truncated: fetch it again."
    )
  }

  @Test func anAbsentKey() throws {
    let nested = try Fixtures.bytes("torch/nested.pth")
    #expect(
      try refusal(nested, ["convert", "FILE", "out.safetensors", "--key", "weights"])
        == "FILE: has no key weights. Keys that hold a state dict: model.")
    #expect(
      try refusal(nested, ["inspect", "FILE", "--key", "epoch"])
        == "FILE: no tensor stands under the key epoch; what stands there is no tensor. decant inspect lists the keys that hold tensors."
    )
    #expect(
      try refusal(nested, ["inspect", "FILE", "--key", "\u{1b}[31m"])
        == #"FILE: has no key \x1b[31m. Keys that hold a state dict: model."#)
  }

  @Test func severalStateDicts() throws {
    #expect(
      try refusal(try Fixtures.bytes("torch/candidates.pth"), ["verify", "FILE", "--arch", "resnet18"])
        == "FILE: holds 2 state dicts: state_dict (6 tensors), state_dict_ema (6 tensors). Choose one with --key."
    )
  }

  @Test func noResNet() throws {
    #expect(
      try refusal(try Fixtures.bytes("torch/weights.safetensors"), ["verify", "FILE"])
        .contains("cannot be taken for a ResNet: there is no layer1.0.conv1.weight"))
  }

  /// A command line that is wrong: exit 64, and a hint.
  @Test(arguments: [
    (
      ["verify", "FILE", "--arch", "resnet51"],
      "No architecture is called 'resnet51'. decant identify --architectures lists the 139 there are."
    ),
    (["run", "FILE", "--arch", "vgg16", "--input", "x.npy"], "No architecture is called 'vgg16'."),
    (["synthesize", "\u{1b}[31m", "-o", "x.pth"], #"No architecture is called '\x1b[31m'."#),
    (
      ["convert", "FILE", "out.h5"],
      "The output's extension chooses the format, and out.h5 chooses none. There are .safetensors, .npz, .npy, .gguf, .pth, .onnx, and a path that ends in / for a folder of .npy files."
    ),
    (
      ["convert", "FILE", "out.safetensors", "--arch", "resnet18"],
      "--arch: only for a network that is written as .onnx or with --fold-bn."
    ),
    (
      ["convert", "FILE", "out.onnx", "--names", "timm"],
      "--names: not for .onnx, which is the whole network in float32."
    ),
    (
      ["convert", "FILE", "out.safetensors", "--dtype", "int8"],
      "--dtype takes float64, float32, float16, bfloat16, float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, not int8."
    ),
    (["inspect"], "Missing expected argument '<file>'"),
    (["inspect", "FILE", "--nonsense"], "Unknown option '--nonsense'"),
    (
      ["verify", "FILE", "--num-classes=-1"], "--num-classes is at least 0, which is no head, not -1."
    ),
    (["run", "FILE", "--input", "x.npy", "--block-stride", "2x2"], "--block-stride is 3x3 or 1x1, not 2x2."),
    (
      ["verify", "FILE", "--stem-pooling", "min"],
      "--stem-pooling is max, 'max over zeros', 'max over the edge', average or none, not min."
    ), (["verify", "FILE", "--output-stride", "64"], "--output-stride is between 1 and 32, not 64."),
    (["verify", "FILE", "--epsilon", "2"], "--epsilon is between 0 and 1, not 2.0."),
    (["identify", "FILE", "--size", "0"], "--size is between 1 and 16,384, not 0."),
    (["run", "FILE", "--input", "x.npy", "--stride0", "3"], "--stride0 is 1 or 2, not 3."),
    (["run", "FILE"], "--input names what to run."),
    (["run", "FILE", "--input", "x.npy", "--batch", "0"], "--batch is between 1 and 256, not 0."),
    (
      ["run", "FILE", "--input", "x.npy", "--engine", "reference", "--numerics", "fast"],
      "--numerics is how onednn computes; the reference is always exact."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--float64", "--numerics", "fast"],
      "--numerics is how onednn computes, and --float64 is the reference."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--float64", "--validate"],
      "--float64 is what --validate compares with; leave it out."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--numerics", "quick"],
      "The value 'quick' is invalid for '--numerics <exact|fast>': There are exact and fast, not quick."
    ),
    (["run", "FILE", "--input", "x.npy", "--top", "0"], "--top is at least 1, not 0."),
    (
      ["run", "FILE", "--input", "x.png", "--preprocess", "imagenet"],
      "--preprocess is imagenet-eval, imagenet-raw or none, not imagenet."
    ),
    (
      ["run", "FILE", "--input", "x.png", "--preprocess", "imagenet-eval", "--tile"],
      "--tile is for whole images, and --preprocess imagenet-eval leaves 224×224 of each."
    ),
    (
      ["run", "FILE", "--input", "x.npy", "--tile", "--stages", "s.safetensors"],
      "--tile averages logits; other stages are of whole images, run without it."
    ),
  ])
  func usage(_ arguments: [String], _ text: String) throws {
    let run = try DecantProcess.run(arguments, in: folder.url)
    #expect(run.status == 64)
    #expect(run.errors.contains("Error: " + text), "\(run.errors)")
    #expect(folder.names.isEmpty)
  }

  @Test func outputsThatCannotBeWritten() throws {
    let nested = try Fixtures.bytes("torch/nested.pth")
    #expect(
      try refusal(nested, ["convert", "FILE", "no/such/folder/out.safetensors"])
        == "no/such/folder/out.safetensors: cannot be written: No such file or directory. Make the folder first: mkdir -p no/such/folder"
    )
    try FileManager.default.createDirectory(
      atPath: folder.path("d.safetensors"), withIntermediateDirectories: true)
    #expect(
      try refusal(nested, ["convert", "FILE", "d.safetensors"])
        == "d.safetensors: is a directory. Name the file to write.")
    _ = try folder.write("old.safetensors", [1])
    #expect(
      try refusal(nested, ["convert", "FILE", "old.safetensors", "--no-clobber"])
        == "old.safetensors: exists already. Leave out --no-clobber to replace it.")
  }

  /// A full disk in the middle of the data: the old file stays, and nothing else does.
  @Test func aDiskThatFillsUp() throws {
    _ = try folder.write("old.safetensors", [1, 2, 3])
    let source = Fixtures.path("torch/small_nodown.pth")
    let run = try DecantProcess.shell(
      "ulimit -f 8; decant convert '\(source)' old.safetensors", in: folder.url)
    #expect(run.status == 2)
    #expect(
      run.errors.contains("old.safetensors, offset ")
        && run.errors.contains("cannot be written: File too large. Nothing was changed."))
    #expect(folder.names == ["old.safetensors"])
    #expect(try Data(contentsOf: folder.url.appending(path: "old.safetensors")) == Data([1, 2, 3]))
  }
}
