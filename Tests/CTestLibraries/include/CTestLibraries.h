/* Libraries that only the tests call. They are loaded at run time, so building the tests needs no headers of theirs. */
#ifndef CTESTLIBRARIES_H
#define CTESTLIBRARIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads libzip, an independent reader of zip archives. Returns true when it is installed (package libzip4). */
bool ctest_load_libzip(void);

/* An archive opened by libzip. Call these functions only after ctest_load_libzip() has returned true. */
typedef struct ctest_zip ctest_zip;
ctest_zip *_Nullable ctest_zip_open(const char *_Nonnull path);
void ctest_zip_close(ctest_zip *_Nonnull archive);
int64_t ctest_zip_count(ctest_zip *_Nonnull archive);
const char *_Nullable ctest_zip_name(ctest_zip *_Nonnull archive, uint64_t index);
/* Reads an entry. Returns its byte count, at most `size`, or -1 when libzip rejects the entry. */
int64_t ctest_zip_read(ctest_zip *_Nonnull archive, uint64_t index, void *_Nonnull bytes, size_t size);

/* Deflates bytes with libdeflate, level 9. Returns the byte count, 0 if `room` is too small or the library missing. */
size_t ctest_deflate(const void *_Nonnull bytes, size_t count, void *_Nonnull room, size_t size);

#endif
