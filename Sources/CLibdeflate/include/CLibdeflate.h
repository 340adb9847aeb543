/* The few functions of libdeflate that Decant calls, loaded on first use instead of linked: the tool starts without
   the library, and no header of it is needed to build. */
#ifndef CLIBDEFLATE_H
#define CLIBDEFLATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads the library once for the process; safe from any thread.
   Returns NULL, or one clause that says what is missing. The package is libdeflate0. */
const char *_Nullable clibdeflate_load(void);

/* Adds bytes to a CRC-32 (polynomial 0xEDB88320); the first call begins with 0. O(count).
   Without the library the bytes pass through clibdeflate_crc32_by_tables(): the same value, about ten times slower. */
uint32_t clibdeflate_crc32(uint32_t crc, const void *_Nullable bytes, size_t count);
uint32_t clibdeflate_crc32_by_tables(uint32_t crc, const void *_Nullable bytes, size_t count);

/* Inflates a whole raw DEFLATE stream (RFC 1951) into exactly `size` bytes. O(size).
   Returns false when the stream is damaged, has another size, or memory ran out; `target` is undefined then.
   Call only after clibdeflate_load() returned NULL. */
bool clibdeflate_inflate(const void *_Nonnull source, size_t count, void *_Nonnull target, size_t size);

#endif
