internal import FuzzTargets
internal import Glibc

// The functions that libFuzzer calls, and the one function of libFuzzer that this file calls.

/// The target named by the environment variable DECANT_FUZZ.
private let target: FuzzTarget = {
  let name = getenv("DECANT_FUZZ").map { String(cString: $0) } ?? ""
  guard let target = FuzzTarget(rawValue: name) else {
    let names = FuzzTarget.allCases.map(\.rawValue).joined(separator: ", ")
    fatalError("DECANT_FUZZ names no target; there are \(names)")
  }
  return target
}()

@_cdecl("LLVMFuzzerTestOneInput")
public func testOneInput(_ start: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
  target.run([UInt8](UnsafeBufferPointer(start: start, count: count)))
  return 0
}

@_cdecl("LLVMFuzzerCustomMutator")
public func customMutator(
  _ start: UnsafeMutablePointer<UInt8>, _ count: Int, _ capacity: Int, _ seed: CUnsignedInt
) -> Int {
  var mutation = Mutation(SeededGenerator(seed: UInt64(seed))) { bytes, _ in
    var room = bytes
    // Capacity to grow, as libFuzzer gives its own buffers.
    let size = Swift.min(capacity, Swift.max(64, bytes.count * 2))
    guard bytes.count <= size, size > 0 else { return bytes }
    room += [UInt8](repeating: 0, count: size - bytes.count)
    let used = room.withUnsafeMutableBufferPointer { mutateBytes($0.baseAddress, bytes.count, size) }
    return Array(room[..<used])
  }
  let input = UnsafeBufferPointer(start: start, count: count)
  let output = mutation.mutate([UInt8](input)).prefix(capacity)
  _ = UnsafeMutableBufferPointer(start: start, count: capacity).update(fromContentsOf: output)
  return output.count
}

@_silgen_name("LLVMFuzzerMutate")
private func mutateBytes(_ start: UnsafeMutablePointer<UInt8>?, _ count: Int, _ capacity: Int) -> Int
