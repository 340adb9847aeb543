internal import COpenBLAS
package import DecantTensors

/// A type of element that ``ReferenceNetwork`` computes in: `Float` or `Double`.
package protocol ReferenceScalar: TensorScalar, SIMDScalar, Codable {
  /// Executes a prepared run.
  ///
  /// Each type calls the generic kernels from inside this module, so that the compiler specialises them. Unspecialised
  /// generics called from another module would be a hundred times slower.
  static func execute(_ run: ReferenceRun<Self>)
}

extension Float: ReferenceScalar {
  package static func execute(_ run: ReferenceRun<Float>) { run.perform() }
}

extension Double: ReferenceScalar {
  package static func execute(_ run: ReferenceRun<Double>) { run.perform() }
}

/// The kernels' requirements on an element type beyond arithmetic.
protocol KernelScalar: ReferenceScalar, Codable {
  /// Computes C = A·B + beta·C, row-major. A is m×k, B is k×n. `lda`, `ldb` and `ldc` are elements between rows.
  static func gemm(
    m: Int32, n: Int32, k: Int32, a: UnsafePointer<Self>, lda: Int32, b: UnsafePointer<Self>, ldb: Int32,
    beta: Self, c: UnsafeMutablePointer<Self>, ldc: Int32)
}

extension Float: KernelScalar {
  static func gemm(
    m: Int32, n: Int32, k: Int32, a: UnsafePointer<Float>, lda: Int32, b: UnsafePointer<Float>, ldb: Int32,
    beta: Float, c: UnsafeMutablePointer<Float>, ldc: Int32
  ) {
    unsafe copenblas_sgemm(m, n, k, a, lda, b, ldb, beta, c, ldc)
  }
}

extension Double: KernelScalar {
  static func gemm(
    m: Int32, n: Int32, k: Int32, a: UnsafePointer<Double>, lda: Int32, b: UnsafePointer<Double>, ldb: Int32,
    beta: Double, c: UnsafeMutablePointer<Double>, ldc: Int32
  ) {
    unsafe copenblas_dgemm(m, n, k, a, lda, b, ldb, beta, c, ldc)
  }
}
