"""Start one worker for each library, and write the report at the end of a run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import report
from libraries import runners
from worker import Workers

started = Workers()


def pytest_addoption(parser):
    parser.addoption("--write-results", action="store_true", help="write bench/results.md")


@pytest.fixture(scope="session")
def workers():
    started.start(runners())
    yield started
    started.close()


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    results = {}
    for benchmark in session.benchmarks if session else []:
        results |= benchmark.extra_info.get("times", {})
    if not any(results.values()):
        return
    described, missing = started.described, started.missing
    text = report.markdown(results, described, missing)
    terminalreporter.write_line("")
    terminalreporter.write_line(text)
    if config.getoption("write_results"):
        if len(results) < len(report.CASES):
            raise pytest.UsageError("--write-results: not all cases ran, so nothing was written")
        needed = [name for name in missing if name.startswith(("fastinit", "numpy", "limit"))]
        if needed:
            raise pytest.UsageError(f"--write-results: {needed} failed, so nothing was written")
        report.write(results, described, missing)
