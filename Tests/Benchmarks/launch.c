// Runs a program and reports its wall time and its own peak memory.
//
//     launch RESULT PROGRAM ARGUMENT...      writes "nanoseconds kilobytes status" to the file RESULT
//
// The kernel hands the peak of the process that forks on to the child, so a large parent (Python) would hide
// what a small child needs. This one is small.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int count, char **arguments) {
  if (count < 3) return 64;
  FILE *result = fopen(arguments[1], "we");
  if (!result) return 2;
  struct timespec start, end;
  struct rusage usage;
  pid_t child;
  int status;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (posix_spawnp(&child, arguments[2], NULL, NULL, arguments + 2, environ) != 0) return 2;
  if (wait4(child, &status, 0, &usage) != child) return 2;
  clock_gettime(CLOCK_MONOTONIC, &end);
  long long nanoseconds = (end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec);
  fprintf(result, "%lld %ld %d\n", nanoseconds, usage.ru_maxrss, status);
  return fclose(result) == 0 ? 0 : 2;
}
