import DecantBytes
import Testing

@Suite struct LimitsTests {
  @Test func everyLimitHasItsName() {
    let stored = Mirror(reflecting: Limits()).children.compactMap(\.label)
    #expect(stored.count > 10 && Limits.names == stored)
  }

  @Test(arguments: Limits.names) func canBeSetByName(_ name: String) throws {
    var limits = Limits()
    let value = try #require(limits[name])
    limits[name] = value + 1
    #expect(limits[name] == value + 1 && limits != Limits())
    let stored = try #require(Mirror(reflecting: limits).children.first { $0.label == name }?.value as? Int)
    #expect(stored == value + 1)
  }

  @Test func otherNamesAreNone() {
    var limits = Limits()
    limits["nothing"] = 3
    #expect(limits["nothing"] == nil && limits == Limits())
  }
}
