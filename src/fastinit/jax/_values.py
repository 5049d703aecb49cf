"""Values for a shape and a dtype: given a seed, any part of the array can be made."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, prod
from typing import TYPE_CHECKING, Any, Protocol

import jax.numpy as jnp
import numpy as np

from .._distributions import fill
from .._indexing import axis_size, places, uint64
from .._lazy import LazyArray
from .._seeds import derive_seed
from .._sources import ConstantSource, RandomSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    from .._distributions import Distribution
    from .._indexing import Axis
    from .._typing import Array, Dimensions

# The most elements that are made in another dtype at a time.
_TEMPORARY = 1 << 20


class Parts(Protocol):
    """An array whose parts are made when they are asked for, as those of a LazyArray are."""

    def __getitem__(self, index: Any) -> Array:
        """Return a part, for a tuple of slices or an Ellipsis."""

    def read(self, index: Any, out: Array) -> Array:
        """Fill ``out`` with a part."""


class Values(Protocol):
    """The values of one initializer for a shape and a dtype, both checked."""

    @property
    def shape(self) -> Dimensions:
        """Shape of the whole."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Dtype of the elements."""

    def parts(self, seed: int) -> Parts:
        """Return the array of a seed."""


def _blocks(out: Array, axes: list[Axis]) -> Iterator[tuple[Array, list[Axis]]]:
    """Yield parts of ``out`` of at most _TEMPORARY elements, each with its part of the axes."""
    if not axes or out.size <= _TEMPORARY:
        yield out, axes
        return
    if len(out) == 1:
        for part, places_of_part in _blocks(out[0], axes[1:]):
            yield part[None], [axes[0], *places_of_part]
        return
    count = max(1, len(out) * _TEMPORARY // out.size)
    for first in range(0, len(out), count):
        cut = slice(first, first + count)
        yield from _blocks(out[cut], [axes[0][cut], *axes[1:]])


@dataclass(frozen=True)
class CastSource:
    """Elements that are made in float32 and rounded to a float of 8 bits, within their bounds."""

    source: RandomSource
    dtype: np.dtype[Any]

    def _bounds(self) -> tuple[Any, Any]:
        """Return the outermost numbers of the dtype that the elements may round to."""
        kernel, first, second = self.source.distribution
        if kernel == "normal" or first == second:
            return -inf, inf
        if kernel == "uniform":
            lower, upper = first, second
        else:
            ends = (-2.0, 2.0) if isinstance(kernel, str) else (kernel.lower, kernel.upper)
            lower, upper = (first + end * second for end in ends)
        limits = jnp.finfo(self.dtype)
        least, most = self.dtype.type(lower), self.dtype.type(upper)
        if least < lower:
            least = np.nextafter(least, limits.max)
        if most > upper or (kernel == "uniform" and most == upper):
            most = np.nextafter(most, limits.min)
        # Infinite bounds are NaN in some of these dtypes.
        least, most = np.fmax(least, limits.min), np.fmin(most, limits.max)
        return np.float32(least), np.float32(most)

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """See fastinit._sources.Source."""
        for part, at in _blocks(out, axes):
            made = np.empty(part.shape, np.float32)
            self.source.fill_selection(made, at, shape)
            with np.errstate(all="ignore"):  # the caller's settings may raise
                np.clip(made, *self._bounds(), out=made)
                np.copyto(part, made, casting="unsafe")


@dataclass(frozen=True)
class ComplexSource:
    """Complex numbers: real and imaginary parts of one distribution, on the plane or in a disk.

    Numbers outside of the disk are drawn again, each by itself, until they lie in it.  Attempt n,
    from 0, takes both parts from streams with the seeds ``derive_seed(seed, f"real {n}")`` and
    ``derive_seed(seed, f"imaginary {n}")``.  Only exactly rounded operations are used, so the bits
    are the same everywhere.
    """

    distribution: Distribution
    radius: float | None
    seed: int

    def _sources(self, attempt: int) -> list[RandomSource]:
        return [
            RandomSource(self.distribution, derive_seed(self.seed, f"{part} {attempt}"))
            for part in ("real", "imaginary")
        ]

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """See fastinit._sources.Source."""
        for part, at in _blocks(out, axes):
            for view, source in zip((part.real, part.imag), self._sources(0), strict=True):
                made = np.empty(part.shape, view.dtype)
                source.fill_selection(made, at, shape)
                view[...] = made
            if self.radius is not None:
                self._draw_again(part, at, shape, self.radius)

    def _draw_again(self, out: Array, axes: list[Axis], shape: Dimensions, radius: float) -> None:
        """Draw the numbers outside of the disk again."""
        numbers = out.reshape(-1)
        outside = np.flatnonzero(_beyond(numbers, radius))
        index = np.zeros(len(outside), np.uint64)  # in the whole array, in C order
        for axis, place in enumerate(np.unravel_index(outside, out.shape)):
            whole = places(axes[axis], 0, axis_size(axes[axis]))
            index += whole[place] * uint64(prod(shape[axis + 1 :]))
        attempt = 1
        while len(outside):
            made = np.empty((2, len(outside), 1), out.real.dtype)
            for part, source in zip(made, self._sources(attempt), strict=True):
                fill(part, index, source.seed, self.distribution)
            again = np.empty(len(outside), out.dtype)
            again.real, again.imag = made[:, :, 0]
            numbers[outside] = again
            still = _beyond(again, radius)
            outside, index = outside[still], index[still]
            attempt += 1


def _beyond(numbers: Array, radius: float) -> Array:
    """Return which numbers lie outside of a disk."""
    x, y = (part.astype(np.float64) for part in (numbers.real, numbers.imag))
    outside: Array = x * x + y * y > radius * radius
    return outside


@dataclass(frozen=True)
class Random:
    """Independent samples of a distribution, which was checked for the dtype of the kernel.

    ``radius`` is for complex dtypes: see ComplexSource.
    """

    shape: Dimensions
    dtype: np.dtype[Any]
    distribution: Distribution
    radius: float | None = None

    def parts(self, seed: int) -> Parts:
        """See Values."""
        source: Any = RandomSource(self.distribution, seed)
        if self.dtype.kind == "c":
            source = ComplexSource(self.distribution, self.radius, seed)
        elif self.dtype.itemsize == 1:
            source = CastSource(source, self.dtype)
        return LazyArray(self.shape, self.dtype, source)


@dataclass(frozen=True)
class Constant:
    """A number, or numbers that broadcast to the shape."""

    shape: Dimensions
    value: Array

    @property
    def dtype(self) -> np.dtype[Any]:
        """See Values."""
        return self.value.dtype

    def parts(self, seed: int) -> Parts:
        """See Values."""
        return LazyArray(self.shape, self.dtype, ConstantSource(self.value))
