import DecantKit
import Foundation

/// The other uses of the library, a few lines each. Importing Foundation proves that no names clash with it.
struct Jobs {
  let checkpoint: Checkpoint
  let weights: StateDict
  let network: ResNet
  let image: ImageTensor

  init(_ checkpoint: Checkpoint, _ weights: StateDict, _ network: ResNet, _ image: ImageTensor) {
    (self.checkpoint, self.weights, self.network, self.image) = (checkpoint, weights, network, image)
  }

  /// Runs every job. With SAMPLE_JOB=tasks only the last one runs, for ThreadSanitizer.
  func run() async throws {
    if ProcessInfo.processInfo.environment["SAMPLE_JOB"] == "tasks" { return try await callFromManyTasks() }
    try lookInside()
    try identify()
    try verify()
    try compare()
    try readNumbers()
    try scan()
    try writeEveryFormat()
    try makeWeights()
    try openFromMemory()
    try handleErrors()
    try runStages()
    try await callFromManyTasks()
  }

  func lookInside() throws {
    print(checkpoint.container, checkpoint.stateDictKeys, checkpoint.warnings)
    for object in checkpoint.objects where object.value != nil {
      print(object.name, object.type, object.value!.text)
    }
  }

  func identify() throws {
    let found = try checkpoint.identify()
    print(found.architecture ?? "custom", found.sameShapes, found.configuration.layers)
    for fact in found.facts { print(" ", fact.name, fact.value, "from", fact.source) }
    print("not in the file:", found.undetermined.map(\.name))
  }

  func verify() throws {
    let good = try weights.verify(against: .resnet50nodown)
    let bad = try weights.verify(against: .resnet101)
    precondition(good.isMatch && !bad.isMatch && !bad.missing.isEmpty)
  }

  func compare() throws {
    let difference = try weights.diff(Checkpoint(path: "nodown.safetensors").stateDict())
    precondition(difference.isSame && difference.identicalCount == weights.count)
    let other = try weights.diff(ResNetArchitecture.resnet50nodown.syntheticWeights(seed: 8))
    precondition(!other.isSame && !other.changed.isEmpty)
  }

  func readNumbers() throws {
    guard let bias = weights["fc.bias"] else { return }
    let numbers = try bias.values(as: Float.self)
    let first = try bias.withBytes { $0.unsafeLoad(fromByteOffset: 0, as: Float.self) }
    precondition(numbers.count == bias.elementCount && numbers[0] == first)
    print("fc.bias", bias.dtype, bias.shape, numbers, try bias.digest(), try bias.statistics().mean ?? 0)
  }

  func scan() throws {
    let scan = try CheckpointScanner().scan(path: "resnet50nodown.pth")
    precondition(scan.verdict == .clean && scan.findings.isEmpty)
  }

  func writeEveryFormat() throws {
    var options = WriteOptions()
    options.dtype = .float16
    options.only = ["layer4.*", "fc.*"]
    let report = try weights.write(to: "half.gguf", options)
    print(report.tensorCount, "tensors,", report.castCount, "cast,", report.byteCount, "bytes")
    for path in ["nodown.npz", "arrays/", "copy.pth"] { try weights.write(to: path) }
    try checkpoint.write(to: "whole.pth")
    try network.writeONNX(to: "nodown.onnx")
  }

  func makeWeights() throws {
    let shifted = weights.map { (name: "backbone." + $0.name, tensor: $0.tensor) }
    let extra = try Tensor([1, 2, 3, 4] as [Float], shape: [2, 2])
    try StateDict(shifted + [(name: "extra", tensor: extra)]).write(to: "renamed.safetensors")
    let renamed = try Checkpoint(path: "renamed.safetensors").stateDict()
    precondition(renamed["extra"]?.shape == [2, 2] && renamed["backbone.conv1.weight"] != nil)
  }

  func openFromMemory() throws {
    let bytes = try [UInt8](Data(contentsOf: URL(fileURLWithPath: "half.gguf")))
    let half = try Checkpoint(bytes, name: "half").stateDict()
    precondition(half["fc.weight"]?.dtype == .float16)
  }

  func handleErrors() throws {
    do { _ = try checkpoint.stateDict(at: "modle") } catch {
      precondition(error.code == .keyNotFound && error.location.file == "resnet50nodown.pth")
      print(error)
    }
    do { _ = try ResNet(.resnet34, weights: weights) } catch {
      precondition(error.code == .mismatch)
    }
  }

  func runStages() throws {
    let logits = try network(image, stages: ["layer4"]) { name, output in print(name, output.shape) }
    print("top", logits.top(1), network.stages, network.assumptions, network.notes)
  }

  /// One network and one checkpoint serve any number of tasks.
  func callFromManyTasks() async throws {
    let small = try ImageTensor(shape: [1, 3, 32, 32], values: [Float](repeating: 0.5, count: 3072))
    let expected = try network(small).values
    try await withThrowingTaskGroup(of: Void.self) { group in
      for place in 0..<8 {
        group.addTask {
          let again = try network(small).values
          precondition(again == expected)
          let (_, tensor) = weights[place * 7 % weights.count]
          _ = try tensor.digest()
        }
      }
      try await group.waitForAll()
    }
    print("tasks: 8 called one network and read one checkpoint")
  }
}
