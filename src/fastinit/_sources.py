"""The sources of lazy arrays: random elements, a constant, a diagonal."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from ._distributions import fill
from ._indexing import UINT64, axis_size, offsets, places, uint64

if TYPE_CHECKING:
    from ._distributions import Distribution
    from ._indexing import Axis
    from ._kernels import Rows
    from ._typing import Array, Dimensions

# Rows whose starts are listed at once; elements of one temporary array.
_ROWS_AT_ONCE, _TEMPORARY = 1 << 20, 1 << 20

# Up to this step it is cheaper to make the elements in between, too: they share batches of 64.
_DENSE_STEP = 64


class Source(Protocol):
    """An object that makes any part of an array of any shape."""

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """Fill ``out`` with the elements at those places; it has as many axes as the shape."""


@runtime_checkable
class RangeSource(Source, Protocol):
    """A source whose elements can be made in pieces of any size, as files are written."""

    def fill_range(self, out: Array, start: int, shape: Dimensions) -> None:
        """Fill ``out``, a vector, with the elements from start on, in C order of the shape.

        It runs on the calling thread alone: several threads write a file, each its own part.
        """


class KeyedSource(Protocol):
    """An object that makes the rows of 64-bit keys."""

    def fill_keyed(self, out: Array, keys: Array) -> None:
        """Fill ``out``, a matrix, with the rows of keys of uint64."""


@dataclass(frozen=True)
class RandomSource:
    """Independent samples of one distribution."""

    distribution: Distribution
    seed: int

    def fill_range(self, out: Array, start: int, shape: Dimensions) -> None:
        """See RangeSource."""
        fill(out, start, self.seed, self.distribution, threads=1)

    def fill_rows(self, out: Array, rows: int | Rows) -> None:
        """Fill ``out`` with whole rows, or with the one that begins at that index."""
        fill(out, rows, self.seed, self.distribution)

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """See Source."""
        # An axis of one does not matter, and would hide that the one before it is the last.
        kept = [i for i, axis in enumerate(axes) if shape[i] != 1 or axis_size(axis) != 1]
        out, axes = out.reshape([out.shape[i] for i in kept]), [axes[i] for i in kept]
        shape = tuple(shape[i] for i in kept)
        strides = [prod(shape[i + 1 :]) for i in range(len(shape))]
        # The last axes, as far as all of them is wanted, and a span of the axis before them are one
        # run of elements.
        split, length, base = len(axes), 1, 0
        whole = True
        while whole and split:
            axis = axes[split - 1]
            if isinstance(axis, np.ndarray) or (axis.step != 1 and axis_size(axis) > 1):
                break
            split -= 1
            length *= axis_size(axis)
            base += axis.start * strides[split]
            whole = axis_size(axis) == shape[split]
        rest = axes[:split]
        last = axes[-1] if split and split == len(axes) else None
        if isinstance(last, range) and abs(last.step) <= _DENSE_STEP:
            self._fill_thinned(out, axes[:-1], last, strides)
            return
        runs = out.reshape(-1, length)
        for first in range(0, len(runs), _ROWS_AT_ONCE):
            part = runs[first : first + _ROWS_AT_ONCE]
            self._fill_runs(part, rest, strides, first, base)

    def _fill_runs(
        self, out: Array, axes: list[Axis], strides: list[int], first: int, base: int
    ) -> None:
        """Fill runs of elements, in the order of the axes before them, from run `first` on."""
        if not axes:
            fill(out, base, self.seed, self.distribution)
            return
        starts = offsets(axes, strides[: len(axes)], first, first + len(out)) + uint64(base)
        fill(out, starts, self.seed, self.distribution)

    def _fill_thinned(self, out: Array, axes: list[Axis], last: range, strides: list[int]) -> None:
        """Fill where the last axis has a step: make spans of it and keep every step-th element."""
        step = abs(last.step)
        rows = out.reshape(-1, len(last))
        columns = max(1, _TEMPORARY // step)
        for left in range(0, len(last), columns):
            part = last[left : left + columns]
            low, high = min(part[0], part[-1]), max(part[0], part[-1])
            height = max(1, _TEMPORARY // (high - low + 1))
            for first in range(0, len(rows), height):
                to = rows[first : first + height, left : left + len(part)]
                span = np.empty((len(to), high - low + 1), out.dtype)
                self._fill_runs(span, axes, strides, first, low)
                to[...] = span[:, ::step] if last.step > 0 else span[:, ::-step]

    def fill_keyed(self, out: Array, keys: Array) -> None:
        """See KeyedSource."""
        fill(out, keys, self.seed, self.distribution, keyed=True)


@dataclass(frozen=True)
class ConstantSource:
    """A number, or numbers that broadcast to the shape."""

    value: Array

    def fill_keyed(self, out: Array, keys: Array) -> None:
        """See KeyedSource; the value broadcasts to a row."""
        np.copyto(out, self.value)

    def fill_range(self, out: Array, start: int, shape: Dimensions) -> None:
        """Fill ``out``, a vector; the value must be one number."""
        np.copyto(out, self.value)

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """See Source."""
        found = self.value
        for axis in range(-found.ndim, 0):
            if found.shape[axis] != 1:
                found = found.take(places(axes[axis], 0, out.shape[axis]).astype(np.intp), axis)
        np.copyto(out, found)


@dataclass(frozen=True)
class DiagonalSource:
    """A number on the diagonal of a matrix, zeros elsewhere."""

    gain: Array

    def fill_range(self, out: Array, start: int, shape: Dimensions) -> None:
        """See RangeSource."""
        rows, columns = shape
        step = columns + 1  # from one element of the diagonal to the next
        out.fill(0)
        out[-start % step : max(0, min(rows, columns) * step - start) : step] = self.gain

    def fill_selection(self, out: Array, axes: list[Axis], shape: Dimensions) -> None:
        """See Source."""
        rows, columns = axes
        assert isinstance(columns, range)  # an array of indices counts along the first axis only
        out.fill(0)
        if columns.step < 0:
            out, columns = out[:, ::-1], columns[::-1]
        start, width = np.uint64(columns.start), np.uint64(out.shape[1])
        step = np.uint64(min(columns.step, UINT64 - 1))  # a larger step leaves one column
        for first in range(0, len(out), _ROWS_AT_ONCE):
            part = out[first : first + _ROWS_AT_ONCE]
            row = places(rows, first, first + len(part))
            place, offset = np.divmod(row - start, step)
            on = np.flatnonzero((row >= start) & (offset == 0) & (place < width))
            part[on, place[on].astype(np.intp)] = self.gain
