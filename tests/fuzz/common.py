"""Run a target under Atheris, with the modules of fastinit instrumented for coverage.

Each script beside this one is one command, such as

    python tests/fuzz/configurations.py -max_total_time=60

It takes the options of libFuzzer and folders of inputs.  The beginning inputs are made by the
script.  A finding is an exception, which ends the run with the input in a file, crash-*; the same
command with that file as its argument repeats it.
"""

import sys
import tempfile
from pathlib import Path

import atheris

DEFAULTS = ["-max_len=600", "-timeout=20", "-rss_limit_mb=512", "-print_final_stats=1"]


def run(target, seeds):
    """Fuzz ``target(data)`` from the beginning inputs ``seeds``."""
    names = {option.partition("=")[0] for option in sys.argv[1:]}
    options = [option for option in DEFAULTS if option.partition("=")[0] not in names]
    with tempfile.TemporaryDirectory(prefix="fastinit-fuzz-") as folder:
        for number, seed in enumerate(seeds):
            (Path(folder) / f"{number:03}").write_bytes(seed)
        repeats = any(Path(name).is_file() for name in sys.argv[1:])
        folders = [] if repeats else [folder]
        atheris.Setup([sys.argv[0], *options, *sys.argv[1:], *folders], target)
        atheris.Fuzz()
