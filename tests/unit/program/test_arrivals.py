import hashlib

import numpy as np
import pytest

from sim.base.errors import ScenarioError
from sim.base.rng import stream
from sim.base.units import MS, S
from sim.program import arrivals
from sim.program.arrivals import ArrivalStream, arrival_stream, fixed, from_file, poisson


def rng():
    return stream(1, 0, "arrivals")


def taken(arrivals, until_ns, limit):
    parts = []
    while (part := arrivals.take(until_ns, limit)).size:
        assert part.size <= limit
        parts.append(part)
    return np.concatenate(parts) if parts else np.empty(0, np.int64)


def test_arrivals_do_not_depend_on_how_they_are_taken():
    at_once = taken(ArrivalStream(poisson(rng(), 100_000, 7)), 2 * S, 10**6)
    in_bits = ArrivalStream(poisson(rng(), 100_000, 7))
    bits = np.concatenate([taken(in_bits, until, 999) for until in (S // 3, S, S, 2 * S)])
    assert (at_once == bits).all()
    assert at_once.size > 190_000
    assert (np.diff(at_once) >= 0).all()
    assert at_once[0] > 7
    assert at_once[-1] < 2 * S


def test_a_poisson_process_has_its_rate_and_its_variance():
    """Counts in 10,000 windows of 1 ms at 20 a window: z limits at false alarm 1e-6."""
    times = taken(ArrivalStream(poisson(rng(), 20_000, 0)), 10 * S, 10**6)
    counts = np.bincount(times // MS, minlength=10_000)
    z_mean = (counts.mean() - 20) / np.sqrt(20 / counts.size)
    dispersion = counts.var(ddof=1) / 20
    z_dispersion = (dispersion - 1) / np.sqrt(2 / counts.size)
    assert abs(z_mean) < 4.8916
    assert abs(z_dispersion) < 4.8916


def test_fixed_arrivals_are_no_poisson_process():
    times = taken(ArrivalStream(fixed(20_000, 0)), 10 * S, 10**6)
    assert set(np.diff(times)) == {50_000}
    assert times[0] == 50_000
    assert times.size == 199_999


def test_an_arrival_at_the_limit_is_not_yet_due():
    arrivals = ArrivalStream(iter([np.array([1, 5, 5, 9])]))
    assert arrivals.take(5).tolist() == [1]
    assert arrivals.take(6).tolist() == [5, 5]
    assert arrivals.take(6).tolist() == []
    assert arrivals.take(100).tolist() == [9]
    assert arrivals.take(100).tolist() == []


def test_nothing_arrives_at_rate_zero():
    assert not arrival_stream("poisson", rng(), rate_per_s=0, first_ns=0).take(10 * S).size


def test_a_file_lists_times_from_the_start(tmp_path):
    file = tmp_path / "times.txt"
    file.write_text("# from a trace\n0\n1.5 ms\n\n2 ms  # twice\n2 ms\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    (times,) = from_file(str(file), digest, first_ns=100)
    assert times.tolist() == [100, 1_500_100, 2_000_100, 2_000_100]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("1 ms\nsoon\n", "times.txt:2: 'soon' is not a quantity"),
        ("2 ms\n1 ms\n", "times.txt: arrivals must never decrease"),
    ],
)
def test_a_malformed_file_is_refused_with_its_line(tmp_path, content, message):
    file = tmp_path / "times.txt"
    file.write_text(content)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ScenarioError, match=message):
        next(from_file(str(file), digest, 0))


def test_a_file_that_changed_is_refused(tmp_path):
    file = tmp_path / "times.txt"
    file.write_text("1 ms\n")
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    with pytest.raises(ScenarioError, match=f"write arrivals_sha256: {digest}"):
        next(from_file(str(file), "", 0))
    with pytest.raises(ScenarioError, match="cannot read the arrivals: No such file"):
        next(from_file(str(tmp_path / "none"), digest, 0))


@pytest.mark.parametrize("source", [fixed, lambda rate, first: poisson(rng(), rate, first)])
def test_what_nobody_took_is_counted(source, monkeypatch):
    """Exactly; and beyond what is drawn to be counted, by the rate of what was."""
    exact = taken(ArrivalStream(source(100_000, 0)), 5 * S, 10**6).size
    assert ArrivalStream(source(100_000, 0)).due(5 * S) == exact
    begun = ArrivalStream(source(100_000, 0))
    assert begun.take(S, 1000).size + begun.due(5 * S) == exact
    assert begun.due(5 * S) == 0
    monkeypatch.setattr(arrivals, "MOST_COUNTED", 70_000)
    estimate = ArrivalStream(source(100_000, 0)).due(5 * S)
    assert estimate == pytest.approx(exact, rel=0.01)
