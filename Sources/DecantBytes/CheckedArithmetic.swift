/// Returns the product of sizes, or nil when it overflows or a size is negative.
///
/// If any size is zero the product is zero, however large the others are.
@inlinable
package func checkedProduct(_ sizes: some Collection<Int>) -> Int? {
  if sizes.contains(0) { return sizes.contains { $0 < 0 } ? nil : 0 }
  var product = 1
  for size in sizes {
    guard size > 0 else { return nil }
    let (next, overflow) = product.multipliedReportingOverflow(by: size)
    if overflow { return nil }
    product = next
  }
  return product
}

extension FixedWidthInteger {
  /// Returns the sum, or nil when it overflows.
  @inlinable
  package func checkedAdding(_ other: Self) -> Self? {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? nil : sum
  }

  /// Returns the product, or nil when it overflows.
  @inlinable
  package func checkedMultiplying(by other: Self) -> Self? {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? nil : product
  }
}

extension Int {
  /// Returns the quotient, rounded up. Division by 0 gives 0 for 0 and `Int.max` for any other number.
  package func dividedRoundingUp(by divisor: Int) -> Int {
    if divisor == 0 { return self == 0 ? 0 : .max }
    return self / divisor + (isMultiple(of: divisor) ? 0 : 1)
  }
}

extension Sequence<Int> {
  /// The sum, or `Int.max` when it overflows. Use it only for totals that are displayed.
  package var saturatingSum: Int { reduce(0) { $0.checkedAdding($1) ?? .max } }
}
