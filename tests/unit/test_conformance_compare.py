from dataclasses import replace

from sim.host.compare import Comparison, compare, count_differences
from sim.script.grammar import Operation, Verb
from sim.script.record import Figures, OpRecord, format_records

WRITE = Operation("P", Verb.WRITE, "A", 0, 4)
FIGURES = Figures("P", "A", rss=4, anon=4, pdirty=4)
RECORD = OpRecord(WRITE, 4, (FIGURES,))


def test_the_output_is_the_contract():
    assert format_records([RECORD]) == (
        "P write A 0 4 minflt=4\n  P A rss=4 anon=4 pdirty=4 sdirty=0 swap=0 thp=0\n"
    )
    assert replace(RECORD, ns=17, ending="SIGSEGV").headline() == (
        "P write A 0 4 minflt=4 ns=17 ending=SIGSEGV"
    )


def test_equal_records_have_no_difference():
    assert Comparison(RECORD, replace(RECORD, ns=900)).differences == []


def test_minor_faults_count_for_reads_and_writes_only():
    assert Comparison(RECORD, replace(RECORD, minflt=5)).differences == ["minflt"]
    fork = OpRecord(Operation("P", Verb.FORK, child="C"), 0, ())
    assert Comparison(fork, replace(fork, minflt=9)).differences == []


def test_each_figure_and_the_ending_count():
    other = replace(FIGURES, rss=5, thp=512)
    real = replace(RECORD, figures=(other,), ending="SIGSEGV")
    assert Comparison(RECORD, real).differences == ["ending", "P A rss", "P A thp"]
    assert count_differences(compare([RECORD], [real])) == 3


def test_a_region_on_one_side_only_is_a_difference():
    for ours, theirs in (
        (RECORD, replace(RECORD, figures=())),
        (replace(RECORD, figures=()), RECORD),
    ):
        comparison = Comparison(ours, theirs)
        assert comparison.differences == ["P A"]
        assert any("no such region" in line and "!" in line for line in comparison.lines())


def test_lines_begin_as_without_a_kernel_and_mark_what_differs():
    real = replace(RECORD, minflt=5, figures=(replace(FIGURES, rss=5),))
    lines = Comparison(RECORD, real).lines()
    plain = str(RECORD).splitlines()
    assert all(line.startswith(start) for line, start in zip(lines, plain, strict=True))
    assert lines[0].endswith("! minflt=5  <- minflt")
    assert lines[1].endswith("! rss=5 anon=4 pdirty=4 sdirty=0 swap=0 thp=0  <- rss")
    assert all(" | " in line for line in Comparison(RECORD, RECORD).lines())


def test_a_page_that_is_missed_once_is_one_difference():
    ours = [replace(RECORD, usage=usage) for usage in (64, 64, 128, 192)]
    theirs = [replace(RECORD, usage=usage) for usage in (64, 63, 127, 192)]
    found = [comparison.differences for comparison in compare(ours, theirs)]
    assert found == [[], ["usage"], [], ["usage"]]
