/* mocked.c chooses words by what is declared here, and mocked_kernel.c takes them for Philox's. */
#ifndef FASTINIT_MOCKED_H
#define FASTINIT_MOCKED_H

#include <stdint.h>

/* If set, word j of block b is 4 b + j in first attempts: element i of a 32-bit type gets word i.
 */
extern int mocked_counting;

/* Set the words of the block with this counter: in later attempts, and in first ones if not
 * counting. */
void mocked_words(const uint32_t counter[4], uint32_t words[4]);

#endif
