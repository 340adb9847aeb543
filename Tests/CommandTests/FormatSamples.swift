import Foundation
import TestSupport

/// Files that are not checkpoints or are truncated, made of the first bytes of their formats.
enum FormatSamples {
  static let all: [(name: String, bytes: [UInt8])] = plain + archives

  private static let plain: [(name: String, bytes: [UInt8])] = [
    ("empty", []),
    ("lfs-pointer", Array("version https://git-lfs.github.com/spec/v1\n".utf8)),
    ("page", Array("<!DOCTYPE html>".utf8)),
    ("json", Array(#"{"a": 1}"#.utf8)),
    ("gzip", [0x1F, 0x8B, 8, 0]),
    ("hdf5", [0x89, 0x48, 0x44, 0x46]),
    ("7z", [0x37, 0x7A, 0xBC, 0xAF]),
    ("noise", [0xDE, 0xAD, 0xBE, 0xEF, 1]),
    ("cut-pickle", [0x80, 2, 0x7D]),
    ("cut-gguf", Array("GGUF".utf8)),
    ("cut-zip", [0x50, 0x4B, 3, 4, 0]),
    (
      "lfs-pointer-with-size",
      Array(
        "version https://git-lfs.github.com/spec/v1\noid sha256:a1\nsize 282549121\n".utf8)
    ),
    ("page-xml", Array("\n <?xml version='1.0'?><Error/>".utf8)),
    ("config", Array(#"{"architectures": ["ResNetForImageClassification"]}"#.utf8)),
    ("yaml", Array("model:\n  name: resnet50\n".utf8)),
    ("answer", Array("Entry not found \u{1B}[31m".utf8)),
    ("zeros", [UInt8](repeating: 0, count: 5000)),
    ("few-zeros", [0, 0, 0]),
    ("xz", [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0]),
    ("bzip2", Array("BZh9".utf8) + [0x31, 0x41, 0x59, 0x26, 0x53, 0x59]),
    ("zstd", [0x28, 0xB5, 0x2F, 0xFD]),
    ("lz4", [0x04, 0x22, 0x4D, 0x18]),
    ("lzma", [0x5D, 0, 0, 0x40, 0, 0xFF]),
    ("sqlite", Array("SQLite format 3\u{0}".utf8)),
    ("parquet", Array("PAR1".utf8) + [0x15, 4]),
    ("arrow", Array("ARROW1".utf8) + [0, 0]),
    ("msgpack", [0x81, 0xA6] + Array("params".utf8) + [0x80]),
    (
      "joblib-late",
      // A pickle that imports joblib's wrapper after the first 512 bytes, then the bytes of an array.
      [0x80, 3, 0x58] + [88, 2, 0, 0] + [UInt8](repeating: 0x61, count: 600)
        + Array("cjoblib.numpy_pickle\nNumpyArrayWrapper\n".utf8) + [0xFF, 0xFF]
    ),
    ("rar", Array("Rar!".utf8) + [0x1A, 7, 1, 0]),
    ("tflite", [0x1C, 0, 0, 0] + Array("TFL3".utf8)),
    ("torch-mobile", [0x30, 0, 0, 0] + Array("PTMF".utf8)),
    ("torch-rc", Array("PYTORCH1".utf8) + [2]),
    ("ggml", Array("lmgg".utf8) + [0]),
    (
      // The numbers of Whisper tiny: vocabulary, audio context, …, text context, …, bands of the spectrogram, type.
      "ggml-whisper",
      Array("lmgg".utf8)
        + [51_864, 1500, 384, 6, 4, 448, 384, 6, 4, 80, 1].flatMap { ZipBuilder.little(UInt32($0)) }
    ),
    ("ggjt", Array("tjgg".utf8) + [3]),
    ("ggla", Array("algg".utf8) + [1]),
    ("matlab", Array("MATLAB 5.0 MAT-file, Platform: GLNXA64".utf8)),
    ("png", [0x89, 0x50, 0x4E, 0x47, 0x0D]),
    ("jpeg", [0xFF, 0xD8, 0xFF, 0xE0]),
    ("pdf", Array("%PDF-1.7".utf8)),
    ("elf", [0x7F, 0x45, 0x4C, 0x46, 2, 1, 1]),
    ("joblib", [0x80, 4, 0x95, 0x40, 0, 0, 0, 0, 0, 0, 0, 0x8C, 18] + Array("joblib.numpy_pickle".utf8)),
    ("zlib", [0x78, 0x9C, 1]),
    // ir_version 8, producer_name "pytorch", producer_version "2.1", a graph.
    (
      "cut-onnx",
      [8, 8, 0x12, 7] + Array("pytorch".utf8) + [0x1A, 3] + Array("2.1".utf8) + [0x3A, 0x90, 1, 0x0A]
    ),
    // specificationVersion 4, description { input { name "image" … } … }
    ("cut-coreml", [8, 4, 0x12, 0x20, 0x0A, 0x09, 0x0A, 5] + Array("image".utf8) + [0x1A, 0, 0x52, 0x10]),
    // saved_model_schema_version 1, meta_graphs { meta_info_def { stripped_op_list … } }
    ("tensorflow-saved-model", [8, 1, 0x12, 0x9A, 0x83, 4, 0x0A, 0x9C, 0x0B, 0x12, 0xD8, 0x0A, 0x0A]),
    // node { name "input" op "Placeholder" }
    (
      "tensorflow-graph",
      [0x0A, 20, 0x0A, 5] + Array("input".utf8) + [0x12, 11] + Array("Placeholder".utf8) + [0x0A]
    ),
    // name "ResNet-50", input "data"
    ("caffe", [0x0A, 9] + Array("ResNet-50".utf8) + [0x1A, 4] + Array("data".utf8) + [0x20, 1]),
    // blocks { idx 0 parent_idx -1 vars { … } }
    ("paddle", [0x0A, 0x40, 8, 0, 0x10] + [UInt8](repeating: 0xFF, count: 9) + [1, 0x1A, 4, 0, 0, 0, 0]),
    ("tensorflow-index", [0xC0, 1, 2, 3, 0x57, 0xFB, 0x80, 0x8B, 0x24, 0x75, 0x47, 0xDB]),
    ("gguf-1", Array("GGUF".utf8) + [1, 0, 0, 0, 0, 0, 0, 0]),
  ]

  /// Zip archives of other formats, as lists of entry names.
  private static let archives: [(name: String, bytes: [UInt8])] = [
    ("keras.zip", ["metadata.json", "config.json", "model.weights.h5"]),
    ("coreml-package.zip", ["a.mlpackage/Manifest.json", "a.mlpackage/Data/com.apple.CoreML/model.mlmodel"]),
    ("tensorflow.zip", ["m/saved_model.pb", "m/variables/variables.index"]),
    ("office.zip", ["[Content_Types].xml", "word/document.xml"]),
    ("java.zip", ["META-INF/MANIFEST.MF"]),
    ("document.zip", ["mimetype"]),
    ("npz-and-text.zip", ["w.npy", "readme.txt"]),
    ("npz-and-torch.zip", ["archive/data.pkl", "archive/version", "w.npy"]),
  ].map { (name: String, entries: [String]) in
    (name: name, bytes: ZipBuilder(entries.map { ZipBuilder.Entry($0, []) }).bytes)
  }
}
