internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// The records of a TorchScript archive other than `data.pkl`: the constants of its code, and the classes in that
/// code.
///
/// Source: PyTorch `torch/csrc/jit/serialization/export_module.cpp` and `import.cpp`; docs/formats/torchscript.md.
package struct ScriptArchive {
  let archive: ZipArchive
  /// The archive's folder, with a trailing slash.
  let prefix: String
  let byteOrder: Storage.ByteOrder
  let limits: Limits
  let nesting: Int

  /// Adds the constants, sets the roles of tensors, and notes the records that are not read.
  func complete(
    _ contents: inout CheckpointContents, _ containerMetadata: inout [(String, String)],
    _ warnings: inout [String],
    _ damage: inout [DecantError]
  ) throws(DecantError) {
    setRoles(&contents, &warnings)
    try addConstants(&contents, &warnings, &damage)
    listExtraFiles(&contents)
    containerMetadata.append(contentsOf: records())
  }

  // MARK: Code

  /// Returns the source code of the archive's classes by qualified name. It is never run.
  ///
  /// A text is the line `class Net(Module):` and the indented lines below it. A file that, with those before it, would
  /// exceed `Limits.allTextBytes` is left out. O(bytes).
  func classTexts() -> [String: String] {
    var texts: [String: String] = [:]
    var left = limits.allTextBytes
    let folder = prefix + "code/"
    for entry in archive.entries where entry.name.hasPrefix(folder) && entry.name.hasSuffix(".py") {
      guard entry.byteCount <= left,
        let (bytes, isIntact) = try? archive.bytes(of: entry, limit: \.allTextBytes),
        isIntact
      else { continue }
      left -= bytes.count
      let module = entry.name.dropFirst(folder.count).dropLast(3).split(separator: "/").joined(separator: ".")
      for (name, text) in Self.classTexts(in: bytes) where texts[module + "." + name] == nil {
        texts[module + "." + name] = text
      }
    }
    return texts
  }

  /// Returns the name and text of each class in a source file.
  static func classTexts(in source: [UInt8]) -> [(name: String, text: String)] {
    var found: [(name: String, start: Int, end: Int)] = []
    var place = 0
    var isOpen = false
    for line in source.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false) {
      if line.starts(with: "class ".utf8) {
        let name = line.dropFirst(6).prefix { $0 != UInt8(ascii: "(") && $0 != UInt8(ascii: ":") }
        found.append((String(decoding: name, as: UTF8.self), place, place + line.count))
        isOpen = true
      } else if line.first == UInt8(ascii: " ") || line.isEmpty {
        if isOpen { found[found.count - 1].end = place + line.count }
      } else {
        isOpen = false
      }
      place += line.count + 1
    }
    return found.map { name, start, end in (name, String(decoding: source[start..<end], as: UTF8.self)) }
  }

  // MARK: Roles

  /// The names of a class's parameters and buffers.
  struct ModuleClass {
    var parameters: Set<ExactText> = []
    var buffers: Set<ExactText> = []
  }

  /// Sets the role of each tensor from its module's class. A tensor that the class does not list is an attribute, and
  /// is not part of the state dict.
  private func setRoles(_ contents: inout CheckpointContents, _ warnings: inout [String]) {
    let classes = self.classes(&warnings)
    var modules: [[PathKey]: ExactText] = [:]
    for object in contents.objects where object.type.hasPrefix("__torch__.") {
      modules[object.path] = ExactText(object.type)
    }
    contents.tensors = contents.tensors.map { entry in
      guard case .text(let name) = entry.path.last, let type = modules[Array(entry.path.dropLast())] else {
        return CheckpointTensor(
          path: entry.path, tensor: entry.tensor, role: entry.role, subclass: entry.subclass)
      }
      var role: CheckpointTensor.Role?
      var isState = true
      if let module = classes[type] {
        role =
          module.parameters.contains(ExactText(name))
          ? .parameter : module.buffers.contains(ExactText(name)) ? .buffer : nil
        isState = role != nil
      }
      return CheckpointTensor(
        path: entry.path, tensor: entry.tensor, role: role, stateDict: isState ? [] : nil,
        subclass: entry.subclass, purpose: isState ? nil : .attribute)
    }
  }

  /// Returns the classes of `code/…` by qualified name. Those of damaged records are left out, with a warning.
  private func classes(_ warnings: inout [String]) -> [ExactText: ModuleClass] {
    var classes: [ExactText: ModuleClass] = [:]
    let folder = prefix + "code/"
    for entry in archive.entries where entry.name.hasPrefix(folder) && entry.name.hasSuffix(".py") {
      let module = entry.name.dropFirst(folder.count).dropLast(3).split(separator: "/").joined(separator: ".")
      do throws(DecantError) {
        let (bytes, _) = try archive.bytes(of: entry, limit: \.headerBytes)
        for (name, found) in ScriptArchive.classes(in: bytes) {
          classes[ExactText(module + "." + name)] = found
        }
      } catch {
        warnings.append("its classes cannot be read: \(error)")
      }
    }
    return classes
  }

  /// Finds `class NAME(Module):` with its `__parameters__ = ["a", "b", ]` and `__buffers__` in a source file.
  static func classes(in source: [UInt8]) -> [(String, ModuleClass)] {
    var found: [(String, ModuleClass)] = []
    for line in source.split(separator: UInt8(ascii: "\n")) {
      if line.starts(with: "class ".utf8) {
        let name = line.dropFirst(6).prefix { $0 != UInt8(ascii: "(") && $0 != UInt8(ascii: ":") }
        found.append((String(decoding: name, as: UTF8.self), ModuleClass()))
      } else if line.starts(with: "  __parameters__ = [".utf8), !found.isEmpty {
        found[found.count - 1].1.parameters = quoted(line)
      } else if line.starts(with: "  __buffers__ = [".utf8), !found.isEmpty {
        found[found.count - 1].1.buffers = quoted(line)
      }
    }
    return found
  }

  private static func quoted(_ line: ArraySlice<UInt8>) -> Set<ExactText> {
    let parts = line.split(separator: UInt8(ascii: "\""), omittingEmptySubsequences: false)
    return Set(
      parts.enumerated().filter { $0.offset % 2 == 1 }.map {
        ExactText(String(decoding: $0.element, as: UTF8.self))
      })
  }

  // MARK: Constants

  /// Lists the tuple `constants.pkl` under the names that the code uses, such as `CONSTANTS.c0`. No attribute's name
  /// contains a dot, so no other path begins with such a key.
  private func addConstants(
    _ contents: inout CheckpointContents, _ warnings: inout [String], _ damage: inout [DecantError]
  ) throws(DecantError) {
    guard let entry = archive.entry(prefix + "constants.pkl") else { return }
    let graph = try TorchZip.interpret(entry, in: archive, &warnings, &damage)
    let storages = ZipStorages(archive: archive, folder: prefix + "constants/", byteOrder: byteOrder)
    let constants = try PickledContents.list(
      graph, path: archive.file.path, nesting: nesting, limits: limits
    ) { reference throws(DecantError) in try storages.storage(reference) }
    func path(_ path: [PathKey]) -> [PathKey] {
      guard let first = path.first else { return [.text("CONSTANTS")] }
      return [.text("CONSTANTS.c" + first.name)] + path.dropFirst()
    }
    for tensor in constants.tensors {
      contents.tensors.append(CheckpointTensor(path: path(tensor.path), tensor: tensor.tensor))
    }
    for object in constants.objects where !(object.path.isEmpty && object.count == 0) {
      contents.objects.append(
        CheckpointObject(
          path: path(object.path), type: object.type, value: object.value, count: object.count,
          unreadTensor: object.unreadTensor))
    }
  }

  // MARK: Other records

  private func listExtraFiles(_ contents: inout CheckpointContents) {
    let folder = prefix + "extra/"
    for entry in archive.entries where entry.name.hasPrefix(folder) && !entry.name.hasSuffix("/") {
      contents.objects.append(
        CheckpointObject(
          path: [.text(String(entry.name.dropFirst(prefix.count)))], type: "bytes", value: nil,
          count: entry.byteCount, unreadTensor: nil))
    }
  }

  /// Returns notes on the records that are not weights. They are listed as present, and not read.
  private func records() -> [(String, String)] {
    var containerMetadata: [(String, String)] = []
    let sources = archive.entries.count { $0.name.hasPrefix(prefix + "code/") && $0.name.hasSuffix(".py") }
    if sources > 0 {
      containerMetadata.append(("code", "\(sources) source \(sources == 1 ? "file" : "files"), not run"))
    }
    for (record, meaning) in [
      ("bytecode.pkl", "for the mobile interpreter"), ("traced_inputs.pkl", "examples it was traced with"),
      ("attributes.pkl", "attributes"),
    ] where archive.entry(prefix + record) != nil {
      containerMetadata.append((record, meaning))
    }
    return containerMetadata
  }
}
