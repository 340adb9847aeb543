/* The functions of libpng and libjpeg-turbo that Decant uses. They are loaded on first use instead of
   linked, because only images need them. The libraries' headers are not needed. */
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stddef.h>
#include <stdint.h>

/* The size of a message buffer, including the terminating NUL. */
#define CIMAGE_MESSAGE_SIZE 256

/* Loads a library once for the process. Safe from any thread. Returns NULL on success, otherwise one
   clause that says what is missing and which package provides it. */
const char *_Nullable cimage_load_png(void);
const char *_Nullable cimage_load_jpeg(void);

/* Decodes a whole PNG into `height` rows of `row_bytes` bytes: one byte for each sample in the file's own
   channels. Samples of fewer than 8 bits are not scaled, and 16-bit samples keep the upper byte. Neither
   gamma nor palette is applied. `palette` receives `*palette_count` colours of three bytes.
   Returns 0 on success. Otherwise `message` has the reason, with libpng's text for its own errors. Call
   only after cimage_load_png() returned NULL. */
int cimage_decode_png(const uint8_t *_Nonnull bytes, size_t count, uint32_t width, uint32_t height,
                      size_t row_bytes, uint8_t *_Nonnull rows, uint8_t palette[_Nonnull 768],
                      int *_Nonnull palette_count, char *_Nonnull message);

/* Decodes a whole JPEG into `height` rows of RGB, or of the four inks as they are stored when `is_cmyk`.
   Stops at the first damage unless `goes_on`.
   Returns 0 on success; 1 when the data is damaged, in which case everything was decoded if `goes_on`; 2
   when it cannot be decoded. For 1 and 2 `message` has the reason. Call only after cimage_load_jpeg()
   returned NULL. */
int cimage_decode_jpeg(const uint8_t *_Nonnull bytes, size_t count, int width, int height, int is_cmyk,
                       int goes_on, uint8_t *_Nonnull rows, char *_Nonnull message);

#endif
