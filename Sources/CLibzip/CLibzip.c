#include "CLibzip.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zip.h>

static zip_t *(*open_archive)(const char *, int, int *);
static void (*discard)(zip_t *);
static const char *(*get_name)(zip_t *, zip_uint64_t, zip_flags_t);
static zip_file_t *(*open_entry)(zip_t *, zip_uint64_t, zip_flags_t);
static zip_int64_t (*read_entry)(zip_file_t *, void *, zip_uint64_t);
static int (*close_entry)(zip_file_t *);
static const char *(*archive_error)(zip_t *);
static zip_int64_t (*entry_count)(zip_t *, zip_flags_t);
static int loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libzip.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libzip.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  open_archive = (zip_t * (*)(const char *, int, int *)) dlsym(library, "zip_open");
  discard = (void (*)(zip_t *))dlsym(library, "zip_discard");
  get_name = (const char *(*)(zip_t *, zip_uint64_t, zip_flags_t))dlsym(library, "zip_get_name");
  open_entry = (zip_file_t * (*)(zip_t *, zip_uint64_t, zip_flags_t)) dlsym(library, "zip_fopen_index");
  read_entry = (zip_int64_t(*)(zip_file_t *, void *, zip_uint64_t))dlsym(library, "zip_fread");
  close_entry = (int (*)(zip_file_t *))dlsym(library, "zip_fclose");
  archive_error = (const char *(*)(zip_t *))dlsym(library, "zip_strerror");
  entry_count = (zip_int64_t(*)(zip_t *, zip_flags_t))dlsym(library, "zip_get_num_entries");
  loaded = open_archive && discard && get_name && open_entry && read_entry && close_entry && archive_error &&
           entry_count;
}

decant_libzip_status decant_libzip_inflate(const char *path, uint64_t index, const char *name, void *target,
                                           size_t count, char *message, size_t message_size) {
  pthread_once(&once, load);
  if (!loaded) return DECANT_LIBZIP_MISSING;
  int code = 0;
  zip_t *archive = open_archive(path, ZIP_RDONLY, &code);
  if (!archive) {
    snprintf(message, message_size, "libzip error %d", code);
    return DECANT_LIBZIP_DISAGREES;
  }
  decant_libzip_status status = DECANT_LIBZIP_OK;
  const char *found = get_name(archive, index, ZIP_FL_ENC_RAW);
  if (!found || strcmp(found, name) != 0) {
    snprintf(message, message_size, "libzip finds another entry in that place");
    status = DECANT_LIBZIP_DISAGREES;
  }
  zip_file_t *entry = status == DECANT_LIBZIP_OK ? open_entry(archive, index, 0) : NULL;
  if (status == DECANT_LIBZIP_OK && !entry) {
    snprintf(message, message_size, "%s", archive_error(archive));
    status = DECANT_LIBZIP_DAMAGED;
  }
  size_t done = 0;
  while (status == DECANT_LIBZIP_OK && done < count) {
    zip_int64_t got = read_entry(entry, (char *)target + done, count - done);
    if (got <= 0) {
      snprintf(message, message_size, "the data ends after %zu of %zu bytes, or is damaged", done, count);
      status = DECANT_LIBZIP_DAMAGED;
    } else {
      done += (size_t)got;
    }
  }
  // One more read: it must be the end, and it is where libzip compares the checksum.
  char extra;
  if (status == DECANT_LIBZIP_OK && read_entry(entry, &extra, 1) != 0) {
    snprintf(message, message_size, "the data is longer than the directory says, or its checksum is wrong");
    status = DECANT_LIBZIP_DAMAGED;
  }
  if (entry) close_entry(entry);
  discard(archive);
  return status;
}

int64_t decant_libzip_entry_count(const char *path) {
  pthread_once(&once, load);
  if (!loaded) return -1;
  int code = 0;
  zip_t *archive = open_archive(path, ZIP_RDONLY, &code);
  if (!archive) return -1;
  int64_t count = entry_count(archive, 0);
  discard(archive);
  return count;
}
