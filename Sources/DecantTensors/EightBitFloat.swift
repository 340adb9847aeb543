/// A binary floating-point format of eight bits.
///
/// Source: OCP "8-bit Floating Point Specification" 1.0 and PyTorch `c10/util/Float8_*.h`.
struct EightBitFloat {
  let exponentBits: Int
  let mantissaBits: Int
  let bias: Int
  /// The meaning of the patterns beyond the finite numbers.
  let specials: Specials

  enum Specials {
    /// As IEEE 754: the largest exponent holds infinities and NaNs.
    case ieee
    /// No infinities; all ones is NaN (e4m3fn).
    case allOnesIsNaN
    /// No infinities and no negative zero; that pattern is NaN (…fnuz).
    case negativeZeroIsNaN
    /// No sign and no mantissa; 255 is NaN (e8m0).
    case exponentOnly
  }

  static func format(of dtype: DType) -> EightBitFloat? {
    switch dtype {
    case .float8_e5m2: EightBitFloat(exponentBits: 5, mantissaBits: 2, bias: 15, specials: .ieee)
    case .float8_e4m3fn: EightBitFloat(exponentBits: 4, mantissaBits: 3, bias: 7, specials: .allOnesIsNaN)
    case .float8_e5m2fnuz:
      EightBitFloat(exponentBits: 5, mantissaBits: 2, bias: 16, specials: .negativeZeroIsNaN)
    case .float8_e4m3fnuz:
      EightBitFloat(exponentBits: 4, mantissaBits: 3, bias: 8, specials: .negativeZeroIsNaN)
    case .float8_e8m0fnu: EightBitFloat(exponentBits: 8, mantissaBits: 0, bias: 127, specials: .exponentOnly)
    default: nil
    }
  }

  /// Returns the number with this pattern. Every value is exact in float32.
  func value(_ pattern: UInt8) -> Float {
    let bits = Int(pattern)
    if specials == .exponentOnly {
      return bits == 255 ? .nan : Float(sign: .plus, exponent: bits - bias, significand: 1)
    }
    let sign: FloatingPointSign = bits & 0x80 == 0 ? .plus : .minus
    let exponent = (bits >> mantissaBits) & ((1 << exponentBits) - 1)
    let mantissa = bits & ((1 << mantissaBits) - 1)
    switch specials {
    case .ieee where exponent == (1 << exponentBits) - 1:
      return mantissa != 0 ? .nan : sign == .plus ? .infinity : -.infinity
    case .allOnesIsNaN where bits & 0x7F == 0x7F: return .nan
    case .negativeZeroIsNaN where bits == 0x80: return .nan
    default: break
    }
    let fraction = Float(mantissa) / Float(1 << mantissaBits)
    let magnitude =
      exponent == 0
      ? Float(sign: .plus, exponent: 1 - bias, significand: 1) * fraction
      : Float(sign: .plus, exponent: exponent - bias, significand: 1 + fraction)
    return sign == .minus ? -magnitude : magnitude
  }

  /// Returns the pattern nearest to a number, ties to even, and whether it is finite. Only for formats with a
  /// sign.
  func nearest(to value: Double) -> (pattern: UInt8, isFinite: Bool) {
    let sign: UInt8 = value.sign == .minus ? 0x80 : 0
    let infinite: UInt8 =
      switch specials {
      case .ieee: UInt8(((1 << exponentBits) - 1) << mantissaBits)
      case .allOnesIsNaN, .exponentOnly: 0x7F
      case .negativeZeroIsNaN: 0x80
      }
    if value.isNaN { return (specials == .negativeZeroIsNaN ? 0x80 : 0x7F | sign, false) }
    let magnitude = value.magnitude
    // Subnormal numbers have the same spacing as the smallest normal ones.
    let exponent = max(magnitude == 0 ? .min : Int(magnitude.exponent), 1 - bias)
    guard exponent <= (1 << exponentBits) - bias else { return (infinite | sign, false) }
    let spacing = Double(sign: .plus, exponent: exponent - mantissaBits, significand: 1)
    let steps = Int((magnitude / spacing).rounded(.toNearestOrEven))
    // The implicit leading one of a normal number adds one to the exponent field.
    let pattern = (exponent - (1 - bias)) << mantissaBits + steps
    let largest =
      switch specials {
      case .ieee: Int(infinite) - 1
      case .allOnesIsNaN, .exponentOnly: 0x7E
      case .negativeZeroIsNaN: 0x7F
      }
    if pattern > largest { return (infinite | sign, false) }
    if pattern == 0, specials == .negativeZeroIsNaN { return (0, true) }
    return (UInt8(pattern) | sign, true)
  }

  /// The values of all 256 patterns.
  var table: [Float] { (0...255).map { value(UInt8($0)) } }
}
