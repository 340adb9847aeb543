#include <sys/types.h>

// <fcntl.h> declares it only with _GNU_SOURCE, and Swift's module Glibc is built without it.
int fallocate(int descriptor, int mode, off_t offset, off_t byteCount);

// FALLOC_FL_KEEP_SIZE of <linux/falloc.h>.
static const int FALLOCATE_KEEP_SIZE = 1;
