"""The command `fastinit`."""

import errno
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig

import numpy as np
import pytest

import fastinit
from fastinit import _bench, initializers
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


COMMANDS = ("create", "verify", "explain", "info", "selftest", "bench")
EXPLAIN = "explain --init he_normal --shape 256x256 --activation gelu --depth 20"


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


@pytest.mark.parametrize(
    ("arguments", "program"),
    [
        ([], "fastinit"),
        (["nonsense"], "fastinit"),
        (["--nonsense"], "fastinit"),
        (["--nonsense", "info"], "fastinit"),
        (["info", "nonsense"], "fastinit info"),
        (["create", "a.npy", "--sed", "1"], "fastinit create"),
        (["create", "a.npy", "--threads", "0"], "fastinit create"),
        ([*EXPLAIN.split(), "--shape", "2*3"], "fastinit explain"),
        ([*EXPLAIN.split(), "--depth", "1.5"], "fastinit explain"),
    ],
)
def test_errors_are_one_line(arguments, program, capsys):
    """The line names the help that has the options."""
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(rf"{program}: error: .+ \(see {program} --help\)\n", err)


def test_info(capsys):
    fastinit.show_config()
    expected = capsys.readouterr().out
    assert main(["info"]) == 0
    assert capsys.readouterr().out == expected
    assert fastinit.__version__ in expected
    version = re.search(r"(?m)^OpenMP: +(\d\.\d)$", expected)
    assert version, "the version of OpenMP, not its date"


# Programs without fastinit's code: `python -m` and the script


PROGRAMS = [
    [sys.executable, "-m", "fastinit"],
    [shutil.which("fastinit", path=sysconfig.get_path("scripts"))],
]


@pytest.mark.parametrize("program", PROGRAMS, ids=["module", "script"])
@pytest.mark.parametrize(
    ("name", "value"), [("FASTINIT_ISA", "zzz"), ("FASTINIT_HIDE_ISA", "portable")]
)
def test_kernels_that_are_not_there(program, name, value):
    """The import fails before the command begins; for the command this is an error like others."""
    done = subprocess.run(
        [*program, "info"], env={**os.environ, name: value}, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(rf"fastinit: error: {name}={value} .+\n", done.stderr)


def test_a_program_gets_the_exception(tmp_path):
    """Only the command itself ends; a package that is run by -m, and imports this one, does not."""
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("import fastinit")
    (package / "__main__.py").write_text("")
    done = subprocess.run(
        [sys.executable, "-m", "package"],
        env={**os.environ, "FASTINIT_ISA": "zzz"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("RuntimeError: FASTINIT_ISA=zzz is none of")


# Output that nobody takes


class Full:
    """A stream on a full disk, or a pipe that nobody reads; it holds back what is written."""

    encoding = "utf-8"
    closed = False

    def __init__(self, number):
        self.error = OSError(number, os.strerror(number))

    def write(self, text):
        return len(text)

    def flush(self):
        raise self.error

    def close(self):
        self.closed = True
        raise self.error


@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC])
@pytest.mark.parametrize("command", ["info", "selftest", "bench", EXPLAIN, f"{EXPLAIN} --json"])
def test_output_that_nobody_takes_is_an_error(command, number, monkeypatch, capsys):
    before = _kernels_in_use()
    stream = Full(number)
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(command.split()) == 2
    err = capsys.readouterr().err
    assert err == f"fastinit {command.split()[0]}: error: stdout: {os.strerror(number)}\n"
    assert stream.closed  # or Python would flush it at its end, complain, and return 120
    assert _kernels_in_use() == before


def _kernels_in_use():
    return fastinit.show_config("dicts")["ISA in use"]


@pytest.mark.parametrize("command", ["info", "--help", "nonsense", EXPLAIN])
def test_closed_streams(command, monkeypatch):
    """Python has None for a stream that is closed at its start."""
    codes = {"info": 0, "--help": 0, "nonsense": 2, EXPLAIN: 0}
    for names in (["stdout"], ["stderr"], ["stdout", "stderr"]):
        with monkeypatch.context() as patched:
            for name in names:
                patched.setattr(sys, name, None)
            try:
                code = main(command.split())
            except SystemExit as stop:
                code = stop.code
        assert code == codes[command]


@pytest.mark.skipif(os.name != "posix", reason="a pipe of a shell")
@pytest.mark.parametrize("arguments", ["info", "selftest", "create --help", EXPLAIN])
def test_a_pipe_that_is_closed(arguments):
    """Nothing of Python is printed, whether its streams have buffers or not."""
    for unbuffered in ("", "1"):
        read, write = os.pipe()
        os.close(read)
        done = subprocess.run(
            [sys.executable, "-m", "fastinit", *arguments.split()],
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
            stdout=write,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.close(write)
        if arguments == "create --help":
            assert (done.returncode, done.stderr) == (0, "")
        else:
            message = (
                f"fastinit {arguments.split()[0]}: error: stdout: {os.strerror(errno.EPIPE)}\n"
            )
            assert (done.returncode, done.stderr) == (2, message)


def test_messages_are_short(capsys):
    with pytest.raises(SystemExit):
        main(["create", "a.npy", "--init", "zeros", f"--{'x' * 5000}\n\x1b[31m"])
    err = capsys.readouterr().err
    assert re.fullmatch(r"fastinit create: error: [ -~]+\n", err)
    assert len(err) < 1100


def test_explain(capsys):
    assert main(EXPLAIN.split()) == 0
    options = {"activation": "gelu", "depth": 20}
    found = fastinit.explain("he_normal", (256, 256), **options)
    assert capsys.readouterr().out == f"{found}\n"
    assert main([*EXPLAIN.split(), "--json", "--draws", "2", "--seed", "3"]) == 0
    found = fastinit.explain("he_normal", (256, 256), **options, draws=2, seed=3)
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert json.loads(printed) == found.to_dict()


def test_explain_passes_every_parameter(capsys):
    for command, initializer, shape in (
        ("variance_scaling --scale 3 --mode fan_out --distribution uniform --shape 8,9",
         initializers.VarianceScaling(3, "fan_out", "uniform"), (8, 9)),
        ("he_normal --shape 8x9x10 --input-axes 0,1 --output-axes -1",
         initializers.HeNormal(None, [0, 1], [-1]), (8, 9, 10)),
        ("truncated_normal --mean 1 --stddev 2 --lower -1 --upper inf --shape 7",
         initializers.TruncatedNormal(1, 2, lower=-1, upper=float("inf")), (7,)),
        ("random_uniform --minval -2 --maxval 0.5 --shape 3x3",
         initializers.RandomUniform(-2, 0.5), (3, 3)),
        ("orthogonal --gain 2 --shape 5x4", initializers.Orthogonal(2), (5, 4)),
        ("constant --value 3 --shape 5", initializers.Constant(3), (5,)),
    ):  # fmt: skip
        assert main(["explain", "--dtype", "float64", "--init", *command.split()]) == 0
        assert (
            capsys.readouterr().out == f"{fastinit.explain(initializer, shape, dtype='float64')}\n"
        )
    for name in ("he_normal", "HeNormal"):
        assert main(["explain", "--init", name, "--shape", "9x9"]) == 0
        assert capsys.readouterr().out == f"{fastinit.explain('he_normal', (9, 9))}\n"
    slope = ["--activation", "leaky_relu", "--negative-slope", "0.5"]
    assert main(["explain", "--init", "he_normal", "--shape", "9x9", *slope]) == 0
    assert "leaky_relu (parameter 0.5)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--init nonsense", "unknown initializer 'nonsense': one of zeros, .+"),
        ("--init he_norml", "unknown initializer 'he_norml': .+; did you mean 'he_normal'[?]"),
        ("--init zeros --stddev 1", "zeros has no --stddev; it has: none"),
        ("--init he_normal --gain 1", "he_normal has no --gain; it has: --input-axes .+"),
        ("--init stft", "unknown initializer .stft.: one of zeros, .+"),
        ("--init he_normal --activation softmax", "activation must be an elementwise .+"),
        (
            "--init he_normal --activation relu --depth 0",
            "depth must be from 1 to 100000, received 0",
        ),
        ("--init he_normal --dtype int8", "dtype must be .+"),
        ("--init random_normal --stddev -1", "stddev must be >= 0, received -1.0"),
        ("--init he_normal --input-axes 5 --output-axes 0", ".*out of bounds.*"),
        ("--init he_normal --activation relu --draws 1 --seed -1", ".*received -1"),
    ],
)
def test_explain_refuses(arguments, message, capsys):
    assert main(["explain", "--shape", "4x4", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.fullmatch(f"fastinit explain: error: {message}\n", err)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--init he_normal", "without --model, this is required: --shape"),
        ("", "without --model, this is required: --init, --shape"),
        ("--model made:make --shape 3x3", "--shape does not go with --model"),
        ("--model made:make --depth 3", "--depth does not go with --model"),
        ("--model made:make --stddev 3", "--stddev does not go with --model"),
        ("--model made", "--model must be MODULE:FUNCTION, received 'made'"),
        ("--model :make", "--model must be MODULE:FUNCTION, received ':make'"),
        ("--model nowhere:make", "--model: No module named 'nowhere'"),
        ("--model made:nothing", "--model: module 'made' has no attribute 'nothing'"),
        ("--model made:make", "made:make returns no model of PyTorch or Keras: <class 'int'>"),
        ("--model made:three", "made:three must return a model, or a model and an input"),
    ],
)
def test_explain_refuses_with_and_without_a_model(
    arguments, message, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "made", raising=False)
    (tmp_path / "made.py").write_text(
        "def make():\n    return 3\ndef three():\n    return 1, 2, 3\n"
    )
    assert main(["explain", *arguments.split()]) == 2
    out, err = capsys.readouterr()
    assert (out, err) == ("", f"fastinit explain: error: {message}\n")


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
