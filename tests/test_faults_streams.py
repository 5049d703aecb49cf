"""Every command where its output is closed, full or unable to encode it, in a shell."""

import os
import re
import shlex
import subprocess
import sys

import pytest

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="streams as a shell makes them"),
    pytest.mark.skipif(not os.path.exists("/dev/full"), reason="/dev/full is Linux's"),
]

# With fewer cases `bench` and `selftest` take less than a second.
SHORT_BENCH = """
import sys
from fastinit._cli import bench
from fastinit._cli.main import main
bench.SHAPES = ((8,),)
sys.exit(main(["bench"]))
"""
SHORT_SELFTEST = """
import sys
from itertools import islice
from fastinit._cli import selftest
from fastinit._cli.main import main
plain = selftest.checks
selftest.checks = lambda: islice(plain(), 1)
sys.exit(main(["selftest"]))
"""
COMMANDS = {
    "help": ["-m", "fastinit", "--help"],
    "version": ["-m", "fastinit", "--version"],
    "info": ["-m", "fastinit", "info"],
    "selftest": ["-c", SHORT_SELFTEST],
    "bench": ["-c", SHORT_BENCH],
    "create": ["-m", "fastinit", "create", "é.npy", "--init", "zeros", "--shape", "3"],
    "wrong": ["-m", "fastinit", "create", "a.npy", "--init", "é\n\x1b[31m", "--shape", "3"],
    "unknown": ["-m", "fastinit", "nonsense-é"],
}
STREAMS = [">/dev/full", ">&-", "2>/dev/full", "2>&-", "</dev/null >&- 2>&-"]
# These end with an error if what they print is lost; the others do what they are there for, or
# cannot tell.  Nobody misses what is printed to a stream that was closed from the beginning.
REPORTS = ("info", "selftest", "bench")
WRONG = ("wrong", "unknown")


def run(command, streams, **environment):
    """Return the exit code and what was printed to both streams, as bytes."""
    text = f"{shlex.join([sys.executable, *COMMANDS[command]])} {streams}"
    env = {**os.environ, "PYTHONUNBUFFERED": "", **environment}
    done = subprocess.run(["sh", "-c", text], env=env, capture_output=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("streams", STREAMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_streams_that_are_closed_or_full(command, streams, tmp_path, monkeypatch):
    """An exit code says whether it worked; never a traceback, nor a message of Python's own."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(command, streams)
    if command in WRONG:
        assert code == 2
    elif command in REPORTS and streams == ">/dev/full":
        assert (code, err) == (
            2,
            f"fastinit {command}: error: stdout: No space left on device\n".encode(),
        )
    else:
        assert code == 0
    for text in (out, err):
        assert b"Traceback" not in text
        assert b"Exception ignored" not in text
    if command == "create":
        assert sorted(os.listdir()) == ["é.npy", "é.npy.json"]
        if streams.startswith(">"):
            assert "é.npy: 3 float32".encode() in err
    else:
        assert os.listdir() == []


@pytest.mark.parametrize(
    "environment",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"LC_ALL": "C", "PYTHONIOENCODING": "ascii:strict", "PYTHONUTF8": "0"},
    ],
    ids=["ascii", "C", "both"],
)
@pytest.mark.parametrize("command", COMMANDS)
def test_streams_that_cannot_encode(command, environment, tmp_path, monkeypatch):
    """What they lack is printed as escapes, one line an error."""
    monkeypatch.chdir(tmp_path)
    code, out, err = run(command, "", **environment)
    assert code == (2 if command in WRONG else 0)
    assert (out + err).isascii()
    assert b"Traceback" not in err
    if command in WRONG:
        assert out == b""
        assert re.fullmatch(rb"fastinit( create)?: error: .+\n", err)
        assert re.search(rb"\\xe9|\\udcc3\\udca9", err)
    if command == "create":
        assert sorted(os.listdir()) == ["é.npy", "é.npy.json"]
        assert re.match(rb"(\\xe9|\\udcc3\\udca9).npy: 3 float32", out)
