"""The command `fastinit`."""

import re
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

import fastinit
from fastinit import _bench
from fastinit._cli import bench
from fastinit._cli.main import main


def test_installed():
    """The module and the script print the same, with the same exit codes."""
    for command in (
        [sys.executable, "-m", "fastinit"],
        [shutil.which("fastinit", path=sysconfig.get_path("scripts"))],
    ):
        done = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True)
        assert done.stdout == f"fastinit {fastinit.__version__}\n"
        assert subprocess.run(command, capture_output=True).returncode == 2
        assert subprocess.run([*command, "nonsense"], capture_output=True).returncode == 2


COMMANDS = ("create", "info", "selftest", "bench")


def test_help(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    text = capsys.readouterr().out
    assert "example" in text
    for name in COMMANDS:
        assert re.search(rf"^    {name} ", text, re.MULTILINE)
        with pytest.raises(SystemExit) as stop:
            main([name, "--help"])
        assert stop.value.code == 0
        assert f"fastinit {name}" in capsys.readouterr().out.partition("example")[2]


@pytest.mark.parametrize("arguments", [[], ["nonsense"], ["info", "nonsense"], ["--nonsense"]])
def test_errors_are_one_line(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(r"fastinit: error: .+\n", err)


def test_info(capsys):
    fastinit.show_config()
    expected = capsys.readouterr().out
    assert main(["info"]) == 0
    assert capsys.readouterr().out == expected
    assert fastinit.__version__ in expected


def test_bench(monkeypatch, capsys):
    monkeypatch.setattr(bench, "SHAPES", ((8,), (500, 500)))
    before = fastinit.get_num_threads()
    assert main(["bench"]) == 0
    assert fastinit.get_num_threads() == before
    rows = capsys.readouterr().out.splitlines()[4:]
    cases = [
        f"{n} {d} {s}"
        for d in ("float32", "float64")
        for s in ("8", "500x500")
        for n in _bench.OURS
    ]
    assert [row[:30].strip() for row in rows] == cases
    for row in rows:
        duration = r" +[\d.e+]+ (s|ms|us)"
        assert re.fullmatch(rf"{duration}({duration} \([\d.]+\))+", row[30:].rstrip())


def test_bench_takes_no_arguments(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "nonsense"])
    assert stop.value.code == 2
    assert "nonsense" in capsys.readouterr().err


@pytest.mark.parametrize("name", _bench.OURS)
def test_wrong_results_do_not_count(name):
    array = _bench.OURS[name]((100_000,), "float64", None)
    _bench.check(name, array)
    _bench.check(name, _bench.NUMPY[name](np.random.default_rng(1), (100_000,), "float64", None))
    for wrong in (array + 0.5, array * 1.3, np.clip(array, -0.1, 0.6), array * np.nan):
        with pytest.raises(ValueError, match=f"{name}: "):
            _bench.check(name, wrong)
