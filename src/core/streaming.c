/* A normal store first reads from memory the line that it writes, so a fill moves each byte twice.
 * That costs nothing as long as the cores make elements more slowly than the memory takes them.  A
 * streaming store moves each byte once, but the elements must then be complete: the kernels, which
 * redraw some later, fill a buffer in the cache, and the copy from it takes a tenth of the time of
 * a kernel.  So a few threads lose by it, and many gain; bench/NOTES.md has the arithmetic. */
#include "streaming.h"

#include "dispatch.h"

/* From this many threads on, the memory bandwidth of today's servers is the limit: from about 15
 * for uniforms and 26 for normals.  One number between the two serves all distributions. */
enum { STREAM_THREADS = 24 };

/* A larger array does not stay in the last-level cache, where its user would find it. */
#define STREAM_BYTES ((size_t)256 << 20)

/* The buffer stays in the level-1 or 2 cache. */
enum { BUFFER_BYTES = 1 << 15 };

int fastinit_streams(size_t threads, size_t bytes)
{
    return fastinit_ops_in_use()->stream && threads >= STREAM_THREADS && bytes >= STREAM_BYTES;
}

void fastinit_stream(fastinit_kernel *kernel, void *out, size_t size, const fastinit_spans *spans,
                     size_t first, size_t n, const fastinit_args *args)
{
    _Alignas(64) char made[BUFFER_BYTES];

    for (size_t done = 0, count; done < n; done += count) {
        count = size_min(n - done, BUFFER_BYTES / size);
        kernel(made, spans, first + done, count, args);
        fastinit_ops_in_use()->stream((char *)out + done * size, made, count * size);
    }
}
