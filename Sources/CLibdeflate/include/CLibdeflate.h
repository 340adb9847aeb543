/* The functions of libdeflate that Decant uses, loaded on first use instead of linked. The tool starts
   without the library, and its header is not needed to build. */
#ifndef CLIBDEFLATE_H
#define CLIBDEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads the library once for the process. Safe from any thread. Returns NULL on success, otherwise one
   clause that says what is missing. The package is libdeflate0. */
const char *_Nullable clibdeflate_load(void);

/* Adds bytes to a CRC-32 (polynomial 0xEDB88320). Start with 0. O(count). Without the library it uses
   clibdeflate_crc32_by_tables(), which gives the same value about ten times slower. */
uint32_t clibdeflate_crc32(uint32_t crc, const void *_Nullable bytes, size_t count);
uint32_t clibdeflate_crc32_by_tables(uint32_t crc, const void *_Nullable bytes, size_t count);

/* Inflates a whole raw DEFLATE stream (RFC 1951) into exactly `size` bytes. O(size). Returns false when
   the stream is damaged, has another size, or memory ran out; the contents of `target` are then undefined.
   Call only after clibdeflate_load() returned NULL. */
bool clibdeflate_inflate(const void *_Nonnull source, size_t count, void *_Nonnull target, size_t size);

/* Inflates a whole raw DEFLATE stream into at most `size` bytes. Stores the numbers of bytes that the stream takes and
   makes. Returns 0, or 1 when the stream has more than `size` bytes, or -1 when it is damaged or memory ran out; the
   contents of `target` and the numbers are then undefined. Call only after clibdeflate_load() returned NULL. */
long clibdeflate_inflate_up_to(const void *_Nonnull source, size_t count, void *_Nonnull target, size_t size,
                               size_t *_Nonnull taken, size_t *_Nonnull made);

#endif
