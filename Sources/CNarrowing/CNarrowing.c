#include "CNarrowing.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2,f16c")))

/* Eight counters of 32 bits; those of a lane hold as long as a call has fewer than 2^35 numbers. */
typedef struct {
  __m256i overflowed, underflowed;
} counters;

AVX2 static inline void count_losses(counters *counters, __m256i magnitude, __m256i nearest, int infinity) {
  __m256i finite = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x7F800000), magnitude);
  __m256i infinite = _mm256_cmpeq_epi32(nearest, _mm256_set1_epi32(infinity));
  __m256i zero = _mm256_cmpeq_epi32(nearest, _mm256_setzero_si256());
  __m256i was_zero = _mm256_cmpeq_epi32(magnitude, _mm256_setzero_si256());
  /* A comparison that holds is -1. */
  counters->overflowed = _mm256_sub_epi32(counters->overflowed, _mm256_and_si256(finite, infinite));
  counters->underflowed = _mm256_sub_epi32(counters->underflowed, _mm256_andnot_si256(was_zero, zero));
}

AVX2 static size_t sum(__m256i counters) {
  uint32_t lanes[8];
  _mm256_storeu_si256((__m256i *)lanes, counters);
  size_t sum = 0;
  for (int lane = 0; lane < 8; lane++) sum += lanes[lane];
  return sum;
}

AVX2 static size_t float16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  counters counters = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  size_t done = 0;
  for (; count - done >= 8; done += 8) {
    __m256i bits = _mm256_loadu_si256((const __m256i *)(source + done));
    __m128i nearest = _mm256_cvtps_ph(_mm256_castsi256_ps(bits), _MM_FROUND_TO_NEAREST_INT);
    _mm_storeu_si128((__m128i *)(target + done), nearest);
    __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
    __m256i wide = _mm256_cvtepu16_epi32(_mm_and_si128(nearest, _mm_set1_epi16(0x7FFF)));
    count_losses(&counters, magnitude, wide, 0x7C00);
  }
  loss->overflowed += sum(counters.overflowed);
  loss->underflowed += sum(counters.underflowed);
  return done;
}

AVX2 static size_t bfloat16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) {
  counters counters = {_mm256_setzero_si256(), _mm256_setzero_si256()};
  size_t done = 0;
  for (; count - done >= 8; done += 8) {
    __m256i bits = _mm256_loadu_si256((const __m256i *)(source + done));
    __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
    /* Half of what is cut off, less a bit where the last that stays is even. */
    __m256i last = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    __m256i half = _mm256_add_epi32(_mm256_set1_epi32(0x7FFF), last);
    __m256i nearest = _mm256_srli_epi32(_mm256_add_epi32(bits, half), 16);
    __m256i is_nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7F800000));
    nearest = _mm256_blendv_epi8(nearest, _mm256_set1_epi32(0x7FC0), is_nan);
    __m256i packed = _mm256_permute4x64_epi64(_mm256_packus_epi32(nearest, nearest), 0x08);
    _mm_storeu_si128((__m128i *)(target + done), _mm256_castsi256_si128(packed));
    count_losses(&counters, magnitude, _mm256_and_si256(nearest, _mm256_set1_epi32(0x7FFF)), 0x7F80);
  }
  loss->overflowed += sum(counters.overflowed);
  loss->underflowed += sum(counters.underflowed);
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

size_t cnarrowing_float16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) { return 0; }

size_t cnarrowing_bfloat16(const uint32_t *source, uint16_t *target, size_t count, cnarrowing_loss *loss) { return 0; }

#endif
