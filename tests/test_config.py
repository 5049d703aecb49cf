import os
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import pytest
from processes import run_python

import fastinit
from fastinit import _kernels

NAMES = ("portable", "neon", "avx2", "avx512")  # the contract of include/fastinit.h
IN_USE = "import fastinit; print(fastinit._kernels.isa())"


def test_the_build_has_openmp():
    assert _kernels.openmp() >= 201107


def test_stream_version():
    assert fastinit.STREAM_VERSION == 1


def test_dicts():
    config = fastinit.show_config(mode="dicts")
    assert config["version"] == fastinit.__version__
    assert config["stream version"] == fastinit.STREAM_VERSION
    assert config["ISA in use"] == _kernels.isa()
    assert config["ISAs available"] == _kernels.isas()
    assert config["OpenMP"] == _kernels.openmp()
    assert config["threads"] == fastinit.get_num_threads()


def test_printed(capsys):
    assert fastinit.show_config() is None
    printed = capsys.readouterr().out
    assert fastinit.__version__ in printed
    assert f"{', '.join(_kernels.isas())}\n" in printed


def test_another_mode():
    with pytest.raises(ValueError, match="mode must be 'stdout' or 'dicts', received 'json'"):
        fastinit.show_config("json")


def test_the_version_is_that_of_meson_build():
    text = (Path(__file__).parents[1] / "meson.build").read_text(encoding="utf-8")
    assert f"version: '{_kernels.VERSION}'," in text
    assert fastinit.__version__ == _kernels.VERSION


def test_the_kernels_built():
    built = _kernels.built_isas()
    assert built == [name for name in NAMES if name in built]
    assert _kernels.isas() == [name for name in built if name in _kernels.isas()]
    assert _kernels.isas()[0] == "portable"


def test_the_best_is_the_default():
    assert run_python(IN_USE) == run_python(IN_USE, FASTINIT_ISA="") == _kernels.isas()[-1]


def test_environment_chooses(isa):
    assert run_python(IN_USE, FASTINIT_ISA=isa) == isa


@pytest.mark.parametrize("name", [name for name in NAMES if name not in _kernels.isas()])
def test_one_that_the_processor_lacks(name):
    before = _kernels.isa()
    available = ", ".join(_kernels.isas())
    with pytest.raises(
        RuntimeError, match=f"ISA '{name}' is not available here; there is: {available}$"
    ):
        _kernels.use_isa(name)
    assert _kernels.isa() == before
    refuse(f"FASTINIT_ISA={name} is not available here; there is: {available}", FASTINIT_ISA=name)


def test_an_unknown_one():
    before = _kernels.isa()
    for name in ("sse9", "", "AVX2", "portable ", "avx", "avx2,portable"):
        with pytest.raises(
            RuntimeError, match=f"ISA '{name}' is none of portable, neon, avx2, avx512"
        ):
            _kernels.use_isa(name)
    assert _kernels.isa() == before
    refuse("FASTINIT_ISA=sse9 is none of portable, neon, avx2, avx512", FASTINIT_ISA="sse9")


def refuse(message, **environment):
    """Assert that the import itself fails with the message."""
    done = subprocess.run(
        [sys.executable, "-c", "import fastinit"],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == f"RuntimeError: {message}"


# Hidden ISAs


def subsets(names):
    return [c for n in range(len(names) + 1) for c in combinations(names, n)]


SEEN = "import fastinit; k = fastinit._kernels; print(*k.isas(), k.isa(), *k.built_isas())"


@pytest.fixture(scope="module")
def everything():
    """Return the ISAs of this processor, some of which may be hidden from this process."""
    code = "import fastinit; print(*fastinit._kernels.isas())"
    return run_python(code, FASTINIT_HIDE_ISA="").split()


@pytest.mark.parametrize("hidden", subsets(NAMES[1:]), ids=",".join)
def test_hidden_ones_are_not_there(everything, hidden):
    left = [name for name in everything if name not in hidden]
    seen = run_python(SEEN, FASTINIT_HIDE_ISA=",".join(hidden)).split()
    assert seen == [*left, left[-1], *_kernels.built_isas()]


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_hidden_one_is_one_that_the_processor_lacks(everything, name):
    left = ", ".join(other for other in everything if other != name)
    lacking = f"is not available here; there is: {left}"
    refuse(f"FASTINIT_ISA={name} {lacking}", FASTINIT_ISA=name, FASTINIT_HIDE_ISA=name)
    code = f"import fastinit; fastinit._kernels.use_isa({name!r})"
    with pytest.raises(AssertionError, match=f"ISA '{name}' {lacking}\n$"):
        run_python(code, FASTINIT_HIDE_ISA=name)


def test_portable_cannot_be_hidden():
    for hidden in ("portable", "avx2,portable", "portable,neon"):
        message = f"FASTINIT_HIDE_ISA={hidden} holds portable, which cannot be hidden"
        refuse(message, FASTINIT_HIDE_ISA=hidden)


@pytest.mark.parametrize(
    "hidden", ["sse9", "avx2,sse9", "avx2,", ",avx2", "neon, avx2", "AVX2", ","]
)
def test_an_unknown_one_cannot_be_hidden(hidden):
    message = f"FASTINIT_HIDE_ISA={hidden} holds a name that is none of {', '.join(NAMES)}"
    refuse(message, FASTINIT_HIDE_ISA=hidden)
