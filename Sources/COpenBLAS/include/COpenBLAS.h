/* The few functions of OpenBLAS that Decant calls, loaded on first use instead of linked: a command that
   multiplies nothing does not pay for the library at its start. */
#ifndef COPENBLAS_H
#define COPENBLAS_H

/* Loads the library once for the process; safe from any thread.
   Returns NULL, or one clause that says what is missing and which package brings it. */
const char *_Nullable copenblas_load(void);

/* C = A·B + beta·C in row-major order; A is m×k, B is k×n, and lda, ldb, ldc count the elements from one
   row to the next. Call only after copenblas_load() returned NULL. */
void copenblas_sgemm(int m, int n, int k, const float *_Nonnull a, int lda, const float *_Nonnull b,
                     int ldb, float beta, float *_Nonnull c, int ldc);
void copenblas_dgemm(int m, int n, int k, const double *_Nonnull a, int lda, const double *_Nonnull b,
                     int ldb, double beta, double *_Nonnull c, int ldc);

/* OpenBLAS's own description of its build and the kernels it chose. Call only after loading. */
const char *_Nonnull copenblas_config(void);

#endif
