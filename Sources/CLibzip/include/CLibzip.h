/* The functions of libzip that Decant uses, loaded on first use instead of linked. The tool starts without
   the library, and its header is not needed to build. */
#ifndef CLIBZIP_H
#define CLIBZIP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Loads the library once for the process. Safe from any thread. Returns NULL on success, otherwise one
   clause that says what is missing. The package is libzip4. */
const char *_Nullable clibzip_load(void);

/* True when the library decompresses a method of APPNOTE 4.4.5. Call only after clibzip_load() returned
   NULL, as the functions below. */
bool clibzip_decompresses(uint16_t method);

/* The methods of encryption that Decant asks for: ZIP_EM_* of zip.h. */
enum {
  clibzip_traditional = 1,
  clibzip_aes128 = 0x0101,
  clibzip_aes192 = 0x0102,
  clibzip_aes256 = 0x0103,
};
bool clibzip_decrypts(uint16_t method);

/* Reads `count` bytes at `offset` of an entry's stored data; returns false when that fails. */
typedef bool (*clibzip_read_function)(
    void *_Nullable context, uint64_t offset, void *_Nonnull bytes, size_t count);

/* An archive of one entry: the bytes before its data, the data, and the bytes after it. */
typedef struct {
  const uint8_t *_Nonnull head;
  size_t head_size;
  clibzip_read_function _Nonnull read;
  void *_Nullable context;
  uint64_t data_size;
  const uint8_t *_Nonnull tail;
  size_t tail_size;
} clibzip_archive;

typedef enum {
  clibzip_done = 0,
  clibzip_wrong_password,
  clibzip_unsupported,
  clibzip_damaged,
  /* The entry has more or fewer bytes than announced. */
  clibzip_wrong_size,
  /* All bytes were read, but the CRC-32 of the headers or the authentication code of AES differs. */
  clibzip_wrong_checksum,
  clibzip_no_memory,
} clibzip_status;

/* Reads the entry into exactly `size` bytes, decompressed. With a password it is only decrypted, and stays compressed:
   a decompressor need not read the authentication code at the end. O(size), and never writes more. */
clibzip_status clibzip_read_entry(
    const clibzip_archive *_Nonnull archive, const char *_Nullable password, void *_Nonnull target, size_t size);

#endif
