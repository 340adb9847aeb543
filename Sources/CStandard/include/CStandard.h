/* Functions of the C standard library that need no operating system, so that modules without files import no platform. */
#ifndef CSTANDARD_H
#define CSTANDARD_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline double cstandard_exp(double value) { return exp(value); }
static inline double cstandard_log(double value) { return log(value); }
static inline double cstandard_pow(double base, double exponent) { return pow(base, exponent); }
static inline double cstandard_erf(double value) { return erf(value); }
static inline double cstandard_tanh(double value) { return tanh(value); }
static inline double cstandard_sin(double angle) { return sin(angle); }
static inline double cstandard_cos(double angle) { return cos(angle); }

/* Write a number with some decimals, correctly rounded, as %.*f and %.*e. Return the number of characters. */
static inline int cstandard_format_fixed(double value, int32_t decimals, char *_Nonnull text, size_t size) {
  return snprintf(text, size, "%.*f", (int)decimals, value);
}
static inline int cstandard_format_scientific(double value, int32_t decimals, char *_Nonnull text, size_t size) {
  return snprintf(text, size, "%.*e", (int)decimals, value);
}

/* 0 when the buffers hold the same bytes. */
static inline int cstandard_compare(const void *_Nonnull left, const void *_Nonnull right, size_t byteCount) {
  return memcmp(left, right, byteCount);
}

/* A pointer to the first byte that equals `value`; NULL when no byte does. */
static inline const void *_Nullable cstandard_find(const void *_Nonnull bytes, int value, size_t byteCount) {
  return memchr(bytes, value, byteCount);
}

#endif
