/// The layout of a ggml type: a block of elements, which for plain numbers is one element.
///
/// Source: ggml `include/ggml.h` and `src/ggml-common.h`; docs/formats/gguf.md.
package struct GGMLBlock: Equatable, Sendable {
  /// The name in ggml, without `GGML_TYPE_`.
  package let name: String
  /// The number of elements of one block; 1 for plain numbers.
  package let elementCount: Int
  /// The number of bytes of one block.
  package let byteCount: Int

  /// Creates the block of a file's type code; nil for codes that ggml does not have, or no longer has.
  package init?(_ code: UInt32) {
    guard let known = GGMLBlock.all[code] else { return nil }
    self = known
  }

  private init(_ name: String, _ elementCount: Int, _ byteCount: Int) {
    self.name = name
    self.elementCount = elementCount
    self.byteCount = byteCount
  }

  private static let all: [UInt32: GGMLBlock] = [
    0: GGMLBlock("F32", 1, 4), 1: GGMLBlock("F16", 1, 2), 24: GGMLBlock("I8", 1, 1),
    25: GGMLBlock("I16", 1, 2),
    26: GGMLBlock("I32", 1, 4), 27: GGMLBlock("I64", 1, 8), 28: GGMLBlock("F64", 1, 8),
    30: GGMLBlock("BF16", 1, 2),
    2: GGMLBlock("Q4_0", 32, 18), 3: GGMLBlock("Q4_1", 32, 20), 6: GGMLBlock("Q5_0", 32, 22),
    7: GGMLBlock("Q5_1", 32, 24), 8: GGMLBlock("Q8_0", 32, 34), 9: GGMLBlock("Q8_1", 32, 40),
    10: GGMLBlock("Q2_K", 256, 84), 11: GGMLBlock("Q3_K", 256, 110), 12: GGMLBlock("Q4_K", 256, 144),
    13: GGMLBlock("Q5_K", 256, 176), 14: GGMLBlock("Q6_K", 256, 210), 15: GGMLBlock("Q8_K", 256, 292),
    16: GGMLBlock("IQ2_XXS", 256, 66), 17: GGMLBlock("IQ2_XS", 256, 74), 18: GGMLBlock("IQ3_XXS", 256, 98),
    19: GGMLBlock("IQ1_S", 256, 50), 20: GGMLBlock("IQ4_NL", 32, 18), 21: GGMLBlock("IQ3_S", 256, 110),
    22: GGMLBlock("IQ2_S", 256, 82), 23: GGMLBlock("IQ4_XS", 256, 136), 29: GGMLBlock("IQ1_M", 256, 56),
    // Q4_0 and IQ4_NL with the rows of several blocks interleaved, found in files of 2024.
    31: GGMLBlock("Q4_0_4_4", 32, 18), 32: GGMLBlock("Q4_0_4_8", 32, 18), 33: GGMLBlock("Q4_0_8_8", 32, 18),
    34: GGMLBlock("TQ1_0", 256, 54), 35: GGMLBlock("TQ2_0", 256, 66), 36: GGMLBlock("IQ4_NL_4_4", 32, 18),
    37: GGMLBlock("IQ4_NL_4_8", 32, 18), 38: GGMLBlock("IQ4_NL_8_8", 32, 18), 39: GGMLBlock("MXFP4", 32, 17),
    40: GGMLBlock("NVFP4", 64, 36), 41: GGMLBlock("Q1_0", 128, 18),
  ]
}
