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

/* Writes an archive with libzip. `names` and `contents` have `count` elements; `method` is 0, 8 or 12, `encryption` 0,
   1 (traditional) or 0x101 to 0x103 (AES). Returns false when libzip rejects something. */
bool ctest_zip_write(
    const char *_Nonnull path, const char *_Nonnull const *_Nonnull names,
    const void *_Nonnull const *_Nonnull contents, const size_t *_Nonnull sizes, size_t count, int32_t method,
    uint16_t encryption, const char *_Nullable password);

/* Deflates bytes with libdeflate, level 9. Returns the byte count, 0 if `room` is too small or the library missing. */
size_t ctest_deflate(const void *_Nonnull bytes, size_t count, void *_Nonnull room, size_t size);

/* Opens a pseudo-terminal of a size. Stores the descriptors of its two ends: what is written to `terminal` can be read
   from `screen`. Returns false when the system has none. */
bool ctest_open_terminal(int32_t columns, int32_t rows, int32_t *_Nonnull screen, int32_t *_Nonnull terminal);

#endif
