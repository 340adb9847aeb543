#include "CTestLibraries.h"

#include <dlfcn.h>
#include <fcntl.h>
#ifdef __APPLE__
#include <util.h>
#else
#include <pty.h>
#endif
#include <pthread.h>
#include <termios.h>

/* The functions of libzip, with the prototypes that zip.h documents. */
static void *(*open_archive)(const char *, int, int *);
static void (*discard)(void *);
static int64_t (*get_num_entries)(void *, uint32_t);
static const char *(*get_name)(void *, uint64_t, uint32_t);
static void *(*fopen_index)(void *, uint64_t, uint32_t);
static int64_t (*fread_entry)(void *, void *, uint64_t);
static int (*fclose_entry)(void *);
static bool is_loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

enum { READ_ONLY = 16 };

static void load(void) {
  void *library = dlopen("libzip.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libzip.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  *(void **)&open_archive = dlsym(library, "zip_open");
  *(void **)&discard = dlsym(library, "zip_discard");
  *(void **)&get_num_entries = dlsym(library, "zip_get_num_entries");
  *(void **)&get_name = dlsym(library, "zip_get_name");
  *(void **)&fopen_index = dlsym(library, "zip_fopen_index");
  *(void **)&fread_entry = dlsym(library, "zip_fread");
  *(void **)&fclose_entry = dlsym(library, "zip_fclose");
  is_loaded =
      open_archive && discard && get_num_entries && get_name && fopen_index && fread_entry && fclose_entry;
}

bool ctest_load_libzip(void) {
  pthread_once(&once, load);
  return is_loaded;
}

ctest_zip *ctest_zip_open(const char *path) {
  int code = 0;
  return open_archive(path, READ_ONLY, &code);
}

void ctest_zip_close(ctest_zip *archive) { discard(archive); }
int64_t ctest_zip_count(ctest_zip *archive) { return get_num_entries(archive, 0); }
const char *ctest_zip_name(ctest_zip *archive, uint64_t index) { return get_name(archive, index, 0); }

int64_t ctest_zip_read(ctest_zip *archive, uint64_t index, void *bytes, size_t size) {
  void *file = fopen_index(archive, index, 0);
  if (!file) return -1;
  int64_t count = fread_entry(file, bytes, size);
  fclose_entry(file);
  return count;
}

bool ctest_zip_write(
    const char *path, const char *const *names, const void *const *contents, const size_t *sizes, size_t count,
    int32_t method, uint16_t encryption, const char *password) {
  void *library = dlopen("libzip.so.4", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libzip.so.5", RTLD_NOW | RTLD_LOCAL);
  if (!library) return false;
  void *(*source_buffer)(void *, const void *, uint64_t, int);
  int64_t (*file_add)(void *, const char *, void *, uint32_t);
  int (*set_compression)(void *, uint64_t, int32_t, uint32_t);
  int (*set_encryption)(void *, uint64_t, uint16_t, const char *);
  int (*close_archive)(void *);
  *(void **)&source_buffer = dlsym(library, "zip_source_buffer");
  *(void **)&file_add = dlsym(library, "zip_file_add");
  *(void **)&set_compression = dlsym(library, "zip_set_file_compression");
  *(void **)&set_encryption = dlsym(library, "zip_file_set_encryption");
  *(void **)&close_archive = dlsym(library, "zip_close");
  if (!source_buffer || !file_add || !set_compression || !set_encryption || !close_archive) return false;
  int code = 0;
  void *archive = open_archive(path, 1 | 8, &code); /* create, truncate */
  if (!archive) return false;
  bool isWritten = true;
  for (size_t index = 0; index < count; index++) {
    void *source = source_buffer(archive, contents[index], sizes[index], 0);
    int64_t place = source ? file_add(archive, names[index], source, 0) : -1;
    isWritten = isWritten && place >= 0 && set_compression(archive, (uint64_t)place, method, 0) == 0 &&
                (encryption == 0 || set_encryption(archive, (uint64_t)place, encryption, password) == 0);
  }
  return close_archive(archive) == 0 && isWritten;
}

size_t ctest_deflate(const void *bytes, size_t count, void *room, size_t size) {
  void *library = dlopen("libdeflate.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) return 0;
  void *(*alloc)(int);
  size_t (*compress)(void *, const void *, size_t, void *, size_t);
  void (*release)(void *);
  *(void **)&alloc = dlsym(library, "libdeflate_alloc_compressor");
  *(void **)&compress = dlsym(library, "libdeflate_deflate_compress");
  *(void **)&release = dlsym(library, "libdeflate_free_compressor");
  size_t written = 0;
  void *compressor = alloc && compress && release ? alloc(9) : NULL;
  if (compressor) {
    written = compress(compressor, bytes, count, room, size);
    release(compressor);
  }
  dlclose(library);
  return written;
}

bool ctest_open_terminal(int32_t columns, int32_t rows, int32_t *screen, int32_t *terminal) {
  struct winsize size = {.ws_col = (unsigned short)columns, .ws_row = (unsigned short)rows};
  if (openpty(screen, terminal, 0, 0, &size) != 0) return false;
  /* Line ends arrive as they were written. */
  struct termios modes;
  if (tcgetattr(*terminal, &modes) == 0) {
    modes.c_oflag &= ~(tcflag_t)OPOST;
    tcsetattr(*terminal, TCSANOW, &modes);
  }
  /* The child has the other end only. */
  fcntl(*screen, F_SETFD, FD_CLOEXEC);
  return true;
}
