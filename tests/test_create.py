"""`fastinit create`: files equal to the arrays in every byte, whatever happens on the way."""

import errno
import fcntl
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from fills import FLOATS, assert_same_bits
from processes import run_python

import fastinit
from fastinit import __main__, _create, _files, initializers

TABLE = ["--init", "truncated_normal", "--shape", "1000x33", "--stddev", "0.1", "--seed", "7"]


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def small_chunks(monkeypatch):
    """So that small files have many; of no round number of bytes, too."""
    monkeypatch.setattr(_create, "CHUNK", 4096)
    monkeypatch.setattr(_create, "KEEP_SECONDS", 0)


def create(*arguments):
    assert __main__.main(["create", *map(str, arguments)]) == 0


def refused(capsys, *arguments):
    """The message of a run that must fail: one line."""
    try:
        code = __main__.main(["create", *map(str, arguments)])
    except SystemExit as stop:
        code = stop.code
    out, err = capsys.readouterr()
    assert (code, out) == (2, "")
    assert re.fullmatch(r"fastinit( create)?: error: .+\n", err), err
    return err


def saved(array):
    np.save("expected.npy", array)
    data = Path("expected.npy").read_bytes()
    os.unlink("expected.npy")
    return data


def files():
    return sorted(os.listdir())


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
    **{name: ["--init", name] for name in _create.IN_PARTS if name[:3] in ("lec", "glo", "he_")},
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
    assert list(CASES) == _create.IN_PARTS


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", CASES)
def test_equals_the_array_of_the_function(name, dtype):
    seed = {} if name in SEEDLESS else {"seed": 5}
    options = [] if name in SEEDLESS else ["--seed", 5]
    create("a.npy", *CASES[name], *options, "--shape", "123x77", "--dtype", dtype)
    expected = getattr(fastinit, name)((123, 77), dtype=dtype, **ARRAYS.get(name, {}), **seed)
    assert Path("a.npy").read_bytes() == saved(expected)
    assert files() == ["a.npy"]


def test_constants_of_other_dtypes():
    create("a.npy", "--init", "constant", "--value", 2**53 + 1, "--shape", 9, "--dtype", "int64")
    assert Path("a.npy").read_bytes() == saved(np.full(9, 2**53 + 1))


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("shape", [(7,), (1, 50_001), (3, 9000), (2, 3, 5, 7), (0, 4), (4, 0)])
def test_shapes(shape):
    """Rows longer than a chunk, too."""
    create("a.npy", *TABLE, "--shape", "x".join(map(str, shape)))
    assert Path("a.npy").read_bytes() == saved(fastinit.truncated_normal(shape, 0, 0.1, 7))
    create("b.npy", *TABLE, "--shape", ",".join(map(str, shape)))
    assert Path("b.npy").read_bytes() == Path("a.npy").read_bytes()


@pytest.mark.usefixtures("small_chunks")
def test_chunks_and_threads_change_nothing(monkeypatch):
    before = fastinit.get_num_threads()
    create("a.npy", *TABLE)
    for number, (chunk, threads) in enumerate([(64, 1), (1 << 20, 3), (8 * 999, 40)]):
        monkeypatch.setattr(_create, "CHUNK", chunk)
        create(f"{number}.npy", *TABLE, "--threads", threads)
        assert Path(f"{number}.npy").read_bytes() == Path("a.npy").read_bytes()
    assert fastinit.get_num_threads() == before


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (1, 9), (9, 1), (0, 3), (3, 0)])
def test_runs_of_a_diagonal(shape):
    lazy = initializers.Identity(2.0).lazy(shape)
    whole = np.asarray(lazy).ravel()
    for start in range(whole.size + 1):
        for end in range(start, whole.size + 1):
            out = np.full(end - start, 9, np.float32)
            lazy.source.run(out, start, shape)
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


def test_bfloat16_is_loaded_as_the_help_says(capsys):
    create("table.npy", *TABLE, "--dtype", "bfloat16")
    with pytest.raises(SystemExit):
        __main__.main(["create", "--help"])
    line = next(line for line in capsys.readouterr().out.splitlines() if "mmap_mode" in line)
    loaded = eval(line, {"numpy": np, "ml_dtypes": ml_dtypes})
    assert loaded.dtype == ml_dtypes.bfloat16
    assert_same_bits(loaded, fastinit.truncated_normal((1000, 33), 0, 0.1, 7, "bfloat16"))


def parsed(path):
    """Name, array and metadata of a .safetensors file, by its specification."""
    data = Path(path).read_bytes()
    n = int.from_bytes(data[:8], "little")
    assert n % 8 == 0
    header = json.loads(data[8 : 8 + n])
    metadata = header.pop("__metadata__")
    [(name, tensor)] = header.items()
    kind = {"F16": "float16", "BF16": "bfloat16", "F32": "float32", "F64": "float64", "I32": "i4"}
    values = data[8 + n :]
    assert tensor["data_offsets"] == [0, len(values)]
    array = np.frombuffer(values, np.dtype(kind[tensor["dtype"]])).reshape(tensor["shape"])
    return name, array, metadata


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("dtype", FLOATS)
def test_safetensors(dtype):
    create("a.safetensors", *TABLE, "--dtype", dtype, "--rows", "3:900", "--name", "é/kernel")
    name, array, metadata = parsed("a.safetensors")
    assert name == "é/kernel"
    assert_same_bits(array, fastinit.truncated_normal((1000, 33), 0, 0.1, 7, dtype)[3:900])
    assert metadata == {
        "init": "truncated_normal",
        "shape": "[1000, 33]",
        "dtype": dtype,
        "rows": "[3, 900]",
        "mean": "0.0",
        "stddev": "0.1",
        "seed": "7",
        "stream_version": "1",
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
    (["a.npy", *TABLE, "--shape", f"{2**50}x33"], "a.npy: "),
    (["a.npy", *TABLE, "--dtype", "int32"], "dtype must be float32, float64"),
    (["a.npy", *TABLE, "--stddev", "-1"], "stddev must be >= 0, received -1"),
    (["a.npy", *TABLE, "--stddev", "x"], "--stddev: must be a number, received 'x'"),
    (["a.npy", *TABLE, "--seed", "-1"], "seed must be in 0 <= seed < 2**64, received -1"),
    (["a.npy", *TABLE, "--seed", "1.5"], "--seed"),
    (["a.npy", *TABLE, "--rows", "5"], "--rows: must be like 1000:2000"),
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
    (["a.npy", *TABLE[:-2], "--quiet"], "--quiet needs --seed: the drawn one would be lost"),
    (["a.npy", *TABLE[:-2], "--quiet", "--resume"], "--quiet needs --seed"),
    ([], "NAME"),
]


@pytest.mark.parametrize(("arguments", "message"), ERRORS, ids=[m for _, m in ERRORS])
def test_errors(capsys, arguments, message):
    assert message in refused(capsys, *arguments)
    assert files() == []


def test_bfloat16_without_ml_dtypes(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    message = refused(capsys, "a.npy", *TABLE, "--dtype", "bfloat16")
    assert "pip install ml_dtypes" in message


def test_a_directory_that_may_not_be_written(capsys, monkeypatch):
    def refuse(path, *arguments):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(_files.os, "open", refuse)  # root may write anywhere
    assert "a.npy.partial: Permission denied" in refused(capsys, "a.npy", *TABLE)


def test_a_directory_in_its_place(capsys):
    os.mkdir("a.npy")
    assert "is a directory" in refused(capsys, "a.npy", *TABLE, "--overwrite")


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


def test_no_progress_where_nobody_looks(capsys):
    create("a.npy", *TABLE)
    out, err = capsys.readouterr()
    assert re.fullmatch(r"a.npy: 1000x33 float32, seed 7; 132 kB in .* s, .*/s\n", out)
    assert err == ""
    create("b.npy", *TABLE, "--quiet")
    assert capsys.readouterr() == ("", "")


def test_quiet_where_no_seed_is_lost():
    create("a.npy", "--init", "zeros", "--shape", 3, "--quiet")
    create("a.safetensors", *TABLE[:-2], "--quiet")
    seed = parsed("a.safetensors")[2]["seed"]
    create("b.safetensors", *TABLE[:-2], "--seed", seed)
    assert Path("b.safetensors").read_bytes() == Path("a.safetensors").read_bytes()


@pytest.mark.usefixtures("interrupted")
def test_quiet_without_the_seed_that_is_known(expected):
    create("a.npy", *TABLE[:-2], "--quiet", "--resume")
    assert Path("a.npy").read_bytes() == expected


def test_without_tqdm(capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "tqdm", None)
    create("a.npy", *TABLE, "--progress")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "pip install tqdm" in err


# Interruptions


def stop_after(monkeypatch, n, error, kept=None):
    """Let a run fail after n chunks, once some are noted."""
    plain, count = _files.Partial.write, iter(range(10**6))

    def write(self, values, offset):
        if next(count) >= n:
            assert kept is None or kept.wait(30)
            raise error
        plain(self, values, offset)

    monkeypatch.setattr(_files.Partial, "write", write)


@pytest.fixture
def interrupted(small_chunks, monkeypatch, capsys):
    """a.npy.partial, of which some is written; the whole has 33 chunks."""
    with monkeypatch.context() as patched:
        kept, keep = threading.Event(), _files.Partial.keep
        patched.setattr(_files.Partial, "keep", lambda *args: keep(*args) or kept.set())
        stop_after(patched, 20, KeyboardInterrupt, kept)
        assert __main__.main(["create", "a.npy", *TABLE, "--threads", "1"]) == 130
    assert "fastinit create a.npy --resume\n" in capsys.readouterr().err
    assert files() == ["a.npy.partial"]


@pytest.fixture
def expected():
    return saved(fastinit.truncated_normal((1000, 33), 0, 0.1, 7))


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    "options",
    [[], TABLE, TABLE[:-2], TABLE[:2], TABLE[2:4], TABLE[4:6]],
    ids=["alone", "all", "but the seed", "init", "shape", "stddev"],
)
def test_resume(options, expected, monkeypatch, capsys):
    written = []
    plain = _files.Partial.write
    monkeypatch.setattr(
        _files.Partial,
        "write",
        lambda self, values, offset: written.append(offset) or plain(self, values, offset),
    )
    create("a.npy", *options, "--resume")
    assert Path("a.npy").read_bytes() == expected
    assert files() == ["a.npy"]
    assert min(written) > 0
    assert len(written) < 33


@pytest.mark.usefixtures("interrupted")
def test_an_unfinished_file_cannot_be_loaded():
    assert not Path("a.npy").exists()
    with pytest.raises(ValueError, match="pickle"):
        np.load("a.npy.partial")


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize(
    ("options", "name"),
    [
        (["--seed", 8], "--seed is 8, but a.npy.partial was begun with 7"),
        ([*TABLE, "--stddev", 0.2], "--stddev is 0.2, but a.npy.partial was begun with 0.1"),
        (
            [*TABLE[:4], "--seed", 7],
            "--stddev is 0.05 by default, but a.npy.partial was begun with 0.1",
        ),
        (
            [*TABLE, "--shape", "33x1000"],
            "--shape is 33x1000, but a.npy.partial was begun with 1000x33",
        ),
        ([*TABLE, "--dtype", "float16"], "--dtype is float16"),
        ([*TABLE, "--init", "random_normal"], "--init is random_normal"),
        (["--init", "zeros", "--shape", "1000x33"], "--init is zeros"),
        (["--init", "random_normal"], "--init is random_normal"),
        (["--init", "zeros"], "--init is zeros, but a.npy.partial was begun with truncated_normal"),
        (["--shape", "1000x34"], "--shape is 1000x34"),
        (["--shape", "500x33"], "--shape is 500x33, but a.npy.partial was begun with 1000x33"),
        (["--rows", ":5"], "--rows is 0:5, but a.npy.partial was begun with 0:1000"),
    ],
)
def test_resume_with_other_options(options, name, expected, capsys):
    assert name in refused(capsys, "a.npy", *options, "--resume")
    create("a.npy", "--resume")  # the file is as before
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
@pytest.mark.parametrize("means", [("0", "0.0"), ("1.0", "1"), ("-2", "-2e0")])
def test_resume_with_the_same_number_written_otherwise(name, means, monkeypatch):
    for mean in means:
        create(mean + name, *TABLE, "--mean", mean)
    contents = [Path(mean + name).read_bytes() for mean in means]
    assert contents[0] == contents[1]
    with monkeypatch.context() as patched:
        stop_after(patched, 20, KeyboardInterrupt)
        assert __main__.main(["create", name, *TABLE, "--mean", means[0]]) == 130
    create(name, *TABLE, "--mean", means[1], "--resume")
    assert Path(name).read_bytes() == contents[0]


@pytest.mark.usefixtures("interrupted")
def test_a_partial_file_is_no_mere_leftover(expected, capsys):
    assert "exists: --resume goes on" in refused(capsys, "a.npy", *TABLE)
    create("a.npy", *TABLE, "--overwrite")
    assert Path("a.npy").read_bytes() == expected
    assert files() == ["a.npy"]


@pytest.mark.usefixtures("interrupted")
def test_the_target_came_meanwhile(expected, capsys):
    Path("a.npy").write_bytes(b"other")
    assert "a.npy exists" in refused(capsys, "a.npy", "--resume")
    assert Path("a.npy").read_bytes() == b"other"
    create("a.npy", "--resume", "--overwrite")
    assert Path("a.npy").read_bytes() == expected


def test_resume_without_a_beginning(expected):
    create("a.npy", *TABLE, "--resume")
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.parametrize("content", [b"", b"\0" * 9, b"\0" * 1000])
def test_resume_of_what_has_no_trailer(content, expected, capsys):
    """Killed before there was one: begun anew."""
    Path("a.npy.partial").write_bytes(content)
    assert "is required" in refused(capsys, "a.npy", "--resume")
    create("a.npy", *TABLE, "--resume")
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"x", b"\xff" * 1000, b"\0" * 8 + b"fastinit", b"\x93NUMPY\x01\x00\x05\x00{'a'}"),
        *(b"\x93NUMPY\x01\x00\x01\x00(", b"\2" + bytes(7) + b"[]", b"\2" + bytes(7) + b"{}"),
        b"\x38" + bytes(7) + b'{"another\'s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}\n',
    ],
)
def test_resume_of_the_file_of_another(content, suffix, expected, capsys):
    path = Path(f"a{suffix}.partial")
    path.write_bytes(content)
    for options in ([], TABLE, ["--overwrite"], [*TABLE, "--overwrite"]):
        message = refused(capsys, f"a{suffix}", *options, "--resume")
        assert f"{path} was not begun by this command" in message
        assert path.read_bytes() == content
    create(f"a{suffix}", *TABLE, "--overwrite")
    assert files() == [f"a{suffix}"]


def test_a_symbolic_link_in_its_place(capsys):
    Path("other").write_bytes(b"")
    os.symlink("other", "a.npy.partial")
    for options in ([], ["--resume"], ["--overwrite"]):
        message = refused(capsys, "a.npy", *TABLE, *options)
        assert options == [] or "a.npy.partial is a symbolic link" in message
    assert Path("other").read_bytes() == b""


COMPLETE = [["a.npy"], ["a.safetensors"], ["a.npy", "--shape", "0x3"]]


@pytest.fixture(params=COMPLETE, ids=" ".join)
def complete(request):
    """A file that lacks but its name; its name, and how it was made."""
    name, *shape = request.param
    create(name, *TABLE[:2], "--shape", "1000x33", *shape, *TABLE[4:])
    data = Path(name).read_bytes()
    os.rename(name, f"{name}.partial")
    return name, [*TABLE, *shape], data


def test_resume_of_a_complete_file(complete, capsys):
    name, options, data = complete
    assert "--resume alone names it" in refused(capsys, name, *TABLE[:-2], "--resume")
    assert "--resume alone names it" in refused(capsys, name, "--seed", 7, "--resume")
    assert "holds something else" in refused(capsys, name, *TABLE, "--shape", 5, "--resume")
    assert files() == [f"{name}.partial"]
    create(name, "--resume")
    assert Path(name).read_bytes() == data
    assert files() == [name]
    os.rename(name, f"{name}.partial")
    create(name, *options, "--resume")
    assert Path(name).read_bytes() == data


def test_a_complete_file_and_another_target(complete, capsys):
    name, _, data = complete
    Path(name).write_bytes(b"other")
    assert f"{name} exists" in refused(capsys, name, "--resume")
    create(name, "--resume", "--overwrite")
    assert Path(name).read_bytes() == data
    assert files() == [name]


@pytest.mark.parametrize("options", [["--resume"], [*TABLE, "--resume"], [*TABLE, "--overwrite"]])
def test_one_file_with_both_names(options, expected):
    """Killed between the last two steps; the target is whole all the while."""
    create("a.npy", *TABLE)
    os.link("a.npy", "a.npy.partial")
    with open("a.npy", "rb") as file:
        create("a.npy", *options)
        assert file.read() == expected
    assert Path("a.npy").read_bytes() == expected
    assert files() == ["a.npy"]


@pytest.mark.parametrize("links", [True, False])
def test_the_target_comes_during_the_run(links, expected, monkeypatch, capsys):
    finish = _files.Partial.finish

    def no_link(*names):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patched:
        patched.setattr(
            _files.Partial, "finish", lambda file: finish(file) or Path("a.npy").write_bytes(b"new")
        )
        if not links:
            patched.setattr(os, "link", no_link)
        message = refused(capsys, "a.npy", *TABLE)
    assert "a.npy has come to be meanwhile; a.npy.partial is complete" in message
    assert Path("a.npy").read_bytes() == b"new"
    assert Path("a.npy.partial").read_bytes() == expected
    create("a.npy", "--resume", "--overwrite")
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.parametrize("options", [[], ["--resume"]])
def test_the_target_comes_before_the_lock(options, monkeypatch, capsys):
    flock = fcntl.flock
    monkeypatch.setattr(
        fcntl, "flock", lambda *args: Path("a.npy").write_bytes(b"new") and flock(*args)
    )
    assert "a.npy exists: --overwrite" in refused(capsys, "a.npy", *TABLE, *options)
    assert Path("a.npy").read_bytes() == b"new"
    assert files() == ["a.npy"]


@pytest.mark.parametrize(
    "end",
    [
        b"",
        (2**40 - 2**20).to_bytes(8, "little") + b"nothing.",
        (8).to_bytes(8, "little") + b"fastinit",
        bytes(8) + b"fastinit",
        (2**40 - 8).to_bytes(8, "little") + b"fastinit",
        (2**63).to_bytes(8, "little") + b"fastinit",
        bytes(8) + b"[1]" + (2**40 - 27).to_bytes(8, "little") + b"fastinit",
    ],
)
def test_a_huge_file_is_not_read_to_find_no_trailer(end, expected, capsys):
    with open("a.npy.partial", "wb") as file:
        file.truncate(2**40)
        os.pwrite(file.fileno(), end, 2**40 - len(end))
    try:
        assert "is required" in refused(capsys, "a.npy", "--resume")
        create("a.npy", *TABLE, "--resume")
    finally:
        Path("a.npy.partial").unlink(missing_ok=True)
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.usefixtures("interrupted")
def test_a_mark_beyond_the_values(capsys):
    with open("a.npy.partial", "r+b") as file:
        os.pwrite(file.fileno(), (1000 * 33 * 4 + 1).to_bytes(8, "little"), 128 + 1000 * 33 * 4)
    assert "a.npy.partial is damaged" in refused(capsys, "a.npy", "--resume")
    create("a.npy", *TABLE, "--overwrite")


def test_a_pipe_in_its_place(capsys):
    os.mkfifo("a.npy.partial")
    message = refused(capsys, "a.npy", *TABLE, "--resume")
    assert "a.npy.partial is no regular file" in message


def test_the_target_exists(expected, capsys):
    Path("a.npy").write_bytes(b"other")
    assert "a.npy exists: --overwrite" in refused(capsys, "a.npy", *TABLE)
    assert Path("a.npy").read_bytes() == b"other"
    create("a.npy", *TABLE, "--overwrite")
    assert Path("a.npy").read_bytes() == expected


def test_finished_already(expected, capsys):
    create("a.npy", *TABLE)
    capsys.readouterr()
    create("a.npy", *TABLE, "--resume")
    assert capsys.readouterr().out == "a.npy is finished already\n"
    other = [*TABLE[:-1], "8"]
    assert "holds something else" in refused(capsys, "a.npy", *other, "--resume")
    assert "a.npy exists" in refused(capsys, "a.npy", *TABLE[:-2], "--resume")
    for options in ([], ["--seed", 7]):
        assert "no a.npy.partial to go on with" in refused(capsys, "a.npy", *options, "--resume")
    assert Path("a.npy").read_bytes() == expected


def test_two_at_once(capsys):
    with open("a.npy.partial", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for options in ([], ["--resume"], ["--overwrite"]):
            assert "another run is writing it" in refused(capsys, "a.npy", *TABLE, *options)
        assert files() == ["a.npy.partial"]
    create("a.npy", *TABLE)


KILLED = """
import os, signal, sys
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path
from fastinit import __main__, _create, _files
_create.CHUNK, _create.KEEP_SECONDS = 4096, 0
name, way = sys.argv[1:]

class InOrder(ThreadPoolExecutor):
    # So that every run takes the same steps.
    def submit(self, *call):
        future = super().submit(*call)
        wait([future])
        return future

_create.ThreadPoolExecutor = InOrder
partial, old = Path(name + ".partial"), b"old" if way == "replace" else None
create = ["create", name, "--init", "truncated_normal", "--shape", "200x33", "--seed", "1",
          "--threads", "1", "--quiet"]
again = ["--overwrite"] if old else []

def run(arguments, steps=None):
    # A process of its own, which dies before the call number `steps` that changes anything.
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    count = iter(range(10**6))
    def dying(function):
        def called(*arguments):
            if next(count) == steps:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments)
        return called
    def no_link(*names):
        raise PermissionError(1, "no links")
    if way == "no link":
        os.link = no_link
    for function in "pwrite ftruncate posix_fallocate fsync replace link unlink".split():
        setattr(os, function, dying(getattr(os, function)))
    _files._sync = dying(_files._sync)
    sys.stderr = open(os.devnull, "w")
    os._exit(__main__.main(arguments))

assert run(create) == 0
expected = Path(name).read_bytes()
steps, unknown, resumed, complete = 0, 0, 0, 0
while True:
    os.unlink(name)
    if old:
        Path(name).write_bytes(old)
    code = run(create + again, steps)
    if code == 0:
        break
    assert code == -signal.SIGKILL
    steps += 1
    if not partial.exists():
        assert Path(name).read_bytes() == expected
        continue
    both = _files.is_twice(partial, name)
    assert both or (Path(name).read_bytes() if old else os.path.exists(name) or None) == old
    if os.stat(partial).st_size:
        with _files.partial(partial) as file:
            complete += file.state() is None
            resumed += file.state() is not None
        # Another seed would show.
        assert run([*create[:6], "--resume", "--quiet", *again]) in (0, 2)
        if partial.exists():
            assert run(["create", name, "--resume", "--quiet", *again]) == 0
    else:  # nothing of it is known, and no seed is lost
        unknown += 1
        assert run(["create", name, "--resume", "--quiet", *again]) == 2
        assert run([*create, "--resume", *again]) == 0
    assert Path(name).read_bytes() == expected
    assert os.listdir() == [name]
print(steps, unknown, resumed, complete)
"""


@pytest.mark.parametrize(
    ("name", "way"),
    [("a.npy", "link"), ("a.npy", "no link"), ("a.npy", "replace"), ("a.safetensors", "link")],
)
def test_killed_at_every_step(name, way):
    steps, unknown, resumed, complete = map(int, run_python(KILLED, name, way).split())
    assert steps > 12
    assert resumed > 8
    assert unknown == 2  # before the file is emptied, and before the trailer is written
    assert complete == {"link": 4, "no link": 3, "replace": 2}[way]


INTERRUPTED = """
import os, signal, sys, threading
from fastinit import __main__, _create, _files
plain, sent = _files.Partial.write, []
def write(self, values, offset):
    if offset > 10 * _create.CHUNK and not sent:
        sent.append(os.kill(os.getpid(), signal.SIGINT))
    plain(self, values, offset)
_files.Partial.write = write
_create.CHUNK = 1 << 16
sys.exit(__main__.main(["create", "a.npy", "--init", "zeros", "--shape", "100000x64"]))
"""


def test_a_signal():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.strip() == "interrupted; to go on: fastinit create a.npy --resume"
    create("a.npy", "--resume", "--quiet")
    assert Path("a.npy").read_bytes() == saved(np.zeros((100000, 64), "float32"))


def test_the_order_of_the_end(monkeypatch):
    """For a loss of power: each step is on the disk before the next one begins."""
    steps = []

    def note(name):
        call = getattr(os, name)

        def noted(*arguments, **keywords):
            steps.append(name)
            return call(*arguments, **keywords)

        monkeypatch.setattr(os, name, noted)

    for name in ("fsync", "ftruncate", "link", "unlink"):
        note(name)
    create("a.npy", *TABLE)
    assert steps[-6:] == ["fsync", "ftruncate", "fsync", "link", "fsync", "unlink"]
    assert steps[:3] == ["ftruncate", "fsync", "fsync"]  # the trailer's, and the directory's


# Full disks


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_the_disk_fills_later(number, monkeypatch, capsys):
    stop_after(monkeypatch, 20, OSError(number, os.strerror(number)))
    message = refused(capsys, "a.npy", *TABLE)
    assert f"a.npy: {os.strerror(number)}; nothing of it is left there" in message
    assert files() == []


@pytest.mark.usefixtures("small_chunks")
def test_a_broken_disk_keeps_what_there_is(monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop_after(patched, 20, OSError(errno.EIO, os.strerror(errno.EIO)))
        assert os.strerror(errno.EIO) in refused(capsys, "a.npy", *TABLE)
    assert files() == ["a.npy.partial"]
    create("a.npy", "--resume")


@pytest.mark.usefixtures("interrupted")
@pytest.mark.parametrize("call", ["pwrite", "fstatvfs"])  # at the end, and in the beginning
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EFBIG])
def test_a_full_disk_keeps_what_was_there_before(call, number, expected, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        message = refused(capsys, "a.npy", "--resume")
    kept = "a.npy.partial is kept; to go on: fastinit create a.npy --resume\n"
    assert f"a.npy: {os.strerror(number)}; {kept}" in message
    create("a.npy", "--resume")
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("call", ["pwrite", "fstatvfs"])
def test_a_full_disk_leaves_nothing_of_a_mere_beginning(call, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(_create, "KEEP_SECONDS", 9e9)
        stop_after(patched, 20, KeyboardInterrupt)
        assert __main__.main(["create", "a.npy", *TABLE]) == 130
    assert files() == ["a.npy.partial"]
    capsys.readouterr()
    monkeypatch.setattr(os, call, full)
    message = refused(capsys, "a.npy", "--resume")
    assert "a.npy: No space left on device; nothing of it is left there" in message
    assert files() == []


def test_a_full_disk_without_a_file_of_ours(monkeypatch, capsys):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    Path("a.npy.partial").write_bytes(b"x")
    monkeypatch.setattr(os, "open", full)
    assert "nothing of it is left" not in refused(capsys, "a.npy", *TABLE, "--overwrite")
    assert files() == ["a.npy.partial"]


def test_a_limit_of_the_size_of_files(capsys):
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, limits[1]))
    try:
        message = refused(capsys, "a.npy", *TABLE, "--shape", "1000000x33")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "a.npy: File too large" in message
    assert files() == []


FULL = """
import os, subprocess, sys
from fastinit import __main__
directory = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", directory], check=True)
os.chdir(directory)
large = ["create", "a.npy", "--init", "random_normal", "--shape", "1000000x17", "--seed", "1"]
fits = ["create", "a.npy", "--init", "random_normal", "--shape", "1000000x15", "--seed", "1"]
sys.stderr = sys.stdout
print(__main__.main(large), os.listdir())
# As if there had been room at the beginning.
del os.posix_fallocate
plain, os.fstatvfs = os.fstatvfs, lambda fd: os.statvfs("/proc")
print(__main__.main(large), os.listdir())
print(__main__.main([*fits, "--quiet"]), os.listdir())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system of Linux")
def test_a_full_disk(tmp_path):
    """In a namespace of its own mounts, which needs no root where users may have namespaces."""
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("a full disk is NOT tested: no unshare, a small one cannot be mounted")
    prefix = [unshare, "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    tried = subprocess.run([*prefix, *mount], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a full disk is NOT tested: cannot mount a small one: {tried.stderr.strip()}")
    error = "fastinit create: error: a.npy: No space left on device; nothing of it is left there"
    assert run_python(FULL, tmp_path, prefix=prefix) == f"{error}\n2 []\n" * 2 + "0 ['a.npy']"


# Memory

LIMITED = """
import re, resource, sys
from fastinit import __main__
limit = int(sys.argv[1])
if limit:
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
assert __main__.main(["create", *sys.argv[2:], "--quiet"]) == 0
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
