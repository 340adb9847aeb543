#include "COneDNN.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The part of the API of oneDNN 2.6 and 3.x that is used: names, numbers and sizes from its documentation.
   Version 2 passes memory descriptors and operation descriptors as structures, version 3 as pointers. Here
   both are opaque memory. */
typedef struct dnnl_handle *handle;
typedef int64_t dims[12];

enum {
  SUCCESS = 0,
  CPU = 1,
  FLOAT32 = 3,
  FORMAT_ANY = 1,
  INFERENCE = 96,
  DIRECT = 1,
  WINOGRAD = 2,
  MAXIMUM = 511,
  AVERAGE_WITHOUT_PADDING = 1023,
  ADD = 131056,
  MULTIPLY = 131057,
  USER_SCRATCH = 1,
  QUERY_IMPLEMENTATION = 8,
  QUERY_SOURCE = 129,
  QUERY_WEIGHTS = 131,
  QUERY_DESTINATION = 133,
  QUERY_SCRATCH = 136,
  DEFAULT_STREAM = 1
};
/* Larger than version 2.6's structures of 696 and 5976 bytes. */
enum { LAYOUT_BYTES = 1024, DESCRIPTOR_BYTES = 16384 };

typedef struct {
  int arg;
  handle memory;
} dnnl_argument;

typedef struct {
  int major, minor, patch;
} dnnl_version;

#define COMMON(F)                                                                                              \
  F(const dnnl_version *, dnnl_version, (void))                                                                \
  F(int, dnnl_engine_create, (handle *, int, size_t))                                                          \
  F(int, dnnl_stream_create, (handle *, handle, unsigned))                                                     \
  F(int, dnnl_stream_wait, (handle))                                                                           \
  F(int, dnnl_stream_destroy, (handle))                                                                        \
  F(int, dnnl_memory_desc_equal, (const void *, const void *))                                                 \
  F(size_t, dnnl_memory_desc_get_size, (const void *))                                                         \
  F(int, dnnl_post_ops_create, (handle *))                                                                     \
  F(int, dnnl_post_ops_destroy, (handle))                                                                      \
  F(int, dnnl_post_ops_append_binary, (handle, int, const void *))                                             \
  F(int, dnnl_primitive_attr_create, (handle *))                                                               \
  F(int, dnnl_primitive_attr_destroy, (handle))                                                                \
  F(int, dnnl_primitive_attr_set_post_ops, (handle, handle))                                                   \
  F(int, dnnl_primitive_attr_set_scratchpad_mode, (handle, int))                                               \
  F(int, dnnl_reorder_primitive_desc_create, (handle *, const void *, handle, const void *, handle, handle))    \
  F(int, dnnl_primitive_desc_destroy, (handle))                                                                \
  F(const void *, dnnl_primitive_desc_query_md, (handle, int, int))                                            \
  F(int, dnnl_primitive_desc_query, (handle, int, int, void *))                                                \
  F(int, dnnl_primitive_create, (handle *, handle))                                                            \
  F(int, dnnl_primitive_destroy, (handle))                                                                     \
  F(int, dnnl_primitive_execute, (handle, handle, int, const dnnl_argument *))                                 \
  F(int, dnnl_memory_create, (handle *, const void *, handle, void *))                                         \
  F(int, dnnl_memory_destroy, (handle))

#define VERSION_2(F)                                                                                           \
  F(int, dnnl_memory_desc_init_by_strides, (void *, int, const int64_t *, int, const int64_t *))               \
  F(int, dnnl_memory_desc_init_by_tag, (void *, int, const int64_t *, int, int))                               \
  F(int, dnnl_primitive_desc_create, (handle *, const void *, handle, handle, handle))                         \
  F(int, dnnl_dilated_convolution_forward_desc_init,                                                           \
    (void *, int, int, const void *, const void *, const void *, const void *, const int64_t *,                \
     const int64_t *, const int64_t *, const int64_t *))                                                       \
  F(int, dnnl_pooling_forward_desc_init,                                                                       \
    (void *, int, int, const void *, const void *, const int64_t *, const int64_t *, const int64_t *,          \
     const int64_t *))                                                                                         \
  F(int, dnnl_eltwise_forward_desc_init, (void *, int, int, const void *, float, float))                       \
  F(int, dnnl_binary_desc_init, (void *, int, const void *, const void *, const void *))

#define VERSION_3(F)                                                                                           \
  F(int, dnnl_memory_desc_create_with_strides, (handle *, int, const int64_t *, int, const int64_t *))         \
  F(int, dnnl_memory_desc_create_with_tag, (handle *, int, const int64_t *, int, int))                         \
  F(int, dnnl_memory_desc_clone, (handle *, const void *))                                                     \
  F(int, dnnl_memory_desc_destroy, (handle))                                                                   \
  F(int, dnnl_convolution_forward_primitive_desc_create,                                                       \
    (handle *, handle, int, int, const void *, const void *, const void *, const void *, const int64_t *,      \
     const int64_t *, const int64_t *, const int64_t *, handle))                                               \
  F(int, dnnl_pooling_forward_primitive_desc_create,                                                           \
    (handle *, handle, int, int, const void *, const void *, const int64_t *, const int64_t *,                 \
     const int64_t *, const int64_t *, const int64_t *, handle))                                               \
  F(int, dnnl_eltwise_forward_primitive_desc_create,                                                           \
    (handle *, handle, int, int, const void *, const void *, float, float, handle))                            \
  F(int, dnnl_binary_primitive_desc_create,                                                                    \
    (handle *, handle, int, const void *, const void *, const void *, handle))

#define DECLARE(type, name, parameters) type(*name) parameters;
static struct {
  COMMON(DECLARE)
  VERSION_2(DECLARE)
  VERSION_3(DECLARE)
  int (*append_sum_2)(handle, float);
  int (*append_sum_3)(handle, float, int32_t, int);
  int (*append_eltwise_2)(handle, float, int, float, float);
  int (*append_eltwise_3)(handle, int, float, float);
  void (*omp_set_num_threads)(int);
} dnnl;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *problem;
static bool is_2;
static char version[48];
static char reason[512];
static handle engine;

static void load(void) {
  const char *names[] = {"libdnnl.so.3", "libdnnl.so.2"};
  void *library = NULL;
  for (int place = 0; place < 2 && !library; place++) library = dlopen(names[place], RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    /* The loader's error for the last name tried, or that there is no such file. */
    const char *said = dlerror();
    bool isAbsent = !said || strstr(said, "No such file");
    snprintf(reason, sizeof reason, "oneDNN %s%s; install the package libdnnl2 (apt-get install libdnnl2)",
             isAbsent ? "is not on this machine" : "cannot be loaded: ", isAbsent ? "" : said);
    problem = reason;
    return;
  }
  bool complete = true;
#define FIND(type, name, parameters) complete &= (dnnl.name = (type(*) parameters)dlsym(library, #name)) != NULL;
  COMMON(FIND)
  if (complete) {
    const dnnl_version *found = dnnl.dnnl_version();
    is_2 = found->major == 2;
    snprintf(version, sizeof version, "%d.%d.%d", found->major, found->minor, found->patch);
    if (is_2) {
      VERSION_2(FIND)
    } else {
      VERSION_3(FIND)
    }
    void *sum = dlsym(library, "dnnl_post_ops_append_sum"), *eltwise = dlsym(library, "dnnl_post_ops_append_eltwise");
    complete &= sum && eltwise;
    dnnl.append_sum_2 = (int (*)(handle, float))sum;
    dnnl.append_sum_3 = (int (*)(handle, float, int32_t, int))sum;
    dnnl.append_eltwise_2 = (int (*)(handle, float, int, float, float))eltwise;
    dnnl.append_eltwise_3 = (int (*)(handle, int, float, float))eltwise;
    /* Absent when the library's threads are not OpenMP's. */
    dnnl.omp_set_num_threads = (void (*)(int))dlsym(library, "omp_set_num_threads");
  }
  if (!complete) {
    problem = "libdnnl lacks a function of oneDNN; reinstall the package libdnnl2 (apt-get install --reinstall libdnnl2)";
  } else if (dnnl.dnnl_engine_create(&engine, CPU, 0) != SUCCESS) {
    problem = "oneDNN does not start on this processor";
  }
}

const char *conednn_load(void) {
  pthread_once(&once, load);
  return problem;
}

const char *conednn_version(void) { return version; }

void conednn_set_threads(int count) {
  if (dnnl.omp_set_num_threads) dnnl.omp_set_num_threads(count);
}

/* Layouts */

static conednn_layout *copy(const void *layout) {
  if (!layout) return NULL;
  handle made = NULL;
  if (!is_2) return dnnl.dnnl_memory_desc_clone(&made, layout) == SUCCESS ? (conednn_layout *)made : NULL;
  void *memory = malloc(LAYOUT_BYTES);
  /* Copy only the 696 bytes of the library's structure. The memory after it does not belong to us. */
  return memory ? memcpy(memory, layout, 696) : NULL;
}

conednn_layout *conednn_layout_make(int rank, const int64_t *sizes, const int64_t *strides) {
  if (!is_2) {
    handle made = NULL;
    int status = strides ? dnnl.dnnl_memory_desc_create_with_strides(&made, rank, sizes, FLOAT32, strides)
                         : dnnl.dnnl_memory_desc_create_with_tag(&made, rank, sizes, FLOAT32, FORMAT_ANY);
    return status == SUCCESS ? (conednn_layout *)made : NULL;
  }
  void *memory = calloc(1, LAYOUT_BYTES);
  if (!memory) return NULL;
  int status = strides ? dnnl.dnnl_memory_desc_init_by_strides(memory, rank, sizes, FLOAT32, strides)
                       : dnnl.dnnl_memory_desc_init_by_tag(memory, rank, sizes, FLOAT32, FORMAT_ANY);
  if (status == SUCCESS) return memory;
  free(memory);
  return NULL;
}

void conednn_layout_free(conednn_layout *layout) {
  if (is_2) {
    free(layout);
  } else {
    dnnl.dnnl_memory_desc_destroy((handle)layout);
  }
}

bool conednn_layout_equals(const conednn_layout *one, const conednn_layout *other) {
  return dnnl.dnnl_memory_desc_equal(one, other) != 0;
}

size_t conednn_layout_bytes(const conednn_layout *layout) { return dnnl.dnnl_memory_desc_get_size(layout); }

/* Operations */

struct conednn_operation {
  handle description, primitive;
};

static int activation_number(conednn_epilogue epilogue, float *alpha) {
  *alpha = epilogue.activation == CONEDNN_SILU ? 1 : 0;
  switch (epilogue.activation) {
  case CONEDNN_RELU: return is_2 ? 31 : 32;
  case CONEDNN_SIGMOID: return is_2 ? 175 : 41;
  case CONEDNN_SILU: return is_2 ? 223 : 44;
  case CONEDNN_GELU: return is_2 ? 48 : 49;
  default: return 0;
  }
}

/* Creates attributes: the epilogue, and scratch memory that the caller provides. */
static handle attributes(conednn_epilogue epilogue) {
  handle made = NULL, operations = NULL;
  bool good = dnnl.dnnl_primitive_attr_create(&made) == SUCCESS && dnnl.dnnl_post_ops_create(&operations) == SUCCESS;
  if (good && epilogue.adds) {
    good = (is_2 ? dnnl.append_sum_2(operations, 1) : dnnl.append_sum_3(operations, 1, 0, 0)) == SUCCESS;
  }
  if (good && epilogue.added) {
    good = dnnl.dnnl_post_ops_append_binary(operations, ADD, epilogue.added) == SUCCESS;
  }
  if (good && epilogue.activation != CONEDNN_IDENTITY) {
    float alpha;
    int number = activation_number(epilogue, &alpha);
    good = (is_2 ? dnnl.append_eltwise_2(operations, 1, number, alpha, 0)
                 : dnnl.append_eltwise_3(operations, number, alpha, 0)) == SUCCESS;
  }
  good = good && dnnl.dnnl_primitive_attr_set_post_ops(made, operations) == SUCCESS &&
         dnnl.dnnl_primitive_attr_set_scratchpad_mode(made, USER_SCRATCH) == SUCCESS;
  if (operations) dnnl.dnnl_post_ops_destroy(operations);
  if (good) return made;
  if (made) dnnl.dnnl_primitive_attr_destroy(made);
  return NULL;
}

static conednn_operation *finished(int status, handle description, handle attributes) {
  dnnl.dnnl_primitive_attr_destroy(attributes);
  if (status != SUCCESS) return NULL;
  conednn_operation *operation = malloc(sizeof *operation);
  if (operation && dnnl.dnnl_primitive_create(&operation->primitive, description) == SUCCESS) {
    operation->description = description;
    return operation;
  }
  free(operation);
  dnnl.dnnl_primitive_desc_destroy(description);
  return NULL;
}

/* Version 3 needs one call. Version 2 needs two: create the descriptor, then choose an implementation. */
static int choose(handle *description, int described, const void *descriptor, handle attributes) {
  return described != SUCCESS
             ? described
             : dnnl.dnnl_primitive_desc_create(description, descriptor, attributes, engine, NULL);
}

conednn_operation *conednn_convolution(bool winograd, const conednn_layout *input, const conednn_layout *weights,
                                       const conednn_layout *bias, const conednn_layout *output,
                                       const conednn_window *window, conednn_epilogue epilogue) {
  handle given = attributes(epilogue), description = NULL;
  if (!given) return NULL;
  int algorithm = winograd ? WINOGRAD : DIRECT;
  /* oneDNN counts dilation from 0, where 0 means no gap. */
  dims dilation = {window->dilation[0] - 1, window->dilation[1] - 1};
  int status;
  if (is_2) {
    _Alignas(16) char descriptor[DESCRIPTOR_BYTES] = {0};
    status = choose(&description,
                    dnnl.dnnl_dilated_convolution_forward_desc_init(
                        descriptor, INFERENCE, algorithm, input, weights, bias, output, window->stride, dilation,
                        window->padding_before, window->padding_after),
                    descriptor, given);
  } else {
    status = dnnl.dnnl_convolution_forward_primitive_desc_create(
        &description, engine, INFERENCE, algorithm, input, weights, bias, output, window->stride, dilation,
        window->padding_before, window->padding_after, given);
  }
  return finished(status, description, given);
}

conednn_operation *conednn_pooling(bool maximum, const conednn_layout *input, const conednn_layout *output,
                                   const conednn_window *window) {
  handle given = attributes((conednn_epilogue){0}), description = NULL;
  if (!given) return NULL;
  int algorithm = maximum ? MAXIMUM : AVERAGE_WITHOUT_PADDING;
  int status;
  if (is_2) {
    _Alignas(16) char descriptor[DESCRIPTOR_BYTES] = {0};
    status = choose(&description,
                    dnnl.dnnl_pooling_forward_desc_init(descriptor, INFERENCE, algorithm, input, output,
                                                        window->stride, window->kernel, window->padding_before,
                                                        window->padding_after),
                    descriptor, given);
  } else {
    dims none = {0};
    status = dnnl.dnnl_pooling_forward_primitive_desc_create(&description, engine, INFERENCE, algorithm, input,
                                                             output, window->stride, window->kernel, none,
                                                             window->padding_before, window->padding_after, given);
  }
  return finished(status, description, given);
}

conednn_operation *conednn_reorder(const conednn_layout *from, const conednn_layout *to) {
  handle given = attributes((conednn_epilogue){0}), description = NULL;
  if (!given) return NULL;
  return finished(dnnl.dnnl_reorder_primitive_desc_create(&description, from, engine, to, engine, given), description,
                  given);
}

conednn_operation *conednn_activation(const conednn_layout *layout, conednn_epilogue epilogue) {
  handle given = attributes((conednn_epilogue){0}), description = NULL;
  if (!given) return NULL;
  float alpha;
  int number = activation_number(epilogue, &alpha), status;
  if (is_2) {
    _Alignas(16) char descriptor[DESCRIPTOR_BYTES] = {0};
    status = choose(&description,
                    dnnl.dnnl_eltwise_forward_desc_init(descriptor, INFERENCE, number, layout, alpha, 0), descriptor,
                    given);
  } else {
    status = dnnl.dnnl_eltwise_forward_primitive_desc_create(&description, engine, INFERENCE, number, layout, layout,
                                                             alpha, 0, given);
  }
  return finished(status, description, given);
}

conednn_operation *conednn_binary(bool multiplies, const conednn_layout *one, const conednn_layout *two,
                                  conednn_epilogue epilogue) {
  handle given = attributes(epilogue), description = NULL;
  if (!given) return NULL;
  int algorithm = multiplies ? MULTIPLY : ADD, status;
  if (is_2) {
    _Alignas(16) char descriptor[DESCRIPTOR_BYTES] = {0};
    status = choose(&description, dnnl.dnnl_binary_desc_init(descriptor, algorithm, one, two, one), descriptor, given);
  } else {
    status = dnnl.dnnl_binary_primitive_desc_create(&description, engine, algorithm, one, two, one, given);
  }
  return finished(status, description, given);
}

void conednn_operation_free(conednn_operation *operation) {
  dnnl.dnnl_primitive_destroy(operation->primitive);
  dnnl.dnnl_primitive_desc_destroy(operation->description);
  free(operation);
}

conednn_layout *conednn_operation_layout(const conednn_operation *operation, int what) {
  int query, index = 0;
  switch (what) {
  case CONEDNN_INPUT: query = QUERY_SOURCE; break;
  case CONEDNN_SECOND: query = QUERY_SOURCE, index = 1; break;
  case CONEDNN_WEIGHTS: query = QUERY_WEIGHTS; break;
  case CONEDNN_BIAS: query = QUERY_WEIGHTS, index = 1; break;
  case CONEDNN_SCRATCH: query = QUERY_SCRATCH; break;
  default: query = QUERY_DESTINATION;
  }
  return copy(dnnl.dnnl_primitive_desc_query_md(operation->description, query, index));
}

const char *conednn_operation_implementation(const conednn_operation *operation) {
  const char *name = NULL;
  int status = dnnl.dnnl_primitive_desc_query(operation->description, QUERY_IMPLEMENTATION, 0, &name);
  return status == SUCCESS && name ? name : "unknown";
}

/* Returns the library's number for an argument. An epilogue's tensor is the second operand of its first
   post-operation. */
static int number(int what) {
  return what == CONEDNN_ADDED ? (is_2 ? 1 << 14 : 1 << 15) | CONEDNN_SECOND : what;
}

bool conednn_execute(const conednn_operation *operation, const conednn_argument *arguments, int count) {
  enum { MOST = 8 };
  if (count > MOST) return false;
  dnnl_argument given[MOST];
  handle stream = NULL;
  int made = 0;
  bool good = dnnl.dnnl_stream_create(&stream, engine, DEFAULT_STREAM) == SUCCESS;
  for (; good && made < count; made++) {
    given[made].arg = number(arguments[made].what);
    good = dnnl.dnnl_memory_create(&given[made].memory, arguments[made].layout, engine, arguments[made].memory) ==
           SUCCESS;
    if (!good) break;
  }
  good = good && dnnl.dnnl_primitive_execute(operation->primitive, stream, count, given) == SUCCESS &&
         dnnl.dnnl_stream_wait(stream) == SUCCESS;
  while (made > 0) dnnl.dnnl_memory_destroy(given[--made].memory);
  if (stream) dnnl.dnnl_stream_destroy(stream);
  return good;
}
