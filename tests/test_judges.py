"""The streams of tests/judges hold what the public functions return, and their integrals are right.

No judge is run here; tests/judges/report.md says what judges found.
"""

import subprocess
import sys
import time
from functools import cache
from itertools import combinations, islice
from pathlib import Path

import mpmath
import numpy as np
import programs
import pytest
import reference
from judges import run as judges
from scipy.special import ndtr

import fastinit
from fastinit import initializers

JUDGES = Path(__file__).with_name("judges")
SEED = 0x243F6A8885A308D3  # of stream.c
MULTIPLIER = 0x9E3779B97F4A7C15
BOUNDS = {
    "normal": (-np.inf, np.inf),
    "truncated": (-2.0, 2.0),
    "between_sides": (-0.6, 3.9),
    "between_tail": (2.0, np.inf),
}


def program():
    return str(programs.native()[1].parent / "judges" / "stream")


@cache
def beginning(stream, size):
    """Return the first bytes of a stream."""
    command = [program(), stream]
    if stream.startswith("derived_"):
        command = [sys.executable, str(JUDGES / "derived.py"), stream.removeprefix("derived_")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        data = process.stdout.read(size)
        process.kill()
    assert len(data) == size
    return data


def words_of(law, numbers):
    data = np.asarray(numbers, np.float32).tobytes()
    return np.frombuffer(
        programs.run(programs.native(), "../judges/stream", "words", law, data=data), "u2"
    )


def integral(law, x):
    """Return 65536 times the distribution function of float64 numbers."""
    x = np.asarray(x, np.float64)
    if law == "uniform":
        return 65536 * x
    low, high = BOUNDS[law]
    if low >= 0:  # from the upper tail, which keeps the digits
        return 65536 * (ndtr(-low) - ndtr(-x)) / (ndtr(-low) - ndtr(-high))
    return 65536 * (ndtr(x) - ndtr(low)) / (ndtr(high) - ndtr(low))


def surroundings(law, x):
    """Return the integrals of the ends of what is rounded to float32 numbers."""
    x = np.asarray(x, np.float32)
    ends = [(np.nextafter(x, np.float32(to)).astype(float) + x) / 2 for to in (-np.inf, np.inf)]
    return [integral(law, np.clip(end, *BOUNDS.get(law, (0, 1)))) for end in ends]


def assert_integrals(words, law, x):
    """Assert that words are the integrals of float32 numbers, up to what rounding leaves open."""
    below, above = surroundings(law, x)
    lowest = np.clip(np.floor(below - 1e-6), 0, 65535)
    highest = np.clip(np.floor(above + 1e-6), 0, 65535)
    words = words.astype(float)
    np.testing.assert_array_less(lowest - 0.5, words)
    np.testing.assert_array_less(words, highest + 0.5)
    # For nearly all numbers that is one word.
    assert (lowest == highest).mean() > (0.9 if law == "between_tail" else 0.99)


def first_words(seeds):
    return np.array([int(fastinit.random_bits(1, seed=seed)[0]) for seed in seeds], np.uint32)


def sparse(n):
    """Return n numbers with one bit set, with two, and so on, each group in order."""
    groups = (
        sorted(sum(1 << bit for bit in bits) for bits in combinations(range(64), k))
        for k in (1, 2, 3)
    )
    return list(islice((number for group in groups for number in group), n))


def flipped(n):
    bases = (i * MULTIPLIER % 2**64 for i in range(n))
    numbers = (base ^ flip for base in bases for flip in (0, *(1 << bit for bit in range(64))))
    return list(islice(numbers, n))


def permuted(n):
    bases = ((i * MULTIPLIER % 2**64).to_bytes(8, "big") for i in range(1, n + 1))
    turns = (
        order[k:] + order[:k] for base in bases for order in (base, base[::-1]) for k in range(8)
    )
    return [int.from_bytes(turn, "big") for turn in islice(turns, n)]


def test_bits_are_random_bits():
    expected = fastinit.random_bits(200_000, seed=SEED)
    assert beginning("bits", expected.nbytes) == expected.tobytes()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("consecutive", range(3000)), ("sparse", sparse(3000)), ("flipped", flipped(3000))],
)
def test_seeds(name, numbers):
    expected = first_words(numbers)
    assert beginning(f"seeds_{name}", expected.nbytes) == expected.tobytes()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("consecutive", range(3000)), ("sparse", sparse(3000)), ("permuted", permuted(3000))],
)
def test_keys(name, numbers):
    """No public function returns raw words by key: the second implementation gives them."""
    keys = np.array(numbers, np.uint64)
    assert np.unique(keys).size == keys.size
    expected = reference.keyed_samples(reference.BITS, 32, SEED, keys, 1).astype(np.uint32)
    assert beginning(f"keys_{name}", expected.nbytes) == expected.tobytes()


@pytest.mark.parametrize("law", BOUNDS)
def test_integrals(law):
    n = 100_000
    words = np.frombuffer(beginning(law, 2 * n), np.uint16)
    lower, upper = BOUNDS[law]
    if law == "normal":
        x = fastinit.random_normal(n, stddev=1.0, seed=SEED)
    else:
        x = fastinit.truncated_normal(n, stddev=1.0, lower=lower, upper=upper, seed=SEED)
    assert_integrals(words, law, x)
    assert words.min() < 10
    assert words.max() > 65525


def test_keyed_normals():
    words = np.frombuffer(beginning("normal_keyed", 2 * 100_000), np.uint16)
    rows = initializers.RandomNormal(stddev=1.0, seed=SEED).keyed(4)
    assert_integrals(words, "normal", rows[np.arange(25_000)].reshape(-1))


def test_tags():
    n = 20_000
    words = np.frombuffer(beginning("tags", 2 * 9 * n), np.uint16).reshape(n, 9)
    assert (words[:, 0] == fastinit.random_bits(n, seed=SEED) >> 16).all()
    for column, dtype in ((1, "float32"), (5, "float64")):
        for k, law in enumerate(("normal", "truncated", "between_tail")):
            lower, upper = BOUNDS[law]
            draw = fastinit.random_normal if law == "normal" else fastinit.truncated_normal
            bounds = {} if law == "normal" else {"lower": lower, "upper": upper}
            x = draw(n, stddev=1.0, seed=SEED, dtype=dtype, **bounds)
            assert_integrals(words[:, column + k], law, x.astype(np.float32))
        x = fastinit.random_uniform(n, 0.0, 1.0, seed=SEED, dtype=dtype)
        assert_integrals(words[:, column + 3], "uniform", x.astype(np.float32))


def test_derived_seeds():
    names = [f"encoder/layer_{i // 2}/{('kernel', 'bias')[i % 2]}" for i in range(500)]
    expected = np.array([fastinit.derive_seed(SEED, name) for name in names], np.uint64)
    assert beginning("derived_names", expected.nbytes) == expected.tobytes()
    seeds = fastinit.SeedGenerator(SEED)
    expected = np.array([seeds.next() for _ in range(500)], np.uint64)
    assert beginning("derived_next", expected.nbytes) == expected.tobytes()


def test_the_control_has_another_scale():
    words = np.frombuffer(beginning("control_scale", 2000), np.uint16)
    x = fastinit.random_normal(1000, stddev=1 + 1 / 256, seed=SEED)
    assert_integrals(words, "normal", x)


def test_known_points():
    """Compare with tabulated quantiles of the normal, and with Phi(1) and Phi(2)."""
    near = 1e-5  # half a cell is 2e-5, or 3e-6 above 2
    for law, x, word in [
        ("normal", 0.0, 0x8000),
        ("normal", -0.6744897501960817, 0x4000),
        ("normal", 0.6744897501960817, 0xC000),
        ("normal", 1.1503493803760079, 0xE000),
        ("truncated", 0.0, 0x8000),
        ("between_tail", 2.2776048388094589, 0x8000),
    ]:
        assert list(words_of(law, [x - near, x + near])) == [word - 1, word], law
    # Phi(1) is 0.8413447, Phi(2) 0.9772499; (0.8413447 - 0.0227501) / 0.9544997 is 0.8576195.
    assert words_of("normal", [1.0])[0] == int(65536 * 0.8413447460685429)
    assert words_of("truncated", [1.0])[0] == int(65536 * 0.857618)
    assert list(words_of("normal", [-16, -9, 9, 16])) == [0, 0, 65535, 65535]
    assert list(words_of("truncated", [-2, 2])) == [0, 65535]


@pytest.mark.parametrize("law", BOUNDS)
def test_a_number_on_a_border_falls_into_both_cells_by_its_parts(law):
    """The parts are computed with 40 digits; the words of one number at many positions follow."""
    n = 200_000
    lower, upper = map(mpmath.mpf, BOUNDS[law])
    with mpmath.workdps(40):
        whole = mpmath.ncdf(upper) - mpmath.ncdf(lower)

        def exact(x):
            return 65536 * (mpmath.ncdf(x) - mpmath.ncdf(lower)) / whole

        for k in (1, 700, 20_000, 40_000, 65_535):
            # The border between the cells k - 1 and k by bisection, then the nearest float32.
            low, high = max(lower, mpmath.mpf(-9)), min(upper, mpmath.mpf(9))
            for _ in range(60):
                middle = (low + high) / 2
                low, high = (low, middle) if exact(middle) > k else (middle, high)
            x = np.float32(float(low))
            ends = [(float(np.nextafter(x, np.float32(to))) + float(x)) / 2 for to in (-9, 9)]
            below, above = map(exact, ends)
            share = float((k - below) / (above - below))
            assert 0 <= share <= 1
            words = words_of(law, np.full(n, x))
            assert set(words.tolist()) <= {k - 1, k}
            assert abs((words == k - 1).mean() - share) < 5 * 0.5 / n**0.5


PRACTRAND = """RNG_test using PractRand version 0.95
RNG = RNG_stdin32, seed = unknown
test set = core, folding = standard (32 bit)

rng=RNG_stdin32, seed=unknown
length= 128 megabytes (2^27 bytes), time= 6.1 seconds
  no anomalies in 154 test result(s)

rng=RNG_stdin32, seed=unknown
length= 256 megabytes (2^28 bytes), time= 16.2 seconds
  Test Name                         Raw       Processed     Evaluation
  DC6-9x1Bytes-1                    R= +13.9  p =  2.8e-7   very suspicious
  FPF-14+6/16:all                   R=  +9.8  p =  1.0e-8   {last}
  ...and 162 test result(s) without anomalies

"""


def test_what_practrand_prints_is_read():
    job = judges.Job("normal", "PractRand", 28)
    anomalies = [
        "2^28 DC6-9x1Bytes-1 R= +13.9 p = 2.8e-7 very suspicious",
        "2^28 FPF-14+6/16:all R= +9.8 p = 1.0e-8 unusual",
    ]
    text = PRACTRAND.format(last="unusual          ")
    found = judges.read_practrand(text, job, 17, True)
    assert found == ("2^28 bytes", 28.0, "2 of 164 shown", anomalies, 17, True)
    # Cut off at 2^28: what it said at 2^27 counts.
    cut = judges.read_practrand(text[: text.index("...and")], job, 17, False)
    assert cut == ("2^27 bytes", 27.0, "no anomalies in 154", [], 17, False)
    failed = judges.read_practrand(PRACTRAND.format(last="  FAIL !!        "), job, 17, True)
    assert failed.verdict == "**FAIL**, 2 of 164 shown"
    assert failed.anomalies[1].endswith("FAIL !!")


TESTU01 = """
smarsa_BirthdaySpacings test:
sknuth_MaxOft test:
========= Summary results of SmallCrush =========

 Version:          TestU01 1.2.3
 Generator:        stdin
 Number of statistics:  15
 Total CPU time:   00:00:04.12
"""
OUTSIDE = """ The following tests gave p-values outside [0.001, 0.9990]:
 (eps  means a value < 1.0e-300):
 (eps1 means a value < 1.0e-15):

       Test                          p-value
 ----------------------------------------------
  1  BirthdaySpacings               {first}
  6  MaxOft AD                      {last}
 ----------------------------------------------
 All other tests were passed
"""
WORDS_READ = "\nWords read: 268435456\n"


def test_what_testu01_prints_is_read():
    job = judges.Job("bits", "SmallCrush")
    passed = TESTU01 + "\n\n All tests were passed\n" + WORDS_READ
    assert judges.read_testu01(passed, job, 7, True) == (
        "1.00 GiB",
        30.0,
        "all 15 within",
        [],
        7,
        True,
    )
    for first, last, verdict in [
        ("5.6e-4", "0.9995", "2 of 15 outside"),
        ("5.6e-4", "1 - 1.5e-6", "2 of 15 outside"),
        ("5.6e-4", "1 - eps1", "**FAIL**, 2 of 15 outside"),
        ("eps", "0.9995", "**FAIL**, 2 of 15 outside"),
        ("5.6e-14", "0.9995", "**FAIL**, 2 of 15 outside"),
        ("5.6e-4", "1 - 1.5e-12", "**FAIL**, 2 of 15 outside"),
    ]:
        text = TESTU01 + OUTSIDE.format(first=first, last=last) + WORDS_READ
        found = judges.read_testu01(text, job, 7, True)
        assert found.verdict == verdict
        assert found.anomalies == [f"BirthdaySpacings p = {first}", f"MaxOft AD p = {last}"]
    cut = judges.read_testu01(passed.partition("=====")[0], job, 7, False)
    assert cut.verdict == "not finished, last: sknuth_MaxOft"
    assert not cut.complete


class FakePrograms:
    """A stream of zeros, and a judge that says what PractRand does, then waits for its end."""

    def __init__(self, folder, text, seconds):
        (folder / "text").write_text(text)
        self._stream = "import os\nwhile True: os.write(1, bytes(4096))"
        self._judge = (
            "import sys, time; from pathlib import Path; sys.stdin.buffer.read(4096); "
            f"print(Path({str(folder / 'text')!r}).read_text(), flush=True); time.sleep({seconds})"
        )

    def source(self, job):
        return [sys.executable, "-c", self._stream]

    def judge(self, job):
        return [sys.executable, "-c", self._judge]


def test_a_job_that_is_cut_off_keeps_what_it_had(tmp_path, monkeypatch):
    monkeypatch.setattr(judges, "LOOK_SECONDS", 0.1)
    job, kept = judges.Job("bits", "PractRand", 28), []
    text = PRACTRAND.format(last="unusual")

    def keep(job, result):
        kept.append(result)

    whole = FakePrograms(tmp_path, text, 0)
    judges.run(job, whole, tmp_path, lambda: False, keep)
    assert (kept[-1].size, kept[-1].complete) == ("2^28 bytes", True)
    kept.clear()
    slow = FakePrograms(tmp_path, text[: text.index("rng=", text.index("2^27"))], 60)
    began = time.monotonic()
    judges.run(job, slow, tmp_path, lambda: time.monotonic() > began + 2, keep)
    assert time.monotonic() < began + 30  # The judge would take a minute.
    assert (kept[-1].size, kept[-1].complete) == ("2^27 bytes", False)


def test_the_report_counts_the_largest_size_of_each_stream(tmp_path):
    def record(stream, judge, log2, verdict, complete=True):
        result = judges.Result(f"2^{log2} bytes", log2, verdict, [], 7, complete)
        return {"job": judges.Job(stream, judge, log2), "result": result, "date": "2026-01-01"}

    records = [
        record("bits", "PractRand", 30, "no anomalies in 190"),
        record("bits", "PractRand", 34, "2 of 240 shown", complete=False),
        record("bits", "SmallCrush", 30, "all 15 within"),
        record("control_scale", "PractRand", 30, "**FAIL**, 6 of 178 shown"),
    ]
    judges.write_report(tmp_path / "report.md", dict(enumerate(records)), "PractRand 0.95")
    text = (tmp_path / "report.md").read_text()
    assert "read at the largest size of each: 255. Failures: none." in text
    assert "| bits | PractRand | 2^34 bytes | 2 of 240 shown | none | no | 7 | 2026-01-01 |" in text
    records.append(record("tags", "PractRand", 30, "**FAIL**, 1 of 190 shown"))
    judges.write_report(tmp_path / "report.md", dict(enumerate(records)), "PractRand 0.95")
    assert "Failures: tags (PractRand)." in (tmp_path / "report.md").read_text()


def test_tests_that_ran_one_by_one_are_one_row(tmp_path):
    def record(test, verdict, anomalies=(), log2=33.0):
        size = "8.00 GiB" if log2 else "-"
        result = judges.Result(size, log2, verdict, list(anomalies), 7, bool(log2))
        job = judges.Job("bits", "BigCrush", 0, test)
        return {"job": job, "result": result, "date": f"2026-01-0{test}"}

    records = [record(1, "all 2 within"), record(2, "1 of 3 outside", ["Gap p = 5.6e-4"])]
    cut = record(3, "not finished, last: sknuth_Gap", log2=0)
    for more, verdict in ([], "1 of 5 outside"), ([record(3, "all 1 within")], "1 of 6 outside"):
        judges.write_report(tmp_path / "report.md", dict(enumerate(records + more)), "TestU01")
        row = f"| bits | BigCrush, {2 + len(more)} of 106 tests | {16 + 8 * len(more)}.00 GiB "
        row += f"| {verdict} | Gap p = 5.6e-4 | no | {14 + 7 * len(more)} |"
        assert row in (tmp_path / "report.md").read_text()
    judges.write_report(tmp_path / "report.md", {3: cut}, "TestU01")
    row = "| bits | BigCrush, 0 of 106 tests | - | not finished | - | no | 7 | 2026-01-03 |"
    assert row in (tmp_path / "report.md").read_text()
    judges.write_report(tmp_path / "report.md", dict(enumerate([*records, cut])), "TestU01")
    text = (tmp_path / "report.md").read_text()
    assert "| bits | BigCrush, 2 of 106 tests | 16.00 GiB | 1 of 5 outside |" in text
    assert "read at the largest size of each: 5. Failures: none." in text
    records.append(record(4, "**FAIL**, 1 of 2 outside", ["Run p = eps"]))
    judges.write_report(tmp_path / "report.md", dict(enumerate(records)), "TestU01")
    assert "Failures: bits (BigCrush)." in (tmp_path / "report.md").read_text()


def test_each_part_of_a_stream_has_another_seed(tmp_path):
    parts = [judges.Job("bits", "SmallCrush"), *judges.each_test("bits", "Crush")[:2]]
    parts.append(judges.each_test("bits", "BigCrush")[-1])
    assert (
        len({job.part for job in judges.PLAN if job.stream == "bits" and job.test}) == 96 * 2 + 106
    )
    programs_ = judges.Programs.__new__(judges.Programs)
    programs_.stream, programs_.testu01 = program(), tmp_path
    for k, job in zip((0, 1, 2, 2106), parts, strict=True):
        command = programs_.source(job)
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            words = np.frombuffer(process.stdout.read(4000), np.uint32)
            process.kill()
        seed = (SEED + k * MULTIPLIER) % 2**64
        assert (words == fastinit.random_bits(1000, seed=seed)).all()
    assert programs_.judge(parts[2]) == [str(tmp_path), "Crush", "2"]
    for refused in ("seeds_sparse 2", "bits 0", "bits x", "bits 1 2"):
        done = subprocess.run([program(), *refused.split()], stdout=subprocess.DEVNULL, timeout=60)
        assert done.returncode == 2


def test_the_plan_names_each_stream():
    assert {job.stream for job in judges.PLAN} == judges.STREAMS.keys()
    assert len({job.name for job in judges.PLAN}) == len(judges.PLAN)
