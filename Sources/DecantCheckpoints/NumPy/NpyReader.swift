internal import DecantBytes
internal import DecantIO
internal import DecantPickle
internal import DecantTensors

/// A reader of `.npy` files. An array of numbers becomes a tensor, any other array is only listed.
///
/// Source: docs/formats/npy.md.
enum NpyReader {
  /// Reads the file as a checkpoint whose root is one array.
  static func open(
    _ file: ByteSource, limits: Limits, nesting: Int
  ) throws(DecantError) -> Checkpoint.Parts {
    var parts = Checkpoint.Parts(container: .npy, contents: CheckpointContents())
    try read(file, key: "0", at: [], into: &parts, stateDict: nil, limits: limits, nesting: nesting) {
      (offset, count) throws(DecantError) in
      try ByteRange(file, offset: offset, byteCount: count)
    }
    return parts
  }

  /// Reads one array and adds its contents to `parts`.
  ///
  /// - Parameters:
  ///   - path: The array's path in the checkpoint.
  ///   - content: Creates the content of the tensor's storage from an offset and a number of bytes.
  static func read(
    _ file: ByteSource, key: String, at path: [PathKey], into parts: inout Checkpoint.Parts,
    stateDict: [PathKey]?, limits: Limits, nesting: Int,
    content: (Int, Int) throws(DecantError) -> any StorageContent
  ) throws(DecantError) {
    let header = try NpyHeader(file)
    let size = header.elements.byteCount
    let byteCount = checkedProduct(header.shape).flatMap { count in
      size.flatMap { count.checkedMultiplying(by: $0) }
    }
    switch header.elements {
    case .numbers:
      let tensor = try tensor(file, header, key: key, limits: limits, content: content)
      parts.contents.tensors.append(
        CheckpointTensor(path: path, tensor: tensor, role: nil, stateDict: stateDict))
    case .records(let type):
      let content = try content(header.dataOffset, try dataByteCount(file, header))
      for field in type.fields {
        let path = path + field.names.map { .text($0) }
        let tensor: Tensor?
        do throws(DecantError) {
          tensor = try type.tensor(
            of: field, in: content, shape: header.shape, isColumnMajor: header.isColumnMajor, key: key,
            limits: limits)
        } catch { throw error.located(file: file.path, tensor: path.joinedName) }
        if let tensor {
          parts.contents.tensors.append(
            CheckpointTensor(path: path, tensor: tensor, role: nil, stateDict: stateDict ?? []))
        } else {
          parts.contents.objects.append(
            CheckpointObject(
              path: path, type: "numpy.ndarray", value: nil, count: nil,
              unreadTensor: field.isUnread ? "numpy \(field.type.escapedForDisplay)" : nil,
              stateDict: stateDict ?? [], shape: header.shape + field.shape))
        }
      }
    case .other:
      _ = try dataByteCount(file, header)
      parts.contents.objects.append(
        CheckpointObject(
          path: path, type: "numpy.ndarray", value: nil, count: nil,
          unreadTensor: "numpy \(header.type.escapedForDisplay)", stateDict: stateDict, shape: header.shape,
          byteCount: byteCount))
    case .objects:
      let place = parts.contents.objects.count
      let rest = try addObjects(
        file, header, at: path, to: &parts.contents, limits: limits, nesting: nesting)
      // An array of dictionaries or lists of tensors is a container. The numbers of others are not read.
      let isContainer = parts.contents.tensors.contains { $0.path.starts(with: path) }
      parts.contents.objects.insert(
        CheckpointObject(
          path: path, type: "numpy.ndarray", value: nil,
          count: isContainer ? checkedProduct(header.shape) : nil,
          unreadTensor: isContainer ? nil : "numpy array of Python objects", stateDict: stateDict,
          shape: header.shape), at: place)
      let name = path.isEmpty ? "the array" : "the array \(path.joinedName.escapedForDisplay)"
      if rest > 0 {
        parts.warnings.append(
          "\(rest == 1 ? "1 byte" : "\(rest) bytes") after the pickle of \(name) \(rest == 1 ? "was" : "were") skipped, as NumPy does"
        )
      }
      parts.warnings.append(
        "\(name) holds Python objects, which only executing a pickle can restore; it was not executed"
      )
    }
  }

  /// Returns the pickle of an array of Python objects; nil for other arrays.
  static func pickle(_ file: ByteSource, limits: Limits) throws(DecantError) -> [UInt8]? {
    let header = try NpyHeader(file)
    guard case .objects = header.elements else { return nil }
    return try pickle(file, header, limits)
  }

  /// Returns a tensor of an array of numbers.
  ///
  /// - Throws: ``DecantError`` when the data does not have the length that the shape requires.
  static func tensor(
    _ file: ByteSource, _ header: NpyHeader, key: String, limits: Limits,
    content: (Int, Int) throws(DecantError) -> any StorageContent
  ) throws(DecantError) -> Tensor {
    guard case .numbers(let dtype, let order) = header.elements else {
      throw DecantError(
        .unsupportedFormat, "holds elements of type \(header.type.escapedForDisplay), not plain numbers",
        file: file.path,
        remedy: "In Python: numpy.save(FILE, array.astype('float32')).")
    }
    let byteCount = try dataByteCount(file, header)
    let storage = Storage(
      key: key, byteOrder: order, byteCount: byteCount, content: try content(header.dataOffset, byteCount))
    let shape = header.shape
    let strides =
      header.isColumnMajor ? Array(Tensor.contiguousStrides(shape.reversed()).reversed()) : nil
    do throws(DecantError) {
      return try Tensor(dtype: dtype, shape: shape, strides: strides, storage: storage, limits: limits)
    } catch { throw error.located(file: file.path) }
  }

  /// Returns the number of bytes of the data, which must extend to the end of the file.
  private static func dataByteCount(_ file: ByteSource, _ header: NpyHeader) throws(DecantError) -> Int {
    guard let size = header.elements.byteCount,
      let byteCount = checkedProduct(header.shape)?.checkedMultiplying(by: size),
      let end = byteCount.checkedAdding(header.dataOffset)
    else {
      throw DecantError(.damaged, "has the shape \(header.shape), which is too large", file: file.path)
    }
    guard end <= file.byteCount else { throw partialDownload(file, of: end) }
    guard end == file.byteCount else {
      throw DecantError(
        .damaged,
        "\(Format.count(file.byteCount - end, "byte", ("follows", "follow"))) the \(Format.count(byteCount)) that shape \(header.shape) needs",
        file: file.path,
        offset: end, remedy: "The file is damaged or holds more than an array: write it again.")
    }
    return byteCount
  }

  private static func pickle(
    _ file: ByteSource, _ header: NpyHeader, _ limits: Limits
  ) throws(DecantError) -> [UInt8] {
    let count = file.byteCount - header.dataOffset
    guard count <= limits.pickleBytes else {
      throw DecantError(
        limits.exceeded(\.pickleBytes, need: count), "the pickle has \(Format.count(count, "byte"))",
        file: file.path)
    }
    return try file.bytes(at: header.dataOffset, count: count)
  }

  /// Adds the contents of the pickle of an array of Python objects, below the array's path.
  ///
  /// - Returns: the number of bytes after the pickle.
  private static func addObjects(
    _ file: ByteSource, _ header: NpyHeader, at path: [PathKey], to all: inout CheckpointContents,
    limits: Limits, nesting: Int
  ) throws(DecantError) -> Int {
    let bytes = try pickle(file, header, limits)
    let graph: PickleGraph
    do throws(PickleError) {
      graph = try PickleMachine.interpret(unsafe bytes.span.bytes, limits: limits)
    } catch {
      throw DecantError(error, file: file.path, at: header.dataOffset)
    }
    let contents: CheckpointContents
    do throws(DecantError) {
      contents = try PickledContents.list(graph, path: file.path, nesting: nesting, limits: limits) {
        reference throws(DecantError) in
        throw DecantError(
          .damaged,
          "the pickle of an array refers to the PyTorch storage \(reference.key.escapedForDisplay), which a .npy file cannot hold"
        )
      }
    } catch { throw error.located(file: file.path) }
    all.tensors += contents.tensors.map { $0.moved(below: path) }
    // The call that builds the array is the array itself, which is already listed.
    all.objects += contents.objects.filter { !($0.path.isEmpty && $0.type.hasPrefix("numpy.ndarray of ")) }
      .map { $0.moved(below: path) }
    return bytes.count - graph.byteCount
  }
}
