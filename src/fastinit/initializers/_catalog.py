"""The list of all initializers: their names, aliases, formulas and papers.

``get``, the command line, the table in docs/initializers.md and the tests use it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from ._base import Initializer
from ._constant import Constant, Identity, Ones, Zeros, constant, identity, ones, zeros
from ._fourier import STFT, stft
from ._orthogonal import DeltaOrthogonal, Orthogonal, delta_orthogonal, orthogonal
from ._random import (
    RandomNormal,
    RandomUniform,
    TruncatedNormal,
    random_normal,
    random_uniform,
    truncated_normal,
)
from ._variance_scaling import (
    GlorotNormal,
    GlorotUniform,
    HeNormal,
    HeUniform,
    LecunNormal,
    LecunUniform,
    StandardUniform,
    VarianceScaling,
    glorot_normal,
    glorot_uniform,
    he_normal,
    he_uniform,
    lecun_normal,
    lecun_uniform,
    standard_uniform,
    variance_scaling,
)

if TYPE_CHECKING:
    from collections.abc import Callable


class Entry(NamedTuple):
    """One initializer: its array function, its class, and their documentation."""

    function: Callable[..., Any]
    cls: type[Initializer]
    formula: str
    fan: str = ""
    paper: str = ""
    aliases: tuple[str, ...] = ()  # what `get` knows besides the names of function and class

    @property
    def name(self) -> str:
        """The name in snake_case."""
        return self.function.__name__


_LECUN = "LeCun, Bottou, Orr & Müller, Efficient BackProp, 1998, section 4.6"
_SELU = "Klambauer et al., NeurIPS 2017 (with SELU); " + _LECUN
_GLOROT = "Glorot & Bengio, AISTATS 2010, equation "
_HE = "He, Zhang, Ren & Sun, ICCV 2015, equation 10"
_ORTHOGONAL = "Saxe, McClelland & Ganguli, ICLR 2014; Stewart, SIAM J. Numer. Anal. 17 (1980)"
_ALL_FANS = "fan_in, fan_out, fan_avg or fan_geo_avg"

CATALOG = (
    Entry(zeros, Zeros, "0", aliases=("zero",)),
    Entry(ones, Ones, "1", aliases=("one",)),
    Entry(constant, Constant, "value"),
    Entry(random_normal, RandomNormal, "N(mean, stddev**2)", aliases=("normal",)),
    Entry(random_uniform, RandomUniform, "U(minval, maxval)", aliases=("uniform",)),
    Entry(truncated_normal, TruncatedNormal, "N(mean, stddev**2) within mean ± 2 stddev"),
    Entry(variance_scaling, VarianceScaling, "variance = scale / max(1, fan)", _ALL_FANS, _HE),
    Entry(lecun_uniform, LecunUniform, "U(-r, r), r = sqrt(3 / fan_in)", "fan_in", _LECUN),
    Entry(lecun_normal, LecunNormal, "standard deviation = sqrt(1 / fan_in)", "fan_in", _SELU),
    Entry(
        glorot_uniform,
        GlorotUniform,
        "U(-r, r), r = sqrt(6 / (fan_in + fan_out))",
        "fan_avg",
        _GLOROT + "16",
    ),
    Entry(
        glorot_normal,
        GlorotNormal,
        "standard deviation = sqrt(2 / (fan_in + fan_out))",
        "fan_avg",
        _GLOROT + "12",
    ),
    Entry(he_uniform, HeUniform, "U(-r, r), r = sqrt(6 / fan_in)", "fan_in", _HE),
    Entry(he_normal, HeNormal, "standard deviation = sqrt(2 / fan_in)", "fan_in", _HE),
    Entry(
        standard_uniform,
        StandardUniform,
        "U(-r, r), r = sqrt(1 / fan_in)",
        "fan_in",
        _GLOROT + "1",
    ),
    Entry(identity, Identity, "gain * I", aliases=("IdentityInitializer",)),
    Entry(
        stft,
        STFT,
        "w[t] * exp(-2 pi i t f / n), n = 2 * (shape[2] - 1): its real or imaginary part",
        paper="Allen & Rabiner, Proc. IEEE 65 (1977) 1558-1564",
        aliases=("STFTInitializer",),
    ),
    Entry(
        orthogonal,
        Orthogonal,
        "gain * Q, Q Haar distributed, (prod(shape[:-1]), shape[-1])",
        paper=_ORTHOGONAL,
        aliases=("OrthogonalInitializer",),
    ),
    Entry(
        delta_orthogonal,
        DeltaOrthogonal,
        "gain * Q at (n - 1) // 2 of each axis of the window, 0 elsewhere; 3 to 5 dimensions",
        paper="Xiao et al., ICML 2018, algorithm 1",
    ),
)

# Every name that `get` knows.
CLASSES: dict[str, type[Initializer]] = {"Initializer": Initializer, "initializer": Initializer}
for _entry in CATALOG:
    CLASSES |= dict.fromkeys((_entry.cls.__name__, _entry.name, *_entry.aliases), _entry.cls)
