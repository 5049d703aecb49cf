"""Every library that is there, on every case, in interleaved rounds.

One benchmark is one case.  Its rounds call all libraries in turn, so that a drift of the machine
hits all alike; what pytest-benchmark times is such a round, and each library's own times are in its
extra_info, from which the report takes medians, and ratios within a round.
"""

import time

import pytest
from report import CASES


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(benchmark, workers, case):
    here = {}
    for name, worker in workers.items():
        if not case.wants(name):
            continue
        answer = worker.ask(
            name=case.name,
            shape=case.shape,
            dtype=case.dtype,
            memory=case.memory,
            rounds=case.rounds,
        )
        assert "failed" not in answer, f"{name}: {answer}"
        if not answer["skipped"]:
            here[name] = worker
    times = {name: [] for name in here}

    def one_round():
        for name, worker in here.items():
            time.sleep(
                0.05 if case.name == "orthogonal" else 0.005
            )  # idle threads spin for a while
            times[name].append(worker.ask(run=True)["seconds"])

    benchmark.group = "rounds of all libraries"
    benchmark.extra_info.update(case=str(case), times=times)
    benchmark.pedantic(one_round, rounds=case.rounds, iterations=1)
