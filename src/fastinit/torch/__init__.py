"""PyTorch: initialize its tensors and its models, the same on one process and on any mesh.

>>> import fastinit.torch
>>> with fastinit.torch.accelerate(seed=0):
...     model = Model()

:mod:`fastinit.torch.init` has the functions of ``torch.nn.init``, :class:`accelerate` sends the
random numbers of code that is as it is through this library, and :func:`initialize` fills a model
by the names of its parameters, also one without memory or one that is sharded.
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "fastinit.torch needs PyTorch, the extra 'torch': pip install torch", name="torch"
    ) from None

from . import init
from ._accelerate import accelerate
from ._initialize import initialize

__all__ = ["accelerate", "init", "initialize"]
