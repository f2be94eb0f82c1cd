"""The models of malloc against the real libraries, on the running kernel.

Needs the library, and says so where it is skipped.
"""

import random
from functools import partial
from pathlib import Path

import pytest
from support.samples import sample

from sim.alloc.glibc.malloc import GlibcMalloc
from sim.alloc.jemalloc.malloc import JemallocMalloc
from sim.host.compare import count_differences
from sim.host.kernel import HostError
from sim.host.malloc.compare import NOTES_PAGES, compare, totals
from sim.host.malloc.conform import draw
from sim.host.malloc.real import library_path, run_script
from sim.script.malloc.grammar import Operation, format_script, load_script
from sim.script.malloc.predict import predict
from sim.script.malloc.random import random_script, script_generator

pytestmark = pytest.mark.truth

SCRIPTS = sorted(Path(__file__).with_name("malloc_scripts").glob("*.txt"))
RANDOM_SCRIPTS = sample(30, 200)
FRESH_SCRIPTS = sample(10, 50)
WITHIN = 0.01
"""By how much faults and RSS may be wrong, where it is not said that they are exact."""


def need(library: str) -> None:
    try:
        library_path(library)
    except HostError as error:
        pytest.skip(f"unchecked: {error}")


def differences(script: list[Operation], library: str = "glibc", **how) -> int:
    """Return how many figures differ in the best of three runs: one that is interrupted lies."""
    predicted = predict(script, library, **how)
    found = 0
    for _ in range(3):
        found = count_differences(compare(predicted, run_script(script, library)))
        if not found:
            break
    return found


@pytest.mark.kernel
@pytest.mark.parametrize("path", SCRIPTS, ids=lambda path: path.stem)
def test_glibc_does_what_the_model_says(path):
    need("glibc")
    if differences(load_script(path)):
        pytest.fail(f"cowpool conform --malloc glibc {path} --kernel", pytrace=False)


@pytest.mark.kernel
def test_glibc_does_what_the_model_says_in_random_scripts():
    need("glibc")
    fresh = random.SystemRandom().randrange(10**6)
    drawn = [(20, index) for index in range(RANDOM_SCRIPTS)]
    drawn += [(fresh, index) for index in range(FRESH_SCRIPTS)]
    for seed, index in drawn:
        script = random_script(script_generator(seed, index))
        if differences(script):
            text = f"script {index} of seed {seed}:\n{format_script(script)}"
            pytest.fail(text, pytrace=False)


WRONG = {
    "a fixed threshold": partial(GlibcMalloc, dynamic=False),
    "no pad": partial(GlibcMalloc, top_pad=0),
    "no cache of a thread's own": partial(GlibcMalloc, tcache_count=0),
    "twice the trim threshold": partial(GlibcMalloc, trim_threshold=256 << 10),
}


@pytest.mark.kernel
@pytest.mark.parametrize("rule", WRONG)
def test_a_wrong_rule_is_noticed(rule):
    """Negative control: by every figure together, and, for the first two, by more than 1 %."""
    need("glibc")
    found, worst = 0, 0.0
    for path in SCRIPTS:
        script = load_script(path)
        compared = compare(
            predict(script, "glibc", make_heap=WRONG[rule]), run_script(script, "glibc")
        )
        found += count_differences(compared)
        worst = max(worst, *totals(compared).errors())
    assert found
    assert worst > WITHIN or rule not in ("a fixed threshold", "no pad")


JEMALLOC_OPTIONS = {
    "": JemallocMalloc,
    "dirty_decay_ms:0": partial(JemallocMalloc, dirty_decay_ms=0),
    "dirty_decay_ms:-1": partial(JemallocMalloc, dirty_decay_ms=-1),
}
JEMALLOC_SCRIPTS = 12


@pytest.mark.kernel
@pytest.mark.parametrize("options", JEMALLOC_OPTIONS)
def test_jemalloc_does_what_the_model_says_within_1_percent(options):
    """Script by script, or within the pages that its notes take; by default also over all."""
    need("jemalloc")
    faults = real_faults = rss = real_rss = 0
    for index in range(JEMALLOC_SCRIPTS):
        script = draw(20, index, "jemalloc")
        predicted = predict(script, "jemalloc", make_heap=JEMALLOC_OPTIONS[options])
        found = totals(compare(predicted, run_script(script, "jemalloc", options=options)))
        if not found.within(WITHIN, NOTES_PAGES):  # once more: one that is interrupted lies
            found = totals(compare(predicted, run_script(script, "jemalloc", options=options)))
        assert found.within(WITHIN, NOTES_PAGES), f"script {index}: {found}"
        faults, real_faults = faults + found.faults, real_faults + found.real_faults
        rss, real_rss = rss + found.rss, real_rss + found.real_rss
    if not options:
        assert faults == pytest.approx(real_faults, rel=WITHIN)
        assert rss == pytest.approx(real_rss, rel=WITHIN)


@pytest.mark.kernel
@pytest.mark.parametrize("wrong", ["dirty_decay_ms:0", "dirty_decay_ms:-1"])
def test_a_jemalloc_that_decays_otherwise_is_noticed(wrong):
    """Negative control."""
    need("jemalloc")
    agree = []
    for index in range(JEMALLOC_SCRIPTS):
        script = draw(20, index, "jemalloc")
        predicted = predict(script, "jemalloc", make_heap=JEMALLOC_OPTIONS[wrong])
        found = totals(compare(predicted, run_script(script, "jemalloc")))
        agree.append(found.within(WITHIN, NOTES_PAGES))
    assert not all(agree)


def test_the_books_balance_after_every_operation():
    for index in range(5):
        predict(random_script(script_generator(9, index)), "glibc", audit=True)
        predict(draw(9, index, "jemalloc"), "jemalloc", audit=True)
