/// SHA-256 by OpenSSL's libcrypto, which uses the processor's SHA instructions.
///
/// The library is loaded on first use, so that a process that hashes nothing does not pay for it.
#ifndef DECANT_CLIBCRYPTO_H
#define DECANT_CLIBCRYPTO_H

#include <stddef.h>

typedef struct decant_sha256 decant_sha256;

/// Starts a hash. Returns NULL when libcrypto is missing or has no SHA-256.
decant_sha256 *decant_sha256_create(void);
/// Adds bytes. Returns 0 on success.
int decant_sha256_update(decant_sha256 *hash, const void *bytes, size_t count);
/// Writes the 32-byte digest. Returns 0 on success.
int decant_sha256_finish(decant_sha256 *hash, unsigned char digest[32]);
/// Frees the hash.
void decant_sha256_destroy(decant_sha256 *hash);

#endif
