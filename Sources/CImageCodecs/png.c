#include "CImageCodecs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Constants of the libpng API. */
enum { CRC_ERROR_QUIT = 1, HANDLE_CHUNK_NEVER = 1, LARGEST_CHUNK = 8 << 20 };

typedef void error_function(void *, const char *);
typedef void read_function(void *, uint8_t *, size_t);

static const char *(*get_libpng_ver)(const void *);
static void *(*create_read_struct)(const char *, void *, error_function *, error_function *);
static void *(*create_info_struct)(void *);
static void (*destroy_read_struct)(void **, void **, void **);
static void *(*get_error_ptr)(const void *);
static void *(*get_io_ptr)(const void *);
static void (*set_read_fn)(void *, void *, read_function *);
static void (*set_crc_action)(void *, int, int);
static void (*set_user_limits)(void *, uint32_t, uint32_t);
static void (*set_chunk_malloc_max)(void *, size_t);
static void (*set_keep_unknown_chunks)(void *, int, const uint8_t *, int);
static void (*read_info)(void *, void *);
static uint32_t (*get_image_width)(const void *, const void *);
static uint32_t (*get_image_height)(const void *, const void *);
static uint32_t (*get_PLTE)(const void *, void *, void **, int *);
static void (*set_packing)(void *);
static void (*set_strip_16)(void *);
static int (*set_interlace_handling)(void *);
static void (*read_update_info)(void *, void *);
static size_t (*get_rowbytes)(const void *, const void *);
static void (*read_row)(void *, uint8_t *, uint8_t *);
static void (*read_end)(void *, void *);

static const char *problem;
static char reason[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libpng16.so.16", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *said = dlerror(); /* the loader's own text, "LIBRARY: …" */
    bool isAbsent = !said || strstr(said, "No such file");
    if (!isAbsent) snprintf(reason, sizeof reason, "a library cannot be loaded: %s", said);
    problem = isAbsent
                  ? "libpng16.so.16 is not on this machine; install the package libpng16-16 (apt-get install libpng16-16)"
                  : reason;
    return;
  }
  const struct {
    const char *name;
    void **place;
  } functions[] = {
      {"png_get_libpng_ver", (void **)&get_libpng_ver},
      {"png_create_read_struct", (void **)&create_read_struct},
      {"png_create_info_struct", (void **)&create_info_struct},
      {"png_destroy_read_struct", (void **)&destroy_read_struct},
      {"png_get_error_ptr", (void **)&get_error_ptr},
      {"png_get_io_ptr", (void **)&get_io_ptr},
      {"png_set_read_fn", (void **)&set_read_fn},
      {"png_set_crc_action", (void **)&set_crc_action},
      {"png_set_user_limits", (void **)&set_user_limits},
      {"png_set_chunk_malloc_max", (void **)&set_chunk_malloc_max},
      {"png_set_keep_unknown_chunks", (void **)&set_keep_unknown_chunks},
      {"png_read_info", (void **)&read_info},
      {"png_get_image_width", (void **)&get_image_width},
      {"png_get_image_height", (void **)&get_image_height},
      {"png_get_PLTE", (void **)&get_PLTE},
      {"png_set_packing", (void **)&set_packing},
      {"png_set_strip_16", (void **)&set_strip_16},
      {"png_set_interlace_handling", (void **)&set_interlace_handling},
      {"png_read_update_info", (void **)&read_update_info},
      {"png_get_rowbytes", (void **)&get_rowbytes},
      {"png_read_row", (void **)&read_row},
      {"png_read_end", (void **)&read_end},
  };
  for (size_t i = 0; i < sizeof functions / sizeof *functions; i++) {
    *functions[i].place = dlsym(library, functions[i].name);
    if (!*functions[i].place) {
      problem = "libpng16.so.16 lacks a function of libpng; reinstall the package libpng16-16 "
                "(apt-get install --reinstall libpng16-16)";
      return;
    }
  }
}

const char *cimage_load_png(void) {
  pthread_once(&once, load);
  return problem;
}

/* The input, and the jump target for errors: libpng's error handler must not return. */
struct reader {
  jmp_buf escape;
  const uint8_t *bytes;
  size_t left;
  char *message;
};

static void fail(void *png, const char *text) {
  struct reader *reader = get_error_ptr(png);
  snprintf(reader->message, CIMAGE_MESSAGE_SIZE, "%s", text);
  longjmp(reader->escape, 1);
}

static void pass_over(void *png, const char *text) {
  (void)png;
  (void)text;
}

static void take(void *png, uint8_t *target, size_t count) {
  struct reader *reader = get_io_ptr(png);
  if (count > reader->left) fail(png, "the file ends too soon");
  memcpy(target, reader->bytes, count);
  reader->bytes += count;
  reader->left -= count;
}

int cimage_decode_png(const uint8_t *bytes, size_t count, uint32_t width, uint32_t height, size_t row_bytes,
                      uint8_t *rows, uint8_t palette[768], int *palette_count, char *message) {
  struct reader reader = {.bytes = bytes, .left = count, .message = message};
  /* Volatile, because they are read after a longjmp that may come right after they were set. */
  void *volatile png = NULL;
  void *volatile info = NULL;
  void *colours = NULL;
  *palette_count = 0;
  if (setjmp(reader.escape)) {
    void *dead_png = png, *dead_info = info;
    if (dead_png) destroy_read_struct(&dead_png, &dead_info, NULL);
    return 1;
  }
  png = create_read_struct(get_libpng_ver(NULL), &reader, fail, pass_over);
  if (!png) {
    snprintf(message, CIMAGE_MESSAGE_SIZE, "libpng cannot be started: there is no memory");
    return 1;
  }
  info = create_info_struct(png);
  if (!info) fail(png, "there is no memory");
  set_read_fn(png, &reader, take);
  set_crc_action(png, CRC_ERROR_QUIT, CRC_ERROR_QUIT);
  set_user_limits(png, width, height);
  set_chunk_malloc_max(png, LARGEST_CHUNK);
  /* Skip profiles, texts and times, except for their checksums. Less code of libpng then processes
     untrusted data. */
  set_keep_unknown_chunks(png, HANDLE_CHUNK_NEVER, NULL, -1);
  read_info(png, info);
  if (get_image_width(png, info) != width || get_image_height(png, info) != height)
    fail(png, "its size is not the one it began with");
  if (get_PLTE(png, info, &colours, palette_count) && colours && *palette_count <= 256) {
    memcpy(palette, colours, (size_t)*palette_count * 3);
  } else {
    *palette_count = 0;
  }
  set_strip_16(png);
  set_packing(png);
  int passes = set_interlace_handling(png);
  read_update_info(png, info);
  if (get_rowbytes(png, info) != row_bytes) fail(png, "its rows have another length than its header says");
  for (int pass = 0; pass < passes; pass++) {
    for (uint32_t y = 0; y < height; y++) read_row(png, rows + y * row_bytes, NULL);
  }
  read_end(png, NULL);
  void *done_png = png, *done_info = info;
  destroy_read_struct(&done_png, &done_info, NULL);
  return 0;
}
