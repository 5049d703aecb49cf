"""Build uniform_values.c with the headers of the installed fastinit."""

from setuptools import Extension, setup

import fastinit

setup(
    ext_modules=[
        Extension(
            "uniform_values",
            ["uniform_values.c"],
            include_dirs=[fastinit.get_include()],
        )
    ]
)
