"""Words that others use lead to the key that is meant, and every one of these keys exists."""

import pytest
from pydantic import BaseModel

from sim.base.errors import ScenarioError
from sim.scenario import load_scenario, model
from sim.scenario.process import ProcessFields
from sim.scenario.programs import known_programs, process_model
from sim.scenario.study import StudyFile
from sim.scenario.synonyms import SYNONYMS, meant

MODELS: dict[str, type[BaseModel]] = {
    **{name: getattr(model, name) for name in ("Scenario", "Host", "Overcommit", "Policy")},
    **{name: getattr(model, name) for name in ("Scheduler", "Run", "Group")},
    **{name: process_model(program) for name, program in known_programs().items()},
    "process": ProcessFields,
    "StudyFile": StudyFile,
}


def test_every_table_is_about_a_part_of_a_scenario_and_every_program_has_one():
    assert SYNONYMS.keys() == MODELS.keys()


@pytest.mark.parametrize("part", SYNONYMS)
def test_a_synonym_leads_to_a_key_that_exists_and_hides_none(part):
    keys = MODELS[part].model_fields
    for word, said in SYNONYMS[part].items():
        first = said.replace(":", ".").split(".")[0]
        assert first in keys, (part, word)
        assert word not in keys or word == first, (part, word)
        assert word == word.lower().replace("_", ""), word


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ("processes.redis.keys=1000", "unknown key 'keys'; did you mean 'dataset'?"),
        ("processes.redis.maxmemory=2gb", "unknown key 'maxmemory'; did you mean 'dataset'?"),
        ("processes.redis.used_memory=2gb", "unknown key 'used_memory'; did you mean 'dataset'?"),
        ("processes.redis.value_size=300B", "unknown key 'value_size'; did you mean 'value'?"),
        ("processes.redis.instances=3", "unknown key 'instances'; did you mean 'copies'?"),
        ("host.overcommit-mode=1", "unknown key 'overcommit-mode'; write `overcommit: {mode:"),
        ("host.vm={overcommit_memory: 1}", "unknown key 'vm'"),
        ("host.RAM=4GiB", "unknown key 'RAM'; did you mean 'memory'?"),
        ("host.cores=4", "unknown key 'cores'; did you mean 'cpus'?"),
        ("host.overcommit.overcommit_memory=1", "did you mean 'mode'?"),
        ("policy.oom=true", "unknown key 'oom'; write `memory: oom`"),
        ("run.duration=5s", "unknown key 'duration'; did you mean 'horizon'?"),
        ("run.random-seed=5", "unknown key 'random-seed'; did you mean 'seed'?"),
        ("memory=4GiB", "unknown key 'memory'; write `host.memory`"),
        ("host.memroy=4GiB", "unknown key 'memroy'; did you mean 'memory'?"),
    ],
)
def test_the_message_names_the_key_that_is_meant(setting, told):
    with pytest.raises(ScenarioError) as refusal:
        load_scenario("redis_bgsave", [setting])
    assert told in str(refusal.value)


def test_a_program_that_nobody_knows_may_be_in_a_plug_in():
    with pytest.raises(ScenarioError, match="one of a file of yours needs --plugin FILE"):
        load_scenario("redis_bgsave", ["processes.redis.program=pool_map"])
    with pytest.raises(ScenarioError, match="did you mean 'redis'\\?$"):
        load_scenario("redis_bgsave", ["processes.redis.program=rediss"])


def test_no_part_has_every_word():
    """Negative control."""
    assert meant("redis", "horizon") is None
    assert meant("nobody", "keys") is None
