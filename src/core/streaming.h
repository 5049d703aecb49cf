/* Store large fills past the caches, where the cores together are faster than the memory. */
#ifndef FASTINIT_STREAMING_H
#define FASTINIT_STREAMING_H

#include "ops.h"

/* Return whether a fill of so many bytes by so many threads is streamed. */
int fastinit_streams(size_t threads, size_t bytes);

/* Run the kernel, as fastinit_kernel says, and stream what it makes into out.  An element has
 * `size` bytes. */
void fastinit_stream(fastinit_kernel *kernel, void *out, size_t size, const fastinit_spans *spans,
                     size_t first, size_t n, const fastinit_args *args);

#endif
