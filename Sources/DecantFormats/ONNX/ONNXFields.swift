/// The numbers of the fields of ONNX's messages that are read or written.
///
/// Source: onnx 1.23, `onnx.proto`; docs/formats/onnx.md.
package enum ONNXField {
  /// The key of the metadata in which Decant lists the initializers that are constants of operators, as a JSON array.
  package static let constantsKey = "decant.constants"

  package enum Model {
    package static let irVersion = 1
    package static let producerName = 2
    package static let producerVersion = 3
    package static let domain = 4
    package static let modelVersion = 5
    package static let docString = 6
    package static let graph = 7
    package static let opsetImport = 8
    package static let metadataProps = 14
    package static let trainingInfo = 20
    package static let functions = 25
  }

  package enum Opset {
    package static let domain = 1
    package static let version = 2
  }

  /// `StringStringEntryProto`.
  package enum Entry {
    package static let key = 1
    package static let value = 2
  }

  package enum Graph {
    package static let node = 1
    package static let name = 2
    package static let initializer = 5
    package static let docString = 10
    package static let input = 11
    package static let output = 12
    package static let sparseInitializer = 15
  }

  package enum Function {
    package static let name = 1
    package static let node = 7
    package static let domain = 10
    /// Default values of attributes.
    package static let attributeProto = 11
    package static let overload = 13
  }

  package enum Training {
    package static let initialization = 1
    package static let algorithm = 2
  }

  package enum Node {
    package static let input = 1
    package static let output = 2
    package static let name = 3
    package static let operatorType = 4
    package static let attribute = 5
  }

  package enum Attribute {
    package static let name = 1
    package static let float = 2
    package static let integer = 3
    package static let text = 4
    package static let tensor = 5
    package static let graph = 6
    package static let floats = 7
    package static let integers = 8
    package static let texts = 9
    package static let tensors = 10
    package static let graphs = 11
    package static let type = 20
    package static let sparseTensor = 22
    package static let sparseTensors = 23
  }

  package enum Tensor {
    package static let dims = 1
    package static let dataType = 2
    package static let segment = 3
    package static let floatData = 4
    package static let int32Data = 5
    package static let stringData = 6
    package static let int64Data = 7
    package static let name = 8
    package static let rawData = 9
    package static let doubleData = 10
    package static let uint64Data = 11
    package static let externalData = 13
    package static let dataLocation = 14
  }

  package enum SparseTensor {
    package static let values = 1
    package static let indices = 2
    package static let dims = 3
  }

  /// `ValueInfoProto`.
  package enum Value {
    package static let name = 1
    package static let type = 2
  }

  package enum ValueType {
    package static let tensor = 1
    package static let sequence = 4
    package static let map = 5
    package static let sparseTensor = 8
    package static let optional = 9
  }

  package enum TensorType {
    package static let elementType = 1
    package static let shape = 2
  }

  package enum Shape {
    package static let dimension = 1
  }

  package enum Dimension {
    package static let size = 1
    package static let parameter = 2
  }
}
