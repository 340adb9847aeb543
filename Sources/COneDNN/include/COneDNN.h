/* The functions of oneDNN that Decant uses, loaded on first use instead of linked. They work with versions
   2 and 3 of the library. Everything is float32. */
#ifndef CONEDNN_H
#define CONEDNN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads the library once for the process. Safe from any thread. Returns NULL on success, otherwise one
   clause that says what is missing and which package provides it. */
const char *_Nullable conednn_load(void);

/* Returns the version of the loaded library, such as "2.6.3". Call this and the functions below only after
   conednn_load() returned NULL. */
const char *_Nonnull conednn_version(void);

/* Sets the number of threads that the calling thread's next operations use, where the library's threading
   allows it. */
void conednn_set_threads(int count);

/* The memory layout of a tensor: sizes and strides. */
typedef struct conednn_layout conednn_layout;

/* Creates a layout of sizes and strides, in elements. NULL strides let the library choose the layout.
   Returns NULL when the library refuses it. */
conednn_layout *_Nullable conednn_layout_make(int rank, const int64_t *_Nonnull sizes,
                                              const int64_t *_Nullable strides);
void conednn_layout_free(conednn_layout *_Nonnull layout);
bool conednn_layout_equals(const conednn_layout *_Nonnull one, const conednn_layout *_Nonnull other);
size_t conednn_layout_bytes(const conednn_layout *_Nonnull layout);

/* A prepared operation. Any number of threads may execute it, each with its own memory. */
typedef struct conednn_operation conednn_operation;

/* The element-wise operations on a result, in this order. */
typedef struct {
  bool adds; /* adds the previous contents of the result's memory */
  const conednn_layout *_Nullable added; /* a tensor that is added instead */
  enum { CONEDNN_IDENTITY, CONEDNN_RELU, CONEDNN_SIGMOID, CONEDNN_SILU, CONEDNN_GELU } activation;
} conednn_epilogue;

/* A sliding window over feature maps. The first of each pair is along the height. */
typedef struct {
  int64_t kernel[2], stride[2], dilation[2], padding_before[2], padding_after[2];
} conednn_window;

/* The functions that create an operation return NULL when the library has none for the layouts. */
conednn_operation *_Nullable conednn_convolution(
    bool winograd, const conednn_layout *_Nonnull input, const conednn_layout *_Nonnull weights,
    const conednn_layout *_Nullable bias, const conednn_layout *_Nonnull output, const conednn_window *_Nonnull window,
    conednn_epilogue epilogue);
conednn_operation *_Nullable conednn_pooling(bool maximum, const conednn_layout *_Nonnull input,
                                             const conednn_layout *_Nonnull output,
                                             const conednn_window *_Nonnull window);
conednn_operation *_Nullable conednn_reorder(const conednn_layout *_Nonnull from, const conednn_layout *_Nonnull to);
conednn_operation *_Nullable conednn_activation(const conednn_layout *_Nonnull layout, conednn_epilogue epilogue);
/* The sum or product of two tensors. Dimensions of size 1 in the second are broadcast. */
conednn_operation *_Nullable conednn_binary(bool multiplies, const conednn_layout *_Nonnull one,
                                            const conednn_layout *_Nonnull two, conednn_epilogue epilogue);
void conednn_operation_free(conednn_operation *_Nonnull operation);

/* The arguments of an operation. */
enum {
  CONEDNN_INPUT = 1,
  CONEDNN_SECOND = 2,
  CONEDNN_OUTPUT = 17,
  CONEDNN_WEIGHTS = 33,
  CONEDNN_BIAS = 41,
  CONEDNN_SCRATCH = 80,
  CONEDNN_ADDED = -1 /* the epilogue's tensor */
};

/* Returns a copy of the layout that an operation needs for an argument; NULL when it has none. */
conednn_layout *_Nullable conednn_operation_layout(const conednn_operation *_Nonnull operation, int what);
/* Returns the library's name for the operation's implementation. It is valid as long as the operation. */
const char *_Nonnull conednn_operation_implementation(const conednn_operation *_Nonnull operation);

/* One argument of an operation, with its layout and memory. */
typedef struct {
  int what;
  const conednn_layout *_Nonnull layout;
  void *_Nonnull memory;
} conednn_argument;

/* Executes the operation and waits for it. Returns true on success. */
bool conednn_execute(const conednn_operation *_Nonnull operation, const conednn_argument *_Nonnull arguments,
                     int count);

#endif
