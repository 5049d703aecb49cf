"""Build embedding.pyx.  fastinit needs no headers and no libraries here; prange needs OpenMP."""

from Cython.Build import cythonize
from setuptools import Extension, setup

OPENMP = ["-fopenmp"]

setup(
    ext_modules=cythonize(
        [
            Extension(
                "embedding",
                ["embedding.pyx"],
                extra_compile_args=OPENMP,
                extra_link_args=OPENMP,
            )
        ]
    )
)
