"""The JSON schema accepts what the loader accepts, and says what parameters mean."""

import copy

import jsonschema
import pytest

from sim.base.resources import config_path, shipped
from sim.scenario import load_scenario
from sim.scenario.document import read_document
from sim.scenario.schema import json_schema


@pytest.fixture(scope="module")
def both():
    return jsonschema.Draft202012Validator(json_schema())


@pytest.mark.parametrize("kind", [None, "scenario", "study"])
def test_it_is_a_schema(kind):
    jsonschema.Draft202012Validator.check_schema(json_schema(kind))


@pytest.mark.parametrize("name", shipped("scenarios"))
def test_scenarios_that_ship_are_valid_as_written_and_resolved(both, name):
    for data in (read_document(config_path("scenarios", name)).data, load_scenario(name)):
        assert not list(both.iter_errors(data))
        assert jsonschema.Draft202012Validator(json_schema("scenario")).is_valid(data)


@pytest.mark.parametrize("name", shipped("studies"))
def test_studies_that_ship_are_valid(both, name):
    assert not list(both.iter_errors(read_document(config_path("studies", name)).data))


GOOD = {
    "version": 1,
    "host": {"memory": "4 GiB"},
    "processes": {"r": {"program": "redis", "dataset": "1 GiB", "writes": "5/s"}},
    "run": {"horizon": "1 s"},
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("host.memory", "4 Gib"),
        ("host.memry", "4 GiB"),
        ("host.hz", 99),
        ("processes.r.program", "rediss"),
        ("processes.r.datset", "1 GiB"),
        ("processes.r.writes", "5 s"),
        ("run.horizon", "1"),
        ("version", 2),
        ("extra", 1),
    ],
)
def test_mistakes_are_underlined(both, path, value):
    assert both.is_valid(GOOD)
    data = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    node = data
    for part in way:
        node = node[part]
    node[last] = value
    assert not both.is_valid(data)


def test_parameters_are_described():
    properties = json_schema("scenario")["$defs"]["program_redis"]["properties"]
    assert "used_memory" in properties["dataset"]["description"]
    assert properties["program"] == {"const": "redis"}


def test_programs_of_a_plugin_are_in_it():
    def mine(task: object, *, nap_ns: int = 5) -> None: ...

    definitions = json_schema("scenario", {"mine": mine})["$defs"]
    assert "nap" in definitions["program_mine"]["properties"]


STUDY = {"version": 1, "name": "s", "base": "b", "seed": 1, "axes": {"host.cpus": [1, 2]}}


@pytest.mark.parametrize(
    ("more", "good"),
    [
        ({"axes": {"host.cpus": {"range": [1, 4], "scale": "log", "levels": 3}}}, True),
        ({"axes": {"host.cpus": {"few": 1, "many": 64}}}, True),
        ({"axes": {"machine": {"zip": {"host.cpus": [1, 2]}}}}, True),
        ({"axes": {"host.cpus": {"range": [1]}}}, False),
        ({"axes": {"host.cpus": {"range": [1, 4], "level": 3}}}, False),
        ({"design": "one at a time"}, True),
        ({"design": {"sobol": 8}}, True),
        ({"design": {"points": {"a": {"host.cpus": 1}}}}, True),
        ({"design": "gird"}, False),
        ({"design": {"sobl": 8}}, False),
        ({"where": ["swap <= memory"]}, True),
        ({"where": "swap <= memory"}, False),
        ({"uncertain": {"host.cpus": {"distribution": {"norm": {"loc": 1}}, "low": 1}}}, True),
        ({"uncertain": {"host.cpus": {"distribution": "norm"}}}, False),
        ({"answer": {"at": "small"}}, True),
    ],
)
def test_designs_and_uncertain_inputs_are_in_it(both, more, good):
    assert both.is_valid({**STUDY, **more}) is good
