import re

import pytest

from sim.report.page import write_report
from sim.study.executor import InlineExecutor
from sim.study.run import run_study

PLAIN = """\
version: 1
name: plain
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.dataset: 64 MiB}
axes:
  host.cpus: [1, 2]
replications: 3
seed: 1
answer: {metric: fork_latency_ns.mean}
metrics: [cow_copies]
"""


def report(path, out, standin):
    return run_study(
        path,
        out,
        quiet=True,
        report=write_report,
        executors=lambda n: InlineExecutor(standin.simulate),
    )


@pytest.fixture(scope="module")
def page(tmp_path_factory, request):
    conftest = request.config.pluginmanager.get_plugin(str(request.path.parent / "conftest.py"))
    folder = tmp_path_factory.mktemp("report")
    (folder / "small.yaml").write_text(conftest.STUDY)
    outcome = report(folder / "small.yaml", folder / "out", conftest._STANDIN)
    return outcome.report


def sections(text):
    return re.findall(r'<section id="(\w+)">', text)


def test_the_page_needs_no_network(page):
    text = page.read_text()
    shown = re.findall(r'src="([^"]*)"', text)
    assert shown
    assert all(address.startswith("data:image/svg+xml;base64,") for address in shown)
    assert not re.search(r"@import|url\(|<link|<script", text)


def test_every_link_leads_somewhere(page):
    text = page.read_text()
    links = re.findall(r'href="([^"]*)"', text)
    assert {"figures/bill.svg", "figures/bill.png", "tables/need.csv", "#inputs"} <= set(links)
    for link in links:
        if link.startswith("#"):
            assert f'id="{link[1:]}"' in text
        elif not link.startswith("https://lore.kernel.org/all/?q=2"):
            assert (page.parent / link).stat().st_size > 10, link


def test_an_empty_table_is_no_file(page):
    assert all(path.stat().st_size > 10 for path in (page.parent / "tables").iterdir())


def test_the_answer_comes_first_then_the_bill_and_the_lines_to_set(page):
    text = page.read_text()
    assert sections(text) == [
        "inputs",
        "latencies",
        "bill",
        "settings",
        "metrics",
        "paired",
        "need",
        "oom",
        "inside",
        "method",
        "prices",
        "files",
    ]
    assert text.index(", a Redis host (data set 256 MiB") < text.index('id="inputs"')
    assert "maxmemory 256mb" in text


def test_every_figure_is_saved_as_svg_and_png(page):
    folder = page.parent / "figures"
    svg = {path.stem for path in folder.glob("*.svg")}
    png = {path.stem for path in folder.glob("*.png")}
    assert svg == png
    assert {"bill", "bills", "memory_needed", "free_pages", "fault_latency", "fork_time"} <= svg
    assert {"request_latency", "fault_stages", "memory_ran_out_1", "memory_ran_out_2"} <= svg
    shown = set(re.findall(r"figures/(\w+)\.svg", page.read_text()))
    assert shown == svg


def test_every_figure_has_words_for_those_who_cannot_see_it(page):
    alts = re.findall(r'<img [^>]*alt="([^"]*)"', page.read_text())
    assert len(alts) == len(list((page.parent / "figures").glob("*.svg")))
    assert all(len(alt) > 20 for alt in alts)


def test_assumed_prices_stand_out(page):
    text = page.read_text()
    assert re.search(r'<tr class="assumed"><td>[\w ]+</td>.*assumed', text)
    assert "prices are assumed" in text


def test_never_seen_is_not_called_never(page):
    text = page.read_text()
    assert "0 of 2 means at most 84.2 % at 95 %" in text
    assert "is run 2 times, one where chance may decide up to 5 times" in text


def test_a_published_point_is_listed_once(page):
    """The profile names the fork of 1 GiB with 4 KiB folios twice: by size, and by folio."""
    table = page.read_text().partition("published in")[2].partition("</table>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", table)
    assert len(rows) > 2
    assert len(set(rows)) == len(rows)


def without_date(page):
    text, n = re.subn(r'<dd class="made">[^<]*</dd>', "", page.read_text())
    assert n == 1
    return text


def test_the_same_findings_give_the_same_bytes(page, tmp_path, request, standin):
    report(page.parent.parent / "small.yaml", tmp_path / "out", standin)
    assert without_date(tmp_path / "out" / "report.html") == without_date(page)
    for path in (page.parent / "figures").iterdir():
        assert (tmp_path / "out" / "figures" / path.name).read_bytes() == path.read_bytes()


def test_a_report_of_the_same_findings_is_left_alone(page, standin):
    page.write_text("mine now")
    report(page.parent.parent / "small.yaml", page.parent, standin)
    assert page.read_text() == "mine now"


@pytest.fixture(scope="module")
def plain(tmp_path_factory, standin):
    """Return what came of a study of another metric, whose question is not plain text."""
    path = tmp_path_factory.mktemp("plain") / "plain.yaml"
    path.write_text(PLAIN + "question: <script>alert(1)</script>\n")
    return report(path, path.parent / "out", standin)


def test_a_study_of_another_metric_has_its_own_sections(plain):
    assert re.fullmatch(
        r"fork_latency_ns.mean \(cpus [12]\) is .* ms \(.* us to .* ms in 3 runs\), the mean of the"
        r" runs\.",
        plain.answer,
    )
    text = plain.report.read_text()
    found = ["inputs", "latencies", "metrics", "inside", "method", "prices", "files"]
    assert sections(text) == found
    assert (plain.out / "figures" / "metric_cow_copies.png").is_file()


def test_what_a_user_wrote_is_shown_not_obeyed(plain):
    text = plain.report.read_text()
    assert "<script>" not in text
    assert "&lt;script&gt;" in text


def test_failed_runs_are_named(tmp_path, standin):
    def breaks(scenario, *, seed, replication):
        if scenario["host"]["cpus"] == 1:
            raise RuntimeError("no such luck")
        return standin.simulate(scenario, seed=seed, replication=replication)

    path = tmp_path / "plain.yaml"
    path.write_text(PLAIN)
    outcome = run_study(
        path,
        tmp_path / "out",
        quiet=True,
        report=write_report,
        executors=lambda n: InlineExecutor(breaks),
    )
    text = outcome.report.read_text()
    assert outcome.exit_status == 1  # the largest point may be among them
    assert outcome.answer == "No answer (cpus 1): no run of it is finished."
    assert "3 runs failed" in text
    assert "RuntimeError: no such luck" in text


def test_a_study_without_any_result_says_so(tmp_path):
    def breaks(scenario, *, seed, replication):
        raise RuntimeError("no luck at all")

    path = tmp_path / "plain.yaml"
    path.write_text(PLAIN)
    outcome = run_study(
        path,
        tmp_path / "out",
        quiet=True,
        report=write_report,
        executors=lambda n: InlineExecutor(breaks),
    )
    assert outcome.answer == "No answer: 2 of 2 points have no finished run."
    assert outcome.exit_status == 1
    assert "no luck at all" in outcome.report.read_text()
