"""The C functions for Cython modules, which c_api.pxd declares; there is nothing for Python."""
