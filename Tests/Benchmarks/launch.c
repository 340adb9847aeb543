// Runs a program and reports its wall time and its own peak memory.
//
//     launch RESULT MEGABYTES PROGRAM ARGUMENT...      writes "nanoseconds kilobytes status" to the file RESULT
//
// Before that, a process of its own touches so many megabytes and gives them back: a virtual machine whose host takes
// back free memory (free page reporting) gets it again at 2 ms a megabyte, which is not what is to be measured.
//
// The kernel hands the peak of the process that forks on to the child, so a large parent (Python) would hide
// what a small child needs. This one is small.
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static void touch(size_t size) {
  pid_t child = fork();
  if (child > 0) waitpid(child, NULL, 0);
  if (child != 0) return;
  char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) _exit(0);
  madvise(memory, size, MADV_HUGEPAGE);
  for (size_t place = 0; place < size; place += 4096) memory[place] = 1;
  _exit(0);
}

int main(int count, char **arguments) {
  if (count < 4) return 64;
  FILE *result = fopen(arguments[1], "we");
  if (!result) return 2;
  struct timespec start, end;
  struct rusage usage;
  pid_t child;
  int status;
  size_t megabytes = strtoul(arguments[2], NULL, 10);
  if (megabytes > 0) touch(megabytes << 20);
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (posix_spawnp(&child, arguments[3], NULL, NULL, arguments + 3, environ) != 0) return 2;
  if (wait4(child, &status, 0, &usage) != child) return 2;
  clock_gettime(CLOCK_MONOTONIC, &end);
  long long nanoseconds = (end.tv_sec - start.tv_sec) * 1000000000LL + (end.tv_nsec - start.tv_nsec);
  fprintf(result, "%lld %ld %d\n", nanoseconds, usage.ru_maxrss, status);
  return fclose(result) == 0 ? 0 : 2;
}
