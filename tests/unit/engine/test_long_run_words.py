import numpy as np
import pytest

from sim.engine.long_run import LEAST_REQUESTS, long_run_facts, long_run_words


def document(sums, each=10):
    count = {"count": each * len(sums)}
    return {
        "metrics": {"request_latency_ns": count},
        "request_batches": {"each": each, "sums_ns": [round(x) for x in sums]},
    }


def steady(n=500):
    return np.random.default_rng(1).normal(1e8, 1e7, n)  # batches of ten: 10 ms each


@pytest.mark.parametrize(
    ("sums", "words"),
    [
        (steady(), "9.88 ms to 10.1 ms (batch means, about 95 %)"),
        (steady(20), "insufficient: 200 requests, 2,000 are needed"),
        (np.linspace(5e8, 1e8, 500), "all of it looks like warm-up: MSER-5 would cut 99% of it"),
    ],
)
def test_what_is_told(sums, words):
    assert long_run_words(document(sums)) == words


def test_what_is_correlated_says_how_much_and_what_looks_like_warm_up():
    rising = np.concatenate([np.linspace(9e8, 1e8, 100), steady(400)])
    words = long_run_words(document(rising))
    assert words.startswith("correlated: 1.00 ")
    assert "1.00 between batches of 10 requests; the first " in words
    assert words.endswith("requests look like warm-up (MSER-5; run.warmup)")


def test_without_requests_or_of_an_older_version_nothing_is_told():
    assert long_run_words(document([])) == ""
    old = document(steady())
    del old["request_batches"]
    assert long_run_words(old) == ""
    assert LEAST_REQUESTS == 2000


def test_the_same_as_values():
    facts = long_run_facts(document(steady()))
    assert facts["verdict"] == "told"
    assert 9.8e6 < facts["low_ns"] < facts["mean_ns"] < facts["high_ns"] < 10.2e6
    warm = long_run_facts(document(np.linspace(5e8, 1e8, 500)))
    assert (warm["verdict"], warm["low_ns"]) == ("warming up", None)
    assert warm["requests_cut"] > 2500
    assert long_run_facts(document(steady(20))) == {"verdict": "insufficient"}
