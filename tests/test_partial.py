"""NAME.partial: interruptions, races and full disks, after each of which the bytes are right."""

import errno
import fcntl
import os
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from creating import TABLE, create, files, refused, saved, stop_after, without_threads
from processes import run_python

import fastinit
from fastinit._cli.main import main
from fastinit._files import partial as partials
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
    assert files() == ["a.npy"]
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
    """A file of a run that was killed before it wrote a trailer is begun anew."""
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
    """Make a complete file that is not renamed yet; return its name, options and bytes."""
    name, *shape = request.param
    create(name, *TABLE[:2], "--shape", "1000x33", *shape, *TABLE[4:])
    data = Path(name).read_bytes()
    os.rename(name, f"{name}.partial")
    return name, [*TABLE, *shape], data


def test_resume_of_a_complete_file(complete, capsys):
    name, options, data = complete
    assert "--resume alone renames it" in refused(capsys, name, *TABLE[:-2], "--resume")
    assert "--resume alone renames it" in refused(capsys, name, "--seed", 7, "--resume")
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
    """A run is killed between its last two steps; the target is complete all the while."""
    create("a.npy", *TABLE)
    os.link("a.npy", "a.npy.partial")
    with open("a.npy", "rb") as file:
        create("a.npy", *options)
        assert file.read() == expected
    assert Path("a.npy").read_bytes() == expected
    assert files() == ["a.npy"]


@pytest.mark.parametrize("links", [True, False])
def test_the_target_comes_during_the_run(links, expected, monkeypatch, capsys):
    finish = partials.Partial.finish

    def no_link(*names):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    with monkeypatch.context() as patched:
        patched.setattr(
            partials.Partial,
            "finish",
            lambda file: finish(file) or Path("a.npy").write_bytes(b"new"),
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
from pathlib import Path
from threading import Thread
from fastinit._cli.main import main
from fastinit._files import partial as partials
from fastinit._files import write as writing
writing.CHUNK, writing.KEEP_SECONDS = 4096, 0
name, way = sys.argv[1:]

class NoThread(Thread):
    # So that every run takes the same steps.
    def start(self):
        raise RuntimeError("can't start new thread")

writing.Thread = NoThread
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
    both = partials.is_same_file(partial, name)
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
from fastinit._cli.main import main
from fastinit._files import partial as partials
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
print(main([*fits, "--quiet"]), os.listdir())
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
    assert run_python(FULL, tmp_path, prefix=prefix) == f"{error}\n2 []\n" * 2 + "0 ['a.npy']"


@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
def test_zeros_are_compared_without_a_seed(name, capsys):
    zeros = ["--init", "zeros", "--shape", "100x3", "--resume"]
    create(name, *zeros)
    data = Path(name).read_bytes()
    create(name, *zeros)  # it is finished already
    os.rename(name, f"{name}.partial")  # as if it had been killed before the renaming
    create(name, *zeros)
    assert Path(name).read_bytes() == data
    assert files() == [name]
    capsys.readouterr()
    assert "holds something else" in refused(capsys, name, "--init", "ones", *zeros[2:])
