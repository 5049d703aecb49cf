"""The types of the binding of the C core, and what its arguments are.

``out`` is a writable C-contiguous buffer.  It holds uint32 or uint64 for `bits`, float32 or float64
for `orthogonal`, and float16, bfloat16, float32 or float64 for the others; a buffer of 2-byte
elements that does not say that it is float16 is taken for bfloat16.

``start`` is the index of the first element.  Or it is a buffer of uint64, not empty: the indices of
the first elements of rows of equal length, which are made one after the other; rows that follow
each other are joined.  If ``keyed``, the buffer holds the keys of the rows instead.

``seed`` is from 0 to 2**64 - 1, and ``threads`` is the most that may be used.  Nothing here checks
the parameters of the distributions.
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from numpy.typing import NDArray
from typing_extensions import Buffer

# Before Python 3.12 type checkers do not know that arrays are buffers.
_Buffer: TypeAlias = NDArray[Any] | Buffer

VERSION: str
"""The version of the package, as meson.build states it."""

STREAM_VERSION: int
"""The version of the stream that the kernels make."""

C_API: object
"""The capsule of the table of C functions that include/fastinit_python.h describes."""

def enter_default_modes() -> bytes | None:
    """Set the default floating-point environment in this thread, and return the caller's.

    The return value is None if the caller's is the default already.
    """

def leave_default_modes(callers: bytes) -> None:
    """Set the floating-point environment that `enter_default_modes` returned."""

def plain(out: object, shape: object, dtype: object) -> bool:
    """Return whether out is a float32 or float64 buffer of that shape and dtype, to be filled.

    ``shape`` is None or a tuple of int, ``dtype`` is None or a name; False for any other.
    """

def fill_small(
    out: object,
    shape: object,
    dtype: object,
    first: object,
    second: object,
    seed: object,
    function: Callable[..., None],
    reach: float,
) -> bool:
    """Fill a small array if all arguments are surely right and of the commonest types.

    If not, return False and change nothing.  ``function`` is `uniform`, `normal` or `truncated`;
    its two parameters are right as long as what they can reach is finite, which is up to ``reach``
    standard deviations from the mean.
    """

def fill_small_at(
    address: int,
    count: int,
    width: int,
    first: float,
    second: float,
    seed: int,
    function: Callable[..., None],
    reach: float,
) -> bool:
    """Fill a few elements at an address, in memory of another library, as `fill_small` does.

    ``width`` is 4 for float32 and 8 for float64.  Memory of a file is left alone, as its disk
    blocks must be reserved first.
    """

def address(buffer: _Buffer) -> int:
    """Return the address of contiguous memory."""

def is_private(buffer: _Buffer) -> bool:
    """Return whether writing to contiguous memory surely writes to no file."""

def populate(buffer: _Buffer) -> int:
    """Have the system make contiguous memory writeable; return 0 or its error number.

    EFAULT means that writing to it would end the process, as to a hole of a file on a full disk.
    """

class Rows:
    """Rows of a table by their ids, to be given as ``start``.

    ``ids`` holds int64 or, if not ``signed``, uint64; a negative id counts from the end of the
    ``rows``.  ``stride`` is how many elements a row has.  If ``inside`` is false, an id lies
    outside the table, and nothing can be filled.
    """

    inside: bool
    def __init__(self, ids: _Buffer, signed: bool, rows: int, stride: int) -> None: ...
    def starts(self, buffer: _Buffer) -> None:
        """Write the indices of the first elements of all rows, as many uint64."""

def bits(
    out: _Buffer, start: int | _Buffer | Rows, seed: int, threads: int, keyed: bool = False
) -> None:
    """Fill a buffer with raw bits."""

def uniform(
    out: _Buffer,
    start: int | _Buffer | Rows,
    seed: int,
    minval: float,
    maxval: float,
    threads: int,
    keyed: bool = False,
) -> None:
    """Fill a buffer with uniform values of [minval, maxval)."""

def normal(
    out: _Buffer,
    start: int | _Buffer | Rows,
    seed: int,
    mean: float,
    stddev: float,
    threads: int,
    keyed: bool = False,
) -> None:
    """Fill a buffer with normal values."""

def truncated(
    out: _Buffer,
    start: int | _Buffer | Rows,
    seed: int,
    mean: float,
    stddev: float,
    threads: int,
    keyed: bool = False,
) -> None:
    """Fill a buffer with normal values that lie within 2 stddev of the mean."""

class Window:
    """The normal distribution between two bounds, in standard deviations, with its table.

    Raises ValueError where the bounds are less than 2**-900 apart, or the one that is nearer to 0
    is more than 2**100 from it.
    """

    lower: float
    upper: float
    def __init__(self, lower: float, upper: float) -> None: ...
    def fill(
        self,
        out: _Buffer,
        start: int | _Buffer | Rows,
        seed: int,
        mean: float,
        stddev: float,
        threads: int,
        keyed: bool = False,
    ) -> None:
        """Fill a buffer with normal values that lie between the bounds."""

def orthogonal_work(rows: int, columns: int, count: int, threads: int) -> int:
    """Return how many elements of work space `orthogonal` needs for so many matrices."""

def orthogonal(
    out: _Buffer,
    work: _Buffer,
    first: int,
    rows: int,
    columns: int,
    seed: int,
    gain: float,
    threads: int,
) -> None:
    """Fill a buffer with the matrices first, first + 1, ... of an array of them.

    ``work`` is a buffer of the same type, of at least `orthogonal_work` elements.
    """

def philox(counter: Sequence[int], key: Sequence[int]) -> tuple[int, int, int, int]:
    """Return one block of Philox4x32-10 by the kernels in use; counter has 4 words, key has 2."""

def use_isa(name: str) -> None:
    """Put other kernels in use.  No other thread may be filling meanwhile.

    Raises RuntimeError for a name that is unknown, or not in `isas`.
    """

def isa() -> str:
    """Return the name of the kernels in use."""

def isas() -> list[str]:
    """Return the names of the kernels that can run here and are not hidden, slowest first."""

def built_isas() -> list[str]:
    """Return the names of the kernels that this build has, slowest first."""

def openmp() -> int:
    """Return the value of _OPENMP that the core was built with; 0 without OpenMP."""

def thread_limit() -> int:
    """Return how many threads other libraries, such as threadpoolctl, let this thread use."""

def bound_processors() -> set[int]:
    """Return the processors to which OMP_PROC_BIND binds threads; none if they are not bound."""
