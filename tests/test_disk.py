"""Memory-mapped files as ``out``, and the disk blocks behind them."""

import errno
import mmap
import os
import random
import sys
import weakref
from concurrent.futures import ThreadPoolExecutor
from multiprocessing import shared_memory
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from fills import FLOATS, assert_same_bits
from processes import mount_prefix, run_python

import fastinit
from fastinit import _disk, _kernels

linux = pytest.mark.skipif(sys.platform != "linux", reason="asks /proc, which is Linux's")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "weights"


@pytest.mark.parametrize("offset", [0, 64, 4096, mmap.ALLOCATIONGRANULARITY + 24])
def test_memmap(path, offset):
    expected = fastinit.random_normal((500, 300), seed=1)
    mapped = np.memmap(path, "float32", "w+", offset, (500, 300))
    assert fastinit.random_normal(seed=1, out=mapped) is mapped
    mapped.flush()
    assert_same_bits(np.fromfile(path, "float32", offset=offset), expected.reshape(-1))
    assert path.stat().st_size == offset + expected.nbytes


@pytest.mark.parametrize("offset", [0, 64, mmap.ALLOCATIONGRANULARITY + 24])
def test_parts_of_a_memmap(path, offset):
    n = 100_000
    mapped = np.memmap(path, "float64", "w+", offset, n)
    begin = 3 * 4096 + 5
    for part in (mapped[begin : begin + 20_000], np.asarray(mapped)[begin : begin + 20_000]):
        mapped[:] = 0
        fastinit.truncated_normal(seed=1, out=part)
        assert_same_bits(part, fastinit.truncated_normal(20_000, seed=1, dtype="float64"))
        assert not mapped[:begin].any()
        assert not mapped[begin + 20_000 :].any()
    assert path.stat().st_size == offset + 8 * n


def test_memmap_opened_again(path):
    np.memmap(path, "float32", "w+", shape=1000).flush()
    mapped = np.memmap(path, "float32", "r+")
    fastinit.random_uniform(seed=1, out=mapped)
    assert_same_bits(mapped, fastinit.random_uniform(1000, seed=1))


def test_equal_inodes_of_two_file_systems(path, monkeypatch):
    with path.with_name("other").open("wb") as other:  # before: its descriptor is looked at first
        mapped = np.memmap(path, "float32", "w+", shape=1000)
        mine, fstat = os.stat(path), os.fstat

        def alike(fd):
            found = fstat(fd)
            if fd == other.fileno():
                return os.stat_result((found.st_mode, mine.st_ino, mine.st_dev + 1, *found[3:]))
            return found

        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", alike)
            fastinit.random_uniform(seed=1, out=mapped)
    assert path.with_name("other").stat().st_size == 0
    assert_same_bits(mapped, fastinit.random_uniform(1000, seed=1))


def test_memmap_read_only_is_refused(path):
    np.memmap(path, "float32", "w+", shape=1000).flush()
    with pytest.raises(ValueError, match="out must be writeable"):
        fastinit.random_uniform(seed=1, out=np.memmap(path, "float32", "r"))
    assert not np.fromfile(path, "float32").any()


def test_memmap_copied_on_write_leaves_the_file(path):
    np.memmap(path, "float32", "w+", shape=1000).flush()
    mapped = np.memmap(path, "float32", "c")
    fastinit.random_uniform(seed=1, out=mapped)
    assert_same_bits(mapped, fastinit.random_uniform(1000, seed=1))
    assert not np.fromfile(path, "float32").any()


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a mapped file cannot be removed")
def test_memmap_of_a_file_removed_since(path):
    mapped = np.memmap(path, "float32", "w+", shape=1000)
    path.unlink()
    fastinit.random_uniform(seed=1, out=mapped)
    assert_same_bits(mapped, fastinit.random_uniform(1000, seed=1))


@pytest.mark.skipif(os.name != "posix", reason="elsewhere a mapped file cannot be replaced")
def test_memmap_of_a_file_replaced_since(path):
    """A file that has taken over the name is not touched."""
    mapped = np.memmap(path, "float32", "w+", shape=100_000)
    path.unlink()
    path.write_bytes(b"other")
    fastinit.random_uniform(seed=1, out=mapped)
    assert path.read_bytes() == b"other"


needs_fallocate = pytest.mark.skipif(
    not hasattr(os, "posix_fallocate"), reason="the system has no posix_fallocate()"
)


@pytest.fixture
def asked(monkeypatch):
    """Return a list of the parts of files that are reserved from now on."""
    asked = []
    posix_fallocate = os.posix_fallocate

    def ask(fd, begin, n):
        posix_fallocate(fd, begin, n)
        asked.append((begin, begin + n))

    monkeypatch.setattr(_disk.os, "posix_fallocate", ask)
    return asked


@pytest.fixture
def reads(monkeypatch):
    """Return a list with an entry for each time that the process's map is read from now on."""
    reads = []
    read_bytes = Path.read_bytes

    def read(path):
        reads.extend([path] if path == Path("/proc/self/maps") else [])
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", read)
    return reads


def down(n):
    return n - n % mmap.PAGESIZE


def up(n):
    return n + -n % mmap.PAGESIZE


@needs_fallocate
@pytest.mark.parametrize("offset", [0, 64, 4096, 3 * mmap.ALLOCATIONGRANULARITY + 24])
def test_the_blocks_reserved_are_those_of_out(path, asked, offset):
    """They are reserved in whole pages, and never beyond the end of the file."""
    row = 300 * 4
    mapped = np.memmap(path, "float32", "w+", offset, (500, 300))
    end = offset + 500 * row
    fastinit.random_normal(seed=1, out=np.asarray(mapped)[7, 5:])
    first = down(offset + 7 * row + 20), up(offset + 8 * row)
    assert asked == [first]
    fastinit.random_normal(seed=1, out=mapped[100:200])
    second = down(offset + 100 * row), up(offset + 200 * row)
    assert asked == [first, second]
    fastinit.random_normal(seed=1, out=mapped[:0])
    fastinit.random_normal(seed=1, out=mapped[100])  # for the second time
    fastinit.random_normal(seed=1, out=mapped[499])
    last = down(offset + 499 * row), end
    assert asked == [first, second, last]
    fastinit.random_normal(seed=1, out=mapped[150:250])  # half of it for the second time
    third = down(offset + 150 * row), up(offset + 250 * row)
    assert asked == [first, second, last, third]
    fastinit.random_normal(seed=1, out=mapped)
    assert asked == [first, second, last, third, (down(offset), end)]
    for part in (mapped, mapped[3], mapped[:0], np.asarray(mapped)[400:, None]):
        fastinit.random_normal(seed=1, out=part)
    assert len(asked) == 5
    assert path.stat().st_size == end


@linux
@pytest.mark.parametrize("dtype", FLOATS)
def test_every_dtype_is_reserved(path, asked, dtype):
    mapped = np.memmap(path, fastinit.zeros(0, dtype).dtype, "w+", shape=(4, 5000))
    fastinit.random_uniform(seed=1, out=mapped[1])
    size = 5000 * mapped.itemsize
    assert asked == [(down(size), up(2 * size))]
    fastinit.zeros(out=mapped[1])
    assert len(asked) == 1


@needs_fallocate
def test_no_block_is_reserved_for_a_private_copy(path, asked):
    np.memmap(path, "float32", "w+", shape=1 << 16).flush()
    before = path.stat().st_blocks
    with path.open("r+b") as file:  # a descriptor that could reserve them
        memory = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    for mapped in (np.memmap(path, "float32", "c"), np.frombuffer(memory, "float32")):
        fastinit.random_uniform(seed=1, out=mapped)
    assert not asked
    assert path.stat().st_blocks == before


@needs_fallocate
def test_a_sparse_file_stays_sparse(path, asked):
    mapped = np.memmap(path, "float32", "w+", shape=(1 << 10, 1 << 18))
    for i in (5, 900, 6, 5):
        fastinit.random_normal(seed=1, out=mapped[i, :1024])
    assert len(asked) == 3
    assert path.stat().st_blocks * 512 < 1 << 20


def test_the_bounds_of_parts():
    """Any part, reserved after any others, is held with them, and nothing else is."""
    rng = random.Random(1)
    for _ in range(200):
        bounds, held = [], set()
        for _ in range(12):
            begin = rng.randrange(30)
            end = begin + rng.randrange(1, 8)
            assert _disk._holds(bounds, begin, end) == held.issuperset(range(begin, end))
            before = bounds.copy()
            grown = _disk._with(bounds, begin, end)
            assert bounds == before  # other threads may be reading it
            bounds = grown
            held.update(range(begin, end))
            runs = [i for i in range(-1, 50) if (i in held) != (i + 1 in held)]
            assert bounds == [i + 1 for i in runs]


def shared_array(nbytes, tmp_path):
    block = shared_memory.SharedMemory(create=True, size=nbytes)
    block.unlink()
    weakref.finalize(array := np.ndarray(nbytes // 4, "float32", block.buf), block.close)
    return array


MAPPED = {
    "memmap w+": lambda n, path: np.memmap(path / "w+", "float32", "w+", shape=n // 4),
    "memmap r+": lambda n, path: (
        np.zeros(n // 4, "float32").tofile(path / "r+"),
        np.memmap(path / "r+", "float32", "r+"),
    )[1],
    "shared memory": shared_array,
    "anonymous": lambda n, path: np.frombuffer(mmap.mmap(-1, n), "float32"),
}


@linux
@pytest.mark.parametrize("through_memoryview", [False, True])
@pytest.mark.parametrize("case", MAPPED)
def test_the_map_is_read_once_a_mapping(
    tmp_path, monkeypatch, reads, asked, case, through_memoryview
):
    array = MAPPED[case](1 << 20, tmp_path).reshape(64, -1)
    view = np.asarray(memoryview(array)) if through_memoryview else array
    for i in range(64):
        fastinit.random_uniform(seed=i + 1, out=view[i])
    with monkeypatch.context() as patch:  # from now on the system is asked nothing
        patch.setattr(os, "fstat", None)
        for i in range(64):
            fastinit.random_uniform(seed=i, out=view[i])
    assert len(reads) == 1
    assert len(asked) == (0 if case == "anonymous" else 64)
    assert_same_bits(np.asarray(array[9]), fastinit.random_uniform(1 << 12, seed=9))
    fastinit.random_uniform(seed=1, out=memoryview(array).cast("B"), dtype="float32")
    assert len(reads) == 1


@linux
def test_the_map_is_not_read_for_arrays_of_this_library(reads):
    array = fastinit.random_uniform((64, 1 << 16), seed=1)
    for view in (array, np.asarray(memoryview(array))):
        fastinit.random_uniform(seed=7, out=view[7])
        fastinit.random_uniform(seed=7, out=view)
    assert not reads


@linux
def test_another_object_at_the_same_address_is_looked_up_again(tmp_path, asked):
    """A later mmap object with the address or the id of a former one is not taken for it."""
    places, numbers = set(), set()
    for i in range(20):
        path = tmp_path / str(i)
        mapped = np.memmap(path, "float32", "w+", shape=10_000 + 30_000 * (i % 2))
        fastinit.random_uniform(seed=1, out=mapped[:5000])
        assert asked.pop() == (0, up(20_000))
        assert not asked
        assert path.stat().st_blocks * 512 >= 20_000
        places.add(mapped.ctypes.data)
        numbers.add(id(mapped._mmap))
        mapped.flush()
        del mapped
    assert len(places) < 20 or len(numbers) < 20, "no address and no id came back"


@linux
def test_nothing_is_remembered_of_what_is_gone(path):
    for _ in range(3):
        mapped = np.memmap(path, "float32", "w+", shape=1000)
        fastinit.random_uniform(seed=1, out=mapped)
        number = id(mapped._mmap)
        assert number in _disk._found
        del mapped
        assert number not in _disk._found


@linux
def test_an_id_that_another_object_has_now(path, asked):
    """What was found for a former object of the id is not believed."""
    mapped = np.memmap(path, "float32", "w+", shape=1000)
    fastinit.random_uniform(seed=1, out=mapped)
    other = np.memmap(path.with_name("other"), "float32", "w+", shape=1000)
    _disk._found[id(other._mmap)] = _disk._found[id(mapped._mmap)]
    fastinit.random_uniform(seed=1, out=other)
    assert len(asked) == 2
    assert path.with_name("other").stat().st_blocks


NAMES = [
    "\u2028",
    "a\x85b",
    "a\x0cb\x0b\x1c",
    "a\rb",
    "a\nb",
    "\n00400000-00452000 rw-s 00000000 08:02 1 x",
    " a ",
    "a (deleted)",
    "a\\012b",
    b"\xff\xfe",
    "\f",
]


@linux
@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("alike", [False, True], ids=["", "other device"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name(tmp_path, monkeypatch, asked, name, alike, removed):
    path = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    with open(path, "w+b") as file:
        file.truncate(4000)
        memory = mmap.mmap(file.fileno(), 4000)
    if removed:
        os.unlink(path)
    out = np.frombuffer(memory, "float32")
    fstat = os.fstat
    if alike:  # as on Btrfs, where the map shows another device, and the name must be the same

        def elsewhere(fd):
            found = fstat(fd)
            names = ("st_mode", "st_ino", "st_size", "st_blocks")
            fields = {name: getattr(found, name) for name in names}
            return SimpleNamespace(**fields, st_dev=found.st_dev + 1)

        with monkeypatch.context() as patch:
            patch.setattr(os, "fstat", elsewhere)
            fastinit.random_uniform(seed=1, out=out)
    else:
        fastinit.random_uniform(seed=1, out=out)
    assert asked == [(0, 4000)]
    assert_same_bits(out, fastinit.random_uniform(1000, seed=1))


@linux
def test_a_descriptor_that_is_only_for_reading_is_passed_over(path, asked):
    path.touch()
    with path.open("rb"):  # before: its number is lower
        mapped = np.memmap(path, "float32", "w+", shape=1000)
        fastinit.random_uniform(seed=1, out=mapped)
    assert asked == [(0, 4000)]
    assert path.stat().st_blocks


@linux
def test_a_descriptor_that_is_closed_later(path, asked):
    """The number may be that of another file then, whose blocks are not touched."""
    other = path.with_name("other")
    with path.open("w+b") as file:  # before: its number is lower than the one of the mmap object
        file.truncate(1 << 20)
        number = file.fileno()
        memory = mmap.mmap(number, 1 << 20)
        out = np.frombuffer(memory, "float32")
        fastinit.random_uniform(seed=1, out=out[:1000])
    with other.open("w+b") as file:
        assert file.fileno() == number
        fastinit.random_uniform(seed=1, out=out[-1000:])
        assert len(asked) == 2
        assert other.stat().st_blocks == 0
    assert path.stat().st_blocks * 512 >= 2 * mmap.PAGESIZE


@linux
def test_without_a_list_of_descriptors_nothing_is_reserved(path, monkeypatch, asked):
    def refuse(path):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    with path.open("w+b") as file:
        file.truncate(1 << 20)
        memory = mmap.mmap(file.fileno(), 1 << 20)
        out = np.frombuffer(memory, "float32")
        fastinit.random_uniform(seed=1, out=out[:1000])
    with monkeypatch.context() as patch:  # the descriptor that was found is closed now
        patch.setattr(os, "listdir", refuse)
        fastinit.random_uniform(seed=1, out=out[-1000:])
    assert len(asked) == 1
    fastinit.random_uniform(seed=1, out=out[-1000:])
    assert len(asked) == 2


@linux
def test_a_mapping_that_is_closed_is_an_error(path):
    for fills in (0, 1):
        mapped = np.memmap(path, "float32", "w+", shape=1000)
        for _ in range(fills):
            fastinit.random_uniform(seed=1, out=mapped)
        mapped._mmap.close()  # NumPy does not keep it from that
        with pytest.raises(ValueError, match="mmap closed"):
            fastinit.random_uniform(seed=1, out=mapped)


@linux
def test_a_mapping_that_is_resized(path, asked):
    n = 1 << 20
    with path.open("w+b") as file:
        file.truncate(n)
        memory = mmap.mmap(file.fileno(), n)

    def fill():
        fastinit.random_uniform(seed=1, out=np.frombuffer(memory, "float32"))
        return path.stat().st_blocks * 512 >= path.stat().st_size

    assert fill()
    memory.resize(n // 4)
    assert fill()
    memory.resize(n)
    assert fill()
    assert [part[1] for part in asked] == [n, n // 4, n]
    memory.resize(2 * n)
    assert fill()
    assert asked[3:] == [(0, 2 * n)]


@linux
def test_an_array_that_its_resized_mapping_no_longer_holds(path):
    mapped = np.memmap(path, "float32", "w+", shape=1 << 18)
    fastinit.random_uniform(seed=1, out=mapped)
    size = mmap.PAGESIZE
    mapped._mmap.resize(size)
    with pytest.raises(ValueError, match="out must lie within its mmap object"):
        fastinit.random_uniform(seed=1, out=mapped[-1000:])
    assert path.stat().st_size == size


@linux
@pytest.mark.parametrize("cut", [False, True])
def test_a_large_fill_of_a_file_that_has_lost_its_blocks(path, asked, cut):
    mapped = np.memmap(path, "float32", "w+", shape=_disk._LARGE // 4)
    fastinit.random_uniform(seed=1, out=mapped)
    fastinit.random_uniform(seed=1, out=mapped)
    assert asked == [(0, mapped.nbytes)]
    os.truncate(path, 0)
    if not cut:
        os.truncate(path, mapped.nbytes)
    fastinit.random_uniform(seed=1, out=mapped)
    assert asked == [(0, mapped.nbytes)] * 2
    assert path.stat().st_blocks * 512 >= mapped.nbytes
    assert_same_bits(mapped, fastinit.random_uniform(mapped.shape, seed=1))


@linux
def test_without_a_free_descriptor_it_is_asked_again(path, monkeypatch, asked):
    def refuse(path):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    mapped = np.memmap(path, "float32", "w+", shape=1000)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        fastinit.random_uniform(seed=1, out=mapped)
    assert not asked
    fastinit.random_uniform(seed=1, out=mapped)
    assert len(asked) == 1


@needs_fallocate
def test_a_refusal_is_not_remembered(path, monkeypatch, asked):
    def refuse(fd, at, n):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    mapped = np.memmap(path, "float32", "w+", shape=1000)
    with monkeypatch.context() as patch:
        patch.setattr(_disk.os, "posix_fallocate", refuse)
        fastinit.random_normal(seed=1, out=mapped)
    fastinit.random_normal(seed=2, out=mapped)
    assert len(asked) == 1


@linux
def test_threads_and_children_fill_parts_of_one_mapping(path):
    mapped = np.memmap(path, "float32", "w+", shape=(256, 1024))
    expected = [fastinit.random_uniform(1024, seed=i) for i in range(256)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: fastinit.random_uniform(seed=i, out=mapped[i]), range(128)))
    assert run_python(CHILD, path).split() == ["0"]
    assert path.stat().st_blocks * 512 >= mapped.nbytes
    assert_same_bits(np.asarray(mapped[:128]), np.stack(expected[:128]))
    for i in range(256):
        assert_same_bits(np.asarray(mapped[i]), expected[i])


CHILD = """
import os, sys, numpy as np, fastinit
mapped = np.memmap(sys.argv[1], "float32", "r+", shape=(256, 1024))
fastinit.random_uniform(seed=128, out=mapped[128])
child = os.fork()
for i in range(129, 256, 2) if child else range(130, 256, 2):
    fastinit.random_uniform(seed=i, out=mapped[i])
if not child:
    os._exit(0)
print(os.waitpid(child, 0)[1])
"""


@needs_fallocate
def test_no_block_is_reserved_before_all_arguments_are_found_good(path):
    np.memmap(path, "float32", "w+", shape=1 << 20).flush()
    before = path.stat().st_blocks
    for arguments in ({"seed": -1}, {"seed": 1, "stddev": -1.0}):
        with pytest.raises(ValueError, match="received -1"):
            fastinit.random_normal(out=np.memmap(path, "float32", "r+"), **arguments)
    assert path.stat().st_blocks == before


@needs_fallocate
def test_a_file_system_that_cannot_reserve_is_no_error(path, monkeypatch):
    def refuse(fd, at, n):
        raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

    monkeypatch.setattr(_disk.os, "posix_fallocate", refuse)
    mapped = np.memmap(path, "float32", "w+", shape=1000)
    fastinit.random_normal(seed=1, out=mapped)
    assert_same_bits(mapped, fastinit.random_normal(1000, seed=1))


@needs_fallocate
def test_nothing_is_written_if_blocks_are_refused(path, monkeypatch):
    def refuse(fd, at, n):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(_disk.os, "posix_fallocate", refuse)
    mapped = np.memmap(path, "float32", "w+", shape=1000)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)):
        fastinit.random_normal(seed=1, out=mapped)
    assert not mapped.any()


FULL = """
import errno, mmap, os, subprocess, sys, tempfile, numpy as np, fastinit
directory = sys.argv[1]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", directory], check=True)
small = np.memmap(directory + "/small", "float32", "w+", shape=1000)
fastinit.random_normal(seed=1, out=small)
holes = np.memmap(directory + "/large", "float32", "w+", shape=16 << 20)
unnamed = tempfile.TemporaryFile(dir=directory)
nameless = np.memmap(unnamed, "float32", "w+", shape=16 << 20)
os.ftruncate(unnamed.fileno(), 128 << 20)
plain = np.frombuffer(mmap.mmap(unnamed.fileno(), 128 << 20), "float32")
for out in (holes, holes[1000:], np.asarray(holes), nameless, plain):
    try:
        fastinit.random_normal(seed=1, out=out)
    except OSError as error:
        print(errno.errorcode[error.errno])
    else:
        print("no error")
fastinit.random_normal(seed=1, out=holes[:1000])
assert (holes[:1000] == small).all()

def fill_rows(name):
    rows = np.memmap(directory + name, "float32", "w+", shape=(256, 1 << 15))
    for i in range(256):
        try:
            fastinit.random_normal(seed=i, out=rows[i])
        except OSError as error:
            print(errno.errorcode[error.errno])
            return rows[:i]

rows = fill_rows("/rows")
for i, row in enumerate(rows):  # what was reserved can be filled again
    fastinit.random_normal(seed=i + 1, out=row)
os.truncate(directory + "/rows", 0)
whole = np.memmap(directory + "/whole", "float32", "w+", shape=2 << 20)
fastinit.random_normal(seed=1, out=whole)
os.truncate(directory + "/whole", 0)
os.truncate(directory + "/whole", whole.nbytes)
fill_rows("/more")
try:  # the blocks that it had are lost
    fastinit.random_normal(seed=1, out=whole)
except OSError as error:
    print(errno.errorcode[error.errno])
"""


tells_private_memory = pytest.mark.skipif(
    not _kernels.is_private(np.zeros(1)), reason="Linux before 6.11 does not tell private memory"
)


@tells_private_memory
def test_private_memory_is_told_from_shared(path):
    np.memmap(path, "u1", "w+", shape=1 << 20).flush()
    copied = np.memmap(path, "u1", "c")
    memory = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_DONTFORK, 1 << 19, 1 << 18)  # three mappings from now on
    for private in (np.zeros(4), np.zeros(1 << 20), copied, np.frombuffer(memory, "u1")):
        assert _kernels.is_private(private)
    for shared in (np.memmap(path, "u1", "r+"), np.frombuffer(mmap.mmap(-1, 1 << 16), "u1")):
        assert not _kernels.is_private(shared)
        assert not _kernels.is_private(shared[-1:])


DESCRIPTOR = """
import os, numpy as np
from fastinit import _kernels
array, name = np.zeros(1), f"/proc/{os.getpid()}/maps"
assert _kernels.is_private(array)
assert _kernels.is_private(array)
(kept,) = [i for i in map(int, os.listdir("/proc/self/fd")) if i > 2
           and os.path.exists(f"/proc/self/fd/{i}") and os.readlink(f"/proc/self/fd/{i}") == name]
os.closerange(3, 100)
print(_kernels.is_private(array), _kernels.is_private(array))
null = os.open("/dev/null", os.O_RDONLY)
os.closerange(3, 100)
os.dup2(0, kept)
print(_kernels.is_private(array), _kernels.is_private(array))
os.fstat(kept)  # it is not closed, as it is somebody else's
"""


@tells_private_memory
def test_a_descriptor_that_somebody_closes():
    assert run_python(DESCRIPTOR).split() == ["False", "True"] * 2


CHILD_OF_A_FORK = """
import ctypes, mmap, os, sys
from fastinit import _kernels
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
access = mmap.PROT_READ | mmap.PROT_WRITE
at = libc.mmap(None, 4096, access, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
out = (ctypes.c_char * 4096).from_address(at)
assert _kernels.is_private(out)
child = os.fork()
if not child:
    fixed = mmap.MAP_SHARED | mmap.MAP_ANONYMOUS | 0x10
    assert libc.mmap(at, 4096, access, fixed, -1, 0) == at
    os._exit(_kernels.is_private(out))
print(os.waitpid(child, 0)[1], _kernels.is_private(out))
"""


@tells_private_memory
def test_a_child_asks_for_its_own_memory():
    assert run_python(CHILD_OF_A_FORK) == "0 True"


@linux
def test_an_mmap_object_without_a_descriptor(path, monkeypatch, asked):
    """Python 3.13 can make one; for others all descriptors of the file are hidden here."""
    with path.open("w+b") as file:
        file.truncate(1 << 20)
        memory = mmap.mmap(file.fileno(), 1 << 20)
    out = np.frombuffer(memory, "float32")[:5000]
    monkeypatch.setattr(_disk._File, "status_of", lambda file, fd: None)
    monkeypatch.setattr(_disk, "populate", lambda array: errno.EFAULT)
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        fastinit.random_uniform(seed=1, out=out)
    assert caught.value.errno == errno.ENOSPC
    assert not out.any()
    monkeypatch.setattr(_disk, "populate", lambda array: 0)
    fastinit.random_uniform(seed=1, out=out)
    assert not asked


# Memory whose owner does not say that it is a mapped file.
WRAPPED = """
import ctypes, errno, mmap, os, subprocess, sys
import numpy as np
import fastinit
from fastinit import _buffers, _disk
directory, kernel = sys.argv[1:]
if kernel != "new":  # Linux 6.11 and later tell private memory from shared
    _disk.is_private = lambda array: False
if kernel == "oldest":  # Linux 5.14 and later fill holes
    _disk.populate = lambda array: errno.ENOSYS
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", directory], check=True)
n = 16 << 20

class Holder:
    def __init__(self, array):
        self.array, self.__array_interface__ = array, array.__array_interface__

class Dlpack:
    def __init__(self, array):
        self.array = array
    def __dlpack__(self, **arguments):
        return self.array.__dlpack__(**arguments)
    def __dlpack_device__(self):
        return 1, 0

def mapped(name):
    with open(f"{directory}/{name}", "w+b") as file:
        file.truncate(4 * n)
        return mmap.mmap(file.fileno(), 4 * n)

def without_a_descriptor(name):
    libc = ctypes.CDLL(None)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
    with open(f"{directory}/{name}", "w+b") as file:
        file.truncate(4 * n)
        access = mmap.PROT_READ | mmap.PROT_WRITE
        at = libc.mmap(None, 4 * n, access, mmap.MAP_SHARED, file.fileno(), 0)
    return (ctypes.c_float * n).from_address(at)

outs = {
    "ctypes": (ctypes.c_float * n).from_buffer(mapped("a")),
    "interface": np.asarray(Holder(np.frombuffer(mapped("b"), "float32"))),
    "dlpack": Dlpack(np.frombuffer(mapped("c"), "float32")),
}
if kernel != "oldest":
    outs["without a descriptor"] = without_a_descriptor("d")

def full(out):
    try:
        fastinit.random_normal(seed=1, out=out)
    except OSError as error:
        return error.errno == errno.ENOSPC
    return False

def empty_disk():
    for name in os.listdir(directory):
        os.truncate(f"{directory}/{name}", 0)
        os.truncate(f"{directory}/{name}", 4 * n)

for name, out in outs.items():
    found = [full(out)]
    out = _buffers.resolve(None, None, out)[2]
    # These are a few pages, and many.
    for size in [2 << 20] if kernel == "oldest" else [3000, 300_000, 2 << 20]:
        empty_disk()
        at = 0
        while at + size < n and not full(out[at : at + size]):
            at += size
        found.append(1 << 20 < at <= 4 << 20)
    empty_disk()
    print(name, *found)
"""


@linux
def test_a_full_disk(tmp_path):
    """A full disk raises OSError instead of SIGBUS; the disk is mounted in its own namespace."""
    prefix = mount_prefix(tmp_path)
    assert run_python(FULL, tmp_path, prefix=prefix).split() == ["ENOSPC"] * 8


@linux
@pytest.mark.parametrize("kernel", ["new", "older", "oldest"])
def test_a_full_disk_behind_memory_of_any_owner(tmp_path, kernel):
    printed = run_python(WRAPPED, tmp_path, kernel, prefix=mount_prefix(tmp_path))
    for line in printed.splitlines():
        assert set(line.split()) & {"True", "False"} == {"True"}, printed
    assert len(printed.splitlines()) == (3 if kernel == "oldest" else 4)
