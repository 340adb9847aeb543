/// The product of sizes, or nil when it does not fit or a size is negative.
///
/// Any zero makes the product zero, however large the others are.
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
  /// The sum, or nil when it does not fit.
  @inlinable
  package func checkedAdding(_ other: Self) -> Self? {
    let (sum, overflow) = addingReportingOverflow(other)
    return overflow ? nil : sum
  }

  /// The product, or nil when it does not fit.
  @inlinable
  package func checkedMultiplying(by other: Self) -> Self? {
    let (product, overflow) = multipliedReportingOverflow(by: other)
    return overflow ? nil : product
  }
}

extension Int {
  /// The quotient of sizes, rounded up; `Int.max` when the divisor is 0.
  package func dividedRoundingUp(by divisor: Int) -> Int {
    if divisor == 0 { return self == 0 ? 0 : .max }
    return self / divisor + (isMultiple(of: divisor) ? 0 : 1)
  }
}

extension Sequence<Int> {
  /// The sum of sizes, or `Int.max` when it does not fit: for totals that are only shown.
  package var saturatingSum: Int { reduce(0) { $0.checkedAdding($1) ?? .max } }
}
