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

int decant_libzip_is_available(void) {
  pthread_once(&once, load);
  return loaded;
}

decant_libzip *decant_libzip_open(const char *path) {
  int code = 0;
  return decant_libzip_is_available() ? (decant_libzip *)open_archive(path, ZIP_RDONLY, &code) : NULL;
}

void decant_libzip_close(decant_libzip *archive) { discard((zip_t *)archive); }

int64_t decant_libzip_entry_count(decant_libzip *archive) { return entry_count((zip_t *)archive, 0); }

int decant_libzip_inflate(decant_libzip *handle, uint64_t index, const char *name, void *target, size_t count,
                          char *message, size_t message_size) {
  zip_t *archive = (zip_t *)handle;
  const char *found = get_name(archive, index, ZIP_FL_ENC_RAW);
  if (!found || strcmp(found, name) != 0) {
    snprintf(message, message_size, "libzip finds another entry in that place");
    return -1;
  }
  zip_file_t *entry = open_entry(archive, index, 0);
  if (!entry) {
    snprintf(message, message_size, "%s", archive_error(archive));
    return -1;
  }
  int status = 0;
  size_t done = 0;
  while (status == 0 && done < count) {
    zip_int64_t got = read_entry(entry, (char *)target + done, count - done);
    if (got <= 0) {
      snprintf(message, message_size, "the data ends after %zu of %zu bytes, or is damaged", done, count);
      status = -1;
    } else {
      done += (size_t)got;
    }
  }
  // One more read: it must be the end, and it is where libzip compares the checksum.
  char extra;
  if (status == 0 && read_entry(entry, &extra, 1) != 0) {
    snprintf(message, message_size, "the data is longer than the directory says, or its checksum is wrong");
    status = -1;
  }
  close_entry(entry);
  return status;
}
