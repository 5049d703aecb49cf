"""`fastinit create`: files equal to the arrays in every byte, and what is said of them."""

import errno
import json
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from creating import TABLE, create, files, kept, refused, saved, without_threads
from fills import FLOATS, assert_same_bits
from processes import run_python

import fastinit
from fastinit import _distributions, initializers
from fastinit._cli.create import PARAMETERS
from fastinit._cli.main import main
from fastinit._files import partial as partials
from fastinit._files import write as writing
from fastinit._files.job import IN_PARTS, parameters_of


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def expected():
    return saved(fastinit.truncated_normal((1000, 33), 0, 0.1, 7))


# What is in the files

CASES = {
    "zeros": ["--init", "zeros"],
    "ones": ["--init", "ones"],
    "constant": ["--init", "constant", "--value", "-2.5"],
    "random_normal": ["--init", "random_normal", "--mean", "0.3", "--stddev", "1"],
    "random_uniform": ["--init", "random_uniform", "--minval", "-1e-3", "--maxval", "2e-3"],
    "truncated_normal": ["--init", "truncated_normal", "--stddev", "0.7"],
    "variance_scaling": [
        *("--init", "variance_scaling", "--scale", "3", "--mode", "fan_out"),
        *("--distribution", "uniform", "--input-axes", "0", "--output-axes", "1"),
    ],
    **{name: ["--init", name] for name in IN_PARTS if name[:3] in ("lec", "glo", "he_")},
    "standard_uniform": ["--init", "standard_uniform"],
    "identity": ["--init", "identity", "--gain", "-3"],
}
ARRAYS = {
    "constant": {"value": -2.5},
    "random_normal": {"mean": 0.3, "stddev": 1},
    "random_uniform": {"minval": -1e-3, "maxval": 2e-3},
    "truncated_normal": {"stddev": 0.7},
    "variance_scaling": {
        "scale": 3,
        "mode": "fan_out",
        "distribution": "uniform",
        "input_axes": [0],
        "output_axes": [1],
    },
    "identity": {"gain": -3},
}
SEEDLESS = ("zeros", "ones", "constant", "identity")


def test_all_that_have_parts_are_tried():
    assert list(CASES) == list(IN_PARTS)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_equals_the_array_of_the_function(name, dtype):
    seed = {} if name in SEEDLESS else {"seed": 5}
    options = [] if name in SEEDLESS else ["--seed", 5]
    create("a.npy", *CASES[name], *options, "--shape", "123x77", "--dtype", dtype)
    expected = getattr(fastinit, name)((123, 77), dtype=dtype, **ARRAYS.get(name, {}), **seed)
    assert Path("a.npy").read_bytes() == saved(expected)
    assert files() == kept("a.npy")


def test_an_initializer_by_the_name_of_its_class(capsys):
    """The record holds the name of the function, so that both names mean the same file."""
    options = ["--shape", "30x4", "--seed", "3"]
    assert main(["create", "a.npy", "--init", "HeNormal", *options]) == 0
    assert np.array_equal(np.load("a.npy"), fastinit.he_normal((30, 4), seed=3))
    assert json.loads(Path("a.npy.json").read_text())["init"] == "he_normal"
    assert main(["create", "a.npy", "--init", "he_normal", *options, "--resume"]) == 0
    assert "finished already" in capsys.readouterr().out
    assert main(["create", "b.npy", "--init", "normal", *options]) == 0  # of Keras
    assert json.loads(Path("b.npy.json").read_text())["init"] == "random_normal"


def test_constants_of_other_dtypes():
    create("a.npy", "--init", "constant", "--value", 2**53 + 1, "--shape", 9, "--dtype", "int64")
    assert Path("a.npy").read_bytes() == saved(np.full(9, 2**53 + 1))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("shape", [(7,), (1, 50_001), (3, 9000), (2, 3, 5, 7), (0, 4), (4, 0)])
def test_shapes(shape):
    """Files of all shapes are right, also where a row is longer than a chunk."""
    create("a.npy", *TABLE, "--shape", "x".join(map(str, shape)))
    assert Path("a.npy").read_bytes() == saved(fastinit.truncated_normal(shape, 0, 0.1, 7))
    create("b.npy", *TABLE, "--shape", ",".join(map(str, shape)))
    assert Path("b.npy").read_bytes() == Path("a.npy").read_bytes()


@pytest.mark.usefixtures("small_chunks")
def test_chunks_and_threads_change_nothing(monkeypatch):
    create("a.npy", *TABLE)
    for number, (chunk, threads) in enumerate([(64, 1), (1 << 20, 3), (8 * 999, 40)]):
        monkeypatch.setattr(writing, "CHUNK", chunk)
        create(f"{number}.npy", *TABLE, "--threads", threads)
        assert Path(f"{number}.npy").read_bytes() == Path("a.npy").read_bytes()


@pytest.mark.parametrize("shape", ["3000x1000", "7"])
def test_where_the_system_gives_no_threads(shape, monkeypatch):
    create("a.npy", *TABLE, "--shape", shape, "--threads", 1)
    without_threads(monkeypatch)
    create("b.npy", *TABLE, "--shape", shape, "--threads", 8, "--progress")
    assert Path("b.npy").read_bytes() == Path("a.npy").read_bytes()


def test_the_threads_of_the_process_stay_as_they_are(monkeypatch):
    """Each writing thread fills its own chunk, and what other threads of the process see stays."""
    before, seen, used = fastinit.get_num_threads(), set(), set()
    write, fill = partials.Partial.write, _distributions._KERNELS["truncated"]
    monkeypatch.setattr(
        partials.Partial,
        "write",
        lambda *arguments: seen.add(fastinit.get_num_threads()) or write(*arguments),
    )
    monkeypatch.setitem(
        _distributions._KERNELS,
        "truncated",
        lambda *arguments: used.add(arguments[5]) or fill(*arguments),
    )
    fastinit.set_num_threads(5)
    try:
        create("a.npy", *TABLE, "--shape", "3000x1000")
        assert fastinit.get_num_threads() == 5
    finally:
        fastinit.set_num_threads(before)
    assert (seen, used) == ({5}, {1})


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (1, 9), (9, 1), (0, 3), (3, 0)])
def test_runs_of_a_diagonal(shape):
    lazy = initializers.Identity(2.0).lazy(shape)
    whole = np.asarray(lazy).ravel()
    for start in range(whole.size + 1):
        for end in range(start, whole.size + 1):
            out = np.full(end - start, 9, np.float32)
            lazy.source.fill_range(out, start, shape)
            assert_same_bits(out, whole[start:end])


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize(
    ("rows", "span"),
    [("0:1000", (0, 1000)), (":1", (0, 1)), ("-5:", (995, 1000)), ("17:-3", (17, 997))],
)
def test_rows(rows, span):
    create("a.npy", *TABLE, "--rows", rows)
    whole = fastinit.truncated_normal((1000, 33), 0, 0.1, 7)
    assert Path("a.npy").read_bytes() == saved(whole[slice(*span)])


def test_fans_are_those_of_the_whole():
    create("a.npy", "--init", "he_normal", "--shape", "1000x3", "--seed", 1, "--rows", "10:20")
    assert_same_bits(np.load("a.npy"), fastinit.he_normal((1000, 3), seed=1)[10:20])


def test_rows_far_beyond_memory():
    rows = "1000000000000:1000000000003"
    create("a.npy", *TABLE, "--shape", f"{2**50}x33", "--rows", rows)
    lazy = initializers.TruncatedNormal(stddev=0.1, seed=7).lazy((2**50, 33))
    assert_same_bits(np.load("a.npy"), lazy[10**12 : 10**12 + 3])


@pytest.mark.parametrize("shape", ["1000x33", "0x4", "4x0", "1"])
@pytest.mark.parametrize("mode", [None, "r", "r+", "c"])
def test_numpy_loads_it_in_every_mode(mode, shape):
    create("a.npy", *TABLE, "--shape", shape)
    dims = tuple(map(int, shape.split("x")))
    assert_same_bits(np.load("a.npy", mmap_mode=mode), fastinit.truncated_normal(dims, 0, 0.1, 7))


def test_bfloat16_is_loaded_as_the_help_says(capsys):
    create("table.npy", *TABLE, "--dtype", "bfloat16")
    with pytest.raises(SystemExit):
        main(["create", "--help"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "mmap_mode" in line)
    loaded = eval(line, {"numpy": np, "ml_dtypes": ml_dtypes})
    assert loaded.dtype == ml_dtypes.bfloat16
    assert_same_bits(loaded, fastinit.truncated_normal((1000, 33), 0, 0.1, 7, "bfloat16"))


def parsed(path):
    """Return name, array and metadata of a .safetensors file, by its specification."""
    data = Path(path).read_bytes()
    n = int.from_bytes(data[:8], "little")
    assert n % 8 == 0
    header = json.loads(data[8 : 8 + n])
    metadata = header.pop("__metadata__")
    [(name, tensor)] = header.items()
    names = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "I32": "i4"}
    values = data[8 + n :]
    assert tensor["data_offsets"] == [0, len(values)]
    array = np.frombuffer(values, np.dtype(names[tensor["dtype"]])).reshape(tensor["shape"])
    return name, array, metadata


@pytest.mark.usefixtures("small_chunks")
def test_bounds(capsys):
    """One bound may be infinite; a finished file is compared by them, too."""
    arguments = ["a.npy", "--init", "truncated_normal", "--shape", "300x7", "--seed", 1]
    create(*arguments, "--lower=-inf", "--upper", "1")
    expected = fastinit.truncated_normal((300, 7), seed=1, lower=-np.inf, upper=1)
    assert np.array_equal(np.load("a.npy"), expected)
    create(*arguments, "--lower=-inf", "--upper", "1", "--resume")
    capsys.readouterr()
    other = refused(capsys, *arguments, "--lower=-inf", "--upper", "1.5", "--resume")
    assert "holds something else" in other
    message = refused(capsys, *arguments, "--lower", "2", "--upper", "1", "--overwrite")
    assert "lower must be < upper" in message


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", FLOATS)
def test_safetensors(dtype):
    create("a.safetensors", *TABLE, "--dtype", dtype, "--rows", "3:900", "--name", "é/kernel")
    name, array, metadata = parsed("a.safetensors")
    assert name == "é/kernel"
    assert_same_bits(array, fastinit.truncated_normal((1000, 33), 0, 0.1, 7, dtype)[3:900])
    assert metadata == {
        "format": "pt",
        "init": "truncated_normal",
        "shape": "[1000, 33]",
        "dtype": dtype,
        "rows": "[3, 900]",
        "mean": "0.0",
        "stddev": "0.1",
        "lower": "-2.0",
        "upper": "2.0",
        "seed": "7",
        "stream_version": "1",
        "fastinit_version": fastinit.__version__,
        "checksum": metadata["checksum"],
    }
    create("b.safetensors", "--init", "ones", "--shape", "5", "--dtype", "int32")
    assert parsed("b.safetensors")[:1] == ("weight",)


# What is said

ERRORS = [
    (["a.npy", "--init", "zeros"], "--shape is required"),
    (["a.npy", "--shape", "3"], "--init is required"),
    (["a.npy", "--resume"], "there is no a.npy.partial to go on with"),
    (["a.npz", *TABLE], "a.npz must end in .npy or .safetensors"),
    (["a.npy", *TABLE, "--init", "nonsense"], "unknown initializer 'nonsense'"),
    (["a.npy", *TABLE, "--init", "he_norml"], "; did you mean 'he_normal'?"),
    (["a.npy", *TABLE, "--init", "HeNorml"], "; did you mean 'HeNormal'?"),
    (["a.npy", *TABLE, "--init", "Initializer"], "unknown initializer 'Initializer'"),
    (["a.npy", "--init", "orthogonal", "--shape", "3x3"], "call fastinit.orthogonal()"),
    (["a.npy", *TABLE, "--gain", "2"], "truncated_normal has no --gain; it has: --mean --stddev"),
    (
        ["a.npy", "--init", "ones", "--shape", "3", "--seed", "2"],
        "ones has no --seed; it has: none",
    ),
    (["a.npy", *TABLE, "--shape", "3x-3"], "--shape: must be like 1000x64"),
    (["a.npy", *TABLE, "--shape", "3xx3"], "--shape: must be like 1000x64"),
    (["a.npy", *TABLE, "--shape", f"{2**40}x{2**40}"], "more than 2**64 elements"),
    (["a.npy", *TABLE, "--shape", f"{2**60}x3"], "more than a file can have"),
    (["a.npy", *TABLE, "--shape", f"{2**61}"], "more than a file can have"),
    (["a.npy", *TABLE, "--shape", f"{2**62}x4", "--dtype", "float64"], "2**63 bytes or more"),
    (["a.npy", *TABLE, "--shape", f"{2**64 - 1}", "--dtype", "float64"], "2**63 bytes or more"),
    (["a.npy", "--init", "ones", "--shape", f"{2**63 - 2**21}", "--dtype", "int8"], "2**63 bytes"),
    (["a.npy", *TABLE, "--shape", f"0x{10**20 - 1}"], "more than a file can have"),
    (["a.npy", *TABLE, "--shape", f"0x{2**40}x{2**40}"], "more than a file can have"),
    (["a.npy", *TABLE, "--shape", "9" * 5000], "--shape: must be like 1000x64"),
    (["a.npy", *TABLE, "--shape", "x".join(["1"] * 65)], "--shape has 65 dimensions; arrays of"),
    (["a.safetensors", *TABLE, "--shape", "x".join(["2"] * 25001)], "has 25001 dimensions"),
    (["a.npy", *TABLE, "--seed", "9" * 5000], "--seed: must be an integer"),
    (["a.npy", *TABLE, "--seed", "9" * 4000], "seed must be in"),
    (["a.npy", *TABLE, "--rows", f"0:{'9' * 5000}"], "--rows: must be like"),
    (["a.npy", *TABLE, "--threads", "9" * 5000], "--threads: must be from 1 to 4096"),
    (["a.npy", *TABLE, "--stddev", "9" * 5000], "stddev"),
    (["a.npy", *TABLE, "--stddev", "9" * 4000], "--stddev must be a number that float64 holds"),
    ([f"{'a' * 300}.npy", *TABLE], "File name too long"),
    (["a\n.npz", *TABLE], "a\\n.npz must end in"),
    (["a.safetensors", *TABLE, "--name", "\udcff"], "--name must be text of UTF-8"),
    (["a.npy", *TABLE, "--shape", f"{2**50}x33"], "a.npy: "),
    (["a.npy", *TABLE, "--dtype", "int32"], "dtype must be float32, float64"),
    (
        ["a.npy", "--init", "he_normal", "--shape", "3x4", "--input-axes", "0"],
        "input_axes and output_axes must be given together, received input_axes=(0,) alone",
    ),
    (
        ["a.npy", "--init", "he_normal", "--shape", "3x4", "--output-axes", "0"],
        "received output_axes=(0,) alone",
    ),
    (["a.npy", *TABLE, "--stddev", "-1"], "stddev must be >= 0, received -1"),
    (["a.npy", *TABLE, "--stddev", "x"], "--stddev: must be a number, received 'x'"),
    (["a.npy", *TABLE, "--seed", "-1"], "seed must be in 0 <= seed < 2**64, received -1"),
    (["a.npy", *TABLE, "--seed", "1.5"], "--seed: must be an integer, received '1.5'"),
    (["a.npy", *TABLE, "--rows", "5"], "--rows: must be like 1000:2000"),
    (["a.npy", "--init", "he_normal", "--shape", "9x3", "--rows", "1:5"], "--rows needs --seed"),
    (["a.npy", *TABLE, "--rows", "5:5"], "--rows 5:5 is empty or not within the 1000 rows"),
    (["a.npy", *TABLE, "--rows", "0:1001"], "--rows 0:1001 is empty or not within the 1000 rows"),
    (["a.npy", *TABLE, "--rows", "-1001:"], "within the 1000 rows"),
    (["a.npy", *TABLE, "--threads", "0"], "--threads: must be from 1 to 4096"),
    (["a.npy", *TABLE, "--name", "x"], "a .npy file has no --name"),
    (["a.safetensors", *TABLE, "--name", "__metadata__"], "name '__metadata__'"),
    (
        ["a.safetensors", "--init", "ones", "--shape", "3", "--dtype", "complex64"],
        "safetensors has no complex64",
    ),
    (["no/a.npy", *TABLE], "no/a.npy: there is no directory no"),
    (["a.npy", *TABLE, "--nonsense"], "--nonsense"),
    (["a.npy", *TABLE, "--quiet", "--progress"], "not allowed with"),
    (
        ["a.npy", *TABLE[:-2], "--quiet", "--no-record"],
        "--quiet needs --seed: the drawn one would be lost",
    ),
    (["a.npy", *TABLE[:-2], "--quiet", "--resume", "--no-record"], "--quiet needs --seed"),
    (["a.safetensors", *TABLE, "--no-record"], "no --no-record"),
    ([], "NAME"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(capsys, arguments, message):
    said = refused(capsys, *arguments)
    assert message in said
    assert len(said) < 1100
    assert files() == []


def test_bfloat16_without_ml_dtypes(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    message = refused(capsys, "a.npy", *TABLE, "--dtype", "bfloat16")
    assert "pip install ml_dtypes" in message


def test_a_directory_that_may_not_be_written(capsys, monkeypatch):
    def refuse(path, *arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(partials.os, "open", refuse)  # root may write anywhere
    assert "a.npy.partial: Permission denied" in refused(capsys, "a.npy", *TABLE)


def test_a_directory_in_its_place(capsys):
    os.mkdir("a.npy")
    assert "is a directory" in refused(capsys, "a.npy", *TABLE, "--overwrite")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes with names are POSIX's")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link to a pipe"])
def test_a_target_that_is_no_regular_file(kind, capsys):
    """It is neither opened, which would wait for a pipe's other end, nor replaced."""
    with socket.socket(socket.AF_UNIX) as server:
        if kind == "socket":
            server.bind("a.npy")
        elif kind == "device":
            os.symlink("/dev/null", "a.npy")
        elif kind == "pipe":
            os.mkfifo("a.npy")
        else:
            os.mkfifo("pipe")
            os.symlink("pipe", "a.npy")
        there = files()
        for options in ([], ["--resume"], ["--overwrite"], ["--resume", "--overwrite"]):
            assert "a.npy is no regular file" in refused(capsys, "a.npy", *TABLE, *options)
            assert files() == there


def test_a_seed_is_drawn_and_printed(capsys):
    create("a.npy", *TABLE[:-2])
    create("b.npy", *TABLE[:-2])
    seed = re.search(r"seed (\d+)", capsys.readouterr().out)[1]
    assert Path("a.npy").read_bytes() != Path("b.npy").read_bytes()
    create("c.npy", *TABLE[:-2], "--seed", seed)
    assert Path("c.npy").read_bytes() == Path("a.npy").read_bytes()


def test_progress(capsys):
    create("a.npy", *TABLE, "--progress")
    err = capsys.readouterr().err
    assert "a.npy: 100%" in err
    assert "B/s]" in err


def test_no_progress_where_stderr_is_no_terminal(capsys):
    create("a.npy", *TABLE)
    out, err = capsys.readouterr()
    took = re.fullmatch(r"a.npy: 1000x33 float32, seed 7; 132 kB in (.*) s, .*/s\n", out)
    assert float(took[1]) > 0  # however quick it was
    assert err == ""
    create("b.npy", *TABLE, "--quiet")
    assert capsys.readouterr() == ("", "")


def test_quiet_where_no_seed_is_lost():
    create("a.npy", "--init", "zeros", "--shape", 3, "--quiet")
    create("a.safetensors", *TABLE[:-2], "--quiet")
    seed = parsed("a.safetensors")[2]["seed"]
    create("b.safetensors", *TABLE[:-2], "--seed", seed)
    assert Path("b.safetensors").read_bytes() == Path("a.safetensors").read_bytes()


def test_without_tqdm(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    create("a.npy", *TABLE, "--progress")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install tqdm" in err


# Streams that are full or closed, or cannot encode a name

STREAMS = [
    *("2>/dev/full", "2>&-", ">/dev/full", ">&-"),
    *(">/dev/full 2>/dev/full", ">&- 2>&-", "<&- >&- 2>&-", ">/dev/full 2>&-"),
]


def run_in_shell(arguments, streams, **environment):
    """Run the command with its streams as a shell makes them; return the code and what it prints.

    PYTHONUNBUFFERED is unset: with buffers an error may show as late as at the end of Python.
    """
    command = shlex.join([sys.executable, "-m", "fastinit", "create", *map(str, arguments)])
    env = {**os.environ, "PYTHONUNBUFFERED": "", **environment}
    run = f"{command} {streams}"
    done = subprocess.run(["sh", "-c", run], env=env, capture_output=True, timeout=60)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize("streams", STREAMS)
def test_an_error_of_a_stream_is_none_of_the_file(streams, expected):
    code, out, err = run_in_shell(["a.npy", *TABLE, "--progress"], streams)
    assert code == 0
    assert Path("a.npy").read_bytes() == expected
    assert files() == kept("a.npy")
    if "2>" not in streams:  # the report is printed where it can be
        assert "a.npy: 1000x33 float32, seed 7" in err
    if not streams.startswith((">", "<")):
        assert "a.npy: 1000x33 float32, seed 7" in out


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize("streams", ["", *STREAMS])
def test_a_drawn_seed_is_never_lost(streams):
    """Where no record holds it, it is printed, or else nothing is written."""
    code, out, err = run_in_shell(["a.npy", *TABLE[:-2], "--no-record"], streams)
    seeds = set(re.findall(r"seed(?: is)? (\d+)", out + err))
    if streams.count(">") < 2:
        assert code == 0
        [seed] = seeds
        create("b.npy", *TABLE[:-2], "--seed", seed)
        assert Path("a.npy").read_bytes() == Path("b.npy").read_bytes()
    else:
        assert code == 2
        assert files() == []


def test_a_name_that_a_stream_cannot_encode():
    arguments = ["tablé.npy", *TABLE[:-2], "--no-record"]
    code, out, err = run_in_shell(arguments, "", PYTHONIOENCODING="ascii")
    assert (code, err) == (0, "")
    told, report = out.splitlines()
    assert re.fullmatch(r"tabl\\xe9.npy: the seed is (\d+)", told)
    assert report.startswith(r"tabl\xe9.npy: 1000x33 float32, seed ")


@pytest.mark.skipif(sys.platform != "linux", reason="names of any bytes are Linux's")
def test_a_name_that_is_no_text(capsys):
    create("a\udcff.npy", *TABLE, "--progress")
    out, err = capsys.readouterr()
    assert out.startswith("a\\udcff.npy: 1000x33")
    assert "a\\udcff.npy: 100%" in err


TOLD = """
import os, sys
from fastinit._cli.main import main
from fastinit._files import partial
def begin(*arguments):
    os._exit(9)
partial.Partial.begin = begin
main(["create", *sys.argv[1:]])
"""


def test_a_drawn_seed_is_told_before_anything_is_written():
    arguments = [sys.executable, "-c", TOLD, "a.npy", *TABLE[:-2], "--no-record"]
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert done.returncode == 9
    assert re.fullmatch(r"a.npy: the seed is \d+\n", done.stdout)


CLOSED = """
import os, sys
from pathlib import Path
from fastinit._files.partial import open_partial
for fd in range(3):
    os.close(fd)
with open_partial(Path("a.npy.partial")) as file:
    os._exit(file.fd)
"""


def test_nothing_that_is_printed_gets_into_the_file():
    """A file that is opened where stderr is closed has its number, to which libraries print."""
    assert subprocess.run([sys.executable, "-c", CLOSED]).returncode > 2


# Memory

LIMITED = """
import re, resource, sys
from fastinit._cli.main import main
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert main(["create", *sys.argv[2:], "--quiet"]) == 0
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, which is Linux's")
def test_peak_memory():
    options = ["--init", "random_uniform", "--shape", "1200000x128", "--dtype", "float16"]
    options += ["--seed", "1"]
    peak = int(run_python(LIMITED, 0, "a.npy", *options, "--threads", 100))
    assert peak * 1024 < 256 * 2**20 < Path("a.npy").stat().st_size


@pytest.mark.exhaustive
@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, which is Linux's")
def test_6_gib_where_there_are_2(tmp_path):
    rows = 6 * 2**30 // (64 * 2) + 1
    options = ["--init", "truncated_normal", "--dtype", "bfloat16", "--seed", "1"]
    shape = f"{rows}x64"
    peak = int(run_python(LIMITED, 2 * 2**30, "a.npy", *options, "--shape", shape, timeout=600))
    assert peak * 1024 < 256 * 2**20
    try:
        mapped = np.load("a.npy", mmap_mode="r").view(ml_dtypes.bfloat16)
        assert mapped.shape == (rows, 64)
        assert mapped.nbytes > 6 * 2**30
        lazy = initializers.TruncatedNormal(seed=1).lazy((rows, 64), "bfloat16")
        for first in range(0, rows, 2**20):
            assert_same_bits(mapped[first : first + 2**20], lazy[first : first + 2**20])
    finally:
        os.unlink("a.npy")


def test_every_parameter_has_an_option():
    names = {name for entry in IN_PARTS.values() for name in parameters_of(entry)}
    assert names == PARAMETERS.keys()
