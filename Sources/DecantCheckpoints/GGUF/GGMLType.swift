internal import DecantFormats
package import DecantTensors

/// A storage type of a GGUF file's tensors: plain numbers, or blocks of elements that share scales.
package struct GGMLType: Equatable {
  private let block: GGMLBlock
  /// The dtype of plain numbers; nil for blocks.
  package let dtype: DType?

  /// The name in ggml, without `GGML_TYPE_`.
  package var name: String { block.name }
  /// The number of elements of one block; 1 for plain numbers.
  var blockElements: Int { block.elementCount }
  /// The number of bytes of one block.
  var blockBytes: Int { block.byteCount }

  /// Creates the type of a file's type code; nil for codes that ggml does not have, or no longer has.
  package init?(_ code: UInt32) {
    guard let block = GGMLBlock(code) else { return nil }
    self.block = block
    dtype = GGMLType.dtypes[code]
  }

  /// Returns the type code of a dtype; nil for dtypes that ggml lacks.
  package static func code(_ dtype: DType) -> UInt32? { codes[dtype] }

  private static let codes: [DType: UInt32] = Dictionary(
    uniqueKeysWithValues: dtypes.map { ($0.value, $0.key) })

  private static let dtypes: [UInt32: DType] = [
    0: .float32, 1: .float16, 24: .int8, 25: .int16, 26: .int32, 27: .int64, 28: .float64, 30: .bfloat16,
  ]
}
