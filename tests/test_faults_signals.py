"""Ctrl-C and other signals at moments that fixed seeds choose."""

import json
import os
import signal

import pytest
from faults import needs_preloading, run_with_faults
from processes import run_python

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")

# A timer of the system sends a signal while calls of all kinds are made.
FILLS = """
import json, os, random, signal, sys, time, zlib
import numpy as np
import fastinit
from fastinit import initializers
name, seed, threads, count = sys.argv[1], *map(int, sys.argv[2:])
fastinit.set_num_threads(threads)

class Alarm(Exception):
    pass

class Stop(Exception):
    pass

def alarm(*ignored):
    raise Alarm

def terminate(*ignored):
    raise Stop

signal.signal(signal.SIGALRM, alarm)
signal.signal(signal.SIGTERM, terminate)
timer, error = {
    "SIGALRM": (signal.ITIMER_REAL, Alarm),
    "SIGTERM": (signal.ITIMER_REAL, Stop),
    "SIGINT": (signal.ITIMER_REAL, KeyboardInterrupt),
}[name]
if name != "SIGALRM":  # the timer's signal sends the other one
    signal.signal(signal.SIGALRM, lambda *ignored: signal.raise_signal(getattr(signal, name)))

lazy = initializers.TruncatedNormal(seed=1).lazy((1 << 12, 64), "float16")
keyed = initializers.RandomNormal(seed=1).keyed(64)
ids = np.random.default_rng(1).permutation(1 << 12)
large = np.empty(1 << 20, "float32")
CALLS = {
    "small": lambda: fastinit.random_normal(8, seed=1),
    "large": lambda: fastinit.random_normal(out=large, seed=1),
    "fresh": lambda: fastinit.truncated_normal(1 << 18, seed=1),
    "bounds": lambda: fastinit.truncated_normal(1 << 16, seed=1, lower=-1.0, upper=4.0),
    "orthogonal": lambda: fastinit.orthogonal((200, 150), seed=1),
    "rows": lambda: lazy[ids],
    "keys": lambda: keyed[ids],
    "scaled": lambda: initializers.HeNormal(seed=1)((64, 64)),
    "constant": lambda: fastinit.constant((64, 64), 0.5),
}
expected = {key: zlib.crc32(call()) for key, call in CALLS.items()}
moments, stopped, after = random.Random(seed), {key: 0 for key in CALLS}, 0
seeds = fastinit.SeedGenerator(1)
for attempt in range(count):
    key = moments.choice(sorted(CALLS))
    begin = time.perf_counter()
    CALLS[key]()
    took = time.perf_counter() - begin
    wait = 1e-6 + moments.random() * 1.5 * took
    try:
        try:
            signal.setitimer(timer, wait)
            result = CALLS[key]()
            time.sleep(0.2 if took > 0.1 else 0.02)  # the signal comes here at the latest
        finally:
            signal.setitimer(timer, 0)
    except error:
        stopped[key] += 1
    else:
        assert zlib.crc32(result) == expected[key], key
    # Afterwards all is as before.
    assert zlib.crc32(CALLS[key]()) == expected[key], key
    assert len(fastinit.random_normal(3, seed=seeds)) == 3  # its lock is free
    large.resize(large.shape)  # nobody holds the buffer
print(json.dumps(stopped))
"""


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["SIGINT", "SIGALRM", "SIGTERM"])
def test_signals_at_random_moments_of_fills(name, threads):
    """The handler's exception arrives; then no buffer or lock is held, and the values are right."""
    stopped = json.loads(run_python(FILLS, name, 17, threads, 60, timeout=100))
    assert sum(stopped.values()) > 20


CREATED = """
import json, random, time
from pathlib import Path
import numpy.random, tqdm  # which would be imported later
from fastinit._cli.main import main
from fastinit._files import write as writing
writing.CHUNK, writing.KEEP_SECONDS = 1 << 14, 0.002
name, seed, count = sys.argv[1], *map(int, sys.argv[2:])
number = getattr(signal, name)
target, partial, printed = Path("a.npy"), Path("a.npy.partial"), Path("../said")
create = ["create", "a.npy", "--init", "random_normal", "--shape", "20000x33", "--seed", "1",
          "--overwrite", "--threads", "2"]
resume = ["create", "a.npy", "--resume", "--overwrite"]
moments, codes, kept = random.Random(seed), [], 0
OUTSIDE = 98

def command(arguments, write):
    code = OUTSIDE
    try:
        try:
            sys.stdout = sys.stderr = open(printed, "w")
            os.write(write, b"x")
            code = main(arguments)
            sys.stderr.flush()
        except KeyboardInterrupt:  # before main() or after it
            pass
    finally:
        os._exit(code)

def run(arguments, after=None):
    # Return the exit code, what was printed and the time that it took.
    read, write = os.pipe()
    child = os.fork()
    if not child:
        command(arguments, write)
    os.close(write)
    os.read(read, 1)  # it has begun
    begin = time.perf_counter()
    if after is not None:
        time.sleep(after)
        os.kill(child, number)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    took = time.perf_counter() - begin
    os.close(read)
    return code, printed.read_text(), took

assert run(create)[0] == 0
expected = target.read_bytes()
took = min(run(create)[2] for _ in range(3))
for attempt in range(count):
    for path in (target, partial):
        path.unlink(missing_ok=True)
    code, said, _ = run(create, moments.random() * took)
    codes.append(code)
    assert "Traceback" not in said, said
    if target.exists():
        assert target.read_bytes() == expected
    if not partial.exists():
        continue
    kept += 1
    if name == "SIGINT" and code == 130 and partial.stat().st_size:
        assert "interrupted; to go on: fastinit create a.npy --resume --overwrite" in said, said
    begun = partial.stat().st_size > 0
    code, said, _ = run(resume if begun else create)
    assert code == 0, said
    assert target.read_bytes() == expected
    assert sorted(os.listdir()) == ["a.npy", "a.npy.json"]
print(json.dumps([sorted(set(codes)), kept]))
"""


@needs_preloading
@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", -signal.SIGTERM)])
def test_signals_at_random_moments_of_create(name, code, tmp_path, monkeypatch):
    """Whatever is left can be resumed to the right bytes.

    Ctrl-C says how; SIGTERM ends the process at once, as it does any program without a handler.
    """
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    codes, kept = json.loads(run_with_faults(CREATED, name, 23, 40))  # without faults
    assert set(codes) <= {0, code, 98}
    assert code in codes
    assert kept > 0
