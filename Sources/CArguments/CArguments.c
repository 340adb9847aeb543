#include "CArguments.h"

#include <stdlib.h>  /* defines __GLIBC__ */

static int count;
static char **arguments;

/* glibc and Darwin's dyld pass main's arguments to constructors too. */
__attribute__((constructor)) static void keep(int argc, char **argv) {
#if defined(__GLIBC__) || defined(__APPLE__)
  count = argc;
  arguments = argv;
#endif
}

int carguments_count(void) { return count; }
const char *carguments_argument(int index) { return arguments[index]; }
