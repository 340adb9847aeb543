#include "COpenBLAS.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* Constants of the CBLAS enumerations. */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111 };

typedef void sgemm_function(int, int, int, int, int, int, float, const float *, int, const float *, int,
                            float, float *, int);
typedef void dgemm_function(int, int, int, int, int, int, double, const double *, int, const double *, int,
                            double, double *, int);

static sgemm_function *sgemm;
static dgemm_function *dgemm;
static char *(*get_config)(void);
static const char *problem;
static char reason[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *said = dlerror(); /* the loader's own text, "LIBRARY: …" */
    bool isAbsent = !said || strstr(said, "No such file");
    if (!isAbsent) snprintf(reason, sizeof reason, "a library cannot be loaded: %s", said);
    problem = isAbsent
                  ? "libopenblas.so.0 is not on this machine; install the package libopenblas0-pthread "
                    "(apt-get install libopenblas0-pthread)"
                  : reason;
    return;
  }
  void (*set_num_threads)(int) = (void (*)(int))dlsym(library, "openblas_set_num_threads");
  sgemm = (sgemm_function *)dlsym(library, "cblas_sgemm");
  dgemm = (dgemm_function *)dlsym(library, "cblas_dgemm");
  get_config = (char *(*)(void))dlsym(library, "openblas_get_config");
  if (!set_num_threads || !sgemm || !dgemm || !get_config) {
    problem = "libopenblas.so.0 lacks a function of OpenBLAS; reinstall the package libopenblas0-pthread "
              "(apt-get install --reinstall libopenblas0-pthread)";
    return;
  }
  /* The caller divides the work among its own threads. OpenBLAS's threads would compete with them. */
  set_num_threads(1);
}

const char *copenblas_load(void) {
  pthread_once(&once, load);
  return problem;
}

void copenblas_sgemm(int m, int n, int k, const float *a, int lda, const float *b, int ldb, float beta,
                     float *c, int ldc) {
  sgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

void copenblas_dgemm(int m, int n, int k, const double *a, int lda, const double *b, int ldb, double beta,
                     double *c, int ldc) {
  dgemm(ROW_MAJOR, NO_TRANSPOSE, NO_TRANSPOSE, m, n, k, 1, a, lda, b, ldb, beta, c, ldc);
}

const char *copenblas_config(void) { return get_config(); }
