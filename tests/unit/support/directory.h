// Directories of tests, which they fill and leave.
#ifndef FARTHING_TEST_DIRECTORY_H
#define FARTHING_TEST_DIRECTORY_H

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

// The files in it; it has no directories.
static inline void directory_clear(const char *path) {
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        (void)unlinkat(dirfd(d), e->d_name, 0); // "." and "..": nothing
    if (d != NULL)
        closedir(d);
}

static inline void directory_remove(const char *path) {
    directory_clear(path);
    rmdir(path);
}

#endif
