"""What a Redis server holds besides its data is taken as it is given: no more, and no less."""

import pytest

from sim.base.units import MIB
from sim.engine.run import simulate
from sim.scenario import load_scenario

SETTINGS = [
    "processes.redis.dataset=64MiB",
    "processes.redis.save_every=200ms",
    "host.memory=512MiB",
]


def peak(*settings):
    document = simulate(load_scenario("redis_bgsave", [*SETTINGS, *settings]), seed=1).to_json()
    assert document["programs"]["redis"]["saves_failed"] == [0] * document["metrics"]["forks"]
    return document["metrics"]["memory_need_bytes"]


@pytest.mark.parametrize("kind", ["client_buffers", "replica_buffers", "aof_buffers"])
def test_buffers_are_memory_of_the_server_at_the_peak(kind):
    before, after = peak(), peak(f"processes.redis.{kind}=20MiB")
    assert after["data"] - before["data"] == 20 * MIB
    assert after["page_cache"] == before["page_cache"] == 0
    assert after["total"] - before["total"] == pytest.approx(20 * MIB, abs=MIB)


def test_buffers_are_given_back_between_saves():
    once = peak("processes.redis.client_buffers=20MiB")
    twice = peak("processes.redis.client_buffers=20MiB", "processes.redis.saves=2")
    assert twice["data"] == once["data"]


@pytest.mark.parametrize("value", ["30", "1000", "20000"])
@pytest.mark.parametrize(
    ("version", "save_for"),
    [("6.2", "disk"), ("7.0", "disk"), ("7.2", "replica"), ("valkey 8.1", "replica")],
)
def test_the_dump_is_in_the_page_cache_as_far_as_was_given(value, version, save_for):
    kind = [f"processes.redis.version={version}", f"processes.redis.value={value}B"]
    kind.append(f"processes.redis.save_for={save_for}")
    before, after = peak(*kind), peak(*kind, "processes.redis.dump=30MiB")
    assert before["page_cache"] == 0
    # Where the child gives memory back, the peak comes before the end of the save.
    assert after["page_cache"] == pytest.approx(30 * MIB, abs=MIB)
    copies = after["cow_copies"] - before["cow_copies"]  # of a save that waits for the disk as well
    assert after["total"] - before["total"] == pytest.approx(30 * MIB + copies, abs=MIB)


@pytest.mark.parametrize("version", ["7.2", "valkey 8.0"])
def test_from_7_2_on_the_dump_of_a_save_to_the_disk_passes_through_4_mib(version):
    kind = [f"processes.redis.version={version}"]
    before, after = peak(*kind), peak(*kind, "processes.redis.dump=30MiB")
    assert after["page_cache"] == 4 * MIB
    assert after["total"] - before["total"] == pytest.approx(4 * MIB, abs=MIB)


def test_the_last_dump_stays_until_the_next_is_complete():
    old = ["processes.redis.version=7.0", "processes.redis.dump=30MiB"]
    assert peak(*old, "processes.redis.saves=2")["page_cache"] == 60 * MIB
    assert peak(*old, "processes.redis.saves=4")["page_cache"] == 60 * MIB


def test_memory_while_loading_is_gone_when_it_saves():
    before, after = peak(), peak("processes.redis.loading=8MiB")
    assert after == before
    after = peak("processes.redis.loading=40MiB")
    assert after["cow_copies"] == 0
    assert after["data"] - before["data"] == 40 * MIB
