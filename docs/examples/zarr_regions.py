"""Write a zarr array from several processes, each of which writes its own regions.

It writes weights.zarr, and compares it with the array that one process makes.  It needs zarr 3 or
later.
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import zarr

import fastinit
from fastinit import initializers

SHAPE = (3000, 1001)
SHARD = (1024, 512)  # A process writes a shard at once; each file holds a shard.


def write(row, column):
    """Write the shard that starts at this row and column."""
    lazy = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy(SHAPE, "float32")
    region = slice(row, row + SHARD[0]), slice(column, column + SHARD[1])
    zarr.open_array("weights.zarr", mode="r+")[region] = lazy[region]


if __name__ == "__main__":
    zarr.create_array(
        "weights.zarr",
        shape=SHAPE,
        dtype="float32",
        chunks=(256, 256),
        shards=SHARD,
        overwrite=True,
    )
    starts = [(r, c) for r in range(0, SHAPE[0], SHARD[0]) for c in range(0, SHAPE[1], SHARD[1])]
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        list(pool.map(write, *zip(*starts, strict=True)))
    whole = fastinit.truncated_normal(SHAPE, stddev=0.05, seed=1)
    assert (zarr.open_array("weights.zarr", mode="r")[:] == whole).all()
    print("float32: the regions of two processes equal the array of one process")
