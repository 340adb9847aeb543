/* Casts of float32 to 16 bits with instructions that not every processor has, chosen at run time. */
#ifndef CNARROWING_H
#define CNARROWING_H

#include <stddef.h>
#include <stdint.h>

/* The numbers of elements that a cast could not represent. */
typedef struct {
  size_t overflowed;  /* finite numbers that became infinite */
  size_t underflowed; /* non-zero numbers that became zero */
} cnarrowing_loss;

/* Rounds numbers to the nearest float16 or bfloat16, ties to even, and adds to `loss`. Returns the number
   of leading elements that were converted: all but the last few, or none where the processor lacks the
   instructions. O(count). */
size_t cnarrowing_float16(const uint32_t *_Nonnull source, uint16_t *_Nonnull target, size_t count,
                          cnarrowing_loss *_Nonnull loss);
size_t cnarrowing_bfloat16(const uint32_t *_Nonnull source, uint16_t *_Nonnull target, size_t count,
                           cnarrowing_loss *_Nonnull loss);

#endif
