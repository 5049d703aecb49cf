"""The configuration: what this build is and what it runs on."""

import platform
import sys
from typing import Any

import numpy as np

from . import _kernels
from ._messages import shown
from ._threads import get_num_threads

# The value of _OPENMP is the month in which a version of the specification was published.
_OPENMP = {
    201107: "3.1", 201307: "4.0", 201511: "4.5", 201811: "5.0", 202011: "5.1", 202111: "5.2",
    202411: "6.0",
}  # fmt: skip


def show_config(mode: str = "stdout") -> dict[str, Any] | None:
    """Show the version, the stream, the kernels and the threads.

    Parameters
    ----------
    mode : {"stdout", "dicts"}
        Whether the configuration is printed or returned as a dictionary.

    Returns
    -------
    dict or None

    Raises
    ------
    ValueError
        Another mode.
    """
    if not isinstance(mode, str) or mode not in ("stdout", "dicts"):
        raise ValueError(f"mode must be 'stdout' or 'dicts', received {shown(mode)}")
    config = {
        "version": _kernels.VERSION,
        "stream version": _kernels.STREAM_VERSION,
        "ISA in use": _kernels.isa(),
        "ISAs available": _kernels.isas(),
        "OpenMP": _kernels.openmp() or None,
        "threads": get_num_threads(),
        "Python": sys.version.split()[0],
        "NumPy": np.__version__,
        "machine": f"{platform.system()} {platform.machine()}",
    }
    if mode == "dicts":
        return config
    if _kernels.openmp() in _OPENMP:
        config["OpenMP"] = _OPENMP[_kernels.openmp()]
    for name, value in config.items():
        print(f"{name + ':':16} {', '.join(value) if isinstance(value, list) else value}")
    return None
