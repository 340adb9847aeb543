#include "CImageCodecs.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Constants of the TurboJPEG API. */
enum {
  PIXELS_RGB = 0,
  PIXELS_CMYK = 11,
  FLAG_ACCURATE_DCT = 4096,
  FLAG_STOP_ON_WARNING = 8192,
  FLAG_LIMIT_SCANS = 32768,
  ERROR_WARNING = 0
};

static void *(*init_decompress)(void);
static int (*decompress_header)(void *, const uint8_t *, unsigned long, int *, int *, int *, int *);
static int (*decompress)(void *, const uint8_t *, unsigned long, uint8_t *, int, int, int, int, int);
static int (*destroy)(void *);
static char *(*get_error_string)(void *);
static int (*get_error_code)(void *);

static const char *problem;
static char reason[512];
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void load(void) {
  void *library = dlopen("libturbojpeg.so.0", RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    const char *said = dlerror(); /* the loader's own text, "LIBRARY: …" */
    bool isAbsent = !said || strstr(said, "No such file");
    if (!isAbsent) snprintf(reason, sizeof reason, "a library cannot be loaded: %s", said);
    problem = isAbsent
                  ? "libturbojpeg.so.0 is not on this machine; install the package libturbojpeg0 "
                    "(apt-get install libturbojpeg0)"
                  : reason;
    return;
  }
  init_decompress = (void *(*)(void))dlsym(library, "tjInitDecompress");
  *(void **)&decompress_header = dlsym(library, "tjDecompressHeader3");
  *(void **)&decompress = dlsym(library, "tjDecompress2");
  *(void **)&destroy = dlsym(library, "tjDestroy");
  *(void **)&get_error_string = dlsym(library, "tjGetErrorStr2");
  *(void **)&get_error_code = dlsym(library, "tjGetErrorCode");
  if (!init_decompress || !decompress_header || !decompress || !destroy || !get_error_string || !get_error_code) {
    problem = "libturbojpeg.so.0 lacks a function of TurboJPEG; reinstall the package libturbojpeg0 "
              "(apt-get install --reinstall libturbojpeg0)";
  }
}

const char *cimage_load_jpeg(void) {
  pthread_once(&once, load);
  return problem;
}

int cimage_decode_jpeg(const uint8_t *bytes, size_t count, int width, int height, int is_cmyk, int goes_on,
                       uint8_t *rows, char *message) {
  void *handle = init_decompress();
  if (!handle) {
    snprintf(message, CIMAGE_MESSAGE_SIZE, "libjpeg-turbo cannot be started: there is no memory");
    return 2;
  }
  int status = 0, found_width = 0, found_height = 0, sampling, colours;
  /* Fails for subsamplings without a name, which can still be decoded. Only the size matters: if it
     differed from the caller's, the decoder would scale the rows. */
  (void)decompress_header(handle, bytes, count, &found_width, &found_height, &sampling, &colours);
  if (found_width != width || found_height != height) {
    if (found_width == 0 || found_height == 0) {
      snprintf(message, CIMAGE_MESSAGE_SIZE, "%s", get_error_string(handle));
    } else {
      snprintf(message, CIMAGE_MESSAGE_SIZE, "its size is not the one it began with");
    }
    status = 2;
  } else if (decompress(handle, bytes, count, rows, width, width * (is_cmyk ? 4 : 3), height,
                        is_cmyk ? PIXELS_CMYK : PIXELS_RGB,
                        FLAG_ACCURATE_DCT | FLAG_LIMIT_SCANS | (goes_on ? 0 : FLAG_STOP_ON_WARNING)) != 0) {
    status = get_error_code(handle) == ERROR_WARNING ? 1 : 2;
    snprintf(message, CIMAGE_MESSAGE_SIZE, "%s", get_error_string(handle));
  }
  destroy(handle);
  return status;
}
