#include <sys/types.h>

// <fcntl.h> declares it for _GNU_SOURCE only, without which Swift's module Glibc is made.
int fallocate(int descriptor, int mode, off_t offset, off_t byteCount);

// FALLOC_FL_KEEP_SIZE of <linux/falloc.h>.
static const int FALLOCATE_KEEP_SIZE = 1;
