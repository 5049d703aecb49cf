"""A zarr array that processes write, each its own regions: python zarr_regions.py

Writes weights.zarr.  Needs: pip install 'zarr>=3'
"""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import zarr

from fastinit import initializers

SHAPE = (3000, 1001)
SHARD = (1024, 512)  # what one process writes at once; files hold a shard each


def write(row, column):
    """Write the shard that starts there."""
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
