from sim.study import explain
from sim.study.explain import explain_study

BASE = """\
version: 1
name: small
base: redis_bgsave
set: {run.horizon: 60 s, processes.redis.dataset: 64 MiB}
seed: 7
"""
STUDY = f"{BASE}axes: {{host.cpus: [2]}}\nreplications: 4\n"
PLAN = f"""\
{BASE}plan: {{minimise: host.memory, in: [72 MiB, 640 MiB]}}
objectives: {{share: 0.9, each_run: ["oom_kills = 0"]}}
"""


def lines_of(path, text):
    path.write_text(text)
    return {label: said for section in explain_study(path, jobs=1) for label, said in section.lines}


def test_the_time_of_a_plan_has_no_report_in_it(tmp_path, monkeypatch):
    path = tmp_path / "small.yaml"
    study, plan = lines_of(path, STUDY), lines_of(path, PLAN)
    assert "of which 5 s to start and to report" in study["time"]
    monkeypatch.setattr(explain, "REPORT_S", 100.0)
    assert "of which 101.5 s to start and to report" in lines_of(path, STUDY)["time"]
    assert lines_of(path, PLAN) == plan


def test_a_run_takes_what_it_is_foretold_and_little_to_be_stored(tmp_path, monkeypatch):
    path = tmp_path / "small.yaml"
    once = lines_of(path, STUDY)
    monkeypatch.setattr(explain, "KEEP_S", explain.KEEP_S + 1)
    seconds = [float(lines["time"].split()[2]) for lines in (once, lines_of(path, STUDY))]
    assert 5 < seconds[0] < 10
    assert abs(seconds[1] - seconds[0] - int(once["runs altogether"])) < 0.2


def test_a_plan_says_how_many_runs_at_most_and_where_one_may_be_known_from_another(tmp_path):
    path = tmp_path / "small.yaml"
    redis = lines_of(path, PLAN)
    assert redis["runs"].startswith("at most some 184 for 29 replications, about ")
    assert redis["known"].startswith("nothing feeds back on memory: ")
    assert " so 29 may do" in redis["known"]
    swapping = lines_of(path, PLAN.replace("set: {", "set: {host.swap: 64 MiB, "))
    assert swapping["runs"].startswith("at most some 184 for 29 replications, about ")
    assert "known" not in swapping
    about_free = lines_of(path, PLAN.replace("oom_kills = 0", "free_pages.min >= 100"))
    assert "known" not in about_free
