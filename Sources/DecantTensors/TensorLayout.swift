/// The layout of a tensor's elements. Raw values are PyTorch's names without `torch.`.
///
/// Source: PyTorch `c10/core/Layout.h`.
public enum TensorLayout: String, Sendable, CaseIterable {
  case strided
  case sparseCOO = "sparse_coo"
  case sparseCSR = "sparse_csr"
  case sparseCSC = "sparse_csc"
  case sparseBSR = "sparse_bsr"
  case sparseBSC = "sparse_bsc"
  case jagged

  /// PyTorch's names of the tensors that a sparse tensor consists of, in the order it saves them.
  package var partNames: [String] {
    switch self {
    case .strided, .jagged: []
    case .sparseCOO: ["indices", "values"]
    case .sparseCSR, .sparseBSR: ["crow_indices", "col_indices", "values"]
    case .sparseCSC, .sparseBSC: ["ccol_indices", "row_indices", "values"]
    }
  }
}

/// One of the tensors that another tensor consists of.
package struct TensorPart: Sendable {
  /// PyTorch's name of the part: `values`, `crow_indices`, `scales`.
  package let name: String
  package let tensor: Tensor

  /// Creates a part.
  package init(name: String, tensor: Tensor) {
    self.name = name
    self.tensor = tensor
  }
}
