/// The numbers of the fields of Core ML's `Model` message that are read.
///
/// Source: coremltools 9.0, `mlmodel/format/Model.proto` and `FeatureTypes.proto`; docs/formats/coreml.md.
package enum CoreMLField {
  package enum Model {
    package static let specificationVersion = 1
    package static let description = 2
    package static let pipelineClassifier = 200
    package static let pipelineRegressor = 201
    package static let pipeline = 202
    package static let program = 502

    /// The kinds of model, by the number of their field.
    package static let kinds: [Int: String] = [
      200: "pipelineClassifier", 201: "pipelineRegressor", 202: "pipeline", 300: "glmRegressor",
      301: "supportVectorRegressor", 302: "treeEnsembleRegressor", 303: "neuralNetworkRegressor",
      304: "bayesianProbitRegressor", 400: "glmClassifier", 401: "supportVectorClassifier",
      402: "treeEnsembleClassifier", 403: "neuralNetworkClassifier", 404: "kNearestNeighborsClassifier",
      500: "neuralNetwork", 501: "itemSimilarityRecommender", 502: "mlProgram", 555: "customModel",
      556: "linkedModel", 560: "classConfidenceThresholding", 600: "oneHotEncoder", 601: "imputer",
      602: "featureVectorizer", 603: "dictVectorizer", 604: "scaler", 606: "categoricalMapping",
      607: "normalizer", 609: "arrayFeatureExtractor", 610: "nonMaximumSuppression", 900: "identity",
      2000: "textClassifier", 2001: "wordTagger", 2002: "visionFeaturePrint",
      2003: "soundAnalysisPreprocessing", 2004: "gazetteer", 2005: "wordEmbedding", 2006: "audioFeaturePrint",
      3000: "serializedModel",
    ]
  }

  package enum Pipeline {
    package static let models = 1
    package static let names = 2
  }

  package enum Description {
    package static let input = 1
    package static let output = 10
    package static let predictedFeatureName = 11
    package static let predictedProbabilitiesName = 12
    package static let state = 13
    package static let functions = 20
    package static let metadata = 100
  }

  package enum FunctionDescription {
    package static let name = 1
    package static let input = 2
    package static let output = 3
    package static let state = 6
  }

  package enum Metadata {
    package static let shortDescription = 1
    package static let version = 2
    package static let author = 3
    package static let license = 4
    package static let userDefined = 100
  }

  /// An entry of any map.
  package enum Entry {
    package static let key = 1
    package static let value = 2
  }

  package enum Feature {
    package static let name = 1
    package static let shortDescription = 2
    package static let type = 3
  }

  package enum FeatureType {
    package static let int64 = 1
    package static let double = 2
    package static let string = 3
    package static let image = 4
    package static let multiArray = 5
    package static let dictionary = 6
    package static let sequence = 7
    package static let state = 8
  }

  package enum MultiArray {
    package static let shape = 1
    package static let dataType = 2
    package static let enumeratedShapes = 21
    package static let shapeRange = 31

    /// The names of the types of elements, by their number.
    package static let dataTypes: [UInt64: String] = [
      65568: "float32", 65600: "float64", 65552: "float16", 131104: "int32", 131080: "int8",
    ]
  }

  /// `EnumeratedShapes`, and the `Shape` in it.
  package enum Shapes {
    package static let shapes = 1
    package static let shape = 1
  }

  package enum ShapeRange {
    package static let sizeRanges = 1
    package static let lowerBound = 1
    package static let upperBound = 2
  }

  package enum Image {
    package static let width = 1
    package static let height = 2
    package static let colorSpace = 3

    /// The names of the colour spaces, by their number.
    package static let colorSpaces: [UInt64: String] = [
      10: "greyscale", 20: "RGB", 30: "BGR", 40: "greyscale float16",
    ]
  }
}

/// The numbers of the fields of an ML Program.
///
/// Source: coremltools 9.0, `mlmodel/format/MIL.proto`.
package enum MILField {
  package enum Program {
    package static let version = 1
    package static let functions = 2
    package static let docString = 3
    package static let attributes = 4
  }

  package enum Function {
    package static let inputs = 1
    package static let opset = 2
    package static let blocks = 3
    package static let attributes = 4
  }

  package enum Block {
    package static let inputs = 1
    package static let outputs = 2
    package static let operations = 3
    package static let attributes = 4
  }

  package enum Operation {
    package static let type = 1
    package static let inputs = 2
    package static let outputs = 3
    package static let blocks = 4
    package static let attributes = 5
  }

  package enum Argument {
    package static let arguments = 1
  }

  package enum Binding {
    package static let name = 1
    package static let value = 2
  }

  /// `NamedValueType`.
  package enum NamedType {
    package static let name = 1
    package static let type = 2
  }

  package enum ValueType {
    package static let tensor = 1
    package static let list = 2
    package static let tuple = 3
    package static let dictionary = 4
    package static let state = 5
  }

  package enum TensorType {
    package static let dataType = 1
    package static let rank = 2
    package static let dimensions = 3
  }

  package enum Dimension {
    package static let constant = 1
    package static let unknown = 2
    /// In `ConstantDimension`.
    package static let size = 1
  }

  package enum Value {
    package static let docString = 1
    package static let type = 2
    package static let immediate = 3
    package static let blobFile = 5
  }

  package enum Immediate {
    package static let tensor = 1
    package static let tuple = 2
    package static let list = 3
    package static let dictionary = 4
  }

  package enum BlobFile {
    package static let fileName = 1
    package static let offset = 2
  }

  /// `TensorValue`. Each of its messages has one field, ``values``.
  package enum TensorValue {
    package static let floats = 1
    package static let ints = 2
    package static let bools = 3
    package static let strings = 4
    package static let longInts = 5
    package static let doubles = 6
    package static let bytes = 7
    package static let values = 1
  }
}
