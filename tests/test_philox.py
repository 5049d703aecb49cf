import numpy as np
import pytest
import reference

import fastinit
from fastinit import _kernels

# Counter c0 ... c3 | key k0 k1 | output x0 ... x3.  The first three are Random123's published
# vectors; the others stand at the carries of the counter.
KNOWN = """
00000000 00000000 00000000 00000000 | 00000000 00000000 | 6627e8d5 e169c58d bc57ac4c 9b00dbd8
ffffffff ffffffff ffffffff ffffffff | ffffffff ffffffff | 408f276d 41c83b0e a20bc7c6 6d5451fd
243f6a88 85a308d3 13198a2e 03707344 | a4093822 299f31d0 | d16cfe09 94fdcceb 5001e420 24126ea1
ffffffff 00000000 00000000 00000000 | 00000000 00000000 | c5b20a9d 4434ec4e 11bbe4fb 2a1ef7a5
00000000 00000001 00000000 00000000 | 00000000 00000000 | 6ad0c5ec ea236249 73a459f5 074944b3
ffffffff ffffffff 00000000 00000000 | 00000000 00000000 | f3ce744d dfb9980f 5a7caad1 25d14252
00000000 00000000 00000001 00000000 | 00000000 00000000 | 844515e1 f08d6eaa 0f19c053 83f875f0
"""
VECTORS = [
    tuple(tuple(int(word, 16) for word in part.split()) for part in line.split("|"))
    for line in KNOWN.strip().splitlines()
]


@pytest.mark.parametrize(("counter", "key", "words"), VECTORS)
def test_known_answers(isa, counter, key, words):
    assert _kernels.philox(counter, key) == words
    assert reference.philox(counter, key) == words


def test_first_words_of_seed_0(isa):
    words = fastinit.random_bits((8,), seed=0)
    assert words.dtype == np.uint32
    expected = "6627e8d5 e169c58d bc57ac4c 9b00dbd8 f8e4cca4 5cb200db b1a574eb 097eff67"
    assert " ".join(f"{word:08x}" for word in words.tolist()) == expected


def test_64_bit_samples_are_pairs_of_words_low_half_first(isa):
    words = fastinit.random_bits(1000, seed=3)
    pairs = fastinit.random_bits(500, seed=3, dtype="uint64")
    assert (pairs == (words[0::2] | words[1::2].astype(np.uint64) << np.uint64(32))).all()


# (position of a block, seed): where the low counter word ends, where the high one does, and both
# halves of the key.
CARRIES = [(2**32 - 1, 0), (2**32, 0), (2**62 - 1, 0), (5, 2**32), (5, 2**32 - 1), (5, 2**64 - 1)]


@pytest.mark.parametrize("before", [3, 700], ids=["short", "long"])
@pytest.mark.parametrize(("position", "seed"), CARRIES)
def test_blocks_at_the_carries_through_a_fill(isa, position, seed, before):
    """A fill makes many blocks at once, by other code than the known answers use.

    A short fill lists its blocks, a long one counts them.
    """
    before = min(before, position)  # so that the block is not the first of a vector either
    out = np.empty(4 * (before + 1), np.uint32)
    _kernels.bits(out, 4 * (position - before), seed, 1)
    key = (seed % 2**32, seed >> 32)
    expected = [
        _kernels.philox((p % 2**32, p >> 32, 0, 0), key)
        for p in range(position - before, position + 1)
    ]
    assert (out.reshape(-1, 4) == expected).all()
