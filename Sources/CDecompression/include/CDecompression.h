/* Decompression by libbz2 and liblzma, which are loaded on first use instead of linked. The tool starts without the
   libraries, and their headers are not needed to build. */
#ifndef CDECOMPRESSION_H
#define CDECOMPRESSION_H

#include <stddef.h>
#include <stdint.h>

/* The forms of compressed data: bzip2, xz, and the form of LZMA before xz (.lzma). */
typedef enum { CDECOMPRESSION_BZIP2, CDECOMPRESSION_XZ, CDECOMPRESSION_LZMA } cdecompression_form;

/* Loads the library of a form once for the process. Safe from any thread. Returns NULL on success, otherwise one clause
   that says what is missing. The packages are libbz2-1.0 and liblzma5. */
const char *_Nullable cdecompression_load(cdecompression_form form);

/* Decompresses the first stream into at most `size` bytes. Stores the numbers of bytes that the stream takes and makes.
   Returns 0, or 1 when the stream has more than `size` bytes or needs more than 256 MiB of memory, or -1 when it is
   damaged, cut short, or memory ran out; the contents of `target` and the numbers are then undefined. Call only after
   cdecompression_load() returned NULL. */
long cdecompression_decompress(cdecompression_form form, const void *_Nonnull source, size_t count,
                               void *_Nonnull target, size_t size, size_t *_Nonnull taken, size_t *_Nonnull made);

#endif
