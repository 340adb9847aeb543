#include "CDecompression.h"

#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* The state of a stream, from bzlib.h. */
typedef struct {
  char *next_in;
  unsigned int avail_in, total_in_low, total_in_high;
  char *next_out;
  unsigned int avail_out, total_out_low, total_out_high;
  void *state;
  void *(*alloc)(void *, int, int);
  void (*free)(void *, void *);
  void *opaque;
} bzip2_stream;

/* The state of a stream, from lzma/base.h. */
typedef struct {
  const uint8_t *next_in;
  size_t avail_in;
  uint64_t total_in;
  uint8_t *next_out;
  size_t avail_out;
  uint64_t total_out;
  const void *allocator;
  void *internal;
  void *reserved_pointers[4];
  uint64_t seek_position, reserved_integer;
  size_t reserved_sizes[2];
  int reserved_enums[2];
} lzma_stream;

/* The values that the libraries return. */
enum { BZ_OK = 0, BZ_STREAM_END = 4, LZMA_OK = 0, LZMA_STREAM_END = 1, LZMA_MEMLIMIT_ERROR = 6,
       LZMA_FINISH = 3 };

/* The largest preset of xz (-9) needs 65 MiB. */
static const uint64_t most_memory = 256 << 20;

static int (*bzip2_begin)(bzip2_stream *, int, int);
static int (*bzip2_decompress)(bzip2_stream *);
static int (*bzip2_end)(bzip2_stream *);
static int (*xz_begin)(lzma_stream *, uint64_t, uint32_t);
static int (*lzma_begin)(lzma_stream *, uint64_t);
static int (*lzma_code)(lzma_stream *, int);
static void (*lzma_end)(lzma_stream *);

/* What is missing of a library; NULL when nothing is. */
typedef struct {
  const char *problem;
  char reason[512];
} library_state;
static library_state bzip2_state, lzma_state;
static pthread_once_t bzip2_once = PTHREAD_ONCE_INIT, lzma_once = PTHREAD_ONCE_INIT;

static void *open_library(const char *name, library_state *state) {
  void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  if (library) return library;
  const char *said = dlerror(); /* the loader's own text, "LIBRARY: …" */
  bool isAbsent = !said || strstr(said, "No such file");
  if (isAbsent) snprintf(state->reason, sizeof state->reason, "%s is not on this machine", name);
  else snprintf(state->reason, sizeof state->reason, "a library cannot be loaded: %s", said);
  state->problem = state->reason;
  return NULL;
}

static void load_bzip2(void) {
  void *library = open_library("libbz2.so.1.0", &bzip2_state);
  if (!library) return;
  bzip2_begin = (int (*)(bzip2_stream *, int, int))dlsym(library, "BZ2_bzDecompressInit");
  bzip2_decompress = (int (*)(bzip2_stream *))dlsym(library, "BZ2_bzDecompress");
  bzip2_end = (int (*)(bzip2_stream *))dlsym(library, "BZ2_bzDecompressEnd");
  if (!bzip2_begin || !bzip2_decompress || !bzip2_end)
    bzip2_state.problem = "libbz2.so.1.0 lacks a function of libbz2";
}

static void load_lzma(void) {
  void *library = open_library("liblzma.so.5", &lzma_state);
  if (!library) return;
  xz_begin = (int (*)(lzma_stream *, uint64_t, uint32_t))dlsym(library, "lzma_stream_decoder");
  lzma_begin = (int (*)(lzma_stream *, uint64_t))dlsym(library, "lzma_alone_decoder");
  lzma_code = (int (*)(lzma_stream *, int))dlsym(library, "lzma_code");
  lzma_end = (void (*)(lzma_stream *))dlsym(library, "lzma_end");
  if (!xz_begin || !lzma_begin || !lzma_code || !lzma_end)
    lzma_state.problem = "liblzma.so.5 lacks a function of liblzma";
}

const char *cdecompression_load(cdecompression_form form) {
  if (form == CDECOMPRESSION_BZIP2) {
    pthread_once(&bzip2_once, load_bzip2);
    return bzip2_state.problem;
  }
  pthread_once(&lzma_once, load_lzma);
  return lzma_state.problem;
}

static unsigned int at_most(size_t count) { return count < UINT_MAX ? (unsigned int)count : UINT_MAX; }

static long decompress_bzip2(
  const void *source, size_t count, void *target, size_t size, size_t *taken, size_t *made) {
  bzip2_stream stream = {0};
  if (bzip2_begin(&stream, 0, 0) != BZ_OK) return -1;
  stream.next_in = (char *)source;
  stream.next_out = target;
  const char *source_end = (const char *)source + count, *target_end = (const char *)target + size;
  int status = BZ_OK;
  bool isStuck = false;
  while (status == BZ_OK && !isStuck) {
    unsigned int in = at_most((size_t)(source_end - stream.next_in));
    unsigned int out = at_most((size_t)(target_end - stream.next_out));
    stream.avail_in = in;
    stream.avail_out = out;
    status = bzip2_decompress(&stream);
    isStuck = stream.avail_in == in && stream.avail_out == out;
  }
  *taken = (size_t)(stream.next_in - (const char *)source);
  *made = (size_t)(stream.next_out - (char *)target);
  bzip2_end(&stream);
  if (status == BZ_STREAM_END) return 0;
  return status == BZ_OK && *made == size ? 1 : -1;
}

static long decompress_lzma(
  cdecompression_form form, const void *source, size_t count, void *target, size_t size, size_t *taken,
  size_t *made) {
  lzma_stream stream = {0};
  int status = form == CDECOMPRESSION_XZ ? xz_begin(&stream, most_memory, 0) : lzma_begin(&stream, most_memory);
  if (status != LZMA_OK) return -1;
  stream.next_in = source;
  stream.avail_in = count;
  stream.next_out = target;
  stream.avail_out = size;
  /* All of the source is given, so that a stream which goes on without an end is an error and no wait. */
  do status = lzma_code(&stream, LZMA_FINISH);
  while (status == LZMA_OK && stream.avail_out > 0);
  *taken = count - stream.avail_in;
  *made = size - stream.avail_out;
  bool isFull = stream.avail_out == 0;
  lzma_end(&stream);
  if (status == LZMA_STREAM_END) return 0;
  return status == LZMA_MEMLIMIT_ERROR || (status == LZMA_OK && isFull) ? 1 : -1;
}

long cdecompression_decompress(
  cdecompression_form form, const void *source, size_t count, void *target, size_t size, size_t *taken,
  size_t *made) {
  return form == CDECOMPRESSION_BZIP2 ? decompress_bzip2(source, count, target, size, taken, made)
                                      : decompress_lzma(form, source, count, target, size, taken, made);
}
