"""NAME.partial: interruptions, races and full disks, after each of which the bytes are right."""

import errno
import fcntl
import json
import os
import resource
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from creating import (
    TABLE,
    create,
    files,
    kept,
    refused,
    saved,
    stop_after,
    unpublish,
    without_threads,
)
from processes import run_python

import fastinit
from fastinit._cli.main import main
from fastinit._files import job as jobs
from fastinit._files import partial as partials
from fastinit._files import record as records
from fastinit._files import write as writing


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def interrupted(small_chunks, monkeypatch, capsys):
    """Write a part of a.npy.partial; the whole has 33 chunks."""
    with monkeypatch.context() as patched:
        without_threads(patched)
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", "a.npy", *TABLE]) == 130
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
    plain = partials.Partial.write
    monkeypatch.setattr(
        partials.Partial,
        "write",
        lambda self, values, offset: written.append(offset) or plain(self, values, offset),
    )
    create("a.npy", *options, "--resume")
    assert Path("a.npy").read_bytes() == expected
    assert files() == kept("a.npy")
    assert min(written) > 0
    assert len(written) < 33


@pytest.mark.usefixtures("interrupted")
def test_quiet_without_the_seed_that_is_known(expected):
    create("a.npy", *TABLE[:-2], "--quiet", "--resume")
    assert Path("a.npy").read_bytes() == expected


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
        assert main(["create", name, *TABLE, "--mean", means[0]]) == 130
    create(name, *TABLE, "--mean", means[1], "--resume")
    assert Path(name).read_bytes() == contents[0]


@pytest.mark.usefixtures("interrupted")
def test_a_partial_file_is_not_replaced_unasked(expected, capsys):
    assert "exists: --resume goes on" in refused(capsys, "a.npy", *TABLE)
    create("a.npy", *TABLE, "--overwrite")
    assert Path("a.npy").read_bytes() == expected
    assert files() == kept("a.npy")


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
    """A file of a run that was killed before it wrote a trailer is begun anew."""
    Path("a.npy.partial").write_bytes(content)
    assert "is required" in refused(capsys, "a.npy", "--resume")
    create("a.npy", *TABLE, "--resume")
    assert Path("a.npy").read_bytes() == expected


def npy_header(descr, shape, fortran=False):
    text = f"{{'descr': {descr!r}, 'fortran_order': {fortran}, 'shape': {shape}, }}"
    text = text.replace("'1L'", "1L").ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def safetensors_header(shape, offsets):
    tensor = {"dtype": "F32", "shape": shape, "data_offsets": offsets}
    text = json.dumps({"__metadata__": {"stream_version": "1"}, "a": tensor}).encode()
    return len(text).to_bytes(8, "little") + text


@pytest.mark.parametrize("suffix", [".npy", ".safetensors"])
@pytest.mark.parametrize(
    "content",
    [
        *(b"x", b"\xff" * 1000, b"\0" * 8 + b"fastinit", b"\x93NUMPY\x01\x00\x05\x00{'a'}"),
        *(b"\x93NUMPY\x01\x00\x01\x00(", b"\2" + bytes(7) + b"[]", b"\2" + bytes(7) + b"{}"),
        b"\x38" + bytes(7) + b'{"another\'s":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}\n',
        bytes(64) + b"values of another",
        bytes(3 << 20) + b"\1" + bytes(3 << 20),
        npy_header("|O", (0,)),
        npy_header("<f4", (0, 3), fortran=True),
        npy_header(">f4", (2,)) + bytes(8),
        npy_header("<f4", (-2, -3)) + bytes(24),
        npy_header("<f4", (2, "1L")) + bytes(8),
        *(
            safetensors_header(shape, offsets) + bytes(8)
            for shape, offsets in (
                ([2], [0, 4]),
                ([2], [4, 8]),
                ([-1, -2], [0, 8]),
                ([2.0], [0, 8]),
            )
        ),
    ],
    ids=range(19),
)
def test_resume_of_the_file_of_another(content, suffix, expected, capsys):
    path = Path(f"a{suffix}.partial")
    path.write_bytes(content)
    for options in ([], TABLE, ["--overwrite"], [*TABLE, "--overwrite"]):
        message = refused(capsys, f"a{suffix}", *options, "--resume")
        assert f"{path} was not begun by this command" in message
        assert path.read_bytes() == content
    create(f"a{suffix}", *TABLE, "--overwrite")
    assert files() == kept(f"a{suffix}")


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
    """Make a complete file that is not renamed yet; return its name, options and bytes."""
    name, *shape = request.param
    create(name, *TABLE[:2], "--shape", "1000x33", *shape, *TABLE[4:])
    data = Path(name).read_bytes()
    unpublish(name)
    return name, [*TABLE, *shape], data


def test_resume_of_a_complete_file(complete, capsys):
    name, options, data = complete
    assert "--resume alone renames it" in refused(capsys, name, *TABLE[:-2], "--resume")
    assert "--resume alone renames it" in refused(capsys, name, "--seed", 7, "--resume")
    assert "holds something else" in refused(capsys, name, *TABLE, "--shape", 5, "--resume")
    assert files() == sorted(f"{file}.partial" for file in kept(name))
    create(name, "--resume")
    assert Path(name).read_bytes() == data
    assert files() == kept(name)
    unpublish(name)
    create(name, *options, "--resume")
    assert Path(name).read_bytes() == data


def test_a_complete_file_and_another_target(complete, capsys):
    name, _, data = complete
    Path(name).write_bytes(b"other")
    assert f"{name} exists" in refused(capsys, name, "--resume")
    create(name, "--resume", "--overwrite")
    assert Path(name).read_bytes() == data
    assert files() == kept(name)


@pytest.mark.parametrize("options", [["--resume"], [*TABLE, "--resume"], [*TABLE, "--overwrite"]])
def test_one_file_with_both_names(options, expected):
    """A run is killed between its last two steps; the target is complete all the while."""
    create("a.npy", *TABLE)
    os.link("a.npy", "a.npy.partial")
    with open("a.npy", "rb") as file:
        create("a.npy", *options)
        assert file.read() == expected
    assert Path("a.npy").read_bytes() == expected
    assert files() == kept("a.npy")


@pytest.mark.parametrize("links", [True, False])
def test_the_target_comes_during_the_run(links, expected, monkeypatch, capsys):
    finish = partials.Partial.finish

    def no_link(*names):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patched:
        patched.setattr(
            partials.Partial,
            "finish",
            lambda *arguments: finish(*arguments) or Path("a.npy").write_bytes(b"new"),
        )
        if not links:
            patched.setattr(os, "link", no_link)
        message = refused(capsys, "a.npy", *TABLE)
    assert "a.npy has appeared in the meantime; a.npy.partial is complete" in message
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
        if end:  # it is of another program
            assert "was not begun by this command" in refused(capsys, "a.npy", *TABLE, "--resume")
            create("a.npy", *TABLE, "--overwrite")
        else:
            assert "is required" in refused(capsys, "a.npy", "--resume")
            create("a.npy", *TABLE, "--resume")
    finally:
        Path("a.npy.partial").unlink(missing_ok=True)
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.usefixtures("interrupted")
def test_a_bit_of_the_trailer_that_is_flipped(capsys):
    path = Path("a.npy.partial")
    data = bytearray(path.read_bytes())
    first = 128 + 1000 * 33 * 4  # the end of the values is a multiple of 16
    with partials.open_partial(path) as file:
        asked, written = file.read_record()
        assert asked["seed"] == 7
        assert 0 < written < 1000 * 33 * 4
        for bit in range(8 * first, 8 * len(data)):
            data[bit // 8] ^= 1 << bit % 8
            os.pwrite(file.fd, data, 0)
            assert file.read_record() is None, bit
            data[bit // 8] ^= 1 << bit % 8
    for place in (first, first + 20, len(data) - 12, len(data) - 1):
        data[place] ^= 64
        path.write_bytes(data)
        for options in ([], TABLE):
            message = refused(capsys, "a.npy", *options, "--resume")
            assert "a.npy.partial was not begun by this command, or is damaged" in message
        assert path.read_bytes() == data
        data[place] ^= 64


BEGUN = {
    "init": "truncated_normal",
    "shape": [1000, 33],
    "dtype": "float32",
    "rows": [0, 1000],
    "mean": 0.0,
    "stddev": 0.1,
    "lower": -2.0,
    "upper": 2.0,
    "seed": 7,
    "stream_version": 1,
    "fastinit_version": "0.1.0",
}


def begin_with(asked, written=0):
    """Make a.npy.partial with a valid trailer of these settings."""
    with partials.open_partial(Path("a.npy.partial")) as file:
        file.begin(npy_header("<f4", (1000, 33)), 1000 * 33 * 4, asked)
        file.keep(written)


def test_the_settings_that_a_run_writes(expected):
    begin_with(BEGUN)
    create("a.npy", "--resume")
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.parametrize(
    "settings",
    [
        *({"shape": s} for s in (None, 5, "ab", [1000, "x"], [[1000, 33]], [10**30, 33], {}, [])),
        *({"shape": s} for s in ([1000.0, 33], [True, 33], [1000, -33], [1] * 30_000)),
        *({"rows": r} for r in (None, 5, [0], [0, 1000, 3], ["0", 1000], {}, [None, None])),
        *({"init": i} for i in (None, 5, [], {}, "nonsense", "orthogonal")),
        *({"seed": s} for s in (None, "x", -1, 2**64, 1.5, [7], True)),
        *({"stddev": s} for s in (None, "x", [1], {}, -1, float("nan"), 10**400)),
        *({"dtype": d} for d in (None, 5, "nonsense", "int32", "f4", [])),
        *({"stream_version": v} for v in (None, "1", True, 1.0, [])),
        *({"fastinit_version": v} for v in (None, 1, [], "", "é", "0" * 65, "1\n")),
        *({n: 1} for n in ("name", "nonsense", "input_axes", "gain", "--resume", "")),
        *({n: ...} for n in BEGUN),
    ],
    ids=str,
)
def test_settings_that_no_run_has_written(settings, capsys):
    """The checksum is right, so this was written on purpose."""
    asked = {n: v for n, v in {**BEGUN, **settings}.items() if v is not ...}
    begin_with(asked)
    data = Path("a.npy.partial").read_bytes()
    for options in ([], TABLE, ["--seed", 7]):
        message = refused(capsys, "a.npy", *options, "--resume")
        assert len(message) < 1100
    assert Path("a.npy.partial").read_bytes() == data
    create("a.npy", *TABLE, "--overwrite")


@pytest.mark.parametrize("asked", [[], [1], "init", 5, None, {}])
def test_settings_that_are_none(asked, capsys):
    begin_with(asked)
    assert "damaged" in refused(capsys, "a.npy", "--resume")


@pytest.mark.parametrize("written", [1, 1000 * 33 * 4 - 2, 1000 * 33 * 4 + 4, 2**63])
def test_a_count_that_no_run_has_written(written, capsys):
    begin_with(BEGUN, written)
    assert "a.npy.partial is damaged" in refused(capsys, "a.npy", "--resume")


@pytest.mark.parametrize("version", [0, 2, 10**30])
def test_a_file_of_another_version_of_the_stream(version, expected, capsys):
    begin_with({**BEGUN, "stream_version": version, "stddev": "of that version"})
    for options in ([], TABLE, ["--seed", 7]):
        message = refused(capsys, "a.npy", *options, "--resume")
        assert f"a.npy.partial was begun with version {version} of the stream" in message
        assert "this is version 1" in message
        assert "--stream" not in message
    create("a.npy", *TABLE, "--overwrite")
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.parametrize("kind", ["pipe", "socket", "directory"])
def test_what_is_no_file_in_its_place(kind, capsys):
    if kind == "pipe":
        os.mkfifo("a.npy.partial")
    elif kind == "directory":
        os.mkdir("a.npy.partial")
    else:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("a.npy.partial")
    for options in ([], ["--resume"], ["--overwrite"]):
        message = refused(capsys, "a.npy", *TABLE, *options)
        assert options == [] or "a.npy.partial is no regular file" in message
        assert files() == ["a.npy.partial"]


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
        message = refused(capsys, "a.npy", *options, "--resume")
        assert "there is no a.npy.partial, so it is finished; give all options, and" in message
    assert "add --seed N to check" in refused(capsys, "a.npy", *TABLE[:-2], "--resume")
    assert Path("a.npy").read_bytes() == expected


def test_finished_zeros_need_no_seed(capsys):
    """What a message asks for is what the command takes."""
    zeros = ["--init", "zeros", "--shape", "100x3"]
    create("a.npy", *zeros)
    capsys.readouterr()
    assert "and --seed N if values are random" in refused(capsys, "a.npy", "--resume")
    message = refused(capsys, "a.npy", *zeros[:2], "--resume")
    assert "give all options to check that it is the same" in message
    create("a.npy", *zeros, "--resume")
    unpublish("a.npy")
    capsys.readouterr()
    message = refused(capsys, "a.npy", *zeros[:2], "--resume")
    assert "give all options to check that it is the same" in message
    create("a.npy", *zeros, "--resume")


def test_two_at_once(capsys):
    with open("a.npy.partial", "wb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        for options in ([], ["--resume"], ["--overwrite"]):
            assert "another run is writing it" in refused(capsys, "a.npy", *TABLE, *options)
        assert files() == ["a.npy.partial"]
    create("a.npy", *TABLE)


# File systems without locks

NO_LOCKS = [errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL]


@pytest.fixture(params=NO_LOCKS, ids=errno.errorcode.get)
def no_locks(request, monkeypatch):
    def flock(*arguments):
        raise OSError(request.param, os.strerror(request.param))

    monkeypatch.setattr(fcntl, "flock", flock)


@pytest.mark.usefixtures("no_locks")
def test_without_locks_a_file_takes_their_place(expected, monkeypatch, capsys):
    seen, write = [], partials.Partial.write

    def look(*arguments):
        if not seen:
            seen.append(files())
            seen.append(refused(capsys, "a.npy", *TABLE, "--resume"))
        write(*arguments)

    monkeypatch.setattr(partials.Partial, "write", look)
    create("a.npy", *TABLE, "--quiet")
    there, message = seen
    assert there == ["a.npy.partial", "a.npy.partial.lock"]
    assert f"a.npy.partial: process {os.getpid()} of " in message
    assert "if it runs no more, remove a.npy.partial.lock" in message
    assert Path("a.npy").read_bytes() == expected
    assert files() == kept("a.npy")


@pytest.mark.usefixtures("no_locks", "small_chunks")
def test_without_locks_it_goes_on_after_an_interruption(expected, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", "a.npy", *TABLE]) == 130
    assert files() == ["a.npy.partial"]
    Path("a.npy.partial.lock").touch()  # as kill -9 leaves it
    capsys.readouterr()
    message = refused(capsys, "a.npy", "--resume")
    assert "another run is writing it, or was killed" in message
    os.unlink("a.npy.partial.lock")
    create("a.npy", "--resume")
    assert Path("a.npy").read_bytes() == expected
    os.link("a.npy", "a.npy.partial")
    create("a.npy", "--resume")
    assert files() == kept("a.npy")


@pytest.mark.usefixtures("no_locks")
def test_where_no_lock_can_be_made_nothing_is_left(monkeypatch, capsys):
    plain = os.open

    def refuse(path, *arguments, **keywords):
        if str(path).endswith(".lock"):
            raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT), str(path))
        return plain(path, *arguments, **keywords)

    monkeypatch.setattr(os, "open", refuse)
    message = refused(capsys, "a.npy", *TABLE)
    assert f"a.npy.partial.lock: {os.strerror(errno.EDQUOT)}" in message
    assert files() == []


# What is replaced


def test_a_symbolic_link_stays_one(expected, capsys):
    os.mkdir("there")
    Path("there/data").write_bytes(b"old")
    os.symlink("there/data", "a.npy")
    assert "a.npy exists: --overwrite" in refused(capsys, "a.npy", *TABLE)
    assert Path("a.npy").read_bytes() == b"old"
    create("a.npy", *TABLE, "--overwrite")
    create("a.npy", *TABLE, "--resume")  # it is finished
    assert os.readlink("a.npy") == "there/data"
    assert Path("there/data").read_bytes() == expected
    assert sorted(os.listdir("there")) == ["data", "data.json"]


@pytest.mark.usefixtures("small_chunks")
def test_what_is_written_through_a_link_can_be_resumed(expected, monkeypatch, capsys):
    os.mkdir("there")
    os.symlink("there/data", "a.npy")  # there is no such file yet
    assert "a.npy exists: --overwrite" in refused(capsys, "a.npy", *TABLE)
    with monkeypatch.context() as patched:
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", "a.npy", *TABLE, "--overwrite"]) == 130
    assert os.listdir("there") == ["data.partial"]
    create("a.npy", "--resume", "--overwrite")
    assert Path("there/data").read_bytes() == expected
    assert os.readlink("a.npy") == "there/data"


def test_a_loop_of_links(capsys):
    os.symlink("a.npy", "b.npy")
    os.symlink("b.npy", "a.npy")
    for options in ([], ["--resume"], ["--overwrite"]):
        assert "a.npy is a loop of symbolic links" in refused(capsys, "a.npy", *TABLE, *options)


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o444, 0o666, 0o2664])
def test_mode_and_owner_stay(mode, expected, monkeypatch):
    Path("a.npy").write_bytes(b"old")
    owner = (1234, 2345) if os.geteuid() == 0 else (os.geteuid(), os.getegid())
    os.chown("a.npy", *owner)
    os.chmod("a.npy", mode)
    with monkeypatch.context() as patched:
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", "a.npy", *TABLE, "--overwrite"]) == 130
    # Meanwhile, whoever may not read the old file may not read the values either.
    between = stat.S_IMODE(os.stat("a.npy.partial").st_mode)
    assert between & ~0o600 & ~mode == 0
    assert between & 0o600 == 0o600
    create("a.npy", "--resume", "--overwrite")
    status = os.stat("a.npy")
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (mode, *owner)
    assert Path("a.npy").read_bytes() == expected


@pytest.mark.parametrize("group", ["is kept", "is not kept"])
def test_an_owner_that_cannot_be_given(group, monkeypatch):
    """Only root gives a file away; its group's rights are not for another group."""
    Path("a.npy").write_bytes(b"old")
    os.chmod("a.npy", 0o2664)
    status, fstat = os.stat("a.npy"), os.fstat

    def chown(fd, user, group_id):
        if user != -1 or group == "is not kept":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    class Other:
        def __init__(self, status):
            self.st_uid, self.st_gid = status.st_uid + 1, status.st_gid + 1
            self.st_mode, self.st_size, self.st_blocks = (
                status.st_mode,
                status.st_size,
                status.st_blocks,
            )
            self.st_ino, self.st_dev = status.st_ino, status.st_dev

    with monkeypatch.context() as patched:
        patched.setattr(os, "fchown", chown)
        patched.setattr(os, "fstat", lambda fd: Other(fstat(fd)))
        create("a.npy", *TABLE, "--overwrite")
    expected = 0o664 if group == "is kept" else 0o604
    assert stat.S_IMODE(os.stat("a.npy").st_mode) == expected
    assert status.st_ino != os.stat("a.npy").st_ino


# Names


@pytest.mark.usefixtures("small_chunks")
@pytest.mark.parametrize("name", ["-x.npy", "--resume.npy", "-1.npy", "a b.npy", "--.npy"])
def test_the_command_that_goes_on_is_right(name, expected, monkeypatch, capsys):
    with monkeypatch.context() as patched:
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", *TABLE, "--", name]) == 130
    hint = capsys.readouterr().err.strip().removeprefix("interrupted; to go on: ")
    program, *arguments = shlex.split(hint)
    assert program == "fastinit"
    assert main(arguments) == 0
    assert Path(name).read_bytes() == expected
    assert files() == kept(name)


# Interruptions


KILLED = """
import os, signal, sys
from pathlib import Path
from threading import Thread
from fastinit._cli.main import main
from fastinit._files import partial as partials
from fastinit._files import record as records
from fastinit._files import write as writing
writing.CHUNK, writing.KEEP_SECONDS = 4096, 0
name, way = sys.argv[1:]

def refuse(thread):
    raise RuntimeError("can't start new thread")

Thread.start = refuse  # so that every run takes the same steps
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
    partials._sync = dying(partials._sync)
    sys.stderr = open(os.devnull, "w")
    os._exit(main(arguments))

assert run(create) == 0
expected = Path(name).read_bytes()
steps, unknown, resumed, complete, recorded = 0, 0, 0, 0, 0
names = sorted(os.listdir())
assert len(names) == 1 + name.endswith(".npy")
while True:
    for file in names:
        os.unlink(file)
    if old:
        Path(name).write_bytes(old)
    code = run(create + again, steps)
    if code == 0:
        break
    assert code == -signal.SIGKILL
    steps += 1
    if not partial.exists():
        assert Path(name).read_bytes() == expected
        if sorted(os.listdir()) != names:
            recorded += 1
            assert run(["verify", name, "--quiet"]) == 2
            assert run(["create", name, "--resume", "--quiet"]) == 0
        assert sorted(os.listdir()) == names
        assert run(["verify", name, "--quiet"]) == 0
        continue
    both = partial.exists() and os.path.exists(name) and os.path.samefile(partial, name)
    assert both or (Path(name).read_bytes() if old else os.path.exists(name) or None) == old
    if os.stat(partial).st_size:
        with partials.open_partial(partial) as file:
            complete += file.read_record() is None
            resumed += file.read_record() is not None
        # Another seed would show.
        assert run([*create[:6], "--resume", "--quiet", *again]) in (0, 2)
        if partial.exists():
            assert run(["create", name, "--resume", "--quiet", *again]) == 0
    else:  # nothing of it is known, and no seed is lost
        unknown += 1
        assert run(["create", name, "--resume", "--quiet", *again]) == 2
        assert run([*create, "--resume", *again]) == 0
    assert Path(name).read_bytes() == expected
    assert sorted(os.listdir()) == names
    assert run(["verify", name, "--quiet"]) == 0
print(steps, unknown, resumed, complete, recorded)
"""


@pytest.mark.parametrize(
    ("name", "way"),
    [
        ("a.npy", "link"),
        pytest.param("a.npy", "no link", marks=pytest.mark.exhaustive),
        pytest.param("a.npy", "replace", marks=pytest.mark.exhaustive),
        pytest.param("a.safetensors", "link", marks=pytest.mark.exhaustive),
    ],
)
def test_killed_at_every_step(name, way):
    """Also between the file and its record; verify is right or says that a run was killed."""
    found = map(int, run_python(KILLED, name, way).split())
    steps, unknown, resumed, complete, recorded = found
    assert steps > 12
    assert resumed > 8
    assert unknown == 2  # before the file is emptied, and before the trailer is written
    assert complete == {"link": 4, "no link": 3, "replace": 2}[way]
    if name == "a.npy":  # before the record's mode is stored, and before it is renamed
        assert recorded == {"link": 2, "no link": 3, "replace": 3}[way]
    else:
        assert recorded == 0


INTERRUPTED = """
import os, signal, sys, threading
from fastinit._cli.main import main
from fastinit._files import partial as partials
from fastinit._files import record as records
from fastinit._files import write as writing
plain, sent = partials.Partial.write, []
def write(self, values, offset):
    if offset > 10 * writing.CHUNK and not sent:
        sent.append(os.kill(os.getpid(), signal.SIGINT))
    plain(self, values, offset)
partials.Partial.write = write
writing.CHUNK = 1 << 16
sys.exit(main(["create", "a.npy", "--init", "zeros", "--shape", "100000x64"]))
"""


def test_a_signal():
    done = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, text=True)
    assert done.returncode == 130
    assert done.stderr.strip() == "interrupted; to go on: fastinit create a.npy --resume"
    create("a.npy", "--resume", "--quiet")
    assert Path("a.npy").read_bytes() == saved(np.zeros((100000, 64), "float32"))


def test_the_order_of_the_end(monkeypatch):
    """Each step is on the disk before the next one begins, in case of a loss of power."""
    steps = []

    def note(name):
        call = getattr(os, name)

        def noted(*arguments, **keywords):
            steps.append(name)
            return call(*arguments, **keywords)

        monkeypatch.setattr(os, name, noted)

    for name in ("fsync", "ftruncate", "link", "unlink", "replace"):
        note(name)
    sync, write_at = partials._sync, partials.write_at

    def noted_write(fd, data, offset):
        if offset == 0:
            steps.append("header")
        write_at(fd, data, offset)

    def noted_record(*arguments):
        steps.append("record")
        write_at(*arguments)

    monkeypatch.setattr(partials, "write_at", noted_write)
    monkeypatch.setattr(records, "write_at", noted_record)
    monkeypatch.setattr(partials, "_sync", lambda fd: steps.append("sync of values") or sync(fd))
    create("a.npy", *TABLE)
    recorded = ["ftruncate", "record", "fsync", "fsync"]  # the file's, and its directory's
    finished = ["header", "fsync", "ftruncate", "fsync"]
    published = ["link", "fsync", "unlink"]
    record_published = ["fsync", "replace", "fsync"]  # its mode's, and the directory's
    end = ["sync of values", *recorded, *finished, *published, *record_published]
    assert steps[-len(end) :] == end
    assert steps[:3] == ["ftruncate", "fsync", "fsync"]  # the trailer's, and the directory's


@pytest.mark.parametrize("overwrite", [False, True])
def test_ctrl_c_while_it_is_published(overwrite, expected, monkeypatch, capsys):
    """Whenever it comes, the message tells of the file as it is."""
    options = ["--overwrite"] if overwrite else []
    steps = ["write_at", "_sync", "sync_directory", "link", "unlink", "replace", "fsync"]
    said = set()
    for before in (True, False):  # the step itself
        for number in range(20):
            calls = iter(range(100))

            def interrupted(step, before=before, number=number, calls=calls):
                def call(*arguments, **keywords):
                    stop = next(calls) == number
                    if stop and before:
                        raise KeyboardInterrupt
                    step(*arguments, **keywords)
                    if stop:
                        raise KeyboardInterrupt

                return call

            if overwrite:
                Path("a.npy").write_bytes(b"old")
            with monkeypatch.context() as patched:
                for name in steps:
                    module = os if hasattr(os, name) else partials
                    patched.setattr(module, name, interrupted(getattr(module, name)))
                code = main(["create", "a.npy", *TABLE, *options])
            err = capsys.readouterr().err
            if code:
                assert code == 130
                said.add(err.strip())
            if "to go on" in err:
                assert (
                    main(shlex.split(err.strip().removeprefix("interrupted; to go on:"))[1:]) == 0
                )
            elif code and err == "":  # nothing has begun
                assert files() == ["a.npy"] * overwrite
                continue
            assert files() == kept("a.npy")
            assert Path("a.npy").read_bytes() == expected
            for name in kept("a.npy"):
                os.unlink(name)
    hint = shlex.join(["fastinit", "create", "a.npy", "--resume", *options])
    assert said == {f"interrupted; to go on: {hint}", "interrupted, but a.npy is finished", ""}


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


@pytest.mark.usefixtures("small_chunks")
def test_a_chunk_that_a_thread_still_makes_is_not_noted(expected, monkeypatch, capsys):
    """The others go on meanwhile; when the disk breaks, resuming begins with that chunk."""
    taken, noted, ended = [], [], threading.Event()
    began = threading.Event()
    fill, keep = jobs.Job.fill, partials.Partial.keep
    broken = OSError(errno.EIO, os.strerror(errno.EIO))

    def filling(self, out, offset):
        if threading.current_thread() is not threading.main_thread():
            taken.append(offset)
            began.set()
            assert ended.wait(30)
            raise broken
        assert began.wait(30)
        if len(noted) == 5:
            ended.set()
            raise broken
        fill(self, out, offset)

    def keeping(self, written):
        noted.append(written)
        keep(self, written)

    with monkeypatch.context() as patched:
        patched.setattr(jobs.Job, "fill", filling)
        patched.setattr(partials.Partial, "keep", keeping)
        assert os.strerror(errno.EIO) in refused(capsys, "a.npy", *TABLE, "--threads", 1)
    assert len(taken) == 1
    assert max(noted) <= taken[0]
    create("a.npy", "--resume")
    assert Path("a.npy").read_bytes() == expected


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
def test_a_full_disk_removes_a_file_that_was_just_begun(call, monkeypatch, capsys):
    def full(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(writing, "KEEP_SECONDS", 9e9)
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", "a.npy", *TABLE]) == 130
    assert files() == ["a.npy.partial"]
    capsys.readouterr()
    monkeypatch.setattr(os, call, full)
    message = refused(capsys, "a.npy", "--resume")
    assert "a.npy: No space left on device; nothing of it is left there" in message
    assert files() == []


@pytest.mark.parametrize("overwrite", [[], ["--overwrite"]])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EIO])
def test_the_name_of_a_complete_file_finds_no_room(
    number, overwrite, expected, monkeypatch, capsys
):
    def full(*arguments):
        raise OSError(number, os.strerror(number), *map(str, arguments[:1]))

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", full)
        patched.setattr(os, "replace", full)
        for options in ([*TABLE, *overwrite], ["--resume", *overwrite]):
            message = refused(capsys, "a.npy", *options)
            hint = shlex.join(["fastinit", "create", "a.npy", "--resume", *overwrite])
            kept = f"a.npy.partial is kept; to go on: {hint}\n"
            assert f"a.npy: {os.strerror(number)}; {kept}" in message
            assert Path("a.npy.partial").read_bytes() == expected
    create("a.npy", "--resume", *overwrite)
    assert Path("a.npy").read_bytes() == expected


# The record and the header, and what stores them; the record's directory may not be stored.
@pytest.mark.parametrize("call", [1, 2, 4, 5, 6])
def test_a_disk_that_is_full_at_the_very_end(call, expected, monkeypatch, capsys):
    finish, plain = partials.Partial.finish, {n: getattr(os, n) for n in ("pwrite", "fsync")}
    with monkeypatch.context() as patched:

        def finishing(*arguments_of_finish):
            calls = iter(range(10))
            for name in plain:

                def full(*arguments, name=name):
                    if next(calls) == call:
                        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                    return plain[name](*arguments)

                patched.setattr(os, name, full)
            finish(*arguments_of_finish)

        patched.setattr(partials.Partial, "finish", finishing)
        assert "a.npy.partial is kept; to go on" in refused(capsys, "a.npy", *TABLE)
    create("a.npy", "--resume")
    assert Path("a.npy").read_bytes() == expected


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
from fastinit._cli.main import main
directory = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", directory], check=True)
os.chdir(directory)
large = ["create", "a.npy", "--init", "random_normal", "--shape", "1000000x17", "--seed", "1"]
fits = ["create", "a.npy", "--init", "random_normal", "--shape", "1000000x15", "--seed", "1"]
sys.stderr = sys.stdout
print(main(large), os.listdir())
# This makes it seem that there was space at the beginning.
del os.posix_fallocate
plain, os.fstatvfs = os.fstatvfs, lambda fd: os.statvfs("/proc")
print(main(large), os.listdir())
print(main([*fits, "--quiet"]), sorted(os.listdir()))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="mounts a file system of Linux")
def test_a_full_disk(tmp_path):
    """The disk is mounted in a namespace of its own, which needs no root on most systems."""
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("a full disk is NOT tested: no unshare, a small one cannot be mounted")
    prefix = [unshare, "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    tried = subprocess.run([*prefix, *mount], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a full disk is NOT tested: cannot mount a small one: {tried.stderr.strip()}")
    error = "fastinit create: error: a.npy: No space left on device; nothing of it is left there"
    assert (
        run_python(FULL, tmp_path, prefix=prefix)
        == f"{error}\n2 []\n" * 2 + "0 ['a.npy', 'a.npy.json']"
    )


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
def test_zeros_are_compared_without_a_seed(name, capsys):
    zeros = ["--init", "zeros", "--shape", "100x3", "--resume"]
    create(name, *zeros)
    data = Path(name).read_bytes()
    create(name, *zeros)  # it is finished already
    unpublish(name)  # as if it had been killed before the renaming
    create(name, *zeros)
    assert Path(name).read_bytes() == data
    assert files() == kept(name)
    capsys.readouterr()
    assert "holds something else" in refused(capsys, name, "--init", "ones", *zeros[2:])
