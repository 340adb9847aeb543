/* Libraries that only the tests call, loaded like those of the tool: building the tests needs no header of theirs. */
#ifndef CTESTLIBRARIES_H
#define CTESTLIBRARIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads libzip, a second reader of archives. Returns whether it is installed (package libzip4). */
bool ctest_load_libzip(void);

/* An archive as libzip reads it. Call these only after ctest_load_libzip() returned true. */
typedef struct ctest_zip ctest_zip;
ctest_zip *_Nullable ctest_zip_open(const char *_Nonnull path);
void ctest_zip_close(ctest_zip *_Nonnull archive);
int64_t ctest_zip_count(ctest_zip *_Nonnull archive);
const char *_Nullable ctest_zip_name(ctest_zip *_Nonnull archive, uint64_t index);
/* Reads an entry. Returns its byte count, at most `size`; -1 when libzip refuses it. */
int64_t ctest_zip_read(ctest_zip *_Nonnull archive, uint64_t index, void *_Nonnull bytes, size_t size);

/* Deflates bytes by libdeflate's level 9. Returns the byte count; 0 when `room` is too small or the library missing. */
size_t ctest_deflate(const void *_Nonnull bytes, size_t count, void *_Nonnull room, size_t size);

#endif
