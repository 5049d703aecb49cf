"""The workers, one a library, and the report at the end of a run."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import report
from libraries import runners
from worker import Worker

described, missing = {}, {}


def pytest_addoption(parser):
    parser.addoption(
        "--write-results", action="store_true", help="write bench/results.md and bench/results.png"
    )


@pytest.fixture(scope="session")
def workers():
    alive = {}
    for name, (library, threads, environment) in runners().items():
        if library.__name__ in missing:
            continue
        worker = Worker(name, threads, environment)
        if "missing" in worker.described:
            missing[library.__name__] = worker.described["missing"]
            continue
        described[library.distribution] = worker.described["version"]
        alive[name] = worker
    yield alive
    for worker in alive.values():
        worker.close()


def pytest_terminal_summary(terminalreporter, config):
    session = getattr(config, "_benchmarksession", None)
    done = [b.extra_info for b in session.benchmarks if "case" in b.extra_info] if session else []
    results = {info["case"]: info["times"] for info in done if info["times"]}
    if not results:
        return
    text = report.markdown(results, described, missing)
    terminalreporter.write_line("")
    terminalreporter.write_line(text)
    if config.getoption("write_results"):
        if len(results) < len(report.CASES):
            raise pytest.UsageError("--write-results: not all cases ran, so nothing was written")
        report.write(results, described, missing)
