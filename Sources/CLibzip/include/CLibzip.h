/// Inflates one entry of a zip file by libzip, which is loaded on first use.
#ifndef DECANT_CLIBZIP_H
#define DECANT_CLIBZIP_H

#include <stddef.h>
#include <stdint.h>

typedef enum {
  DECANT_LIBZIP_OK = 0,
  /// libzip.so.4 or libzip.so.5 is not installed.
  DECANT_LIBZIP_MISSING,
  /// libzip refuses the archive, or has another entry in that place.
  DECANT_LIBZIP_DISAGREES,
  /// The entry's data is damaged or has another length.
  DECANT_LIBZIP_DAMAGED,
} decant_libzip_status;

/// Inflates entry `index` of the archive at `path` into `target`.
///
/// The entry must be called `name` and inflate to exactly `count` bytes. On failure `message` (of
/// `message_size` bytes) holds libzip's words.
decant_libzip_status decant_libzip_inflate(const char *path, uint64_t index, const char *name, void *target,
                                           size_t count, char *message, size_t message_size);

/// How many entries libzip sees in an archive, as a second opinion; -1 when it cannot open it.
int64_t decant_libzip_entry_count(const char *path);

#endif
