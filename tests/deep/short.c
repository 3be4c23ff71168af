/* Makes reads and writes shorter than asked, or interrupted, at random: a library to preload.
 *
 * SHORT_SEED is the seed of the random numbers; a count of the calls that came out short is added
 * as a line to the file SHORT_LOG at the end of the program.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static atomic_uint_fast64_t state;
static atomic_uint_fast64_t reads, writes, copies, interrupts;

__attribute__((constructor)) static void start(void)
{
    const char *seed = getenv("SHORT_SEED");
    state = seed ? strtoull(seed, NULL, 10) : 0;
}

__attribute__((destructor)) static void report(void)
{
    const char *path = getenv("SHORT_LOG");
    FILE *log = path ? fopen(path, "a") : NULL;
    if (log) {
        fprintf(log, "%ju %ju %ju %ju\n", (uintmax_t)reads, (uintmax_t)writes, (uintmax_t)copies,
                (uintmax_t)interrupts);
        fclose(log);
    }
}

/* splitmix64 */
static uint64_t chance(void)
{
    uint64_t z = atomic_fetch_add(&state, 0x9e3779b97f4a7c15) + 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

/* Returns a length of 1 to `length`, for every other call. */
static size_t shorten(size_t length, atomic_uint_fast64_t *count)
{
    uint64_t number = chance();
    if (length < 2 || number % 2)
        return length;
    size_t less = 1 + (number >> 8) % length;
    *count += less < length;
    return less;
}

/* Whether a call is interrupted: one of sixteen. */
static int interrupted(void)
{
    if (chance() % 16)
        return 0;
    interrupts++;
    errno = EINTR;
    return 1;
}

/* Defines a function that passes on fewer bytes to the next library's function of that name. */
#define SHORT(name, count, length, parameters, ...)                                                \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        static ssize_t(*_Atomic next) parameters;                                                  \
        if (!next)                                                                                 \
            next = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);                                 \
        if (interrupted())                                                                         \
            return -1;                                                                             \
        length = shorten(length, &count);                                                          \
        return next(__VA_ARGS__);                                                                  \
    }

SHORT(read, reads, n, (int fd, void *to, size_t n), fd, to, n)
SHORT(pread, reads, n, (int fd, void *to, size_t n, off_t at), fd, to, n, at)
SHORT(pread64, reads, n, (int fd, void *to, size_t n, off64_t at), fd, to, n, at)
SHORT(write, writes, n, (int fd, const void *from, size_t n), fd, from, n)
SHORT(pwrite, writes, n, (int fd, const void *from, size_t n, off_t at), fd, from, n, at)
SHORT(pwrite64, writes, n, (int fd, const void *from, size_t n, off64_t at), fd, from, n, at)
SHORT(sendfile, copies, n, (int to, int from, off_t *at, size_t n), to, from, at, n)
SHORT(sendfile64, copies, n, (int to, int from, off64_t *at, size_t n), to, from, at, n)
SHORT(copy_file_range, copies, n,
      (int from, off64_t *at, int to, off64_t *to_at, size_t n, unsigned flags), from, at, to,
      to_at, n, flags)

/* With several buffers, the first alone is filled or written. */
#define FIRST(name, count, parameters, ...)                                                        \
    ssize_t name parameters                                                                        \
    {                                                                                              \
        static ssize_t(*_Atomic next) parameters;                                                  \
        if (!next)                                                                                 \
            next = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);                                 \
        if (interrupted())                                                                         \
            return -1;                                                                             \
        struct iovec first = *v;                                                                   \
        if (n > 0 && first.iov_len > 0) {                                                          \
            first.iov_len = shorten(first.iov_len, &count);                                        \
            v = &first;                                                                            \
            n = 1;                                                                                 \
        }                                                                                          \
        return next(__VA_ARGS__);                                                                  \
    }

FIRST(readv, reads, (int fd, const struct iovec *v, int n), fd, v, n)
FIRST(preadv, reads, (int fd, const struct iovec *v, int n, off_t at), fd, v, n, at)
FIRST(preadv64, reads, (int fd, const struct iovec *v, int n, off64_t at), fd, v, n, at)
FIRST(writev, writes, (int fd, const struct iovec *v, int n), fd, v, n)
FIRST(pwritev, writes, (int fd, const struct iovec *v, int n, off_t at), fd, v, n, at)
FIRST(pwritev64, writes, (int fd, const struct iovec *v, int n, off64_t at), fd, v, n, at)
