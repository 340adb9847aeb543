package import DecantTensors

/// A storage type of a GGUF file's tensors: plain numbers, or blocks of elements that share scales.
///
/// Source: ggml `include/ggml.h` and `src/ggml-common.h`; docs/formats/gguf.md.
package struct GGMLType: Equatable {
  /// The name in ggml, without `GGML_TYPE_`.
  package let name: String
  /// The number of elements of one block; 1 for plain numbers.
  let blockElements: Int
  /// The number of bytes of one block.
  let blockBytes: Int
  /// The dtype of plain numbers; nil for blocks.
  package let dtype: DType?

  /// Creates the type of a file's type code; nil for codes that ggml does not have, or no longer has.
  package init?(_ code: UInt32) {
    guard let known = GGMLType.all[code] else { return nil }
    self = known
  }

  private init(_ dtype: DType, _ name: String) {
    self.name = name
    self.dtype = dtype
    blockElements = 1
    blockBytes = dtype.byteCount
  }

  private init(_ name: String, _ elements: Int, _ bytes: Int) {
    self.name = name
    dtype = nil
    blockElements = elements
    blockBytes = bytes
  }

  /// Returns the type code of a dtype; nil for dtypes that ggml lacks.
  package static func code(_ dtype: DType) -> UInt32? { codes[dtype] }

  private static let codes: [DType: UInt32] = Dictionary(
    uniqueKeysWithValues: all.compactMap { code, type in type.dtype.map { ($0, code) } })

  private static let all: [UInt32: GGMLType] = [
    0: GGMLType(.float32, "F32"), 1: GGMLType(.float16, "F16"), 24: GGMLType(.int8, "I8"),
    25: GGMLType(.int16, "I16"), 26: GGMLType(.int32, "I32"), 27: GGMLType(.int64, "I64"),
    28: GGMLType(.float64, "F64"), 30: GGMLType(.bfloat16, "BF16"),
    2: GGMLType("Q4_0", 32, 18), 3: GGMLType("Q4_1", 32, 20), 6: GGMLType("Q5_0", 32, 22),
    7: GGMLType("Q5_1", 32, 24), 8: GGMLType("Q8_0", 32, 34), 9: GGMLType("Q8_1", 32, 40),
    10: GGMLType("Q2_K", 256, 84), 11: GGMLType("Q3_K", 256, 110), 12: GGMLType("Q4_K", 256, 144),
    13: GGMLType("Q5_K", 256, 176), 14: GGMLType("Q6_K", 256, 210), 15: GGMLType("Q8_K", 256, 292),
    16: GGMLType("IQ2_XXS", 256, 66), 17: GGMLType("IQ2_XS", 256, 74), 18: GGMLType("IQ3_XXS", 256, 98),
    19: GGMLType("IQ1_S", 256, 50), 20: GGMLType("IQ4_NL", 32, 18), 21: GGMLType("IQ3_S", 256, 110),
    22: GGMLType("IQ2_S", 256, 82), 23: GGMLType("IQ4_XS", 256, 136), 29: GGMLType("IQ1_M", 256, 56),
    // Q4_0 and IQ4_NL with the rows of several blocks interleaved, found in files of 2024.
    31: GGMLType("Q4_0_4_4", 32, 18), 32: GGMLType("Q4_0_4_8", 32, 18), 33: GGMLType("Q4_0_8_8", 32, 18),
    34: GGMLType("TQ1_0", 256, 54), 35: GGMLType("TQ2_0", 256, 66), 36: GGMLType("IQ4_NL_4_4", 32, 18),
    37: GGMLType("IQ4_NL_4_8", 32, 18), 38: GGMLType("IQ4_NL_8_8", 32, 18), 39: GGMLType("MXFP4", 32, 17),
    40: GGMLType("NVFP4", 64, 36), 41: GGMLType("Q1_0", 128, 18),
  ]
}
