/* Ask the system about memory that others have mapped. */
#ifdef __linux__
#define _GNU_SOURCE
#endif
#include "mapped.h"

#include <errno.h>
#include <stdint.h>

#include "fastinit.h"

#ifdef __linux__
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* As in linux/fs.h since Linux 6.11. */
typedef struct {
    uint64_t size, query_flags, query_address;
    uint64_t start, end, flags, page_size, offset, inode;
    uint32_t major, minor, name_size, build_id_size;
    uint64_t name, build_id;
} query;
#define PROCMAP_QUERY_VMA _IOWR('f', 17, query)
enum { QUERY_SHARED = 8 };

enum { NOT_OPEN = -1, NO_ANSWERS = -2 };

/* The descriptor of the process's map, kept because opening it takes seven times as long as asking
 * it.  It is opened again if other code has closed it. */
static atomic_int map = NOT_OPEN;

/* The child of a fork has the map of its parent.  It is not closed here: other code may have closed
 * it already, and its number may belong to another file. */
static void in_child(void)
{
    if (atomic_load(&map) != NO_ANSWERS)
        atomic_store(&map, NOT_OPEN);
}

void fastinit_mapped_init(void)
{
    static atomic_flag done = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&done))
        pthread_atfork(NULL, NULL, in_child);
}

/* Return the descriptor of the map, or a negative number. */
static int open_map(void)
{
    int kept = atomic_load(&map);
    if (kept != NOT_OPEN)
        return kept;
    const int opened = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    query q = {.size = sizeof q, .query_address = (uintptr_t)&map};
    if (opened < 0)
        return opened;
    const int found = ioctl(opened, PROCMAP_QUERY_VMA, &q) ? NO_ANSWERS : opened;
    if (!atomic_compare_exchange_strong(&map, &kept, found)) {
        close(opened); /* another thread has opened it meanwhile */
        return kept;
    }
    if (found == NO_ANSWERS)
        close(opened);
    return found;
}

int fastinit_is_private(const void *memory, size_t n)
{
    int descriptor = open_map(), is_private = descriptor >= 0;
    query q = {.end = (uintptr_t)memory};
    while (is_private && q.end < (uintptr_t)memory + n) {
        q = (query){.size = sizeof q, .query_address = q.end};
        if (ioctl(descriptor, PROCMAP_QUERY_VMA, &q)) {
            if (errno == ENOENT) /* nothing is mapped there */
                return 0;
            /* The descriptor is another file's by now. */
            atomic_compare_exchange_strong(&map, &descriptor, NOT_OPEN);
            return 0;
        }
        is_private = !(q.flags & QUERY_SHARED);
    }
    return is_private;
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

int fastinit_populate(void *memory, size_t n)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    const uintptr_t first = (uintptr_t)memory / page * page;
    const uintptr_t end = ((uintptr_t)memory + n + page - 1) / page * page;
    return madvise((void *)first, end - first, MADV_POPULATE_WRITE) ? errno : 0;
}

#else

void fastinit_mapped_init(void) {}

int fastinit_is_private(const void *memory, size_t n)
{
    (void)memory, (void)n;
    return 0;
}

int fastinit_populate(void *memory, size_t n)
{
    (void)memory, (void)n;
    return ENOSYS;
}

#endif
