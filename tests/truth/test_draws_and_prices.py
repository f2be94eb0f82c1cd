"""Random draws are those of Threefry, uniform and independent; prices follow their tables."""

import math
from typing import Any

import numpy as np
import pytest
from scipy import stats
from support.machines import machine, run

from sim.base.jit import compiled
from sim.base.rng import key_words
from sim.cost import quantiles
from sim.cost.draw import price_at_ps, settle
from sim.engine.verbs.process import Process
from sim.kernel.work import note
from sim.machine import work
from sim.machine.draw import draw, threefry
from sim.machine.layout import N_QUANTILES, Arrays
from sim.machine.work import N_LINES, ZERO_FILL
from sim.stats.quantile import bucket_of

pytestmark = pytest.mark.truth

Z_LIMIT = 4.8916  # two-sided, false alarm 1e-6
FALSE_ALARM = 1e-6


@compiled
def one_word(key0: int, key1: int, counter0: int, counter1: int) -> int:
    return threefry(key0, key1, counter0, counter1)


@compiled
def many_words(m: Arrays, task: int, purpose: int, out: Any) -> None:
    for i in range(len(out)):
        out[i] = draw(m, task, purpose)


@compiled
def prices_of(m: Arrays, line: int, bits: int, out: Any) -> None:
    out[0] = price_at_ps(m, line, bits)


@compiled
def many_prices(m: Arrays, task: int, line: int, units: int, out: Any) -> None:
    for i in range(len(out)):
        m.clock[0].lines = 0
        note(m, line, units)
        out[i] = settle(m, task)


# -- Threefry ----------------------------------------------------------------------------------


def threefry_by_the_paper(key: tuple[int, int], counter: tuple[int, int], rounds: int) -> list[int]:
    """Threefry-2x32 written after Salmon et al. (2011), section 3.2, with Python's integers."""
    mask = 2**32 - 1
    rotations = (13, 15, 26, 6, 17, 29, 16, 24)
    keys = [*key, 0x1BD11BDA ^ key[0] ^ key[1]]
    x = [(counter[0] + keys[0]) & mask, (counter[1] + keys[1]) & mask]
    for number in range(rounds):
        x[0] = (x[0] + x[1]) & mask
        turn = rotations[number % 8]
        x[1] = ((x[1] << turn) | (x[1] >> (32 - turn))) & mask
        x[1] ^= x[0]
        if number % 4 == 3:
            block = number // 4 + 1
            x[0] = (x[0] + keys[block % 3]) & mask
            x[1] = (x[1] + keys[(block + 1) % 3] + block) & mask
    return x


ONES = 2**32 - 1
PI = (0x243F6A88, 0x85A308D3), (0x13198A2E, 0x03707344)


@pytest.mark.parametrize(
    ("counter", "key", "words"),
    [
        ((0, 0), (0, 0), (0x6B200159, 0x99BA4EFE)),
        ((ONES, ONES), (ONES, ONES), (0x1CB996FC, 0xBB002BE7)),
        (*PI, (0xC4923A9C, 0x483DF7A0)),
    ],
)
def test_the_tests_own_threefry_gives_the_published_words(
    counter: tuple[int, int], key: tuple[int, int], words: tuple[int, int]
) -> None:
    """Known answers for 20 rounds, as the authors' Random123 library ships them."""
    assert tuple(threefry_by_the_paper(key, counter, 20)) == words


@pytest.mark.parametrize("counter", [(0, 0), (1, 0), (0, 1), (ONES, ONES), PI[0]])
@pytest.mark.parametrize("key", [(0, 0), (1, 0), (0, 1), (ONES, ONES), PI[1]])
def test_thirteen_rounds(counter: tuple[int, int], key: tuple[int, int]) -> None:
    assert one_word(*key, *counter) == threefry_by_the_paper(key, counter, 13)[0]


def test_the_nth_draw_is_a_function_of_key_and_n() -> None:
    box = machine(memory_pages=64)
    task = box.new_task()
    box.arrays.draws[task, 5] = (7, 9, 2**32 - 2)
    words = np.zeros(4, np.int64)
    many_words(box.arrays, task, 5, words)
    numbers = range(2**32 - 2, 2**32 + 2)
    assert words.tolist() == [
        threefry_by_the_paper((7, 9), (n % 2**32, n >> 32), 13)[0] for n in numbers
    ]
    assert box.arrays.draws[task, 5].tolist() == [7, 9, 2**32 + 2]


# -- uniformity --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def words() -> np.ndarray[Any, np.dtype[np.int64]]:
    """Return 2**20 draws under a key as tasks get it."""
    box = machine(memory_pages=64)
    task = box.new_task()
    box.arrays.draws[task, 0, :2] = key_words(1, 0, "redis", 2)
    out = np.zeros(1 << 20, np.int64)
    many_words(box.arrays, task, 0, out)
    return out


@pytest.mark.parametrize("shift", [0, 8, 16, 24])
def test_every_byte_is_uniform(words: Any, shift: int) -> None:
    assert stats.chisquare(np.bincount((words >> shift) & 255, minlength=256)).pvalue > FALSE_ALARM


def test_the_whole_word_is_uniform(words: Any) -> None:
    assert words.min() >= 0
    assert words.max() < 2**32
    assert stats.kstest(words / 2**32, "uniform").pvalue > FALSE_ALARM


@pytest.mark.parametrize("lag", [1, 2, 512])
def test_draws_do_not_depend_on_those_before(words: Any, lag: int) -> None:
    pairs = (words[:-lag] >> 28) * 16 + (words[lag:] >> 28)
    assert stats.chisquare(np.bincount(pairs, minlength=256)).pvalue > FALSE_ALARM


def test_other_names_and_purposes_are_independent() -> None:
    box = machine(memory_pages=64)
    keys = [key_words(1, 0, name, 4) for name in ("redis", "redis/1")]
    streams = []
    for key in keys:
        for purpose in (0, 1):
            task = box.new_task()
            box.arrays.draws[task, 0, :2] = key[2 * purpose : 2 * purpose + 2]
            out = np.zeros(1 << 16, np.int64)
            many_words(box.arrays, task, 0, out)
            streams.append(out >> 28)
    for i, one in enumerate(streams):
        for other in streams[:i]:
            table = np.bincount(one * 16 + other, minlength=256)
            assert stats.chisquare(table).pvalue > FALSE_ALARM


def test_the_test_of_uniformity_can_fail(words: Any) -> None:
    """Negative control: two thousand of a million words have one bit set too often."""
    biased = words.copy()
    biased[::50] |= 1 << 27
    assert stats.chisquare(np.bincount(biased >> 24, minlength=256)).pvalue < FALSE_ALARM
    pairs = (words[:-1] >> 28) * 16 + (words[:-1] >> 28)
    assert stats.chisquare(np.bincount(pairs, minlength=256)).pvalue < FALSE_ALARM


# -- prices --------------------------------------------------------------------------------------


SHARES = np.cumsum([0, *quantiles.WEIGHTS]) / quantiles.WHOLE
SHAPES = {
    "lognormal": np.array(quantiles.lognormal(2_000_000, 4_000_000)),
    "two humps": np.interp(SHARES, [0, 0.5, 0.51, 1], [1e5, 2e5, 9e6, 1e7]),
    "straight": 4_000_000 * SHARES,
}


def drawn(table: Any, units: int = 1, n: int = 1 << 18) -> np.ndarray[Any, np.dtype[np.int64]]:
    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    prices[ZERO_FILL] = np.rint(table)
    box = machine(prices, memory_pages=64)
    task = box.new_task()
    box.arrays.draws[task, ZERO_FILL, :2] = key_words(2, 0, "prices", 2)
    out = np.zeros(n, np.int64)
    many_prices(box.arrays, task, ZERO_FILL, units, out)
    return out


def shares_of(table: Any, prices: Any) -> Any:
    """Return each price's place in the distribution that the table describes."""
    knots = np.rint(table)
    return np.interp(prices, knots, SHARES)


@pytest.mark.parametrize("shape", SHAPES)
def test_prices_follow_their_table(shape: str) -> None:
    table = SHAPES[shape]
    prices = drawn(table)
    assert stats.kstest(shares_of(table, prices), "uniform").pvalue > FALSE_ALARM
    mean = np.average((table[:-1] + table[1:]) / 2, weights=quantiles.WEIGHTS)
    z = (prices.mean() - mean) / (prices.std() / math.sqrt(len(prices)))
    assert abs(z) < Z_LIMIT


def test_the_test_of_prices_can_fail() -> None:
    """Negative control: a table of which the knot in the middle is raised by a tenth."""
    table = SHAPES["lognormal"].astype(float)
    other = table.copy()
    other[128] *= 1.1
    other[129:] = np.maximum(other[129:], other[128])
    assert stats.kstest(shares_of(table, drawn(other)), "uniform").pvalue < FALSE_ALARM


def test_units_are_priced_with_one_draw() -> None:
    table = SHAPES["lognormal"]
    assert (drawn(table, units=7, n=1000) == 7 * drawn(table, n=1000)).all()


def test_a_constant_needs_no_draw() -> None:
    prices = np.full((N_LINES, N_QUANTILES), 2_500, np.int64)
    box = machine(prices, memory_pages=64)
    task = box.new_task()
    out = np.zeros(10, np.int64)
    many_prices(box.arrays, task, ZERO_FILL, 3, out)
    assert (out == 7_500).all()
    assert int(box.arrays.draws[task, ZERO_FILL, 2]) == 0
    assert box.arrays.spent_ps[ZERO_FILL].tolist() == [30, 75_000]


def test_a_steps_total_is_rounded_to_nanoseconds_once() -> None:
    """A fault of 0.4 ns and an access of 0.3 ns are a nanosecond together."""
    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    prices[ZERO_FILL], prices[work.ACCESS] = 400, 300

    def program(task: Process) -> Any:
        region = yield from task.mmap(100 * 4096)
        started_ns = task.now_ns
        yield from task.write(region)
        task.record("took_ns", task.now_ns - started_ns)

    document = run({"p": program}, host={"memory_pages": 300, "cpus": 1}, prices=prices)
    assert document["programs"]["p"]["took_ns"] == [100]
    assert document["metrics"]["fault_latency_ns"]["count"] == 100
    assert document["work"]["zero_fill"] == {"units": 100, "ns": 40}


def test_histograms_hold_what_was_drawn() -> None:
    """Faults of a run, beside the same draws made here: the same buckets."""
    table = SHAPES["two humps"]
    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    prices[ZERO_FILL] = np.rint(table)
    seen: dict[str, Any] = {}
    ns: list[int] = []

    def program(task: Process) -> Any:
        yield from task.write((yield from task.mmap(400 * 4096)))
        seen["histogram"] = task.system.machine.arrays.histograms[ZERO_FILL].copy()
        seen["key"] = task.system.machine.arrays.draws[task.task.row, ZERO_FILL].tolist()

    document = run({"p": program}, host={"memory_pages": 600, "cpus": 1}, prices=prices)
    key0, key1, made = seen["key"]
    assert made == 400
    expected = np.zeros_like(seen["histogram"])
    for n in range(made):
        bits = threefry_by_the_paper((key0, key1), (n, 0), 13)[0]
        ns.append(round(exact_price_ps(table, bits) / 1000))
        expected[bucket_of(ns[-1])] += 1
    assert (seen["histogram"] == expected).all()
    latency = document["metrics"]["fault_latency_ns"]
    assert latency["mean"] == pytest.approx(sum(ns) / made, abs=0.01)
    assert latency["max"] == pytest.approx(max(ns), abs=1)


def exact_price_ps(table: Any, bits: int) -> float:
    """Return the price of a draw by its definition: the quantile at the middle of its 2**-32."""
    return float(np.interp((bits + 0.5) / 2**32, SHARES, np.rint(table)))


def test_every_draw_is_a_quantile_and_the_tail_is_that_of_the_law() -> None:
    """Draws that reach each level of the table, its borders included."""
    table = quantiles.lognormal(2_000_000, 4_000_000)
    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    prices[ZERO_FILL] = table
    borders = [2**32 - 2 ** (28 - 4 * level) for level in range(7)]
    some = [0, 1, 2**24, 2**31, *borders, *(b - 1 for b in borders), *(b + 1 for b in borders)]
    for bits in (*some, 2**32 - 1):
        box = machine(prices, memory_pages=64)
        out = np.zeros(1, np.int64)
        prices_of(box.arrays, ZERO_FILL, bits, out)
        assert out[0] == pytest.approx(exact_price_ps(table, bits), rel=0.01, abs=2)


def test_a_price_of_seconds_does_not_outgrow_64_bits() -> None:
    prices = np.zeros((N_LINES, N_QUANTILES), np.int64)
    prices[ZERO_FILL] = quantiles.explicit([0, quantiles.MAX_PS])
    box = machine(prices, memory_pages=64)
    out = np.zeros(1, np.int64)
    prices_of(box.arrays, ZERO_FILL, 3 << 30, out)
    assert out[0] == quantiles.MAX_PS * 3 // 4
