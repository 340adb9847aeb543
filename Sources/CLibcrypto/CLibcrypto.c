#include "CLibcrypto.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdlib.h>

// The functions used, with the prototypes of OpenSSL 1.1 and 3 (EVP_DigestInit(3)).
static void *(*new_context)(void);
static void (*free_context)(void *);
static const void *(*sha256)(void);
static int (*digest_init)(void *, const void *, void *);
static int (*digest_update)(void *, const void *, size_t);
static int (*digest_final)(void *, unsigned char *, unsigned int *);
static int loaded;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
  if (!library) library = dlopen("libcrypto.so.1.1", RTLD_NOW | RTLD_LOCAL);
  if (!library) return;
  new_context = (void *(*)(void))dlsym(library, "EVP_MD_CTX_new");
  free_context = (void (*)(void *))dlsym(library, "EVP_MD_CTX_free");
  sha256 = (const void *(*)(void))dlsym(library, "EVP_sha256");
  digest_init = (int (*)(void *, const void *, void *))dlsym(library, "EVP_DigestInit_ex");
  digest_update = (int (*)(void *, const void *, size_t))dlsym(library, "EVP_DigestUpdate");
  digest_final = (int (*)(void *, unsigned char *, unsigned int *))dlsym(library, "EVP_DigestFinal_ex");
  loaded = new_context && free_context && sha256 && digest_init && digest_update && digest_final;
}

decant_sha256 *decant_sha256_create(void) {
  pthread_once(&once, load);
  if (!loaded) return NULL;
  void *context = new_context();
  if (context && digest_init(context, sha256(), NULL) != 1) {
    free_context(context);
    return NULL;
  }
  return context;
}

int decant_sha256_update(decant_sha256 *hash, const void *bytes, size_t count) {
  return digest_update(hash, bytes, count) == 1 ? 0 : -1;
}

int decant_sha256_finish(decant_sha256 *hash, unsigned char digest[32]) {
  unsigned int length = 32;
  return digest_final(hash, digest, &length) == 1 && length == 32 ? 0 : -1;
}

void decant_sha256_destroy(decant_sha256 *hash) { free_context(hash); }
