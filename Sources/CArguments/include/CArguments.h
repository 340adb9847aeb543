/* The command-line arguments of the process. Swift reads them from /proc/self/cmdline and finds none where
   /proc is not mounted, as in a bare chroot. */
#ifndef CARGUMENTS_H
#define CARGUMENTS_H

/* Returns the number of arguments, the program's name included; 0 where the C library does not pass them
   to constructors. */
int carguments_count(void);

/* Returns an argument. The pointer is valid for the life of the process. */
const char *_Nonnull carguments_argument(int index);

#endif
