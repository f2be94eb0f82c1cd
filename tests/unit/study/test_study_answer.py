import csv
import json
import re

import pytest

from sim.base.units import GIB, MIB, format_bytes, format_bytes_up
from sim.program import PROGRAMS
from sim.program.signature import parameters_of
from sim.stats.tolerance import UpperBound
from sim.study import bill
from sim.study.answer import more_than_sentence, need_sentences
from sim.study.executor import InlineExecutor
from sim.study.inputs import Omission
from sim.study.need import Need, need_of, smallest_host_bytes
from sim.study.run import run_study

MEAN_PARTS = {
    "data": 1100.0 * MIB,
    "cow_copies": 200.0 * MIB,
    "page_tables": 5.0 * MIB,
    "kernel_stacks": 32768.0,
    "page_cache": 0.0,
    "shared_memory": 0.0,
    "hugetlb": 0.0,
}
TOTAL = sum(MEAN_PARTS.values())
NEED = Need(
    mean_bytes=TOTAL,
    seen_bytes=(TOTAL - 5 * MIB, TOTAL + 5 * MIB),
    bound=UpperBound(TOTAL + 10 * MIB, 0.99, 0.95, 10, "normal theory"),
    low_bytes=TOTAL - 10 * MIB,
    parts_bytes=MEAN_PARTS,
)
HOST_BYTES = 1500 * MIB
SCENARIO = {
    "host": {"memory": HOST_BYTES, "cpus": 2, "kernel_reserve": 150 * MIB, "min_free": 5 * MIB},
    "processes": {"cache": {"program": "redis", "dataset": GIB}},
}


def test_the_bill_adds_up_to_the_host():
    items = bill.bill(NEED, HOST_BYTES, SCENARIO, GIB, "saves")
    assert sum(item.size_bytes for item in items) == HOST_BYTES
    assert [item.name for item in items] == [
        "data set",
        "slack",
        "copies",
        "page tables",
        "kernel stacks",
        "margin",
        "kernel",
        "min watermark",
    ]
    sizes = {item.name: item.size_bytes for item in items}
    assert sizes["data set"] == GIB
    assert sizes["slack"] == 76 * MIB
    assert sizes["copies"] == 200 * MIB


def test_a_bill_without_a_data_set_has_no_slack():
    items = bill.bill(NEED, HOST_BYTES, SCENARIO, None, "runs")
    assert [item.name for item in items][:2] == ["data", "copies"]
    assert sum(item.size_bytes for item in items) == HOST_BYTES


def test_what_was_left_out_has_a_line_of_its_own_and_nothing_is_counted_twice():
    omissions = [
        Omission("processes.cache.client_buffers", "client buffers", "data", 20 * MIB, "here"),
        Omission("processes.cache.aof_buffers", "AOF buffers", "data", 0, "there"),
        Omission("processes.cache.dump", "page cache of the dump", "page_cache", 0, "there"),
    ]
    items = bill.bill(NEED, HOST_BYTES, SCENARIO, GIB, "saves", omissions)
    assert sum(item.size_bytes for item in items) == HOST_BYTES
    texts = {item.name: item.plain()["text"] for item in items}
    assert texts["client buffers"] == "20 MiB"
    assert texts["AOF buffers"] == texts["page cache of the dump"] == "0, not given"
    assert {item.name: item.size_bytes for item in items}["slack"] == 56 * MIB


def lines_of(scenario, data_bytes=GIB):
    scenario = {**scenario, "processes": {**scenario["processes"]}}
    for process in scenario["processes"].values():
        program = PROGRAMS[process["program"]]
        given = {p.key: p.default for p in parameters_of(program)}
        process |= given | ({"dataset": data_bytes} if "dataset" in given else {})
    return {line["where"]: line for line in bill.settings(NEED, 1500 * MIB, scenario, PROGRAMS)}


def test_lines_to_paste_leave_the_headroom_that_they_name():
    lines = lines_of(SCENARIO)
    assert lines["Memory of the host"]["text"] == "1500 MiB"
    assert "without headroom" in lines["Memory of the host"]["why"]
    charged = NEED.bound.bound + 2 * 64 * 4096
    limit_mib = -(-int(1.1 * charged) // MIB)
    container = lines["Limit of the container"]
    assert f"--memory={limit_mib}m" in container["text"]
    assert f"MemoryMax={limit_mib}M\n" in container["text"]  # systemd takes a comment for a value
    assert container["text"].endswith(f"memory: {limit_mib}Mi")
    assert "10 % headroom (132 MiB)" in container["why"]
    assert lines["redis.conf"]["text"].splitlines()[-1] == "maxmemory 1024mb"
    assert (
        "10 % headroom for growth is left while used_memory is below 931 MiB"
        in (lines["redis.conf"]["why"])
    )
    assert lines["/etc/sysctl.conf"]["text"] == "vm.overcommit_memory = 1"
    alert = lines["Alert, before a fork"]
    beyond_the_data = NEED.bound.bound - MEAN_PARTS["data"] * (1 + 1 / 512)
    limit = int(re.fullmatch(r"node_memory_MemAvailable_bytes < (\d+)", alert["text"])[1])
    assert 0 <= limit - 1.1 * beyond_the_data < MIB
    assert "10 % headroom" in alert["why"]


def test_no_line_to_paste_has_a_comment_behind_a_value():
    for line in lines_of(SCENARIO).values():
        for text in line["text"].splitlines():
            assert text.startswith("#") or "#" not in text


def test_only_redis_is_told_about_maxmemory():
    other = SCENARIO | {"processes": {"web": {"program": "prefork_web"}}}
    assert "redis.conf" not in lines_of(other)


def test_the_smallest_host_holds_the_need_and_one_mib_less_does_not():
    def on_host(size):
        return {
            "host": {"memory": size, "kernel_reserve": size // 64 + 100 * MIB, "min_free": 8192}
        }

    need = 1000 * MIB + 1

    def usable(size):
        host = on_host(size)["host"]
        return size - host["kernel_reserve"] - host["min_free"]

    size = smallest_host_bytes(need, on_host)
    assert size % MIB == 0
    assert usable(size) >= need > usable(size - MIB)


def test_a_need_without_spread_is_its_own_bound():
    need = need_of([{"total": 100.0, "data": 90.0}] * 3, content=0.99, confidence=0.95)
    assert need.bound.bound == need.mean_bytes == need.low_bytes == 100.0
    assert need.parts_bytes["data"] == 90.0


def test_runs_that_agree_are_not_said_to_move_by_nothing():
    need = need_of([{"total": 100.0 * MIB}] * 3, content=0.99, confidence=0.95)
    words = {"subject": "a host", "event": "runs", "condition": ""}
    first, *_ = need_sentences(need, 120 * MIB, {}, None, "cpus 2", words)
    assert first == (
        "A host (cpus 2) needs about 120 MiB of memory; all its runs agree (36.8 % of simulated "
        "runs, 95 % confidence, 3 runs, largest value)."
    )


@pytest.fixture
def facts(study_file, tmp_path, standin):
    run_study(
        study_file,
        tmp_path / "out",
        quiet=True,
        executors=lambda n: InlineExecutor(standin.simulate),
    )
    return json.loads((tmp_path / "out" / "findings.json").read_text())


def test_the_answer_in_words(facts):
    """Condition, figure, chance; ignorance and what to measure; the model; prices; the check."""
    told = facts["answer"]
    host = next(line["text"] for line in facts["settings"])
    assert told["sentence"] == (
        "With save speed 200 MiB/s and fragmentation 1.0 (assumed), a Redis host (data set 256 "
        "MiB, writes busy) needs about 475 MiB of memory, 1.86 times the data; chance moves that "
        "by 4.05 MiB (99 % of simulated saves, 95 % confidence, 4 runs, normal theory, not "
        "contradicted: Shapiro-Wilk p 0.49)."
    )
    assert host == "475 MiB"
    more = told["more"]
    assert more[0] == (
        "With one input at a time at an end of its range it is 409 MiB to 551 MiB (save speed 100 "
        "MiB/s to 400 MiB/s; fragmentation 1.0 to 1.2; 4 more inputs move it less; one run each)."
    )
    assert more[1] == (
        "Measure first: rdb_last_bgsave_time_sec of INFO persistence (save speed decides most)."
    )
    assert more[2].startswith("With all inputs at their worst ends at once it is ")
    assert "(save speed 100 MiB/s, fragmentation 1.2" in more[2]
    assert more[3] == (
        "Processes may use 435 MiB of it; the rest is the kernel's, or rounding up to whole MiB."
    )
    assert more[5].startswith(
        "A real redis had 2 to 6 % more pages copied during a save than the model (value 1,000 B):"
    )
    assert more[6].startswith("Not given, so taken as 0: client buffers, replica buffers, ")
    fork = next(line for line in more if line.startswith("The fork stalls its caller for "))
    assert re.fullmatch(r".* for [\d.]+ ms to [\d.]+ ms, 3.\d+ ms with the middle prices.", fork)
    assert more[-2] == (
        "Check: not refuted: in 10 runs with fresh random numbers on a host of exactly that size, "
        "0 needed more than the bound and memory ran out in 0; 2 or more would have refuted it, "
        "which has a chance of 80 % if only 72.9 % of saves stay within the bound."
    )
    assert more[-1].startswith("In all 42 trial runs, memory ran out exactly when ")


def test_the_sentences_say_what_the_tables_say(facts, tmp_path):
    rows = read_table(tmp_path / "out" / "tables" / "inputs.csv")
    figures = [
        float(row["answer"])
        for row in rows
        if row["answer"] and row["part_of_the_question"] == "False"
    ]
    reach = f"{format_bytes_up(min(figures))} to {format_bytes_up(max(figures))}"
    assert f"at an end of its range it is {reach} (" in facts["answer"]["more"][0]
    need = next(
        row
        for row in read_table(tmp_path / "out" / "tables" / "need.csv")
        if int(row["point"]) == facts["answer"]["point"]
    )
    assert format_bytes_up(float(need["host_bytes"])) in facts["answer"]["sentence"]
    margin = format_bytes(float(need["bound_bytes"]) - float(need["mean_bytes"]))
    assert f"chance moves that by {margin} (" in facts["answer"]["sentence"]
    copies = float(need["cow_copies_bytes"])
    error = f"{format_bytes(0.02 * copies)} to {format_bytes(0.06 * copies)}, not in the figure"
    assert any(error in line for line in facts["answer"]["more"])


def test_a_study_that_measured_its_inputs_assumes_nothing(study_file, tmp_path, standin):
    keys = ("save_speed", "fragmentation", "value", "key_distribution")
    known = "".join(f"  processes.redis.{key}: {{source: 'measured: here'}}\n" for key in keys)
    study_file.write_text(f"{study_file.read_text()}uncertain:\n{known}")
    outcome = run_study(
        *(study_file, tmp_path / "out"),
        quiet=True,
        executors=lambda n: InlineExecutor(standin.simulate),
    )
    assert outcome.answer.startswith("A Redis host (data set 256 MiB, writes busy) needs about ")
    assert "assumed" not in outcome.answer
    assert outcome.sentences[1] == "No input moves it by 0.5 %: not host and prices (one run each)."


def told_by(simulate, study_file, tmp_path):
    outcome = run_study(
        *(study_file, tmp_path / "out"),
        quiet=True,
        executors=lambda n: InlineExecutor(simulate),
    )
    return outcome.sentences


def test_an_end_without_an_answer_is_named_and_moves_nothing(study_file, tmp_path, standin):
    def crashes(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if scenario["processes"]["redis"]["key_distribution"] == "zipf":
            result["metrics"]["memory_need_bytes"]["total"] *= 9
            result["validity"] = [
                {"code": "crashed", "severity": "error", "what": "it crashed", "where": "redis"}
            ]
        return result

    sentences = told_by(crashes, study_file, tmp_path)
    assert "With keys zipf no run has an answer." in sentences
    assert "at an end of its range it is 409 MiB to 551 MiB (" in sentences[1]


def test_an_end_at_which_memory_ran_out_is_more_than_that(study_file, tmp_path, standin):
    def runs_out(scenario, *, seed, replication):
        result = standin.simulate(scenario, seed=seed, replication=replication)
        if scenario["processes"]["redis"]["save_speed"] == 100 * MIB:
            result["metrics"]["oom_kills"] = 1
            result["validity"] = [
                {"code": code, "severity": "error", "what": "killed", "where": "redis"}
                for code in ("killed", "need_cut_off")
            ]
        return result

    sentences = told_by(runs_out, study_file, tmp_path)
    assert re.search(r"it is 409 MiB to more than \d+ MiB \(", sentences[1])
    rows = read_table(tmp_path / "out" / "tables" / "inputs.csv")
    assert [row["instead"] for row in rows if row["at_least"] == "True"] == ["100 MiB/s"]


def test_a_study_that_does_not_try_its_inputs_says_so(study_file, tmp_path, standin):
    study_file.write_text(f"{study_file.read_text()}one_at_a_time: 0\n")
    outcome = run_study(
        *(study_file, tmp_path / "out"),
        quiet=True,
        executors=lambda n: InlineExecutor(standin.simulate),
    )
    assert outcome.sentences[1] == "How far the answer moves with its inputs was not tried."


def test_the_bill_of_a_study_adds_up_to_the_answer(facts):
    assert sum(item["bytes"] for item in facts["bill"]) == 475 * MIB


def test_a_probability_of_zero_is_never_printed(study_file, tmp_path, facts):
    lines = (tmp_path / "out" / "tables" / "oom.csv").read_text().splitlines()[1:]
    never = [line for line in lines if "0 of 2" in line]
    assert never
    own = [line for line in never if line.startswith("check,")]
    assert own
    assert all("at most 84.2 % at 95 %" in line for line in own)  # 1 - sqrt(0.025): two looks
    assert all("(0 %" not in line for line in lines)


def test_hosts_whose_size_came_from_the_same_runs_have_no_limits(tmp_path, facts):
    rows = read_table(tmp_path / "out" / "tables" / "oom.csv")
    around = [row for row in rows if row["part"] == "around"]
    assert around
    assert all(row["low"] == row["high"] == "" for row in around)
    assert all("same random numbers as the bound: no estimate" in row["text"] for row in around)


def test_differences_are_paired_with_the_baseline(tmp_path, facts):
    rows = read_table(tmp_path / "out" / "tables" / "paired.csv")
    assert {row["processes.redis.writes"] for row in rows} == {"busy"}
    assert {row["baseline"] for row in rows} == {"64 MiB · quiet", "256 MiB · quiet"}
    fork = [row for row in rows if row["metric"] == "fork_latency_ns.mean"]
    assert [float(row["low"]) for row in fork] == [0.0, 0.0]  # common random numbers
    assert [float(row["high"]) for row in fork] == [0.0, 0.0]
    assert [row["lost"] for row in rows] == ["0"] * len(rows)


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_need_of_which_nothing_was_held_is_not_known():
    said = [more_than_sentence("need", "x = 1", "at least", held, 1, 2) for held in (0.0, 4096.0)]
    assert said == [
        "need (x = 1) is not known: 1 of 2 runs ran out of memory.",
        "need (x = 1) is at least 4,096: 1 of 2 runs ran out of memory.",
    ]
