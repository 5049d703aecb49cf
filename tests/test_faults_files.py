"""`fastinit create` where a call of the system fails, or ends the process, at each one in turn."""

import errno
import json
import os
from collections import Counter
from pathlib import Path

import pytest
from creating import TABLE, create, files, kept, refused, saved, stop_after, without_threads
from faults import needs_preloading, run_with_faults

import fastinit
from fastinit._cli.main import main
from fastinit._files import partial as partials


@pytest.fixture(autouse=True)
def _in_an_empty_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


# Each run is a child of its own; with two threads the order of the calls differs between runs.
RUNS = """
import json, re, threading
from collections import Counter
from pathlib import Path
from pathlib import Path
import numpy.random  # which NumPy would import later
from fastinit._cli.main import main
from fastinit._files import write as writing
writing.CHUNK, writing.KEEP_SECONDS = 4096, 0
name, kinds, what, count, number = sys.argv[1], *map(int, sys.argv[2:6])
target, partial = Path(name), Path(name + ".partial")
record = Path(name + ".json")
waiting = Path(name + ".json.partial")
replaces = sys.argv[6] == "replace"
again = ["--overwrite"] * replaces
OPTIONS = ["--init", "truncated_normal", "--shape", "100x33", "--seed", "1", *again]
CREATE = ["create", name, *OPTIONS, "--threads", "2"]
RESUME = ["create", name, "--resume", *again]
VERIFY = ["verify", name]
KEPT = re.escape("is kept; to go on: fastinit " + " ".join(RESUME))
found = Counter()

def refuse(thread):
    raise RuntimeError("can't start new thread")

# Python waits forever for a thread that finds no memory when it begins.
if kinds == MEMORY or sys.argv[6] == "alone":
    threading.Thread.start = refuse

def run(arguments, *fault):
    # Return the exit code, what stderr got, and how many calls there were.
    read, write = os.pipe()
    child = os.fork()
    if not child:
        code = 77
        try:
            sys.stdout = sys.stderr = stderr = open("said", "w")
            if fault:
                arm(*fault)
            try:
                code = main(arguments)
            except BaseException as error:
                code = 78
                print(repr(error), file=stderr)
            os.write(write, b"%d" % disarm())
            stderr.flush()
        finally:
            os._exit(code)
    os.close(write)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    seen = int(os.read(read, 99) or -1)
    os.close(read)
    said = Path("said").read_text()
    os.unlink("said")
    return code, said, seen

def content(path):
    return path.read_bytes() if path.exists() else None

old = old_record = None
if replaces:
    assert run(["2" if word == "1" else word for word in CREATE])[0] == 0  # of another seed
    old, old_record = target.read_bytes(), record.read_bytes()
assert run(CREATE)[0] == 0
expected, expected_record, n = target.read_bytes(), content(record), 0
assert (expected_record is None) == name.endswith(".safetensors")
assert expected != old

def check_finished():
    assert target.read_bytes() == expected, n
    assert content(record) == expected_record, n
    assert sorted(os.listdir()) == sorted(p.name for p in (target, record) if p.exists()), n
    assert run(VERIFY)[0] == 0, n

while True:
    for path in (target, partial, record, waiting):
        path.unlink(missing_ok=True)
    if replaces:
        target.write_bytes(old)
        record.write_bytes(old_record)
    n += 1
    code, said, seen = run(CREATE, kinds, what, n, count, number)
    if 0 <= seen < n:
        assert code == 0, said
        break
    if code == 0:
        check_finished()
        found["succeeded"] += 1
        continue
    if what in (REFUSE, SHORTEN):
        # One line says why.
        reason = f"{os.strerror(number)}|out of memory|allocate"
        error = f"fastinit( create)?: error: .*({reason}).*"
        if code == 78 and kinds == MEMORY:  # an error of Python or NumPy; it tells of no file
            assert re.search("can't allocate (read )?lock|return without exception set", said), said
            said = KEPT.replace(chr(92), "") * partial.exists()
        else:
            assert code == 2 and re.fullmatch(error + chr(10), said), (n, code, said)
        assert bool(re.search(KEPT, said)) == partial.exists(), (n, said)
    else:
        assert code == -signal.SIGKILL, (n, code, said)
    # What has the name is as before, or complete.  A file is never compared with the record of
    # another one.
    verified, verdict, _ = run(VERIFY)
    assert verified in (0, 2), (n, verdict)
    if verified:
        reason = "No such file|is not finished|a run was killed before it published the record"
        assert re.search(reason, verdict), (n, verdict)
    if waiting.exists() and content(target) == expected:
        assert not partial.exists() or os.path.samefile(target, partial), n
        if what < KILL and not partial.exists():
            assert "the file is complete, but has no record; to go on: " in said, said
        assert verified == 2, n
        found["without a record"] += 1
        code, said, _ = run(RESUME)
        assert code == 0, said
        check_finished()
        continue
    if not partial.exists():
        assert content(target) in (old, expected), n
        assert verified == 2 * (content(target) is None), n
        found["nothing is left" if what < KILL else "finished"] += 1
        continue
    both = target.exists() and os.path.samefile(target, partial)
    assert both or content(target) == old, n
    found["kept"] += 1
    begun = any(partial.read_bytes())
    code, said, _ = run(RESUME)
    if not begun:  # what was asked for is not known
        assert code == 2, (n, said)
        found["known to be empty"] += 1
        code, said, _ = run([*RESUME, *OPTIONS])
    assert code == 0, (n, said)
    check_finished()
print(json.dumps([n, found]))
"""

REFUSE, SHORTEN, KILL, TEAR = range(4)
MEMORY, THREADS, SPACE, STEPS = 1, 2, 4, 8
ALL = 10**6


def run_at_each_call(name, kinds, what, count, number, way="new"):
    """Return how many runs there were, and what came of them."""
    text = run_with_faults(RUNS, name, kinds, what, count, number, way)
    runs, found = json.loads(text)
    return runs, Counter(found)


@needs_preloading
@pytest.mark.parametrize("way", ["new", "replace"])
@pytest.mark.parametrize(
    ("what", "count"), [(REFUSE, 1), (REFUSE, ALL), (SHORTEN, ALL)], ids=["once", "stays", "half"]
)
def test_a_full_disk_at_each_write(what, count, way):
    """One line says that the disk is full.

    Either nothing is left, or NAME.partial is kept and --resume gives the right bytes; NAME is as
    it was.
    """
    runs, found = run_at_each_call("a.npy", SPACE, what, count, errno.ENOSPC, way)
    assert runs > 9
    assert found["nothing is left"] > 4
    assert found["kept"] >= 1  # the end; how many writes come before it depends on the time


@needs_preloading
def test_a_broken_disk_at_each_call():
    """After an error of the disk NAME.partial is kept, if it has begun, and can be resumed."""
    runs, found = run_at_each_call("a.npy", STEPS, REFUSE, 1, errno.EIO)
    assert runs > 14
    assert found["kept"] > 8
    assert found["without a record"] > 0
    assert found["succeeded"] > 0  # what is only an attempt


@needs_preloading
@pytest.mark.parametrize("name", ["a.npy", "a.safetensors"])
@pytest.mark.parametrize("way", ["alone", "new"], ids=["alone", "beside threads"])
def test_killed_at_each_call(way, name):
    """kill -9, even with a half of the values written, leaves what --resume makes right."""
    runs, found = run_at_each_call(name, STEPS, TEAR, 1, 0, way)
    assert runs > 14
    assert found["kept"] > 8
    # Threads write the last of the values during one call more or less.
    most = 5 if way == "new" else 4
    assert (
        4 <= found["without a record"] <= most if name == "a.npy" else not found["without a record"]
    )
    assert found["known to be empty"] <= 4


@needs_preloading
def test_killed_at_each_call_while_a_file_is_replaced():
    """Until the new file is complete the old one has its name."""
    runs, found = run_at_each_call("a.npy", STEPS, TEAR, 1, 0, "replace")
    assert runs > 14
    assert found["kept"] > 8
    assert found["without a record"] > 1


@needs_preloading
@pytest.mark.exhaustive
def test_memory_refused_at_each_allocation_of_create():
    """The user gets one line; NAME.partial, if it has begun, is kept and can be resumed."""
    runs, found = run_at_each_call("a.npy", MEMORY, REFUSE, 1, errno.ENOMEM)
    assert runs > 20
    assert found["nothing is left"] + found["kept"] > 3


@needs_preloading
def test_threads_refused_at_each_creation():
    """Those that the system gives, or the calling one alone, write the same file."""
    runs, found = run_at_each_call("a.npy", THREADS, REFUSE, 1, errno.EAGAIN)
    assert runs >= 2
    assert set(found) == {"succeeded"}


# Damage to NAME.partial


@pytest.fixture
def interrupted(small_chunks, monkeypatch):
    """Write a part of a.npy.partial, and return its bytes and where the trailer begins."""
    with monkeypatch.context() as patched:
        without_threads(patched)
        stop_after(patched, 20, KeyboardInterrupt)
        assert main(["create", "a.npy", *TABLE, "--quiet"]) == 130
    data = Path("a.npy.partial").read_bytes()
    with partials.open_partial(Path("a.npy.partial")) as file:
        assert file.read_record() is not None
    return data, int.from_bytes(data[-16:-8], "little")


def record_of(data):
    Path("a.npy.partial").write_bytes(data)
    with partials.open_partial(Path("a.npy.partial")) as file:
        return file.read_record()


def test_a_trailer_of_any_other_length(interrupted):
    """No part of a trailer is taken for one, nor one that something follows or precedes."""
    data, at = interrupted
    for end in range(at, len(data)):
        assert record_of(data[:end]) is None, end
    for extra in (b"\0", b"\0" * 16, b"fastinit", data[at:]):
        assert record_of(data + extra) is None
        assert record_of(data[:at] + extra + data[at:]) is None
    for gone in (1, 4, 16, 4096):  # the values before it
        assert record_of(data[gone:]) is None
    assert record_of(data) is not None


def test_a_trailer_with_any_other_byte(interrupted):
    """All 255 other values of each byte are found out."""
    data, at = interrupted
    with partials.open_partial(Path("a.npy.partial")) as file:
        for place in range(at, len(data)):
            for value in range(256):
                os.pwrite(file.fd, bytes([value]), place)
                assert (file.read_record() is None) == (value != data[place]), (place, value)
            os.pwrite(file.fd, data[place : place + 1], place)


@pytest.mark.parametrize("left", ["nothing", "a header's place", "some values", "half a trailer"])
def test_resume_of_a_file_that_was_cut(left, interrupted, capsys):
    """It is refused and stays as it is; an empty one, or one of zeros, is begun anew."""
    data, at = interrupted
    cut = {"nothing": 0, "a header's place": 100, "some values": at // 2}.get(left, at + 40)
    Path("a.npy.partial").write_bytes(data[:cut])
    if cut > 100:
        for options in ([], TABLE):
            message = refused(capsys, "a.npy", *options, "--resume")
            assert "a.npy.partial was not begun by this command, or is damaged" in message
        assert Path("a.npy.partial").read_bytes() == data[:cut]
        create("a.npy", *TABLE, "--overwrite")
    else:
        create("a.npy", *TABLE, "--resume")
    assert Path("a.npy").read_bytes() == saved(fastinit.truncated_normal((1000, 33), 0, 0.1, 7))
    assert files() == kept("a.npy")


def test_damage_to_what_is_no_trailer(interrupted):
    """Zeros before the values are written over; of values only the number is kept, no checksum."""
    data, at = interrupted
    damaged = bytearray(data)
    damaged[3] ^= 1  # where the header will be
    damaged[200] ^= 1  # a value that is written
    damaged[at - 9] ^= 1  # one that is not
    Path("a.npy.partial").write_bytes(damaged)
    create("a.npy", "--resume")
    expected = bytearray(saved(fastinit.truncated_normal((1000, 33), 0, 0.1, 7)))
    expected[200] ^= 1
    assert Path("a.npy").read_bytes() == expected
