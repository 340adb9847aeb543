import DecantBytes
import DecantCheckpoints
import DecantConversion
import DecantTensors
import Foundation
import TestSupport
import Testing

/// Writes `.pth` files and reads them again. `make peers` checks the files with PyTorch itself.
@Suite struct TorchWritingTests {
  /// Converts a fixture and reads the result.
  private func written(_ name: String, _ options: WriteOptions = WriteOptions()) throws -> (
    source: Checkpoint, result: Checkpoint, report: WriteReport
  ) {
    let folder = try TemporaryFolder()
    let source = try Checkpoint(path: Fixtures.path("torch/" + name))
    let report = try source.convert(to: folder.path("written.pth"), options)
    return (source, try Checkpoint(path: folder.path("written.pth")), report)
  }

  /// Returns everything that a listing shows of a tensor, except its location in the file.
  private func describe(_ entry: CheckpointTensor) throws -> String {
    let tensor = entry.tensor
    let digest = tensor.storage.content == nil ? "none" : try tensor.sha256()
    return
      "\(entry.path.map { $0.json.text }) \(tensor.dtype) \(tensor.shape) \(tensor.strides) \(tensor.storageOffset) \(tensor.storage.byteCount) \(tensor.requiresGrad) \(tensor.layout) \(String(describing: entry.role)) \(digest)"
  }

  private func describe(_ object: CheckpointObject) -> String {
    "\(object.path.map { $0.json.text }) \(object.type) \(object.value?.text ?? "") \(object.count ?? -1) \(object.moduleVersions?.count ?? -1)"
  }

  @Test(arguments: [
    "views.pth", "shared_storages.pth", "nested.pth", "nested_adam.pth", "hostile_keys.pth", "keys.pth",
    "dtypes.pth",
    "sparse.pth", "quantized.pth", "parameters.pth", "scalars_and_empty.pth", "list.pth", "tensor.pth",
    "legacy.pth",
    "without_data.pth",
  ])
  func everythingIsKept(_ name: String) throws {
    var options = WriteOptions()
    options.dropsObjects = name == "keys.pth"
    let (source, result, report) = try written(name, options)
    #expect(result.container == .torchZip)
    #expect(report.tensorCount == source.tensors.count)
    guard name != "keys.pth" else { return }
    #expect(try result.tensors.map(describe) == source.tensors.map(describe))
    #expect(result.objects.map(describe) == source.objects.map(describe))
    #expect(report.droppedObjectCount == 0 && report.aliases.isEmpty)
    // Tensors that share a storage have the same number.
    func groups(_ checkpoint: Checkpoint) -> [Int?] {
      let tensors = checkpoint.tensors.map(\.tensor)
      return tensors.map { tensor in tensors.firstIndex { $0.storage === tensor.storage } }
    }
    #expect(groups(result) == groups(source))
  }

  @Test func theSecondTimeGivesTheSameBytes() throws {
    let folder = try TemporaryFolder()
    for (place, name) in ["views.pth", "nested_adam.pth", "protocol5.pth", "legacy_protocol1.pth"]
      .enumerated()
    {
      let first = folder.path("\(place).1.pth")
      let second = folder.path("\(place).2.pth")
      _ = try Checkpoint(path: Fixtures.path("torch/" + name)).convert(to: first)
      _ = try Checkpoint(path: first).convert(to: second)
      #expect(FileManager.default.contents(atPath: first) == FileManager.default.contents(atPath: second))
    }
  }

  @Test func theFormatBefore16() throws {
    var options = WriteOptions()
    options.isLegacy = true
    let (source, result, _) = try written("shared_storages.pth", options)
    #expect(result.container == .torchLegacy)
    #expect(try result.tensors.map(describe) == source.tensors.map(describe))
    let error = #expect(throws: DecantError.self) { try written("dtypes.pth", options) }
    #expect(error?.code == .notRepresentable && error?.advice == .currentFormat)
  }

  @Test func whatPyTorchWouldRefuseIsNamedOrLeftOut() throws {
    do {
      _ = try written("objects.pth")
      Issue.record("objects.pth was written whole")
    } catch let error as DecantError {
      #expect(error.code == .notRepresentable && error.advice == .dropObjects)
      #expect(error.reason.contains("args (argparse.Namespace)"))
    }
    var options = WriteOptions()
    options.dropsObjects = true
    let (source, result, report) = try written("objects.pth", options)
    #expect(report.droppedObjectCount > 5)
    #expect(result.tensors.map(\.name) == source.tensors.map(\.name))
    let module = try written("whole_nodown.pth", options)
    #expect(module.result.tensors.map(\.name) == module.source.tensors.map(\.name))
    #expect(module.result.objects.isEmpty)
  }

  @Test func shrinkingLeavesOutWhatNoTensorUses() throws {
    var options = WriteOptions()
    options.shrinks = true
    options.only = ["row"]
    let (_, result, _) = try written("views.pth", options)
    for entry in result.tensors { #expect(entry.tensor.storage.byteCount == entry.tensor.byteCount) }
    #expect(!result.tensors.isEmpty)
  }

  @Test func newNamesGoWhereTheyFit() throws {
    var options = WriteOptions()
    options.substitutions = [try NameSubstitution(#"s/^model\.0\./model.stem./"#)]
    let (source, result, _) = try written("nested.pth", options)
    let names = source.tensors.map { $0.name.replacingOccurrences(of: "model.0.", with: "model.stem.") }
    #expect(result.tensors.map(\.name) == names)
    #expect(result.tensors.map(\.path.count) == source.tensors.map(\.path.count))
    let modules = result.objects.first { $0.moduleVersions != nil }?.moduleVersions?.map(\.path)
    #expect(modules?.contains("stem") == true && modules?.contains("0") == false)
  }
}
