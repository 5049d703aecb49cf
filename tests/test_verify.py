"""`fastinit verify`: files compared with their records, or with options, in every bit."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from creating import TABLE, create, kept
from fills import FLOATS
from hypothesis import given, settings
from hypothesis import strategies as st
from processes import run_python

import fastinit
from fastinit._cli.main import main
from fastinit._files.headers import decode
from fastinit._files.job import IN_PARTS, Job, parameters_of
from fastinit._files.partial import Partial
from fastinit._files.record import checksum, decoded, encoded, publish_record

SUFFIXES = (".npy", ".safetensors")
NBYTES = 1000 * 33 * 4
RECORD = Path("a.npy.json")


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def verified(capsys):
    """Return a function that verifies files, and returns the exit code and what is printed."""

    def run(*arguments):
        capsys.readouterr()
        try:
            code = main(["verify", *map(str, arguments)])
        except SystemExit as stop:
            code = stop.code
        return code, *capsys.readouterr()

    return run


@pytest.fixture
def unverified(verified):
    """Return a function that returns the message, one line, about what cannot be compared."""

    def run(*arguments):
        code, out, err = verified(*arguments)
        assert (code, out) == (2, "")
        assert re.fullmatch(r"fastinit verify: error: .+\n", err), err
        assert len(err) < 1100
        return err.removeprefix("fastinit verify: error: ").rstrip("\n")

    return run


def record(**changes):
    """Change the record of a.npy, with a checksum that is right; ... takes an option away."""
    found = decoded(RECORD.read_bytes())
    found = {n: v for n, v in {**found, **changes}.items() if v is not ...}
    RECORD.write_bytes(encoded(found))


def change(name, *places):
    """Flip the lowest bit of bytes that are counted from the beginning of the values."""
    data = bytearray(Path(name).read_bytes())
    first = len(data) - NBYTES
    for place in places:
        data[first + place] ^= 1
    Path(name).write_bytes(data)


# Files as they were made


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("init", IN_PARTS)
def test_every_initializer(init, dtype, suffix, verified):
    seed = ["--seed", 5] if "seed" in parameters_of(IN_PARTS[init]) else []
    name = f"a{suffix}"
    create(name, "--init", init, "--shape", "123x77", "--dtype", dtype, *seed)
    told = f"123x77 {dtype}{', seed 5' if seed else ''}"
    size = f"{123 * 77 * np.dtype(dtype).itemsize / 1000:.3g} kB"
    assert verified(name) == (0, f"{name}: {told}: all {size} are as recorded\n", "")


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    "options",
    [
        ["--init", "truncated_normal", "--lower=-inf", "--upper", "1.5"],
        ["--init", "truncated_normal", "--lower", "-1", "--upper", "inf"],
        ["--init", "random_normal", "--mean", "1e-3", "--stddev", "3", "--seed", 2**64 - 1],
        ["--init", "random_uniform", "--minval=-1e-30", "--maxval", "0.1"],
        ["--init", "constant", "--value", "nan"],
        ["--init", "constant", "--value=-inf"],
        ["--init", "constant", "--value", 2**53 + 1, "--dtype", "int64"],
        ["--init", "ones", "--dtype", "int8"],
        ["--init", "he_normal", "--input-axes", "1", "--output-axes", "0"],
        ["--init", "variance_scaling", "--mode", "fan_avg", "--distribution", "uniform"],
        ["--init", "he_uniform", "--rows", "17:-3", "--seed", "5"],
        ["--init", "he_uniform", "--rows", "0:1", "--seed", "5"],
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_every_kind_of_option(options, suffix, verified):
    options = list(map(str, options))
    create(f"a{suffix}", *options, "--shape", "100x33")
    assert verified(f"a{suffix}")[0] == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("shape", ["7", "1x1", "0x4", "4x0", "2x3x5x7"])
def test_shapes(shape, suffix, verified):
    create(f"a{suffix}", *TABLE, "--shape", shape)
    assert verified(f"a{suffix}")[0] == 0


def test_other_dtypes_of_numpy(verified):
    create("a.npy", "--init", "ones", "--shape", "50x3", "--dtype", "complex128")
    assert verified("a.npy")[0] == 0


def test_the_record_of_a_npy_file():
    """It is JSON that any program reads, infinite bounds included."""
    create("a.npy", *TABLE, "--dtype", "bfloat16", "--rows", "3:900", "--lower=-inf")
    text = RECORD.read_text(encoding="utf-8")
    found = json.loads(text, parse_constant=pytest.fail)
    assert found.pop("checksum") == checksum(decoded(text.encode()))
    assert found == {
        "init": "truncated_normal",
        "shape": [1000, 33],
        "dtype": "bfloat16",
        "rows": [3, 900],
        "mean": 0.0,
        "stddev": 0.1,
        "seed": 7,
        "lower": "-inf",
        "upper": 2.0,
        "stream_version": 1,
        "fastinit_version": fastinit.__version__,
    }
    assert text.startswith('{\n  "init": "truncated_normal",\n  "shape": [1000, 33],\n')


def test_a_drawn_seed_is_recorded(verified):
    create("a.npy", *TABLE[:-2], "--quiet")
    seed = decoded(RECORD.read_bytes())["seed"]
    assert verified("a.npy") == (
        0,
        f"a.npy: 1000x33 float32, seed {seed}: all 132 kB are as recorded\n",
        "",
    )


def test_a_file_that_was_moved_with_its_record(verified):
    create("a.npy", *TABLE)
    os.rename("a.npy", "b.npy")
    os.rename("a.npy.json", "b.npy.json")
    assert verified("b.npy")[0] == 0


# Files that differ


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16"])
def test_where_and_how_many_elements_differ(dtype, threads, suffix, verified):
    name = f"a{suffix}"
    create(name, *TABLE, "--shape", "50x7x19", "--dtype", dtype)
    data = Path(name).read_bytes()
    itemsize, size = np.dtype(dtype).itemsize, 50 * 7 * 19
    right = np.frombuffer(data[len(data) - size * itemsize :], dtype)
    rng = np.random.default_rng(1)
    for count in (1, 2, 40):
        wrong = right.copy()
        at = np.sort(rng.choice(size, count, replace=False))
        bits = wrong.view(f"uint{8 * itemsize}")
        bits[at] ^= 1 << rng.integers(0, 8 * itemsize - 1, count).astype(bits.dtype)
        Path(name).write_bytes(data[: len(data) - size * itemsize] + wrong.tobytes())
        code, out, err = verified(name, "--threads", threads)
        assert (code, err) == (1, "")
        index = [int(i) for i in np.unravel_index(at[0], (50, 7, 19))]
        differ = "differs" if count == 1 else "differ"
        assert out == (
            f"{name}: 50x7x19 {dtype}, seed 7: {count} of 6650 elements {differ} from what is "
            f"recorded, the first at {index}: {wrong[at[0]]!s} and not {right[at[0]]!s}\n"
        )


@pytest.mark.parametrize("place", [0, 1, NBYTES // 2, NBYTES - 4, NBYTES - 1])
def test_one_bit(place, verified):
    create("a.npy", *TABLE)
    change("a.npy", place)
    code, out, _ = verified("a.npy")
    assert code == 1
    row, column = divmod(place // 4, 33)
    assert (
        f" 1 of 33000 elements differs from what is recorded, the first at [{row}, {column}]" in out
    )


def test_the_sign_of_zero_and_the_bits_of_nan(verified):
    """Numbers that compare as equal, and those that never do, are compared by their bits."""
    create("a.npy", "--init", "zeros", "--shape", "20x3")
    np.save("a.npy", -np.load("a.npy"))
    assert " 60 of 60 elements differ" in verified("a.npy")[1]
    create("a.npy", "--init", "constant", "--value", "nan", "--shape", "20x3", "--overwrite")
    assert verified("a.npy")[0] == 0
    array = np.load("a.npy")
    array.view("uint32")[3, 1] ^= 1
    np.save("a.npy", array)
    assert (
        "1 of 60 elements differs from what is recorded, the first at [3, 1]"
        in verified("a.npy")[1]
    )


def test_a_shard_of_other_rows(verified):
    create("a.npy", *TABLE, "--rows", "100:200")
    create("b.npy", *TABLE, "--rows", "101:201")
    os.replace("b.npy", "a.npy")
    code, out, _ = verified("a.npy")
    assert (code, " 3300 of 3300 elements differ " in out) == (1, True)


def test_several_files(verified):
    """The exit code is that of the worst, and every file has its line."""
    for name in ("a.npy", "b.safetensors", "c.npy"):
        create(name, *TABLE)
    assert verified("a.npy", "b.safetensors", "c.npy")[0] == 0
    change("b.safetensors", 5)
    code, out, err = verified("a.npy", "b.safetensors", "c.npy")
    assert (code, err) == (1, "")
    assert [line.partition(":")[0] for line in out.splitlines()] == [
        "a.npy",
        "b.safetensors",
        "c.npy",
    ]
    os.unlink("a.npy.json")
    code, out, err = verified("a.npy", "b.safetensors", "c.npy")
    assert code == 2
    assert [line.partition(":")[0] for line in out.splitlines()] == ["b.safetensors", "c.npy"]
    assert err.startswith("fastinit verify: error: a.npy has no record, a.npy.json: give the")
    code, out, err = verified("b.safetensors", "c.npy", "--quiet")
    assert (code, err) == (1, "")
    assert out.startswith("b.safetensors: ")
    assert out.count("\n") == 1


# Files that cannot be compared


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_size(suffix, unverified):
    name = f"a{suffix}"
    create(name, *TABLE)
    data = Path(name).read_bytes()
    first = len(data) - NBYTES
    for size in (first, first + 1, first + NBYTES // 2, len(data) - 1):
        Path(name).write_bytes(data[:size])
        message = f"{name} is cut short: it has {size} bytes and not {len(data)}"
        assert unverified(name) == message
    for size in (0, 5, first - 1):
        Path(name).write_bytes(data[:size])
        assert unverified(name) == f"{name} has no header such as create writes"
    Path(name).write_bytes(data + b"\0")
    assert f"{name} is longer than its header says" in unverified(name)


@pytest.mark.parametrize(
    ("array", "found"),
    [
        (np.zeros((33, 1000), "float32"), "33x1000 float32"),
        (np.zeros((1000, 33), "int32"), "1000x33 int32"),
        (np.zeros((500, 33), "float64"), "500x33 float64"),
        (np.zeros(33000, "float32"), "33000 float32"),
        (np.zeros((1000, 33), "float16"), "1000x33 float16"),
        (np.zeros((1000, 33), "V2"), "1000x33 bfloat16"),
    ],
)
def test_another_header(array, found, unverified):
    create("a.npy", *TABLE)
    np.save("a.npy", array)
    assert unverified("a.npy") == (
        f"a.npy: its header says {found}, but 1000x33 float32 is recorded"
    )


@pytest.mark.parametrize(
    "array",
    [
        np.asfortranarray(np.ones((1000, 33), "float32")),
        np.ones((1000, 33), ">f4"),
        np.ones(5, [("a", "f4")]),
        np.array([None]),
    ],
    ids=["Fortran", "byte order", "fields", "objects"],
)
def test_a_header_that_create_does_not_write(array, unverified):
    create("a.npy", *TABLE)
    np.save("a.npy", array)
    assert unverified("a.npy") == "a.npy has no header such as create writes"


def header_of(fields):
    text = json.dumps(fields).encode()
    return len(text).to_bytes(8, "little") + text


def test_safetensors_of_other_programs(unverified, verified):
    create("a.safetensors", *TABLE)
    data = Path("a.safetensors").read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    fields, values = json.loads(data[8:end]), data[end:]
    # Another program may write the same fields in another order and with other blanks.
    Path("a.safetensors").write_bytes(header_of(dict(reversed(fields.items()))) + values)
    assert verified("a.safetensors")[0] == 0
    metadata = fields["__metadata__"]
    for name in metadata.keys() - {"format"}:
        for value in (None, 5, metadata[name] + " ", metadata[name][:-1], "9" * 70_000, "[" * 9999):
            changed = {**metadata, name: value}
            if value is None:
                del changed[name]
            Path("a.safetensors").write_bytes(
                header_of({**fields, "__metadata__": changed}) + values
            )
            code, _, err = verified("a.safetensors")
            # JSON may have a blank behind a number.
            assert code == 2 or (name not in ("init", "dtype") and value == metadata[name] + " ")
            assert code == 0 or "the metadata of a.safetensors is no record" in err
    for header in (
        {"weight": fields["weight"]},
        {**fields, "other": {"dtype": "F32", "shape": [0], "data_offsets": [NBYTES, NBYTES]}},
        {**fields, "__metadata__": 5},
        {**fields, "weight": {**fields["weight"], "data_offsets": [0, NBYTES - 4]}},
        {**fields, "weight": {**fields["weight"], "shape": [1000, 33.0]}},
        {**fields, "weight": {**fields["weight"], "shape": [1] * 400_000}},
        {**fields, "weight": {**fields["weight"], "dtype": "F8_E5M2"}},
        [],
    ):
        Path("a.safetensors").write_bytes(header_of(header) + values)
        assert "a.safetensors" in unverified("a.safetensors")


def test_a_length_of_a_header_that_is_huge(unverified):
    create("a.safetensors", *TABLE)
    data = Path("a.safetensors").read_bytes()
    for length in (len(data), 2**40, 2**63, 2**64 - 1):
        Path("a.safetensors").write_bytes(length.to_bytes(8, "little") + data[8:])
        assert unverified("a.safetensors") == "a.safetensors has no header such as create writes"


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_another_version_of_the_stream(suffix, unverified):
    create(f"a{suffix}", *TABLE)
    if suffix == ".npy":
        record(stream_version=2)
    else:
        data = Path("a.safetensors").read_bytes()
        asked = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])["__metadata__"]
        plain = {n: json.loads(asked[n]) for n in ("shape", "rows", "mean", "stddev", "lower")}
        plain |= {"upper": 2.0, "seed": 7, "stream_version": 2}
        plain |= {n: asked[n] for n in ("init", "dtype", "fastinit_version")}
        new = asked | {"stream_version": "2", "checksum": checksum(plain)}
        for name in ("stream_version", "checksum"):
            old = f'"{name}":"{asked[name]}"'.encode()
            assert data.count(old) == 1
            data = data.replace(old, f'"{name}":"{new[name]}"'.encode())
        Path("a.safetensors").write_bytes(data)
    message = f"a{suffix} was made by version 2 of the stream, and this is version 1"
    assert unverified(f"a{suffix}") == message


def test_a_file_of_another_version_of_fastinit(verified):
    """The version of the package is only told; the values are those of the stream."""
    create("a.npy", *TABLE)
    record(fastinit_version="17.2rc1")
    assert verified("a.npy")[0] == 0
    create("a.npy", *TABLE, "--resume")


NO_RECORDS = [
    *(b"", b"{", b"{}", b"[]", b"5", b"null", b'"init"', b"\0" * 99, b"\xff\xfe{}", b"[" * 60_000),
    *(b'{"a":' * 20_000, b"[1]" * 40_000, b"9" * 60_000, b"{" + b" " * 70_000 + b"}", b"NaN"),
    *(b"\x93NUMPY\x01\x00v\x00", b"\x80\x04cos\nsystem\n(S'touch pwned'\ntR."),
]


@pytest.mark.parametrize("text", NO_RECORDS, ids=range(len(NO_RECORDS)))
def test_what_is_no_record(text, unverified):
    create("a.npy", *TABLE)
    RECORD.write_bytes(text)
    message = unverified("a.npy")
    assert message == "a.npy.json is no record that create has written, or was edited"
    assert sorted(os.listdir()) == ["a.npy", "a.npy.json"]


def test_a_record_with_any_other_byte(unverified, verified):
    """What was damaged or edited is told from a file that differs."""
    create("a.npy", *TABLE)
    text = RECORD.read_bytes()
    for place in range(len(text)):
        for value in {text[place] ^ 1, text[place] ^ 0x80, ord("7"), ord(" ")} - {text[place]}:
            RECORD.write_bytes(text[:place] + bytes([value]) + text[place + 1 :])
            if decoded(RECORD.read_bytes()) == decoded(text):  # a blank is another
                assert verified("a.npy")[0] == 0
            else:
                assert "is no record that create has written" in unverified("a.npy")


EDITED = [
    *({"shape": s} for s in (None, 5, "ab", [], [1000, "x"], [10**30, 33], [1] * 65, [-1], {})),
    *({"rows": r} for r in (None, 5, [0], [0, 2000], ["0", 1000], {}, [None, None])),
    *({"init": i} for i in (None, 5, [], {}, "nonsense", "orthogonal", "stft", "os.system")),
    *({"seed": s} for s in (None, "x", -1, 2**64, 1.5, [7], True, ...)),
    *({"stddev": s} for s in (None, "x", "inf", "nan", [1], {}, -1, 10**400, ...)),
    *({"lower": s} for s in (3.0, "nan", None)),
    *({"dtype": d} for d in (None, 5, "nonsense", "int32", "f4", "object", [])),
    *({"stream_version": v} for v in (None, "1", True, 1.0, [])),
    *({"fastinit_version": v} for v in (None, 1, "", "x" * 65, "é", "1\n2")),
    *({n: 1} for n in ("name", "nonsense", "gain", "out", "--seed", "", "checksum")),
]  # fmt: skip


@pytest.mark.parametrize("changes", EDITED, ids=str)
def test_records_that_no_run_writes(changes, unverified):
    """The checksum is right, so this was written on purpose."""
    create("a.npy", *TABLE)
    record(**changes)
    assert "a.npy.json" in unverified("a.npy")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"shape": [2**58, 33], "rows": [0, 2**55]}, f"{2**55}x33 float32"),
        ({"shape": [2**40, 33], "rows": [0, 2**40]}, f"{2**40}x33 float32"),
        ({"dtype": "float64"}, "1000x33 float64"),
        ({"shape": [1000, 34]}, "1000x34 float32"),
        ({"rows": [0, 999]}, "999x33 float32"),
    ],
)
def test_records_of_another_array(changes, expected, unverified):
    create("a.npy", *TABLE)
    record(**changes)
    message = f"a.npy: its header says 1000x33 float32, but {expected} is recorded"
    assert unverified("a.npy") == message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=6,
)
NAMES = ["init", "shape", "dtype", "rows", "mean", "stddev", "seed", "lower", "upper",
         "stream_version", "fastinit_version", "name", "value", "mode", "input_axes"]  # fmt: skip


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    folder = tmp_path_factory.mktemp("small")
    assert main(["create", str(folder / "a.npy"), *TABLE[:2], "--shape", "3x5", "--quiet"]) == 0
    return folder / "a.npy"


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(changes=st.dictionaries(st.sampled_from(NAMES), JSON, max_size=3), is_checked=st.booleans())
def test_any_record_is_compared_or_refused(small, changes, is_checked):
    """None raises anything else, and a record that is accepted is what a run writes."""
    path = small.with_name("a.npy.json")
    right = path.read_bytes()
    changed = {**decoded(right), **changes}
    text = encoded(changed) if is_checked else json.dumps(changed).encode("utf-8", "replace")
    try:
        path.write_bytes(text)
        code = main(["verify", str(small), "--quiet"])
        assert code in ((0, 1, 2) if is_checked else (2,))
        if code < 2:
            assert encoded(decoded(text)) == text
    finally:
        path.write_bytes(right)


def test_the_record_is_not_a_regular_file(unverified):
    create("a.npy", *TABLE)
    os.unlink("a.npy.json")
    os.mkfifo("a.npy.json")
    assert "a.npy.json is no record" in unverified("a.npy")
    os.unlink("a.npy.json")
    os.mkdir("a.npy.json")
    assert "a.npy.json is no record" in unverified("a.npy")


def test_what_is_no_file(unverified):
    assert unverified("a.npy") == f"a.npy: {os.strerror(errno.ENOENT)}"
    assert unverified("a.npz") == "a.npz must end in .npy or .safetensors"
    os.mkdir("a.npy")
    assert unverified("a.npy") == "a.npy is a directory"
    os.mkfifo("b.npy")
    assert unverified("b.npy") == "b.npy is no regular file"
    os.symlink("c.npy", "c.npy")
    assert unverified("c.npy") == "c.npy is a loop of symbolic links"
    os.symlink("nowhere", "d.npy")
    assert os.strerror(errno.ENOENT) in unverified("d.npy")


def test_a_file_that_may_not_be_read(unverified, monkeypatch):
    create("a.npy", *TABLE)
    plain = os.stat

    def refuse(path, *arguments, **keywords):
        if str(path) == "a.npy.json":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return plain(path, *arguments, **keywords)

    monkeypatch.setattr(os, "stat", refuse)  # root may read anything
    assert unverified("a.npy") == "a.npy.json: Permission denied"


def test_a_symbolic_link(verified):
    """The record is beside the file that it points to."""
    os.mkdir("there")
    os.symlink("there/data", "a.npy")
    create("a.npy", *TABLE, "--overwrite")
    assert sorted(os.listdir("there")) == ["data", "data.json"]
    assert verified("a.npy")[0] == 0
    os.rename("there/data.json", "a.npy.json")
    assert verified("a.npy")[0] == 2


@pytest.mark.usefixtures("small_chunks")
def test_a_file_that_is_cut_while_it_is_read(unverified, monkeypatch):
    create("a.npy", *TABLE)
    plain = Job.fill

    def fill(self, out, offset):
        if offset > NBYTES // 2:
            os.truncate("a.npy", NBYTES // 3)
        plain(self, out, offset)

    monkeypatch.setattr(Job, "fill", fill)
    assert unverified("a.npy", "--threads", 1) == "a.npy was cut short while it was read"


# Options in the place of a record


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_options_take_the_place_of_a_record(suffix, verified, unverified):
    name = f"a{suffix}"
    create(name, *TABLE)
    RECORD.write_bytes(b"of another program")
    expected = f"{name}: 1000x33 float32, seed 7: all 132 kB are as asked for\n"
    assert verified(name, *TABLE) == (0, expected, "")
    code, out, _ = verified(name, *TABLE[:-1], 8)
    assert (code, "elements differ from what is asked for" in out) == (1, True)
    assert unverified(name, *TABLE[:-2]) == "--seed is required: the values are random"
    assert unverified(name, *TABLE[2:]) == (
        "--init is missing: give all options of create, or none to compare with the record"
    )
    assert unverified(name, "--seed", 7).startswith("--init is missing: ")
    assert unverified(name, *TABLE, "--rows", "0:5") == (
        f"{name}: its header says 1000x33 float32, but 5x33 float32 is asked for"
    )
    assert "its header says" in unverified(name, *TABLE, "--dtype", "bfloat16")


def test_a_file_that_numpy_saved(verified):
    np.save("a.npy", fastinit.he_normal((50, 60), seed=3)[7:20])
    assert verified("a.npy")[0] == 2
    made = ["--init", "he_normal", "--shape", "50x60", "--seed", 3, "--rows", "7:20"]
    assert verified("a.npy", *made)[0] == 0
    half = fastinit.truncated_normal((50, 60), seed=3, dtype="bfloat16")
    for array in (half, half.view("V2")):
        np.save("a.npy", array)
        options = ["--init", "truncated_normal", "--shape", "50x60", "--seed", 3]
        assert verified("a.npy", *options, "--dtype", "bfloat16")[0] == 0


def test_the_name_of_a_tensor(verified, unverified):
    create("a.safetensors", *TABLE, "--name", "é.kernel")
    assert verified("a.safetensors")[0] == 0
    assert verified("a.safetensors", *TABLE)[0] == 0
    assert verified("a.safetensors", *TABLE, "--name", "é.kernel")[0] == 0
    message = unverified("a.safetensors", *TABLE, "--name", "weight")
    assert message == "a.safetensors: its array is called 'é.kernel'"


# Records and `create`


def test_without_a_record(verified, unverified):
    create("a.npy", *TABLE, "--no-record")
    assert os.listdir() == ["a.npy"]
    assert "a.npy has no record, a.npy.json" in unverified("a.npy")
    assert verified("a.npy", *TABLE)[0] == 0
    create("a.npy", *TABLE, "--no-record", "--resume")
    assert os.listdir() == ["a.npy"]


def test_resume_writes_a_record_that_is_missing(verified, capsys):
    create("a.npy", *TABLE)
    text = RECORD.read_bytes()
    os.unlink(RECORD)
    capsys.readouterr()
    create("a.npy", *TABLE, "--resume")
    out = capsys.readouterr().out
    assert out == "a.npy is finished already; it had no record, and has one now\n"
    assert RECORD.read_bytes() == text
    assert verified("a.npy")[0] == 0
    create("a.npy", *TABLE, "--resume")
    assert capsys.readouterr().out == "a.npy is finished already\n"


def create_error(capsys, *arguments):
    capsys.readouterr()
    assert main(["create", *map(str, arguments)]) == 2
    return capsys.readouterr().err


def test_resume_beside_another_record(capsys):
    create("a.npy", *TABLE)
    record(seed=8)
    assert "a.npy.json says something else" in create_error(capsys, "a.npy", *TABLE, "--resume")
    RECORD.write_bytes(b"{}")
    message = create_error(capsys, "a.npy", *TABLE, "--resume")
    assert "a.npy.json is no record that create has written: move it away" in message
    assert RECORD.read_bytes() == b"{}"


def test_a_record_that_nobody_can_write_is_no_error_of_the_file(monkeypatch, capsys):
    create("a.npy", *TABLE)
    os.unlink(RECORD)
    plain = os.open

    def refuse(path, *arguments, **keywords):
        if str(path).endswith(".json.partial"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return plain(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    capsys.readouterr()
    create("a.npy", *TABLE, "--resume")
    out = capsys.readouterr().out
    assert out == "a.npy is finished already; its record cannot be written: Permission denied\n"


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]])
def test_a_file_of_another_program_is_never_replaced(options, verified, capsys):
    RECORD.write_bytes(b'{"my": "notes"}')
    message = create_error(capsys, "a.npy", *TABLE, *options)
    assert "a.npy.json is no record that create has written: move it away, or add" in message
    assert os.listdir() == ["a.npy.json"]
    create("a.npy", *TABLE, *options, "--no-record")
    assert RECORD.read_bytes() == b'{"my": "notes"}'
    assert verified("a.npy", *TABLE)[0] == 0


@pytest.mark.parametrize("options", [[], ["--no-record"]])
def test_a_record_whose_file_is_gone(options, verified, capsys):
    """It may be all that is left of a seed, so it is not replaced unasked."""
    create("a.npy", *TABLE[:-2])
    text = RECORD.read_bytes()
    os.unlink("a.npy")
    message = create_error(capsys, "a.npy", *TABLE, *options)
    assert message == "fastinit create: error: a.npy.json exists: --overwrite replaces it\n"
    assert RECORD.read_bytes() == text
    create("a.npy", *TABLE, *options, "--overwrite")
    assert sorted(os.listdir()) == (["a.npy"] if options else kept("a.npy"))


def test_overwrite_replaces_the_record(verified):
    create("a.npy", *TABLE)
    create("a.npy", *TABLE[:-1], 8, "--overwrite")
    assert verified("a.npy")[:2] == (
        0,
        "a.npy: 1000x33 float32, seed 8: all 132 kB are as recorded\n",
    )
    create("a.npy", *TABLE, "--overwrite", "--no-record")
    assert os.listdir() == ["a.npy"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666])
def test_mode_and_owner_are_those_of_the_file(mode):
    create("a.npy", *TABLE)
    assert os.stat("a.npy.json").st_mode == os.stat("a.npy").st_mode
    owner = (1234, 2345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown("a.npy", *owner)
    os.chmod("a.npy", mode)
    create("a.npy", *TABLE, "--overwrite")
    status = [os.stat(name) for name in kept("a.npy")]
    assert [s.st_mode & 0o7777 for s in status] == [mode, mode]
    assert [(s.st_uid, s.st_gid) for s in status] == [owner, owner]


def test_a_file_that_is_being_replaced(verified, monkeypatch, capsys):
    """Until the new file is complete the old one is compared with its own record."""
    create("a.npy", *TABLE)
    seen = []
    plain = Partial.write

    def write(*arguments):
        seen.append(main(["verify", "a.npy", "--quiet"]))
        plain(*arguments)

    monkeypatch.setattr(Partial, "write", write)
    create("a.npy", *TABLE[:-1], 8, "--overwrite")
    assert seen == [0]


def test_a_file_that_is_not_finished(unverified):
    create("-a.npy".removeprefix("-"), *TABLE)
    os.rename("a.npy", "a.npy.partial")
    os.unlink(RECORD)
    assert unverified("a.npy") == ("a.npy is not finished: fastinit create a.npy --resume goes on")


def test_a_waiting_record_of_other_values_hinders_nothing(verified):
    """It is that of a run which was killed, and whose NAME.partial was removed."""
    create("b.npy", *TABLE[:-1], 8)
    create("a.npy", *TABLE)
    os.rename("b.npy.json", "a.npy.json.partial")
    code, out, err = verified("a.npy")
    assert (code, err) == (0, "")
    assert "all 132 kB are as recorded" in out
    create("a.npy", *TABLE, "--overwrite")  # it may be replaced
    assert sorted(os.listdir()) == ["a.npy", "a.npy.json", "b.npy"]


@pytest.mark.parametrize("rest", [b"my notes", b"{}", b"x" * (1 << 16)])
def test_a_foreign_file_of_the_name_of_a_waiting_record_is_kept(rest, capsys):
    waiting = Path("a.npy.json.partial")
    waiting.write_bytes(rest)
    message = create_error(capsys, "a.npy", *TABLE)
    assert "a.npy.json.partial is no record that create has written: move it away" in message
    assert os.listdir() == ["a.npy.json.partial"]
    create("a.npy", *TABLE, "--no-record")
    assert sorted(os.listdir()) == ["a.npy", "a.npy.json.partial"]
    assert waiting.read_bytes() == rest


@pytest.mark.parametrize("rest", [b"", bytes(300), b'{\n  "init": "trunc'])
def test_what_a_loss_of_power_leaves_of_a_waiting_record_is_replaced(rest, verified):
    Path("a.npy.json.partial").write_bytes(rest)
    create("a.npy", *TABLE)
    assert sorted(os.listdir()) == kept("a.npy")
    assert verified("a.npy")[0] == 0


def test_what_hinders_the_record_is_told_before_anything_is_written(capsys):
    os.mkdir("a.npy.json.partial")
    assert "a.npy.json.partial is no record" in create_error(capsys, "a.npy", *TABLE)
    assert os.listdir() == ["a.npy.json.partial"]


@pytest.mark.skipif(sys.platform != "linux", reason="names of 255 bytes")
def test_a_name_too_long_for_its_record(capsys):
    name = "a" * 240 + ".npy"
    message = create_error(capsys, name, *TABLE)
    assert "File name too long: add --no-record to write none" in message
    assert os.listdir() == []
    create(name, *TABLE, "--no-record")
    assert os.listdir() == [name]


def test_a_record_stays_where_the_file_cannot_be_replaced(monkeypatch, verified, capsys):
    """The target may be a mount point, as a single file in a container is."""
    create("a.npy", "--init", "random_normal", "--shape", "10x4")
    plain = os.replace

    def refuse(source, target):
        if str(target) == "a.npy":
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        plain(source, target)

    record = RECORD.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        error = create_error(capsys, "a.npy", *TABLE, "--overwrite", "--no-record")
        assert "busy" in error
    assert RECORD.read_bytes() == record
    assert verified("a.npy")[0] == 0
    create("a.npy", "--resume", "--overwrite", "--no-record")
    assert os.listdir() == ["a.npy"]


def test_a_record_is_not_replaced_by_nothing():
    """Another run may have published the waiting one."""
    create("a.npy", *TABLE)
    record = RECORD.read_bytes()
    with pytest.raises(FileNotFoundError):
        publish_record(Path("a.npy"))
    assert RECORD.read_bytes() == record


@pytest.mark.parametrize(
    ("options", "at", "byte", "found"),
    [
        (["--init", "ones", "--dtype", "bool"], 128, 2, "0x02 (True) and not 0x01 (True)"),
        (
            ["--init", "constant", "--value", "nan"],
            128,
            1,
            "0x7fc00001 (nan) and not 0x7fc00000 (nan)",
        ),
    ],
)
def test_values_that_look_the_same_are_shown_in_bits(options, at, byte, found, verified):
    create("a.npy", "--shape", "4x4", *options)
    with open("a.npy", "r+b") as file:
        file.seek(at)
        file.write(bytes([byte]))
    code, out, _ = verified("a.npy")
    assert code == 1
    assert out.endswith(f"the first at [0, 0]: {found}\n")


def test_a_record_that_was_not_published(verified, unverified, capsys):
    create("a.npy", *TABLE)
    os.rename("a.npy.json", "a.npy.json.partial")
    assert unverified("a.npy") == (
        "a.npy was published, but a run was killed before it published the record: "
        "fastinit create a.npy --resume does that"
    )
    capsys.readouterr()
    create("a.npy", "--resume")
    assert capsys.readouterr().out == "a.npy is finished already\n"
    assert sorted(os.listdir()) == kept("a.npy")
    assert verified("a.npy")[0] == 0


@pytest.mark.parametrize("options", [["--resume"], ["--overwrite"], []])
def test_a_record_that_was_not_published_is_replaced_by_none_but_its_own(options, verified):
    """The record of a file that is gone is not given to another file."""
    create("a.npy", *TABLE)
    os.rename("a.npy.json", "a.npy.json.partial")
    create("b.npy", *TABLE[:-1], 8)
    os.rename("b.npy", "a.npy")
    os.unlink("b.npy.json")
    main(["create", "a.npy", *TABLE[:-1], "8", *options])
    assert verified("a.npy")[0] == (0 if options else 2)


# The command


def test_progress(verified):
    create("a.npy", *TABLE)
    code, out, err = verified("a.npy", "--progress")
    assert code == 0
    assert "a.npy: 100%" in err
    assert "B/s]" in err
    assert out.startswith("a.npy: 1000x33 float32, seed 7: all")
    assert verified("a.npy", "--quiet") == (0, "", "")


def test_a_name_that_begins_with_a_hyphen(verified, unverified):
    create(*TABLE, "--", "-a.npy")
    assert verified("--", "-a.npy")[0] == 0
    os.rename("-a.npy.json", "-a.npy.json.partial")
    assert "fastinit create --resume -- -a.npy does that" in unverified("--", "-a.npy")


INTERRUPTED = """
import os, signal, sys
from fastinit._cli.main import main
from fastinit._files import job, write
write.CHUNK = 1 << 16
plain, sent = job.Job.fill, []
def fill(self, out, offset):
    if offset > 10 * write.CHUNK and not sent:
        sent.append(os.kill(os.getpid(), signal.SIGINT))
    plain(self, out, offset)
job.Job.fill = fill
sys.exit(main(["verify", "a.npy"]))
"""


def test_ctrl_c():
    create("a.npy", "--init", "zeros", "--shape", "100000x64")
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
    assert signal.SIGINT == 2


STREAMS = [
    (">/dev/full", 2),
    (">&-", 0),
    ("2>/dev/full", 0),
    ("2>&-", 0),
    ("</dev/null >&- 2>&-", 0),
]


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's")
@pytest.mark.parametrize(("streams", "code"), STREAMS)
def test_streams_that_are_closed_or_full(streams, code):
    create("é.npy", *TABLE)
    command = f"{sys.executable} -m fastinit verify é.npy {streams}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.returncode == code
    error = "fastinit verify: error: stdout: No space left on device\n"
    assert done.stderr == (error if code else "")


def test_a_stream_that_cannot_encode_a_name():
    create("é.npy", *TABLE)
    env = {**os.environ, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "fastinit", "verify", "é.npy", "ü.npy"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert done.returncode == 2
    assert done.stdout.startswith(r"\xe9.npy: 1000x33")
    assert done.stderr == "fastinit verify: error: \\xfc.npy: No such file or directory\n"


def test_without_ml_dtypes(unverified, monkeypatch):
    create("a.npy", *TABLE, "--dtype", "bfloat16")
    monkeypatch.setitem(sys.modules, "ml_dtypes", None)
    message = unverified("a.npy")
    assert message.startswith("a.npy.json describes no array that can be made: ")
    assert "pip install ml_dtypes" in message


MEMORY = """
import re, sys
from fastinit._cli.main import main
assert main(["verify", *sys.argv[1:]]) == 0
print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, which is Linux's")
def test_peak_memory():
    shape = ["--shape", "1200000x128", "--dtype", "float16", "--seed", 1, "--quiet"]
    create("a.npy", "--init", "random_uniform", *shape)
    peak = int(run_python(MEMORY, "a.npy", "--quiet", "--threads", 100))
    assert peak * 1024 < 256 * 2**20 < Path("a.npy").stat().st_size


def test_the_values_of_bfloat16_are_shown(verified):
    create("a.npy", *TABLE, "--dtype", "bfloat16")
    array = np.load("a.npy").view(ml_dtypes.bfloat16)
    array[2, 5] = 3
    np.save("a.npy", array)
    expected = fastinit.truncated_normal((1000, 33), 0, 0.1, 7, "bfloat16")[2, 5]
    assert f"the first at [2, 5]: 3 and not {expected!s}\n" in verified("a.npy")[1]


def test_headers_have_as_many_dimensions_as_numpy_has():
    """More would only take time to multiply."""
    for count in (64, 65):
        tensor = {"dtype": "F32", "shape": [1] * count, "data_offsets": [0, 4]}
        head = header_of({"weight": tensor})
        assert (decode(".safetensors", head) is None) == (count > 64)


def test_a_file_of_another_program_that_comes_during_the_run(verified, monkeypatch, capsys):
    finish = Partial.finish

    def finishing(*arguments):
        finish(*arguments)
        RECORD.write_bytes(b"notes")

    with monkeypatch.context() as patched:
        patched.setattr(Partial, "finish", finishing)
        message = create_error(capsys, "a.npy", *TABLE)
    assert "a.npy.json is no record that create has written: move it away, or add" in message
    assert RECORD.read_bytes() == b"notes"
    assert message == create_error(capsys, "a.npy", "--resume")
    os.rename(RECORD, "notes")
    create("a.npy", "--resume")
    assert sorted(os.listdir()) == [*kept("a.npy"), "notes"]
    assert verified("a.npy")[0] == 0


def test_a_record_that_is_not_wanted_any_more(verified):
    create("a.npy", *TABLE)
    os.rename("a.npy.json", "a.npy.json.partial")
    create("a.npy", *TABLE, "--resume", "--no-record")
    assert os.listdir() == ["a.npy"]
