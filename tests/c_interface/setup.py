"""Build every.pyx."""

from Cython.Build import cythonize
from setuptools import Extension, setup

import fastinit

include = [fastinit.get_include()]
setup(ext_modules=cythonize([Extension("every", ["every.pyx"], include_dirs=include)]))
