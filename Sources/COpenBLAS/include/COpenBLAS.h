/* The functions of OpenBLAS that Decant uses, loaded on first use instead of linked. Commands without
   matrix products do not pay for loading the library. */
#ifndef COPENBLAS_H
#define COPENBLAS_H

/* Loads the library once for the process. Safe from any thread. Returns NULL on success, otherwise one
   clause that says what is missing and which package provides it. */
const char *_Nullable copenblas_load(void);

/* C = A·B + beta·C in row-major order. A is m×k, B is k×n. lda, ldb and ldc are the row strides in
   elements. Call only after copenblas_load() returned NULL. */
void copenblas_sgemm(int m, int n, int k, const float *_Nonnull a, int lda, const float *_Nonnull b,
                     int ldb, float beta, float *_Nonnull c, int ldc);
void copenblas_dgemm(int m, int n, int k, const double *_Nonnull a, int lda, const double *_Nonnull b,
                     int ldb, double beta, double *_Nonnull c, int ldc);

/* Returns OpenBLAS's own description of its build and the kernels that it chose. Call only after loading. */
const char *_Nonnull copenblas_config(void);

#endif
