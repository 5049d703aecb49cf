import subprocess
import sys

import pytest
from conftest import BUILT
from processes import run_python

import fastinit
from fastinit import _kernels

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


def test_the_variants_built():
    assert _kernels.isas()[0] == "portable"
    assert set(_kernels.isas()) <= set(BUILT)


def test_the_best_is_the_default():
    assert run_python(IN_USE) == run_python(IN_USE, FASTINIT_ISA="") == _kernels.isas()[-1]


def test_environment_chooses(isa):
    assert run_python(IN_USE, FASTINIT_ISA=isa) == isa


@pytest.mark.parametrize(
    "name", [n for n in ("neon", "avx2", "avx512") if n not in _kernels.isas()]
)
def test_one_that_the_processor_lacks(name):
    before = _kernels.isa()
    with pytest.raises(
        RuntimeError, match=f"ISA '{name}' is not available here; there is: portable"
    ):
        _kernels.use_isa(name)
    assert _kernels.isa() == before
    refuse(name, f"FASTINIT_ISA={name} is not available here; there is: portable")


def test_an_unknown_one():
    before = _kernels.isa()
    for name in ("sse9", "", "AVX2", "portable "):
        with pytest.raises(
            RuntimeError, match=f"ISA '{name}' is none of portable, neon, avx2, avx512"
        ):
            _kernels.use_isa(name)
    assert _kernels.isa() == before
    refuse("sse9", "FASTINIT_ISA=sse9 is none of portable, neon, avx2, avx512")


def refuse(name, message):
    """The import itself must fail."""
    env = {"FASTINIT_ISA": name}
    done = subprocess.run(
        [sys.executable, "-c", "import fastinit"], env=env, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "RuntimeError" in done.stderr
    assert message in done.stderr
