#include "CLibzip.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Types and prototypes from zip.h of libzip 1.7. They are the same in every later release. */
typedef struct {
  int zip_err;
  int sys_err;
  char *str;
} zip_error;

typedef struct {
  uint64_t valid;
  const char *name;
  uint64_t index;
  uint64_t size;
  uint64_t comp_size;
  time_t mtime;
  uint32_t crc;
  uint16_t comp_method;
  uint16_t encryption_method;
  uint32_t flags;
} zip_stat;

typedef struct {
  int64_t offset;
  int whence;
} seek_arguments;

enum { OPEN, READ, CLOSE, STAT, ERROR, FREE, SEEK, TELL, SUPPORTS = 14 };
enum { STAT_SIZE = 4, READ_ONLY = 16, COMPRESSED = 4 };
enum { ER_READ = 5, ER_CRC = 7, ER_MEMORY = 14, ER_COMPNOTSUPP = 16, ER_INVAL = 18, ER_ENCRNOTSUPP = 24, ER_NOPASSWD = 26, ER_WRONGPASSWD = 27 };

typedef int64_t source_function(void *, void *, uint64_t, int);

static int (*compression_method_supported)(int32_t, int);
static int (*encryption_method_supported)(uint16_t, int);
static void *(*source_function_create)(source_function *, void *, zip_error *);
static void (*source_free)(void *);
static void *(*open_from_source)(void *, int, zip_error *);
static int64_t (*get_num_entries)(void *, uint32_t);
static void *(*fopen_index_encrypted)(void *, uint64_t, uint32_t, const char *);
static int64_t (*fread_entry)(void *, void *, uint64_t);
static zip_error *(*file_get_error)(void *);
static zip_error *(*get_error)(void *);
static int (*fclose_entry)(void *);
static void (*discard)(void *);
static void (*stat_init)(zip_stat *);
static const char *problem;
static char reason[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libzip.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libzip.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *said = dlerror(); /* the loader's own text, "LIBRARY: …" */
    bool isAbsent = !said || strstr(said, "No such file");
    if (!isAbsent) snprintf(reason, sizeof reason, "a library cannot be loaded: %s", said);
    problem = isAbsent ? "libzip.so.4 is not on this machine" : reason;
    return;
  }
  *(void **)&compression_method_supported = dlsym(library, "zip_compression_method_supported");
  *(void **)&encryption_method_supported = dlsym(library, "zip_encryption_method_supported");
  *(void **)&source_function_create = dlsym(library, "zip_source_function_create");
  *(void **)&source_free = dlsym(library, "zip_source_free");
  *(void **)&open_from_source = dlsym(library, "zip_open_from_source");
  *(void **)&get_num_entries = dlsym(library, "zip_get_num_entries");
  *(void **)&fopen_index_encrypted = dlsym(library, "zip_fopen_index_encrypted");
  *(void **)&fread_entry = dlsym(library, "zip_fread");
  *(void **)&file_get_error = dlsym(library, "zip_file_get_error");
  *(void **)&get_error = dlsym(library, "zip_get_error");
  *(void **)&fclose_entry = dlsym(library, "zip_fclose");
  *(void **)&discard = dlsym(library, "zip_discard");
  *(void **)&stat_init = dlsym(library, "zip_stat_init");
  if (!compression_method_supported || !encryption_method_supported || !source_function_create || !source_free ||
      !open_from_source || !get_num_entries || !fopen_index_encrypted || !fread_entry || !file_get_error ||
      !get_error || !fclose_entry || !discard || !stat_init)
    problem = "libzip is older than 1.7";
}

const char *clibzip_load(void) {
  pthread_once(&once, load);
  return problem;
}

bool clibzip_decompresses(uint16_t method) { return compression_method_supported(method, 0) != 0; }
bool clibzip_decrypts(uint16_t method) { return encryption_method_supported(method, 0) != 0; }

/* The archive as libzip reads it, with the position of the next read. */
typedef struct {
  const clibzip_archive *archive;
  uint64_t position;
  int error;
} reader;

static uint64_t total(const clibzip_archive *archive) {
  return archive->head_size + archive->data_size + archive->tail_size;
}

/* Copies bytes of one of the three parts; returns how many, or -1. */
static int64_t read_part(reader *reader, uint8_t *bytes, uint64_t count) {
  const clibzip_archive *archive = reader->archive;
  uint64_t at = reader->position, data_end = archive->head_size + archive->data_size;
  uint64_t left = (at < archive->head_size ? archive->head_size : at < data_end ? data_end : total(archive)) - at;
  if (count > left) count = left;
  if (count == 0) return 0;
  if (at < archive->head_size) {
    memcpy(bytes, archive->head + at, count);
  } else if (at < data_end) {
    if (!archive->read(archive->context, at - archive->head_size, bytes, count)) return -1;
  } else {
    memcpy(bytes, archive->tail + (at - data_end), count);
  }
  reader->position += count;
  return (int64_t)count;
}

static int64_t answer(void *user, void *data, uint64_t size, int command) {
  reader *reader = user;
  switch (command) {
  case OPEN: reader->position = 0; return 0;
  case READ: {
    uint64_t done = 0;
    while (done < size) {
      int64_t count = read_part(reader, (uint8_t *)data + done, size - done);
      if (count < 0) {
        reader->error = ER_READ;
        return -1;
      }
      if (count == 0) break;
      done += (uint64_t)count;
    }
    return (int64_t)done;
  }
  case CLOSE: return 0;
  case STAT: {
    if (size < sizeof(zip_stat)) return -1;
    zip_stat *status = data;
    stat_init(status);
    status->valid = STAT_SIZE;
    status->size = total(reader->archive);
    return sizeof *status;
  }
  case ERROR: {
    if (size < 2 * sizeof(int)) return -1;
    int numbers[2] = {reader->error, 0};
    memcpy(data, numbers, sizeof numbers);
    return sizeof numbers;
  }
  case FREE: return 0;
  case SEEK: {
    if (size < sizeof(seek_arguments)) return -1;
    seek_arguments arguments;
    memcpy(&arguments, data, sizeof arguments);
    uint64_t end = total(reader->archive);
    int64_t base = arguments.whence == SEEK_SET ? 0 : (int64_t)(arguments.whence == SEEK_CUR ? reader->position : end);
    int64_t target;
    if (__builtin_add_overflow(base, arguments.offset, &target) || target < 0 || (uint64_t)target > end) {
      reader->error = ER_INVAL;
      return -1;
    }
    reader->position = (uint64_t)target;
    return 0;
  }
  case TELL: return (int64_t)reader->position;
  case SUPPORTS:
    return 1 << OPEN | 1 << READ | 1 << CLOSE | 1 << STAT | 1 << ERROR | 1 << FREE | 1 << SEEK | 1 << TELL |
           1 << SUPPORTS;
  default: reader->error = ER_INVAL; return -1;
  }
}

static clibzip_status status_of(const zip_error *error) {
  switch (error ? error->zip_err : 0) {
  case ER_MEMORY: return clibzip_no_memory;
  case ER_COMPNOTSUPP:
  case ER_ENCRNOTSUPP: return clibzip_unsupported;
  case ER_NOPASSWD:
  case ER_WRONGPASSWD: return clibzip_wrong_password;
  default: return clibzip_damaged;
  }
}

static clibzip_status read_all(void *entry, uint8_t *target, size_t size) {
  size_t done = 0;
  while (done < size) {
    size_t most = size - done < 1 << 20 ? size - done : 1 << 20;
    int64_t count = fread_entry(entry, target + done, most);
    if (count < 0) return status_of(file_get_error(entry));
    if (count == 0) return clibzip_wrong_size;
    done += (size_t)count;
  }
  /* The end is reached only by a read that returns nothing. There libzip compares the checksums. */
  uint8_t next;
  int64_t count = fread_entry(entry, &next, 1);
  if (count > 0) return clibzip_wrong_size;
  if (count == 0) return clibzip_done;
  zip_error *error = file_get_error(entry);
  return error && error->zip_err == ER_CRC ? clibzip_wrong_checksum : status_of(error);
}

clibzip_status clibzip_read_entry(
    const clibzip_archive *archive, const char *password, void *target, size_t size) {
  reader reader = {.archive = archive, .position = 0, .error = 0};
  zip_error error = {0, 0, NULL};
  void *source = source_function_create(answer, &reader, &error);
  if (!source) return status_of(&error);
  void *opened = open_from_source(source, READ_ONLY, &error);
  if (!opened) {
    source_free(source);
    return status_of(&error);
  }
  clibzip_status status = clibzip_damaged;
  if (get_num_entries(opened, 0) == 1) {
    void *entry = fopen_index_encrypted(opened, 0, password ? COMPRESSED : 0, password);
    if (entry) {
      status = read_all(entry, target, size);
      fclose_entry(entry);
    } else {
      status = status_of(get_error(opened));
    }
  }
  discard(opened);
  return status;
}
