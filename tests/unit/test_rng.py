"""A stream depends on seed, replication and name, and on nothing else."""

import subprocess
import sys

import pytest

from sim.base.rng import key_words, stream


def test_a_stream_depends_on_its_name_only():
    alone = stream(1, 3, "arrivals").random(4)
    stream(1, 3, "a stream somebody adds later").random(1000)
    assert (stream(1, 3, "arrivals").random(4) == alone).all()


def test_streams_differ():
    keys = [
        (0, 0, "a"),
        (1, 0, "a"),
        (0, 1, "a"),
        (0, 0, "b"),
        (0, 0, "a", "b"),
        (0, 0, "ab"),
        (0, 0, "a", 1),
        (0, 0, "a", "1"),
        (0, 0, 1, "a"),
        (2**64 - 1, 0, "a"),
        (0, 2**32 - 1, "a"),
    ]
    first = {stream(*key).integers(2**63) for key in keys}
    assert len(first) == len(keys)


def test_keys_differ_from_each_other_and_from_the_stream_of_their_name():
    words = [tuple(key_words(s, r, n, 4)) for s in (0, 1) for r in (0, 1) for n in ("a", "b")]
    assert len(set(words)) == 8
    assert all(0 <= word < 2**32 for key in words for word in key)
    own = stream(0, 0, "a").bit_generator.seed_seq.generate_state(4)
    assert tuple(own) != words[0]


def test_more_words_begin_with_the_same_ones():
    assert key_words(5, 0, "a", 6)[:2] == key_words(5, 0, "a", 2)


def test_streams_are_pinned():
    """Changing these changes every result: raise ``results_version`` when you mean to."""
    assert stream(0, 0, "a").integers(2**32, size=3).tolist() == PINNED_DRAWS
    assert key_words(0, 0, "a", 3) == PINNED_WORDS


PINNED_DRAWS = [4115438203, 1305229620, 2753582530]
PINNED_WORDS = [369034535, 4206764511, 454524444]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, "a"), "a seed must be in 0 .. 2"),
        ((2**64, 0, "a"), "a seed must be in 0 .. 2"),
        ((0, -1, "a"), "a replication must be in 0 .. 2"),
        ((0, 2**32, "a"), "a replication must be in 0 .. 2"),
        ((0, 0), "a random stream needs a name"),
    ],
)
def test_bad_keys_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        stream(*arguments)


def test_a_key_has_at_least_one_word():
    with pytest.raises(ValueError, match="n_words must be >= 1, got 0"):
        key_words(0, 0, "a", 0)


def test_importing_the_base_modules_is_cheap():
    code = (
        "import sim, sim.base.units, sim.base.errors, sim.base.rng, sys; "
        "sys.exit(any(m in sys.modules for m in ('numpy', 'numba', 'matplotlib', 'pandas')))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
