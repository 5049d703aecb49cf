/* Between mocked.c, which chooses the words, and mocked_kernel.c, which takes them for Philox's. */
#ifndef FASTINIT_MOCKED_H
#define FASTINIT_MOCKED_H

#include <stdint.h>

/* Word j of block b is 4 b + j: element i of a 32-bit type gets the word i. */
extern int mocked_counting;

/* The words of any other block: of first attempts if not counting, and of all later ones. */
void mocked_words(uint64_t position, uint32_t attempt, uint32_t words[4]);

#endif
