"""Run every script of this folder for a part of the time: `python tests/fuzz/all.py 30`."""

import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent
SCRIPTS = ("configurations", "command_lines", "pickles", "records", "trailers")


def main():
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
    each = max(1, seconds // len(SCRIPTS))
    failed = []
    with tempfile.TemporaryDirectory(prefix="fastinit-findings-") as findings:
        for name in SCRIPTS:
            print(f"== {name}, {each} s", flush=True)
            script = FOLDER / f"{name}.py"
            command = [sys.executable, script, f"-max_total_time={each}", "-seed=1"]
            done = subprocess.run(command, cwd=findings, capture_output=True, text=True)
            lines = (done.stdout + done.stderr).splitlines()
            shown = lines[-60:] if done.returncode else [x for x in lines if x.startswith("stat::")]
            print("\n".join(shown), flush=True)
            failed += [name] * (done.returncode != 0)
    print(f"failed: {', '.join(failed)}" if failed else "nothing was found")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
