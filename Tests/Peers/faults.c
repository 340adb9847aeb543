// A library for LD_PRELOAD that lets one system call of a program fail, so that a test needs no broken disk.
//
//     FAULT=CALL:NUMBER:WHAT   what becomes of the NUMBER-th CALL, counted from 1
//     FAULT_LASTS=1            and of every one after it
//     NO_TMPFILE=1             the file system has no files without names
//
// CALL is pwrite, pread, write (to standard output), open (to write), linkat, rename, mkdir, unlink, fsync or fallocate.
// WHAT is an error's number, `short` (half of the bytes, at least one), `end` (none: the file ends here), `flip` (a bit in
// the middle of what a pwrite writes), or `before` and `after`, which stop the process there until it is told to go on.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char call[16], what[16];
static long number = -1;
static int lasts, without_nameless;
static atomic_long count;

__attribute__((constructor)) static void configure(void) {
  const char *fault = getenv("FAULT");
  const char *first = fault ? strchr(fault, ':') : NULL;
  const char *second = first ? strchr(first + 1, ':') : NULL;
  without_nameless = getenv("NO_TMPFILE") != NULL;
  lasts = getenv("FAULT_LASTS") != NULL;
  if (!second || first - fault >= (long)sizeof call) return;
  memcpy(call, fault, first - fault);
  number = atol(first + 1);
  strncpy(what, second + 1, sizeof what - 1);
}

// Whether this call is the one: 0 for no, else 'e' error, 's' short, 'n' end, 'f' flip, 'b' before, 'a' after.
static int due(const char *name) {
  if (number < 0 || strcmp(name, call) != 0) return 0;
  long place = atomic_fetch_add(&count, 1) + 1;
  if (lasts ? place < number : place != number) return 0;
  if (what[0] >= '0' && what[0] <= '9') {
    errno = atoi(what);
    return 'e';
  }
  if (what[0] == 'b') raise(SIGSTOP);
  return what[0] == 'e' ? 'n' : what[0];
}

// A copy with another bit in the middle.
static void *flipped(const void *bytes, size_t size) {
  char *copy = malloc(size);
  memcpy(copy, bytes, size);
  copy[size / 2] ^= 1;
  return copy;
}

#define THE(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define RUN(type, name, invocation)      \
  do {                                   \
    int fate = due(#name);               \
    if (fate == 'e') return -1;          \
    type result = invocation;            \
    if (fate == 'a') {                   \
      int code = errno;                  \
      raise(SIGSTOP);                    \
      errno = code;                      \
    }                                    \
    return result;                       \
  } while (0)
#define MOVE(name, ...)                                     \
  do {                                                      \
    int fate = due(#name);                                  \
    if (fate == 'e') return -1;                             \
    if (fate == 'n') return 0;                              \
    if (fate == 's' && size > 1) size /= 2;                 \
    if (fate == 'f') bytes = flipped(bytes, size);          \
    ssize_t result = THE(name)(file, bytes, size, ##__VA_ARGS__); \
    if (fate == 'a') raise(SIGSTOP);                        \
    return result;                                          \
  } while (0)

ssize_t pwrite(int file, const void *bytes, size_t size, off_t offset) { MOVE(pwrite, offset); }
ssize_t pread(int file, void *bytes, size_t size, off_t offset) { MOVE(pread, offset); }
ssize_t write(int file, const void *bytes, size_t size) {
  if (file != STDOUT_FILENO) return THE(write)(file, bytes, size);
  MOVE(write);
}

int open(const char *path, int flags, ...) {
  mode_t mode = 0;
  if (flags & (O_CREAT | __O_TMPFILE)) {
    va_list rest;
    va_start(rest, flags);
    mode = va_arg(rest, mode_t);
    va_end(rest);
  }
  if (without_nameless && (flags & O_TMPFILE) == O_TMPFILE) {
    errno = EOPNOTSUPP;
    return -1;
  }
  if (!(flags & (O_WRONLY | O_RDWR))) return THE(open)(path, flags, mode);
  RUN(int, open, THE(open)(path, flags, mode));
}

int linkat(int from, const char *old, int to, const char *new, int flags) {
  RUN(int, linkat, THE(linkat)(from, old, to, new, flags));
}
int rename(const char *old, const char *new) { RUN(int, rename, THE(rename)(old, new)); }
int mkdir(const char *path, mode_t mode) { RUN(int, mkdir, THE(mkdir)(path, mode)); }
int unlink(const char *path) { RUN(int, unlink, THE(unlink)(path)); }
int fallocate(int file, int mode, off_t offset, off_t size) {
  RUN(int, fallocate, THE(fallocate)(file, mode, offset, size));
}
int fsync(int file) { RUN(int, fsync, THE(fsync)(file)); }
