"""What `cowpool init` writes: a scenario and a study to begin with."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from sim.base.errors import ScenarioError
from sim.base.files import write_file
from sim.base.resources import config_path, shipped

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,50}")

_NAME_LINE: Final = re.compile(r"^name: .*$", re.MULTILINE)
_BASE: Final = re.compile(r"^base: (\S+)$", re.MULTILINE)

SCENARIO: Final = """\
# A scenario: everything that determines a run, apart from the seed.
#   cowpool explain {name}.yaml    what it means, in derived numbers
#   cowpool run {name}.yaml        run it
# Sizes take B, KiB, MiB, GiB; times ns, us, ms, s, min, h; rates /s, /min.
# `cowpool keys` says what may be written, `cowpool schema` says so to an editor.
version: 1
name: {name}

host:
  profile: generic         # prices: also xeon_4210r, kvm_guest, ec2_hvm, xen_pv, server_2010
  memory: 4 GiB
  cpus: 2
  # prices: {{cow_copy: 900 ns}}    # a price of your own; give `source:` with it

policy:
  memory: oom              # short of memory: `oom` kills a process, `wait` lets them wait in line
  fork: cow                # or `eager`, `on_demand`, `async`: see docs/model.md

processes:                 # by name, started in this order
  redis:
    program: redis         # also prefork_web, build_storm, heap_growth, shell_pipeline, steps
    dataset: 512 MiB
    writes: 2000/s
    save_every: 2 s
    saves: 1

run:
  # horizon: 5 min         # a run ends when its work has; with this, then at the latest
  warmup: 0 s              # initial part that is not measured
  seed: 1
"""

STUDY: Final = """\
# A study: one scenario, varied and repeated.  Start it, stop it, start it again: it goes on.
#   cowpool study {name}_study.yaml
version: 1
name: {name}
question: How much memory does the host need, so that saving never runs it out?
base: {name}.yaml

axes:                      # every combination of these is a point
  processes.redis.dataset: [256 MiB, 512 MiB]
  processes.redis.writes: [500/s, 2000/s]

replications: 16           # runs a point: 90 % with 80 % confidence take so many
seed: 1

# What you have measured: the answer rests on it.  Without this the preset's own value and range are
# assumed.  Each input is run at both ends of its range, one at a time.
# uncertain:
#   processes.redis.save_speed:
#     {{low: 140 MiB/s, likely: 150 MiB/s, high: 160 MiB/s, source: "measured: three saves"}}
#   processes.redis.fragmentation: {{likely: 1.08, source: "measured: INFO memory"}}

need:                      # memory needed is measured on a host where nothing runs short
  set:
    host.memory: {{times: processes.redis.dataset, by: 3}}

answer:                    # a bound that 90 % of saves keep, with 80 % confidence
  metric: memory_need_bytes.total
  content: 0.9
  confidence: 0.8
  subject: a Redis host
  event: saves
"""


def write_starter(name: str) -> list[Path]:
    """Write ``NAME.yaml`` and ``NAME_study.yaml`` and return their paths.

    Raises `ScenarioError` if either exists, cannot be written, or has an unsuitable name.
    """
    folder, stem = _folder_and_stem(name)
    return _write(
        {
            folder / f"{stem}.yaml": SCENARIO.format(name=stem),
            folder / f"{stem}_study.yaml": STUDY.format(name=stem),
        }
    )


def write_copy(name: str, start: str) -> list[Path]:
    """Write what ships as `start` under another name, scenario first; return the paths.

    Of a scenario ``NAME.yaml``; of a study ``NAME_study.yaml`` and the scenario that it is about.
    Raises `ScenarioError` as `write_starter` does, and where no scenario or study is called so.
    """
    folder, stem = _folder_and_stem(name)
    named = start.removesuffix(".yaml")
    texts = {}
    if named in shipped("studies"):
        study = config_path("studies", named).read_text(encoding="utf-8")
        named = _BASE.search(study)[1]  # type: ignore[index]  # every study has one
        study = _BASE.sub(f"base: {stem}.yaml", _NAME_LINE.sub(f"name: {stem}", study))
        for command in ("study", "plan"):
            own = f"cowpool {command} {stem}_study.yaml"
            study = study.replace(f"cowpool {command} {start}", own)
        texts[folder / f"{stem}_study.yaml"] = study
    scenario = config_path("scenarios", named).read_text(encoding="utf-8")
    scenario = _NAME_LINE.sub(f"name: {stem}", scenario)
    scenario = scenario.replace(f"cowpool run {named}", f"cowpool run {stem}.yaml")
    return _write({folder / f"{stem}.yaml": scenario, **texts})


def _folder_and_stem(name: str) -> tuple[Path, str]:
    folder, stem = Path(name).parent, Path(name).name.removesuffix(".yaml")
    if not _NAME.fullmatch(stem):
        raise ScenarioError(
            f"{stem!r} will not do as a name; use lower-case letters, digits, `_` and `-`"
        )
    return folder, stem


def _write(texts: dict[Path, str]) -> list[Path]:
    for path in texts:
        if path.exists():
            raise ScenarioError("exists already; choose another name or remove it", str(path), 1)
    for path, text in texts.items():
        write_file(path, text)
    return list(texts)
