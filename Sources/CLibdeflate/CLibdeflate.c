#include "CLibdeflate.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Prototypes from libdeflate.h. */
typedef uint32_t crc32_function(uint32_t, const void *, size_t);

static void *(*alloc_decompressor)(void);
static void (*free_decompressor)(void *);
static int (*deflate_decompress)(void *, const void *, size_t, void *, size_t, size_t *, size_t *);
static const char *problem;
static char reason[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static uint32_t choose_crc32(uint32_t crc, const void *bytes, size_t count);
/* The first call replaces it, so that later calls cost no more than an indirect call. */
static _Atomic(crc32_function *) crc32_chosen = choose_crc32;

static void load(void) {
  void *library = dlopen("libdeflate.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *said = dlerror(); /* the loader's own text, "LIBRARY: …" */
    bool isAbsent = !said || strstr(said, "No such file");
    if (!isAbsent) snprintf(reason, sizeof reason, "a library cannot be loaded: %s", said);
    problem = isAbsent ? "libdeflate.so.0 is not on this machine" : reason;
    return;
  }
  crc32_function *crc32 = (crc32_function *)dlsym(library, "libdeflate_crc32");
  alloc_decompressor = (void *(*)(void))dlsym(library, "libdeflate_alloc_decompressor");
  free_decompressor = (void (*)(void *))dlsym(library, "libdeflate_free_decompressor");
  deflate_decompress = (int (*)(void *, const void *, size_t, void *, size_t, size_t *, size_t *))dlsym(
      library, "libdeflate_deflate_decompress_ex");
  if (!crc32 || !alloc_decompressor || !free_decompressor || !deflate_decompress) {
    problem = "libdeflate.so.0 lacks a function of libdeflate";
    return;
  }
  atomic_store_explicit(&crc32_chosen, crc32, memory_order_release);
}

const char *clibdeflate_load(void) {
  pthread_once(&once, load);
  return problem;
}

bool clibdeflate_inflate(const void *source, size_t count, void *target, size_t size) {
  size_t taken, made;
  return clibdeflate_inflate_up_to(source, count, target, size, &taken, &made) == 0 && made == size;
}

long clibdeflate_inflate_up_to(
  const void *source, size_t count, void *target, size_t size, size_t *taken, size_t *made) {
  void *decompressor = alloc_decompressor();
  if (!decompressor) return -1;
  int status = deflate_decompress(decompressor, source, count, target, size, taken, made);
  free_decompressor(decompressor);
  /* 3 is LIBDEFLATE_INSUFFICIENT_SPACE. */
  return status == 0 ? 0 : status == 3 ? 1 : -1;
}

uint32_t clibdeflate_crc32(uint32_t crc, const void *bytes, size_t count) {
  /* With a null pointer libdeflate would return the initial value, as for a new checksum. */
  if (count == 0) return crc;
  return atomic_load_explicit(&crc32_chosen, memory_order_acquire)(crc, bytes, count);
}

static uint32_t choose_crc32(uint32_t crc, const void *bytes, size_t count) {
  if (clibdeflate_load())
    atomic_store_explicit(&crc32_chosen, clibdeflate_crc32_by_tables, memory_order_release);
  return atomic_load_explicit(&crc32_chosen, memory_order_acquire)(crc, bytes, count);
}

/* tables[n][byte]: the contribution of a byte to the CRC when n bytes follow it. They add eight bytes at
   once. */
static uint32_t tables[8][256];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void fill_tables(void) {
  for (uint32_t byte = 0; byte < 256; byte++) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >> 1) ^ 0xEDB88320 : crc >> 1;
    tables[0][byte] = crc;
  }
  for (int after = 1; after < 8; after++) {
    for (int byte = 0; byte < 256; byte++) {
      uint32_t crc = tables[after - 1][byte];
      tables[after][byte] = (crc >> 8) ^ tables[0][crc & 255];
    }
  }
}

uint32_t clibdeflate_crc32_by_tables(uint32_t crc, const void *bytes, size_t count) {
  pthread_once(&tables_once, fill_tables);
  const unsigned char *next = bytes;
  crc = ~crc;
  for (; count >= 8; count -= 8, next += 8) {
    /* Read byte by byte, so that neither the processor's byte order nor the alignment matters. */
    uint32_t low = crc ^ (next[0] | (uint32_t)next[1] << 8 | (uint32_t)next[2] << 16 | (uint32_t)next[3] << 24);
    crc = tables[7][low & 255] ^ tables[6][low >> 8 & 255] ^ tables[5][low >> 16 & 255] ^ tables[4][low >> 24] ^
          tables[3][next[4]] ^ tables[2][next[5]] ^ tables[1][next[6]] ^ tables[0][next[7]];
  }
  for (; count > 0; count--, next++) crc = (crc >> 8) ^ tables[0][(crc ^ *next) & 255];
  return ~crc;
}
