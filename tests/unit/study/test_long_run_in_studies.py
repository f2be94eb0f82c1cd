from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from sim.engine.long_run import WARM_UP
from sim.study.facts import exact_words
from sim.study.records import Record
from sim.study.stored import Place

MEAN = "request_latency_ns.mean"
RECORD = Record(Place("main", 0, 0, 0), "", "", 0, 0, {}, {}, 0, False, "horizon")
STORE = SimpleNamespace(scenario=lambda key: {"host": {}})


def test_a_single_run_says_what_it_tells_of_the_long_run(standin):
    from sim.scenario import load_scenario
    from sim.study.records import _told

    scenario = load_scenario("redis_bgsave", ["processes.redis.dataset=64MiB"])
    result = standin.simulate(scenario, seed=1, replication=0)
    sums = np.random.default_rng(1).normal(1e8, 1e7, 500)
    result["request_batches"] = {"each": 10, "sums_ns": [round(x) for x in sums]}
    record = replace(RECORD, **_told(result))
    words = exact_words(STORE, MEAN, [record])
    assert words == " [in the long run: 9.88 ms to 10.1 ms (batch means, about 95 %)]"
    assert exact_words(STORE, "request_latency_ns.p99", [record]) == ""
    assert exact_words(STORE, MEAN, [record, record]) == ""


def test_several_runs_say_how_many_are_all_warm_up():
    warm = replace(RECORD, long_run=f"{WARM_UP}: MSER-5 would cut 90% of it")
    assert exact_words(STORE, MEAN, [warm, RECORD, warm]) == f" [{WARM_UP} in 2 of 3 runs]"
