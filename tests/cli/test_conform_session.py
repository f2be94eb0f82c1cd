"""The command without its command line: what it prints, keeps and returns."""

import io
import json
import re
import shutil
from dataclasses import replace

import pytest

from sim.base.errors import ScenarioError
from sim.host import conform
from sim.host.conditions import Condition, cannot_run, objections, rules_condition
from sim.host.conform import run_conform
from sim.script.grammar import Verb
from sim.script.random import ALL_VERBS
from sim.script.record import format_records
from sim.script.validity import parse_script
from tests.truth.reference_model import predict

SCRIPT = "P map A 4\nP write A 0 4\nP fork C\nC write A 1 2\n"


@pytest.fixture
def path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "script.txt"
    script.write_text(SCRIPT)
    return script


def run(*paths, **options):
    out, err = io.StringIO(), io.StringIO()
    options.setdefault("predictor", predict)
    status = run_conform(paths, out=out, err=err, **options)
    return status, out.getvalue(), err.getvalue()


def one_fault_too_many(script):
    """Predict wrongly: a write of a child counts one fault more."""
    return [
        replace(record, minflt=record.minflt + (op.verb is Verb.WRITE and op.process != "P"))
        for op, record in zip(script, predict(script), strict=True)
    ]


def test_a_prediction_is_printed_as_the_contract_says(path):
    status, out, err = run(path)
    assert (status, err) == (0, "")
    assert out == format_records(predict(parse_script(SCRIPT)))
    assert out.startswith("P map A 4 minflt=0\n  P A rss=0 anon=0 pdirty=0 sdirty=0 swap=0 thp=0\n")


def test_a_script_is_predicted_by_the_rules_of_a_release(path):
    path.write_text(
        "P map A 4\nP write A 0 4\nP protect A 0 4 r\nP protect A 0 4 rw\nP write A 0 4\n"
    )
    new = run(path, predictor=None)
    old = run(path, predictor=None, release="5.10")
    assert "P write A 0 4 minflt=0\n" in new[1]
    assert "P write A 0 4 minflt=0\n" not in old[1]
    assert new[2] == ""
    assert old[2].startswith("rules: those of Linux 5.10 (")


@pytest.mark.parametrize(
    ("assumed", "running", "consequence"),
    [
        ("6.18", "6.18.44", ""),
        ("6.18", None, ""),
        ("6.12", "6.12.1-amd64", " (9 differ from those of the kernel they were checked on, "),
        ("6.18", "7.1.0", " (7.1.0 is not known: a difference may be its own)"),
        ("3.10", "2.6.32", " (2.6.32 is not known: a difference may be its own)"),
        ("4.4", "4.4.302", " (42 differ from those of the kernel they were checked on, "),
        ("5.10", "6.18.44", " (this kernel is 6.18.44: differences are to be expected)"),
    ],
)
def test_whose_rules_are_followed_is_said(assumed, running, consequence):
    said = str(rules_condition(assumed, running))
    assert said.startswith(f"rules: those of Linux {assumed}{consequence}")
    assert bool(consequence) == ("(" in said)


def test_times_are_printed_on_request(path):
    def timed(script):
        return [replace(record, ns=5) for record in predict(script)]

    assert " ns=" not in run(path, predictor=timed)[1]
    assert "P map A 4 minflt=0 ns=5\n" in run(path, predictor=timed, time=True)[1]


def test_bad_input_is_raised_with_file_and_line(path):
    path.write_text("P map A 4\nP raed A 0 1\n")
    with pytest.raises(ScenarioError, match=r"script\.txt:2: unknown verb 'raed'"):
        run(path)
    with pytest.raises(ScenarioError, match="nothing to do"):
        run()
    with pytest.raises(ScenarioError, match="random scripts need a seed"):
        run(random=3)


@pytest.mark.kernel
def test_both_sides_are_printed(path):
    status, out, err = run(path, kernel=True)
    assert status == 0
    assert "C write A 1 2 minflt=1" in out
    assert "| minflt=1" in out
    assert "!" not in out
    assert "kernel: " in err
    assert "no difference" in err


@pytest.mark.kernel
def test_a_difference_is_marked_and_is_a_no(path):
    status, out, err = run(path, kernel=True, predictor=one_fault_too_many)
    assert status == 1
    assert "1 differences" in err
    [line] = [line for line in out.splitlines() if " ! " in line]
    assert line.startswith("C write A 1 2 minflt=2 ")
    assert line.endswith("! minflt=1  <- minflt")


@pytest.mark.kernel
def test_json_holds_both_sides_and_nothing_else_is_printed(path):
    status, out, _ = run(path, kernel=True, as_json=True, predictor=one_fault_too_many)
    document = json.loads(out)
    assert status == 1
    assert document["verdict"] == "different"
    assert document["schema_version"] == 1
    [result] = document["results"]
    last = result["operations"][-1]
    assert last["operation"] == "C write A 1 2"
    assert (last["predicted"]["minflt"], last["kernel"]["minflt"]) == (2, 1)
    assert last["differences"] == ["minflt"]


@pytest.mark.kernel
def test_random_scripts_agree_and_say_how_many(path):
    status, out, _ = run(random=3, seed=1, kernel=True)
    assert status == 0
    assert out.startswith("3 scripts of seed 1, ")
    assert "checked, no difference" in out


@pytest.mark.kernel
def test_a_failing_random_script_is_shrunk_saved_and_can_be_repeated(path):
    status, out, _ = run(random=50, seed=1, kernel=True, predictor=one_fault_too_many)
    assert status == 1
    command = out.splitlines()[-1]
    assert command.startswith("repeat it with: cowpool conform conform-1-")
    saved = command.split()[5]
    script = parse_script(path.with_name(saved).read_text())
    assert len(script) <= 4
    assert script[-1].verb is Verb.WRITE
    assert run(saved, kernel=True, predictor=one_fault_too_many)[0] == 1
    assert run(saved, kernel=True)[0] == 0


@pytest.mark.kernel
def test_random_scripts_of_all_verbs_agree_too(path):
    status, out, _ = run(random=5, seed=1, kernel=True, verbs=ALL_VERBS)
    assert status == 0
    assert "checked, no difference" in out


@pytest.mark.kernel
def test_a_difference_is_unchecked_if_a_setting_was_changed_meanwhile(path, monkeypatch):
    now = conform.host_conditions()
    changed = [*now, Condition("other folio sizes", "64kB", "they come first", frozenset(Verb))]
    answers = iter([now])
    monkeypatch.setattr(conform, "host_conditions", lambda *_: next(answers, changed))
    status, out, err = run(random=5, seed=1, kernel=True, predictor=one_fault_too_many)
    assert status == 3
    assert "other folio sizes: 64kB" in err
    assert re.search(r"checked, no difference, but [1-5] scripts unchecked$", out.strip())
    assert "repeat it with" not in out


def test_without_a_compiler_the_prediction_is_printed_unchecked(path, monkeypatch):
    monkeypatch.setattr(conform, "cannot_run", lambda: "there is no C compiler; install gcc")
    status, out, err = run(path, kernel=True)
    assert status == 3
    assert out == format_records(predict(parse_script(SCRIPT)))
    assert "unchecked: there is no C compiler; install gcc" in err
    assert run(random=2, seed=1, kernel=True)[0] == 3


def test_a_missing_compiler_is_found_out(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    monkeypatch.setattr("sys.platform", "linux")
    assert "there is no C compiler" in str(cannot_run())


def test_a_condition_spoils_only_scripts_that_use_its_verbs():
    never = Condition("transparent huge pages", "never", "no use", frozenset({Verb.HUGEPAGE}))
    plain = parse_script("P map A 4\n")
    huge = parse_script("P map A 4\nP hugepage A\n")
    assert objections([never], plain) == []
    assert objections([never], huge) == ["transparent huge pages: never (no use)"]


@pytest.mark.kernel
def test_random_scripts_leave_out_what_cannot_be_relied_upon(path, monkeypatch):
    never = Condition("transparent huge pages", "never", "no use", frozenset({Verb.HUGEPAGE}))
    found = [*conform.host_conditions(), never]
    monkeypatch.setattr(conform, "host_conditions", lambda *_: found)
    drawn = []

    def note(script):
        drawn.extend(operation.verb for operation in script)
        return predict(script)

    status, _, err = run(random=8, seed=3, kernel=True, predictor=note)
    assert status == 0
    assert re.search(r"random scripts are drawn without .*\bhugepage\b", err)
    assert Verb.HUGEPAGE not in drawn


def test_a_script_too_large_for_the_host_is_refused():
    script = parse_script("".join(f"P map {region} 4194304\n" for region in "ABCDEFGHIJKLMNOPQRST"))
    assert "reclaim would show" in objections([], script)[0]
