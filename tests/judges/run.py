"""Stream what the library makes into PractRand and TestU01, and write tests/judges/report.md.

    python tests/judges/run.py --practrand DIR --testu01 DIR [--build DIR] [--minutes N] [--jobs N]

DIR are folders with the sources of PractRand (0.94 or 0.95) and TestU01 (1.2.3), which are not part
of this project.  They are built in copies, below the build directory, with the C and C++
compilers.  The library's own program, stream.c, is built from this tree by Meson.

The jobs of PLAN run in their order, one at a time or as many as --jobs says.  The report is written
after every result.  Jobs that are complete are not run again: the same command resumes where the
last one ended, unless the build directory is removed.  A job that is cut off keeps the results that
it had.  Each test of Crush and BigCrush, which take hours, is a job with another seed.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import fastinit

HERE = Path(__file__).parent
ROOT = HERE.parents[1]

STREAMS = {
    "bits": "`random_bits` of one seed",
    "normal": "16 bits of the integral of each float32 normal",
    "truncated": "the same of the normal within two standard deviations",
    "between_sides": "the same of the normal between -0.6 and 3.9",
    "between_tail": "the same of the normal above 2",
    "seeds_consecutive": "the first word of each of the seeds 0, 1, 2, ...",
    "seeds_sparse": "the first word of each seed of one bit, then of two, three, ...",
    "seeds_flipped": "the first word of a seed, and of the 64 that differ in one bit; repeated",
    "keys_consecutive": "the first word of the rows of the keys 0, 1, 2, ...",
    "keys_sparse": "the first word of the row of each key of one bit, then of two, three, ...",
    "keys_permuted": "the first word of 16 rows whose keys have the same bytes; repeated",
    "normal_keyed": "the integral of normals, in rows of four, of the keys 0, 1, 2, ...",
    "tags": "16 bits each of words, and of uniforms, normals, truncated normals and normals "
    "above 2, in float32 and in float64, for each element of one seed",
    "derived_names": "`derive_seed` of the names of a model's parameters, 64 bits each",
    "derived_next": "the seeds of a `SeedGenerator`, 64 bits each",
    "control_scale": "the integral of normals whose standard deviation is wrong by one in 256: "
    "a judge must reject it",
}
CONTROLS = ("control_scale",)

FIRST = ("bits", "normal", "truncated", "between_sides", "between_tail")
RELATED = (
    "seeds_consecutive",
    "seeds_sparse",
    "seeds_flipped",
    "keys_consecutive",
    "keys_sparse",
    "keys_permuted",
    "normal_keyed",
    "tags",
)
DERIVED = ("derived_names", "derived_next")  # Python makes these, at a few megabytes a second.


class Job(NamedTuple):
    """One run of a judge over one stream from its beginning."""

    stream: str
    judge: str  # PractRand, or a battery of TestU01, perhaps with its words reversed
    log2: int = 0  # bytes for PractRand; the batteries of TestU01 read what they need
    test: int = 0  # the number of the only test of the battery

    @property
    def part(self):
        """Return the part of the stream that it reads: each test of each battery has its own."""
        return self.test and 1000 * SPLIT.index(self.judge) + self.test

    @property
    def name(self):
        number = f"-{self.log2 or self.test}" if self.log2 or self.test else ""
        return f"{self.stream}-{self.judge.replace(' ', '_')}{number}"


# The batteries whose tests run one by one, and how many they have.
TESTS = {"Crush": 96, "Crush reversed": 96, "BigCrush": 106}
SPLIT = list(TESTS)


def each_test(stream, battery):
    return [Job(stream, battery, 0, 1 + i) for i in range(TESTS[battery])]


# All streams at a small size come first, so that a run that is stopped has seen each of them.
PLAN = (
    *(Job(stream, "PractRand", 30) for stream in (*CONTROLS, *FIRST)),
    *(Job(stream, "SmallCrush") for stream in (*CONTROLS, *FIRST, *RELATED)),
    Job("bits", "SmallCrush reversed"),
    *(Job(stream, "PractRand", 30) for stream in RELATED),
    *(Job(stream, "PractRand", 28) for stream in DERIVED),
    *(Job(stream, "SmallCrush") for stream in DERIVED),
    *(Job(stream, "PractRand", 34) for stream in FIRST),
    *(Job(stream, "PractRand", 33) for stream in RELATED),
    *(Job(stream, "PractRand", 31) for stream in DERIVED),
    *each_test("bits", "Crush"),
    *(Job(stream, "PractRand", 36) for stream in FIRST[1:]),
    Job("bits", "PractRand", 38),
    *each_test("bits", "BigCrush"),
    *each_test("bits", "Crush reversed"),
    *(job for stream in FIRST[1:] for job in each_test(stream, "Crush")),
)

LEAST_LOG2 = 27  # PractRand first shows results here, and then at each power of two
LOOK_SECONDS = 5  # how often what a judge has printed is read


def sh(*command, cwd=None, env=None):
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=env, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return done.stdout


class Programs:
    """The programs in a build directory; each is built once."""

    def __init__(self, build, practrand, testu01):
        self.build = build
        self.stream = self._stream()
        self.practrand = practrand and self._practrand(practrand.resolve())
        self.testu01 = testu01 and self._testu01(testu01.resolve())

    def _stream(self):
        scripts = sysconfig.get_path("scripts")
        env = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}"}
        meson, directory = [sys.executable, "-m", "mesonbuild.mesonmain"], self.build / "programs"
        if not (directory / "build.ninja").exists():
            sh(*meson, "setup", directory, ROOT, "-Dprograms=true", env=env)
        sh(*meson, "compile", "-C", directory, "stream", env=env)
        return directory / "tests" / "judges" / "stream"

    def _practrand(self, folder):
        program = self.build / "RNG_test"
        if not program.exists():
            sources = sorted(folder.glob("src/**/*.cpp"))
            if not sources:
                sys.exit(f"{folder} must hold PractRand's src, include and tools")
            flags = ["-O3", "-w", "-std=gnu++14", "-pthread"]
            tools, new = folder / "tools", program.with_suffix(".new")
            compiler = os.environ.get("CXX", "c++")
            includes = [f"-I{folder / 'include'}", f"-I{tools}"]
            sh(compiler, *flags, *includes, "-o", new, tools / "RNG_test.cpp", *sources)
            new.rename(program)
        return program

    def _testu01(self, folder):
        program, driver = self.build / "testu01", HERE / "testu01.c"
        if not program.exists() or program.stat().st_mtime < driver.stat().st_mtime:
            copy = self.build / "testu01_sources"
            shutil.rmtree(copy, ignore_errors=True)
            shutil.copytree(folder, copy, ignore=shutil.ignore_patterns(".git"))
            # Its own make would run the autotools again, which nobody needs to have.
            make = ["make", "-s", "AUTOCONF=:", "AUTOMAKE=:", "ACLOCAL=:", "AUTOHEADER=:"]
            options = ["--disable-shared", "--disable-dependency-tracking", "CFLAGS=-O2 -w"]
            sh("sh", "configure", *options, cwd=copy)
            sh(*make, "tcode", cwd=copy)  # which makes the headers
            for part in ("include", "mylib", "probdist", "testu01"):
                sh(*make, "-C", part, cwd=copy)
            libraries = [
                copy / part / ".libs" / f"lib{part}.a" for part in ("testu01", "probdist", "mylib")
            ]
            new, compiler = program.with_suffix(".new"), os.environ.get("CC", "cc")
            flags = ["-O2", f"-I{copy / 'include'}"]
            sh(compiler, *flags, "-o", new, driver, *libraries, "-lm")
            new.rename(program)
        return program

    def source(self, job):
        """Return the command that writes its stream."""
        if job.stream in DERIVED:
            return [sys.executable, str(HERE / "derived.py"), job.stream.removeprefix("derived_")]
        return [str(self.stream), job.stream, *[str(job.part)] * bool(job.part)]

    def judge(self, job):
        """Return the command that reads it, or None if that judge is not there."""
        if job.judge == "PractRand":
            ends = ["-tlmin", str(LEAST_LOG2), "-tlmax", str(job.log2)]
            return self.practrand and [str(self.practrand), "stdin32", *ends]
        test = [str(job.test)] * bool(job.test)
        return self.testu01 and [str(self.testu01), *job.judge.split(), *test]


class Result(NamedTuple):
    """What a judge said so far."""

    size: str
    log2: float  # bytes that were judged; 0 if none
    verdict: str
    anomalies: list[str]
    seconds: float
    complete: bool


# "Unusual" and worse.  The words in capitals are what PractRand itself calls failures, or nearly.
_LENGTH = re.compile(r"length= .*\(2\^([\d.]+) bytes\), time= ([\d.]+) seconds")
_COUNTED = re.compile(r"(?:no anomalies in|\.\.\.and) (\d+) test result")
_ANOMALY = re.compile(
    r"^ +(\S+) +(R=.*?)(normalish|unusual|mildly suspicious|suspicious|very suspicious"
    r"|VERY SUSPICIOUS|FAIL[ !]*?) *$"
)


def read_practrand(text, job, seconds, ended):
    log2, verdict, anomalies, failed = 0.0, "", [], False
    for part in re.split(r"\n(?=rng=)", text)[1:]:
        length, counted = _LENGTH.search(part), _COUNTED.search(part)
        if not length or not counted:
            continue  # It was cut off here.
        log2 = float(length[1])
        here = [found for line in part.splitlines() if (found := _ANOMALY.match(line))]
        shown = [
            f"2^{log2:g} {test[1]} {' '.join(test[2].split())} {test[3].strip()}" for test in here
        ]
        anomalies += shown[:4] + [f"2^{log2:g} and {len(shown) - 4} more"] * (len(shown) > 4)
        failed |= any(test[3].startswith("FAIL") for test in here)
        number = int(counted[1]) + len(here) * counted[0].startswith("...")
        verdict = f"no anomalies in {number}" if not here else f"{len(here)} of {number} shown"
    verdict = f"**FAIL**, {verdict}" if failed else verdict
    complete = ended and (log2 == job.log2 or failed)
    return Result(f"2^{log2:g} bytes" if log2 else "-", log2, verdict, anomalies, seconds, complete)


_P_VALUE = re.compile(r"^ *\d+ +(.+?) +(eps1?|1 - *eps1|1 - +[\d.e-]+|[\d.e-]+) *$", re.M)


def read_testu01(text, job, seconds, ended):
    summary = text.partition("========= Summary results of")[2]
    words = re.search(r"Words read: (\d+)", summary)
    if not words:
        found = re.findall(r"^(\w+_\w+) test:", text, re.M)
        last = found[-1] if found else "nothing"
        return Result("-", 0.0, f"not finished, last: {last}", [], seconds, False)
    read = int(words[1])
    number = re.search(r"Number of statistics: +(\d+)", summary)[1]
    table = summary.partition("p-value\n")[2]
    anomalies = [f"{test[1]} p = {test[2]}" for test in _P_VALUE.finditer(table)]
    failed = any("eps" in anomaly or _extreme(anomaly) for anomaly in anomalies)
    verdict = f"all {number} within" if not anomalies else f"{len(anomalies)} of {number} outside"
    verdict = f"**FAIL**, {verdict}" if failed else verdict
    if not anomalies and ("All tests were passed" not in summary or not int(number)):
        verdict = "**FAIL**, the summary could not be read"
    size, log2 = f"{4 * read / 2**30:.2f} GiB", (4 * read).bit_length() - 1.0
    return Result(size, log2, verdict, anomalies, seconds, ended)


def _extreme(anomaly):
    """Return whether a p-value is nearer than 1e-10 to 0 or to 1."""
    p = anomaly.rpartition("= ")[2].removeprefix("1 -")
    return float(p) < 1e-10


def run(job, programs, logs, over, keep):
    """Run a job until it ends or over() is true; call keep with every new result."""
    command = programs.judge(job)
    if not command:
        return
    log = logs / f"{job.name}.txt"
    read = read_practrand if job.judge == "PractRand" else read_testu01
    began = time.monotonic()
    processes, before = [], None
    try:
        source = subprocess.Popen(programs.source(job), stdout=subprocess.PIPE)
        processes.append(source)
        with source.stdout, log.open("w") as out:
            judge = subprocess.Popen(command, stdin=source.stdout, stdout=out, stderr=out)
        processes.append(judge)
        while True:
            try:
                ended = judge.wait(timeout=LOOK_SECONDS) is not None
            except subprocess.TimeoutExpired:
                ended = False
            seconds = round(time.monotonic() - began)
            result = read(log.read_text(errors="replace"), job, seconds, ended)
            if ended or result[:4] != before:
                keep(job, result)
            before = result[:4]
            if over():
                return
            if ended and judge.returncode and not result.complete:
                raise RuntimeError(f"{job.name}: the judge failed, see {log}")
            if ended:
                return
    finally:
        for process in reversed(processes):
            process.kill()
            process.wait()


def processor():
    try:
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def machine():
    return f"{processor()}, {os.cpu_count()} processors, {platform.system()} {platform.machine()}"


def version(programs):
    found = []
    if programs.practrand:
        number = re.search(r"version (\S+)", sh(programs.practrand, "-version"))
        found.append(f"PractRand {number[1]}")
    if programs.testu01:
        found.append("TestU01 1.2.3")
    return " and ".join(found)


HEAD = """# Outside judges

Written by `tests/judges/run.py`:

```sh
python tests/judges/run.py --practrand DIR --testu01 DIR
```

fastinit {version}, version {stream} of the stream. {judges}.

Machine: {machine}. The judges ran beside other work, so that the
seconds are not measurements of speed.

What counts was fixed before the first run. PractRand's own "FAIL" is a failure. Whatever else it
shows is listed; with its default threshold, the report of each size shows an anomaly of a good
generator with a probability of about one in ten. The sizes of one stream hold each other's data,
so that their anomalies are not independent. In TestU01 a p-value nearer than 1e-10 to 0 or 1 is a
failure; those outside 0.001 to 0.999 are listed, and of the {testu01} p-values of TestU01
{expected:.1f} are expected to be. Each test of Crush and BigCrush reads a seed of its own. A stream
whose name begins with `control` is wrong by intention and must fail.

| stream | what it is |
|---|---|
{streams}

"Until" is the last size at which PractRand gave results, or what the battery read. A job that is
not complete was stopped, or is still running.

| stream | judge | until | result | anomalies | complete | seconds | date (UTC) |
|---|---|---|---|---|---|---|---|
{rows}

{sums}
"""


def joined(results):
    """Return the results of the tests of a battery that ran one by one as one, for its row."""
    seconds = sum(result.seconds for result in results)
    judged = [result for result in results if result.log2]
    if not judged:
        return Result("-", 0.0, "not finished", [], seconds, False)
    anomalies = [anomaly for result in judged for anomaly in result.anomalies]
    number = sum(int(_NUMBER.search(result.verdict)[1]) for result in judged)
    verdict = f"{len(anomalies)} of {number} outside" if anomalies else f"all {number} within"
    verdict = f"**FAIL**, {verdict}" if any("FAIL" in r.verdict for r in judged) else verdict
    size = f"{sum(float(result.size.split()[0]) for result in judged):.2f} GiB"
    log2 = max(result.log2 for result in judged)
    return Result(size, log2, verdict, anomalies, seconds, len(judged) == len(results))


_NUMBER = re.compile(r"(?:no anomalies in|of|all) (\d+)")


def by_row(records):
    """Return [job, result, date, note] for each row of the report, in the order of their dates."""
    rows, batteries = [], {}
    for record in records:
        job, result = Job(*record["job"]), Result(*record["result"])
        if job.test:
            key = (job.stream, job.judge)
            batteries.setdefault(key, []).append((job, result, record["date"]))
        else:
            rows.append([job, result, record["date"], ""])
    for runs in batteries.values():
        job, result = runs[0][0], joined([result for _, result, _ in runs])
        done, tests = sum(result.complete for _, result, _ in runs), TESTS[job.judge]
        result = result._replace(complete=done == tests)
        rows.append([job, result, max(date for _, _, date in runs), f", {done} of {tests} tests"])
    return sorted(rows, key=lambda row: row[2])


def write_report(path, results, judges):
    rows, failed, testu01, longest = [], [], 0, {}
    for job, result, date, note in by_row(results.values()):
        anomalies = "; ".join(result.anomalies) or "none" if result.log2 else "-"
        complete = "yes" if result.complete else "no"
        rows.append(
            f"| {job.stream} | {job.judge}{note} | {result.size} | {result.verdict or '-'} "
            f"| {anomalies} | {complete} | {result.seconds:.0f} | {date} |"
        )
        if "FAIL" in result.verdict and job.stream not in CONTROLS:
            failed.append(f"{job.stream} ({job.judge})")
        number = _NUMBER.search(result.verdict)
        if number and job.stream not in CONTROLS:
            # The results of a smaller size of the same stream are not counted twice.
            key = (job.stream, job.judge)
            longest[key] = max(longest.get(key, 0), int(number[1]))
            testu01 += int(number[1]) * (job.judge != "PractRand")
    values = sum(longest.values())
    sums = f"Test results read at the largest size of each: {values}. Failures: "
    sums += (", ".join(failed) or "none") + "."
    head = HEAD.format(
        version=fastinit.__version__,
        stream=fastinit.STREAM_VERSION,
        judges=judges,
        machine=machine(),
        testu01=testu01,
        expected=testu01 * 0.002,
        streams="\n".join(f"| `{name}` | {text} |" for name, text in STREAMS.items()),
        rows="\n".join(rows),
        sums=sums,
    )
    new = path.with_suffix(".new")
    new.write_text(head, encoding="utf-8")
    new.replace(path)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--practrand", type=Path, help="the folder of PractRand's sources")
    parser.add_argument("--testu01", type=Path, help="the folder of TestU01's sources")
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "judges")
    parser.add_argument("--report", type=Path, default=HERE / "report.md")
    parser.add_argument("--minutes", type=float, default=1e9, help="stop after so long")
    parser.add_argument("--jobs", type=int, default=1, help="run so many at a time")
    parser.add_argument("--log2", type=int, default=64, help="leave out greater sizes than 2^LOG2")
    parser.add_argument("--streams", nargs="*", default=list(STREAMS), help="only these streams")
    arguments = parser.parse_args()
    if not (arguments.practrand or arguments.testu01):
        parser.error("--practrand or --testu01 must be given")

    build = arguments.build.resolve()
    logs = build / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    programs = Programs(build, arguments.practrand, arguments.testu01)
    judges, state = version(programs), build / "results.json"
    results = json.loads(state.read_text()) if state.exists() else {}

    lock, stop = threading.Lock(), threading.Event()

    def keep(job, result):
        with lock:
            old = results.get(job.name)
            if old and Result(*old["result"]).log2 > result.log2:
                return  # It was run before, and came further.
            date = datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M")
            results[job.name] = {"job": job, "result": result, "date": date}
            new = state.with_suffix(".new")
            new.write_text(json.dumps(results))
            new.replace(state)
            write_report(arguments.report, results, judges)
            print(date, job.name, result.size, result.verdict, flush=True)

    until = time.monotonic() + 60 * arguments.minutes

    def over():
        return stop.is_set() or time.monotonic() > until

    def do(job):
        done = job.name in results and Result(*results[job.name]["result"]).complete
        wanted = job.stream in arguments.streams and job.log2 <= arguments.log2
        if wanted and not done and not over():
            try:
                run(job, programs, logs, over, keep)
            except BaseException:
                stop.set()  # The other threads end soon, and main() sees the error.
                raise

    # So that each run() ends the processes that it has started.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda number, frame: stop.set())
    write_report(arguments.report, results, judges)
    with ThreadPoolExecutor(arguments.jobs) as pool:
        list(pool.map(do, PLAN))
    sys.exit("stopped" if stop.is_set() else 0)


if __name__ == "__main__":
    main()
