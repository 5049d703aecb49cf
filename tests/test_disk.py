"""Memory-mapped files as ``out``, and the disk blocks behind them."""

import errno
import mmap
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from fills import assert_same_bits
from processes import run_python

import fastinit
from fastinit import _disk

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


@needs_fallocate
@pytest.mark.parametrize("offset", [0, 64, 4096, 3 * mmap.ALLOCATIONGRANULARITY + 24])
def test_the_blocks_reserved_are_those_of_out(path, monkeypatch, offset):
    asked = []
    monkeypatch.setattr(_disk.os, "posix_fallocate", lambda fd, at, n: asked.append((at, n)))
    mapped = np.memmap(path, "float32", "w+", offset, (500, 300))
    fastinit.random_normal(seed=1, out=mapped)
    fastinit.random_normal(seed=1, out=mapped[100:200])
    fastinit.random_normal(seed=1, out=np.asarray(mapped)[7, 5:])
    fastinit.random_normal(seed=1, out=mapped[:0])
    assert asked == [
        (offset, 500 * 300 * 4),
        (offset + 100 * 300 * 4, 100 * 300 * 4),
        (offset + (7 * 300 + 5) * 4, 295 * 4),
    ]


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
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", directory], check=True)
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
"""


@linux
def test_a_full_disk(tmp_path):
    """A full disk raises OSError instead of SIGBUS; the disk is mounted in its own namespace."""
    unshare = shutil.which("unshare")
    if not unshare:
        pytest.skip("a small disk cannot be mounted: no unshare")
    prefix = [unshare, "--mount"] + (["--map-root-user"] if os.geteuid() else [])
    mount = ["mount", "-t", "tmpfs", "tmpfs", str(tmp_path)]
    tried = subprocess.run([*prefix, *mount], capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"a small disk cannot be mounted: {tried.stderr.strip()}")
    assert run_python(FULL, tmp_path, prefix=prefix).split() == ["ENOSPC"] * 5
