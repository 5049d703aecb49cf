"""Write an endless stream of derived seeds to stdout: `python derived.py names` or `... next`."""

import sys
from array import array
from itertools import count

import fastinit

ROOT = 0x243F6A8885A308D3  # as SEED in stream.c
AT_ONCE = 1 << 13


def names():
    """Yield the seeds of the parameters of a model without end, as derive_seed gives them."""
    for layer in count():
        for parameter in ("kernel", "bias"):
            yield fastinit.derive_seed(ROOT, f"encoder/layer_{layer}/{parameter}")


def following():
    """Yield the seeds of a SeedGenerator."""
    seeds = fastinit.SeedGenerator(ROOT)
    while True:
        yield seeds.next()


STREAMS = {"names": names, "next": following}


def main():
    seeds = STREAMS[sys.argv[1]]()
    try:
        while True:
            block = array("Q", (next(seeds) for _ in range(AT_ONCE)))
            sys.stdout.buffer.write(block.tobytes())
    except BrokenPipeError:  # The judge has ended.
        sys.stdout = None


if __name__ == "__main__":
    main()
