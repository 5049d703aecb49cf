"""Make a dask array whose chunks are made by the workers that need them.

It writes dask_float32.npy and dask_bfloat16.npy, and compares them with the array that one process
makes.  It needs 'dask[array,distributed]' and ml_dtypes.
"""

import dask.array as da
import numpy as np
from distributed import Client, LocalCluster

import fastinit
from fastinit import initializers

SHAPE = (3000, 1001)


def weights(dtype):
    """Return a dask array, for which no value is made yet."""
    lazy = initializers.TruncatedNormal(stddev=0.05, seed=1).lazy(SHAPE, dtype)
    return da.from_array(lazy, chunks=(700, 400))  # The graph holds the seed and no values.


if __name__ == "__main__":  # The workers are processes that import this file.
    with (
        LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        for dtype in ("float32", "bfloat16"):
            made = weights(dtype).compute()
            np.save(f"dask_{dtype}.npy", made)
            whole = fastinit.truncated_normal(SHAPE, stddev=0.05, seed=1, dtype=dtype)
            assert (made == whole).all()
    print("float32 and bfloat16: the chunks of two workers equal the array of one process")
