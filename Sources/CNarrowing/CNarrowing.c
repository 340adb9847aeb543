#include "CNarrowing.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,f16c")))

/* Four registers are checked at once. Losses are counted only when a batch has one, or a zero, infinity or
   NaN. */
enum { REGISTERS = 4, BATCH = 8 * REGISTERS };

AVX2 static inline __m256i load(const uint32_t *source, int place) {
  return _mm256_loadu_si256((const __m256i *)source + place);
}

AVX2 static inline __m256i magnitude(__m256i bits) { return _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF)); }

/* Returns true when every magnitude of a batch is from `least` to `largest`. Such numbers become neither
   zero nor infinity. */
AVX2 static inline int is_plain(const uint32_t *source, int least, int largest) {
  __m256i span = _mm256_set1_epi32(largest - least), most = span;
  for (int place = 0; place < REGISTERS; place++) {
    __m256i above = _mm256_sub_epi32(magnitude(load(source, place)), _mm256_set1_epi32(least));
    most = _mm256_max_epu32(most, above);
  }
  return _mm256_movemask_epi8(_mm256_cmpeq_epi32(most, span)) == -1;
}

/* Counts the losses of a batch. Of each pattern in `target`, only the sign bit may be missing. */
static void count_losses(const uint32_t *source, const uint16_t *target, int infinity, cnarrowing_loss *loss) {
  for (int place = 0; place < BATCH; place++) {
    uint32_t magnitude = source[place] & 0x7FFFFFFF;
    int nearest = target[place] & 0x7FFF;
    loss->overflowed += magnitude < 0x7F800000 && nearest == infinity;
    loss->underflowed += magnitude != 0 && nearest == 0;
  }
}

AVX2 static inline __m128i half(__m256i bits) {
  return _mm256_cvtps_ph(_mm256_castsi256_ps(bits), _MM_FROUND_TO_NEAREST_INT);
}

AVX2 static size_t float16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  size_t done = 0;
  for (; count - done >= BATCH; done += BATCH) {
    for (int place = 0; place < REGISTERS; place += 2) {
      __m256i pair = _mm256_set_m128i(half(load(source + done, place + 1)), half(load(source + done, place)));
      _mm256_storeu_si256((__m256i *)(target + done + 8 * place), pair);
    }
    /* The range of magnitudes is above 2^-25 (half of float16's smallest) and below 65520 (halfway beyond
       its largest). */
    if (!is_plain(source + done, 0x33000001, 0x477FEFFF)) count_losses(source + done, target + done, 0x7C00, loss);
  }
  return done;
}

AVX2 static inline __m256i brain(__m256i bits) {
  /* Adds half of the discarded bits, less one when the last kept bit is even. */
  __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7FFF), last);
  __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
  __m256i is_nan = _mm256_cmpgt_epi32(magnitude(bits), _mm256_set1_epi32(0x7F800000));
  return _mm256_blendv_epi8(nearest, _mm256_set1_epi32(0x7FC0), is_nan);
}

AVX2 static size_t bfloat16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  size_t done = 0;
  for (; count - done >= BATCH; done += BATCH) {
    for (int place = 0; place < REGISTERS; place += 2) {
      /* Packing interleaves the 128-bit halves of its operands; the permutation restores their order. */
      __m256i turns = _mm256_packus_epi32(brain(load(source + done, place)), brain(load(source + done, place + 1)));
      _mm256_storeu_si256((__m256i *)(target + done + 8 * place), _mm256_permute4x64_epi64(turns, 0xD8));
    }
    if (!is_plain(source + done, 0x8001, 0x7F7F7FFF)) count_losses(source + done, target + done, 0x7F80, loss);
  }
  return done;
}

static int has_instructions(void) { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("f16c"); }

size_t cnarrowing_float16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  return has_instructions() ? float16(source, target, count, loss) : 0;
}

size_t cnarrowing_bfloat16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  return has_instructions() ? bfloat16(source, target, count, loss) : 0;
}

#else

size_t cnarrowing_float16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  (void)source, (void)target, (void)count, (void)loss;
  return 0;
}

size_t cnarrowing_bfloat16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  (void)source, (void)target, (void)count, (void)loss;
  return 0;
}

#endif
