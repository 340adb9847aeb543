/* The few functions of libpng and libjpeg-turbo that Decant calls, loaded on first use instead of linked: only a
   picture needs them. No header of theirs is needed either. */
#ifndef CIMAGECODECS_H
#define CIMAGECODECS_H

#include <stddef.h>
#include <stdint.h>

/* Room for a message, its final zero included. */
#define CIMAGE_MESSAGE_SIZE 256

/* Load a library once for the process; safe from any thread.
   Return NULL, or one clause that says what is missing and which package brings it. */
const char *_Nullable cimage_load_png(void);
const char *_Nullable cimage_load_jpeg(void);

/* Decodes a whole PNG into `height` rows of `row_bytes` bytes: one byte for each sample in the file's own channels,
   samples of fewer bits not scaled, of those with 16 the upper byte; no gamma, no palette. `palette` takes
   `*palette_count` colours of three bytes.
   Returns 0; else `message` says why, in libpng's words where they are libpng's. Call only after cimage_load_png()
   returned NULL. */
int cimage_decode_png(const uint8_t *_Nonnull bytes, size_t count, uint32_t width, uint32_t height,
                      size_t row_bytes, uint8_t *_Nonnull rows, uint8_t palette[_Nonnull 768],
                      int *_Nonnull palette_count, char *_Nonnull message);

/* Decodes a whole JPEG into `height` rows of RGB, or of the four inks as they are stored when `is_cmyk`.
   Stops at the first damage unless `goes_on`.
   Returns 0; 1 when the data is damaged, and everything was decoded if it `goes_on`; 2 when it cannot be decoded.
   Then `message` says why. Call only after cimage_load_jpeg() returned NULL. */
int cimage_decode_jpeg(const uint8_t *_Nonnull bytes, size_t count, int width, int height, int is_cmyk,
                       int goes_on, uint8_t *_Nonnull rows, char *_Nonnull message);

#endif
