/* The command line as the program was started with. Swift reads it from /proc/self/cmdline, and finds no arguments where
   /proc is not mounted, as in a bare chroot. */
#ifndef CARGUMENTS_H
#define CARGUMENTS_H

/* The number of arguments, the program's name among them; 0 where the C library does not hand them over. */
int carguments_count(void);

/* An argument; valid as long as the process. */
const char *_Nonnull carguments_argument(int index);

#endif
