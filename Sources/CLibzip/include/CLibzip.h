/// Inflates entries of a zip file by libzip, which is loaded on first use.
#ifndef DECANT_CLIBZIP_H
#define DECANT_CLIBZIP_H

#include <stddef.h>
#include <stdint.h>

typedef struct decant_libzip decant_libzip;

/// Whether libzip is installed.
int decant_libzip_is_available(void);

/// Opens an archive; NULL when libzip is missing or refuses it. For one thread at a time.
decant_libzip *decant_libzip_open(const char *path);

/// Closes it.
void decant_libzip_close(decant_libzip *archive);

/// How many entries libzip sees.
int64_t decant_libzip_entry_count(decant_libzip *archive);

/// Inflates entry `index` into `target`; 0 on success.
///
/// The entry must be called `name` and inflate to exactly `count` bytes. On failure `message` (of
/// `message_size` bytes) says why.
int decant_libzip_inflate(decant_libzip *archive, uint64_t index, const char *name, void *target, size_t count,
                          char *message, size_t message_size);

#endif
