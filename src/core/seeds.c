/* Seeds of named parameters, by BLAKE2b (RFC 7693). */
#include <string.h>

#include "fastinit.h"

enum { BLOCK = 128, ROUNDS = 12 };

static const uint64_t initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

/* The order of the words of a message in each round; rounds 10 and 11 are 0 and 1 again. */
static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

static uint64_t little_endian(const unsigned char bytes[8])
{
    uint64_t word = 0;
    for (int i = 7; i >= 0; i--)
        word = word << 8 | bytes[i];
    return word;
}

static uint64_t rotated(uint64_t x, int n) { return x >> n | x << (64 - n); }

static void mix(uint64_t *a, uint64_t *b, uint64_t *c, uint64_t *d, uint64_t x, uint64_t y)
{
    *a += *b + x;
    *d = rotated(*d ^ *a, 32);
    *c += *d;
    *b = rotated(*b ^ *c, 24);
    *a += *b + y;
    *d = rotated(*d ^ *a, 16);
    *c += *d;
    *b = rotated(*b ^ *c, 63);
}

/* Take in a block, after which `read` bytes have been read. */
static void compress(uint64_t h[8], const unsigned char block[BLOCK], uint64_t read, int is_last)
{
    uint64_t m[16], v[16];
    for (int i = 0; i < 16; i++) {
        m[i] = little_endian(block + 8 * i);
        v[i] = i < 8 ? h[i] : initial[i - 8];
    }
    v[12] ^= read;
    if (is_last)
        v[14] = ~v[14];
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *s = sigma[round % 10];
        for (int i = 0; i < 4; i++)
            mix(v + i, v + 4 + i, v + 8 + i, v + 12 + i, m[s[2 * i]], m[s[2 * i + 1]]);
        for (int i = 0; i < 4; i++)
            mix(v + i, v + 4 + (i + 1) % 4, v + 8 + (i + 2) % 4, v + 12 + (i + 3) % 4,
                m[s[8 + 2 * i]], m[s[9 + 2 * i]]);
    }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

uint64_t fastinit_derive_seed(uint64_t root, const char *name, size_t length)
{
    /* The digest and the key have 8 bytes; there is one leaf, and depth 1. */
    static const unsigned char parameters[64] = {[0] = 8, [1] = 8, [2] = 1, [3] = 1};
    static const unsigned char person[16] = "fastinit.derive";
    unsigned char block[BLOCK] = {0}; /* The first one holds the key. */
    uint64_t h[8], read = BLOCK;
    for (int i = 0; i < 8; i++)
        h[i] = initial[i] ^ little_endian(parameters + 8 * i);
    h[6] ^= little_endian(person);
    h[7] ^= little_endian(person + 8);
    for (int i = 0; i < 8; i++)
        block[i] = (unsigned char)(root >> 8 * i);
    compress(h, block, read, length == 0);
    while (length > 0) {
        const size_t n = length < BLOCK ? length : BLOCK;
        memset(block, 0, sizeof block);
        memcpy(block, name, n);
        name += n;
        length -= n;
        read += n;
        compress(h, block, read, length == 0);
    }
    return h[0];
}
