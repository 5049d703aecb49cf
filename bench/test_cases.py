"""Time every library that is installed on every case, in interleaved rounds.

One benchmark is one group of cases.  Its rounds call all libraries on all cases in turn, so that a
drift of the machine hits all alike.  pytest-benchmark times such a round; each library's own times
are in its extra_info, from which the report takes medians, and ratios within a round.
"""

import time
from itertools import product

import pytest
from report import GROUPS


@pytest.mark.parametrize("cases", GROUPS, ids=lambda cases: ", ".join(map(str, cases)))
def test_cases(benchmark, workers, cases):
    ready = {}
    for name in list(workers):
        wanted = {str(c): (c.name, c.dtype, c.shape, c.memory) for c in cases if c.wants(name)}
        answer = wanted and workers.ask(name, f"from {cases[0]} on", cases=wanted)
        ready[name] = answer["ready"] if answer else []
    turns = [(c, name) for c, name in product(cases, ready) if str(c) in ready[name]]
    times = {str(c): {} for c in cases}
    for case, name in turns:
        times[str(case)][name] = []

    def one_round():
        for case, name in turns:
            if name in workers:
                # Idle threads spin for a while before they sleep.
                time.sleep(0.05 if case.name == "orthogonal" else 0.005)
                request = {"run": str(case), "at_least": case.at_least}
                answer = workers.ask(name, f"from {case} on", **request)
                times[str(case)][name].append(answer and answer["seconds"])
        turns.reverse()  # so that no library always follows the same neighbour

    benchmark.group = "rounds of all libraries"
    benchmark.extra_info.update(times=times)
    benchmark.pedantic(one_round, rounds=cases[0].rounds, iterations=1)
    for done, name in product(times.values(), workers.missing):
        done.pop(name, None)  # some of its rounds are missing
    ours = {name: why for name, why in workers.missing.items() if name.startswith("fastinit")}
    assert not ours
