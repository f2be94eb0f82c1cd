"""Laws of the units: what is written is read back."""

from hypothesis import given
from hypothesis import strategies as st

from sim.base.units import (
    format_bytes,
    format_bytes_up,
    format_duration,
    parse_bytes,
    parse_duration,
    parse_rate,
)

sizes = st.integers(0, 2**53)


@given(sizes)
def test_a_formatted_size_reads_back_within_three_digits(size_bytes):
    read = parse_bytes(format_bytes(size_bytes))
    assert abs(read - size_bytes) <= 0.006 * size_bytes


@given(sizes)
def test_a_formatted_duration_reads_back_within_three_digits(duration_ns):
    read = parse_duration(format_duration(duration_ns))
    assert abs(read - duration_ns) <= 0.006 * duration_ns


@given(st.integers(0, 2**40), st.sampled_from(["B", "KiB", "MiB"]))
def test_whole_sizes_are_exact(count, unit):
    assert parse_bytes(f"{count} {unit}") == count * parse_bytes(f"1 {unit}")


@given(st.text(max_size=20), st.sampled_from([parse_bytes, parse_duration, parse_rate]))
def test_any_text_is_read_or_refused_with_a_remedy(text, parse):
    refusal = ""
    try:
        assert parse(text) >= 0
    except ValueError as error:
        refusal = str(error)
    assert not refusal or "write e.g. `" in refusal


@given(st.floats(1, 2**45))
def test_a_size_rounded_up_suffices_and_is_close(size):
    number, unit = format_bytes_up(size).replace(",", "").split()
    shown = float(number) * SIZE_UNITS[unit]
    assert size * (1 - 1e-9) <= shown <= size * 1.011 + 1


SIZE_UNITS = {"B": 1, "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
