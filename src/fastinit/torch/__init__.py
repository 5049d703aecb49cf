"""Initialize PyTorch tensors and models, the same on one process and on any mesh.

>>> import fastinit.torch
>>> with fastinit.torch.accelerate(seed=0):
...     model = Model()

:mod:`fastinit.torch.init` has the functions of ``torch.nn.init``, :class:`accelerate` sends the
random numbers of existing code through this library, and :func:`initialize` fills a model by the
names of its parameters, even a model that is on ``meta`` or sharded.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "fastinit.torch needs PyTorch (the extra 'torch' has it): pip install torch", name="torch"
    ) from None

from . import init
from ._accelerate import accelerate
from ._explain import explain
from ._initialize import initialize
from ._lsuv import lsuv

__all__ = ["accelerate", "explain", "init", "initialize", "lsuv"]
