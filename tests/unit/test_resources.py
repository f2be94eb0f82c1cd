"""Files that ship are found by name, in a checkout and in an installation."""

import pytest

import sim.base.resources
from sim.base.errors import ScenarioError
from sim.base.resources import config_path, shipped


@pytest.fixture(params=["configs", "sim/_configs"])
def tree(request, tmp_path, monkeypatch):
    """A checkout or an installation with two host profiles."""
    hosts = tmp_path / request.param / "hosts"
    hosts.mkdir(parents=True)
    (tmp_path / "sim").mkdir(exist_ok=True)
    for name in ("xeon_4210r", "kvm_guest"):
        (hosts / f"{name}.yaml").write_text("version: 1\n")
    (hosts / "notes.txt").write_text("not a profile\n")
    monkeypatch.setattr(sim.base.resources, "_PACKAGE", tmp_path / "sim")
    return tmp_path / request.param


def test_what_ships_is_listed_by_name(tree):
    assert shipped("hosts") == ["kvm_guest", "xeon_4210r"]
    assert shipped("studies") == []


@pytest.mark.parametrize("name", ["kvm_guest", "kvm_guest.yaml"])
def test_a_file_is_found_by_name(tree, name):
    assert config_path("hosts", name) == tree / "hosts" / "kvm_guest.yaml"


def test_the_nearest_name_is_suggested(tree):
    with pytest.raises(ScenarioError) as caught:
        config_path("hosts", "kvm-guest")
    assert str(caught.value) == (
        "none of the hosts that ship with cowpool is called 'kvm-guest'; "
        "did you mean 'kvm_guest'? there are: kvm_guest, xeon_4210r"
    )


@pytest.mark.parametrize("name", ["../hosts/kvm_guest", "", ".", "notes.txt", "/etc/passwd"])
def test_a_name_is_not_a_path(tree, name):
    with pytest.raises(ScenarioError, match="none of the hosts"):
        config_path("hosts", name)


def test_an_empty_installation_says_so(tree):
    with pytest.raises(ScenarioError, match="there are: none"):
        config_path("studies", "redis_bgsave")
