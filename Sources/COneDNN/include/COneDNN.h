/* The few functions of oneDNN that Decant calls, loaded on first use instead of linked, and made alike for the
   library's versions 2 and 3. Everything is float32. */
#ifndef CONEDNN_H
#define CONEDNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads the library once for the process; safe from any thread.
   Returns NULL, or one clause that says what is missing and which package brings it. */
const char *_Nullable conednn_load(void);

/* The version of the loaded library, such as "2.6.3". Call this and what follows only after conednn_load()
   returned NULL. */
const char *_Nonnull conednn_version(void);

/* How many threads the calling thread's next operations share, where the library's threads can be told. */
void conednn_set_threads(int count);

/* How numbers lie in memory: sizes, and the way from one to the next. */
typedef struct conednn_layout conednn_layout;

/* Sizes with the elements from one index to the next of each; NULL for the library's own choice.
   NULL when it is refused. */
conednn_layout *_Nullable conednn_layout_make(int rank, const int64_t *_Nonnull sizes,
                                              const int64_t *_Nullable strides);
void conednn_layout_free(conednn_layout *_Nonnull layout);
bool conednn_layout_equals(const conednn_layout *_Nonnull one, const conednn_layout *_Nonnull other);
size_t conednn_layout_bytes(const conednn_layout *_Nonnull layout);

/* One operation, prepared: any number of threads may execute it, each with memory of its own. */
typedef struct conednn_operation conednn_operation;

/* What is done to each number of a result, in this order. */
typedef struct {
  bool adds; /* what the result's memory held before is added */
  const conednn_layout *_Nullable added; /* a value that is added instead */
  enum { CONEDNN_IDENTITY, CONEDNN_RELU, CONEDNN_SIGMOID, CONEDNN_SILU } activation;
} conednn_epilogue;

/* A window that moves over maps; of each pair the first is along the height. */
typedef struct {
  int64_t kernel[2], stride[2], dilation[2], padding_before[2], padding_after[2];
} conednn_window;

/* The functions that make an operation return NULL when the library has none for the layouts. */
conednn_operation *_Nullable conednn_convolution(
    bool winograd, const conednn_layout *_Nonnull input, const conednn_layout *_Nonnull weights,
    const conednn_layout *_Nullable bias, const conednn_layout *_Nonnull output, const conednn_window *_Nonnull window,
    conednn_epilogue epilogue);
conednn_operation *_Nullable conednn_pooling(bool maximum, const conednn_layout *_Nonnull input,
                                             const conednn_layout *_Nonnull output,
                                             const conednn_window *_Nonnull window);
conednn_operation *_Nullable conednn_reorder(const conednn_layout *_Nonnull from, const conednn_layout *_Nonnull to);
conednn_operation *_Nullable conednn_activation(const conednn_layout *_Nonnull layout, conednn_epilogue epilogue);
/* The sum or product of two values, sizes of 1 in the second repeated. */
conednn_operation *_Nullable conednn_binary(bool multiplies, const conednn_layout *_Nonnull one,
                                            const conednn_layout *_Nonnull two, conednn_epilogue epilogue);
void conednn_operation_free(conednn_operation *_Nonnull operation);

/* What an operation reads and writes. */
enum {
  CONEDNN_INPUT = 1,
  CONEDNN_SECOND = 2,
  CONEDNN_OUTPUT = 17,
  CONEDNN_WEIGHTS = 33,
  CONEDNN_BIAS = 41,
  CONEDNN_SCRATCH = 80,
  CONEDNN_ADDED = -1 /* the epilogue's value */
};

/* The layout that an operation wants for one of those, a copy; NULL when it has none. */
conednn_layout *_Nullable conednn_operation_layout(const conednn_operation *_Nonnull operation, int what);
/* The library's name for how it does it; valid as long as the operation. */
const char *_Nonnull conednn_operation_implementation(const conednn_operation *_Nonnull operation);

/* One thing that is read or written. */
typedef struct {
  int what;
  const conednn_layout *_Nonnull layout;
  void *_Nonnull memory;
} conednn_argument;

/* Executes and waits. Returns whether it succeeded. */
bool conednn_execute(const conednn_operation *_Nonnull operation, const conednn_argument *_Nonnull arguments,
                     int count);

#endif
