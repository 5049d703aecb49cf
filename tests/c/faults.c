/* A library for LD_PRELOAD that makes calls of the C library fail, or ends the process at one.
 *
 * tests/faults.py builds it.  A test chooses the calls and what happens by faults_arm(), through
 * ctypes; until then, and after the last fault, every call does what it always does.  It is written
 * for glibc, whose allocator has the names __libc_malloc() and so on.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Which calls are counted. */
enum {
    MEMORY = 1,  /* malloc() and the like, and mmap() of memory without a file */
    THREADS = 2, /* pthread_create() */
    SPACE = 4,   /* calls that a full disk refuses: pwrite(), posix_fallocate(), ftruncate() */
    STEPS = 8,   /* these, and all others that change a file or its name, or wait for the disk */
};

/* What happens at the chosen calls. */
enum {
    REFUSE,  /* they fail with the error number */
    SHORTEN, /* pwrite() writes half, and the calls after it fail with the error number */
    KILL,    /* the process ends before the call */
    TEAR,    /* pwrite() writes half, and the process ends; other calls: as KILL */
};

/* A disk writes a sector as a whole, and so does every system that a process is killed on. */
enum { SECTOR = 512 };

static atomic_int kinds, action, error;
static atomic_long seen, first, past;

/* Let the calls number `at`, from 1, to at + count - 1 of these kinds fail. */
void faults_arm(int which, int what, long at, long count, int number)
{
    atomic_store(&kinds, 0);
    atomic_store(&action, what);
    atomic_store(&error, number);
    atomic_store(&seen, 0);
    atomic_store(&first, at);
    atomic_store(&past, at + count);
    atomic_store(&kinds, which);
}

/* Let no more calls fail; return how many there were. */
long faults_disarm(void)
{
    atomic_store(&kinds, 0);
    return atomic_load(&seen);
}

/* Return whether this call is one of those that were chosen; end the process if it shall end. */
static int strikes(int kind)
{
    if (!(atomic_load(&kinds) & kind))
        return 0;
    const long number = atomic_fetch_add(&seen, 1) + 1;
    if (number < atomic_load(&first) || number >= atomic_load(&past))
        return 0;
    if (atomic_load(&action) >= KILL)
        kill(getpid(), SIGKILL);
    return 1;
}

static int refused(int kind)
{
    if (!strikes(kind))
        return 0;
    errno = atomic_load(&error);
    return 1;
}

static void *next(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (!found)
        abort();
    return found;
}

/* Memory */

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *memory, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) { return refused(MEMORY) ? NULL : __libc_malloc(size); }
void *calloc(size_t n, size_t size) { return refused(MEMORY) ? NULL : __libc_calloc(n, size); }
void *realloc(void *memory, size_t size)
{
    return refused(MEMORY) ? NULL : __libc_realloc(memory, size);
}
void *memalign(size_t alignment, size_t size)
{
    return refused(MEMORY) ? NULL : __libc_memalign(alignment, size);
}
void *aligned_alloc(size_t alignment, size_t size) { return memalign(alignment, size); }
int posix_memalign(void **memory, size_t alignment, size_t size)
{
    void *found = memalign(alignment, size);
    if (!found)
        return ENOMEM;
    *memory = found;
    return 0;
}

static void *map(void *at, size_t length, int access, int flags, int fd, off_t offset)
{
    if (flags & MAP_ANONYMOUS && refused(MEMORY))
        return MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, length, access, flags, fd, offset);
}
void *mmap(void *at, size_t length, int access, int flags, int fd, off_t offset)
{
    return map(at, length, access, flags, fd, offset);
}
void *mmap64(void *at, size_t length, int access, int flags, int fd, off_t offset)
{
    return map(at, length, access, flags, fd, offset);
}

/* Threads */

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *),
                   void *argument)
{
    static int (*plain)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    if (strikes(THREADS))
        return atomic_load(&error);
    if (!plain)
        *(void **)&plain = next("pthread_create");
    return plain(thread, attributes, run, argument);
}

/* Files */

static ssize_t write_at(int fd, const void *data, size_t size, off_t offset)
{
    const int what = atomic_load(&action);
    if (what == TEAR && atomic_load(&kinds) & STEPS && size > SECTOR &&
        atomic_load(&seen) + 1 == atomic_load(&first))
        syscall(SYS_pwrite64, fd, data, size / 2, offset);
    if (strikes(SPACE | STEPS)) {
        if (what == SHORTEN && size > 1 && atomic_load(&seen) == atomic_load(&first))
            return syscall(SYS_pwrite64, fd, data, size / 2, offset);
        errno = atomic_load(&error);
        return -1;
    }
    return syscall(SYS_pwrite64, fd, data, size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off_t offset)
{
    return write_at(fd, data, size, offset);
}

static int reserve(int fd, off_t offset, off_t size)
{
    static int (*plain)(int, off_t, off_t);
    if (strikes(SPACE | STEPS))
        return atomic_load(&error);
    if (!plain)
        *(void **)&plain = next("posix_fallocate64");
    return plain(fd, offset, size);
}
int posix_fallocate(int fd, off_t offset, off_t size) { return reserve(fd, offset, size); }
int posix_fallocate64(int fd, off_t offset, off_t size) { return reserve(fd, offset, size); }

static int truncate_to(int fd, off_t size)
{
    return refused(SPACE | STEPS) ? -1 : (int)syscall(SYS_ftruncate, fd, size);
}
int ftruncate(int fd, off_t size) { return truncate_to(fd, size); }
int ftruncate64(int fd, off_t size) { return truncate_to(fd, size); }

/* They do not wait for the disk: the process may end, but not the machine. */
int fsync(int fd)
{
    (void)fd;
    return refused(STEPS) ? -1 : 0;
}
int fdatasync(int fd) { return fsync(fd); }

int rename(const char *from, const char *to)
{
    return refused(STEPS) ? -1 : (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int link(const char *from, const char *to)
{
    return refused(STEPS) ? -1 : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}
int linkat(int from_fd, const char *from, int to_fd, const char *to, int flags)
{
    return refused(STEPS) ? -1 : (int)syscall(SYS_linkat, from_fd, from, to_fd, to, flags);
}
int unlink(const char *path)
{
    return refused(STEPS) ? -1 : (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
}
