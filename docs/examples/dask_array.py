"""A dask array whose chunks are made by the workers that need them: python dask_array.py

Writes dask_float32.npy and dask_bfloat16.npy.
Needs: pip install 'dask[array,distributed]' ml_dtypes
"""

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

from fastinit import initializers

SHAPE = (3000, 1001)


def weights(dtype):
    """A dask array; nothing is made yet."""
    lazy = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy(SHAPE, dtype)
    return da.from_array(lazy, chunks=(700, 400))  # the graph holds the seed, and no values


if __name__ == "__main__":  # the workers are processes of their own, which import this file
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        for dtype in ("float32", "bfloat16"):
            np.save(f"dask_{dtype}.npy", weights(dtype).compute())
