"""Quantities as people write them, and as people read them."""

import math
import re

import pytest

from sim.base.units import (
    GIB,
    HOUR,
    KIB,
    LARGEST,
    MIB,
    MINUTE,
    MS,
    PAGE_BYTES,
    US,
    BaseFloat,
    BaseInt,
    Range,
    S,
    format_bytes,
    format_duration,
    format_rate,
    pages_for,
    parse_bytes,
    parse_duration,
    parse_rate,
)


@pytest.mark.parametrize(
    ("text", "expected_bytes"),
    [
        ("16 GiB", 16 * GIB),
        ("16GiB", 16 * GIB),
        (" 1.5 GiB ", 3 * GIB // 2),
        ("1 B", 1),
        ("64 KiB", 64 * KIB),
        ("64 KB", 64_000),
        ("64 kB", 64_000),
        ("2 MB", 2_000_000),
        ("2 GB", 2_000_000_000),
        ("1 TiB", 1024 * GIB),
        ("12 pages", 12 * PAGE_BYTES),
        ("1 page", PAGE_BYTES),
        ("1_000 B", 1000),
        ("1e3 B", 1000),
        ("1.1 GiB", 1_181_116_006),
        (0, 0),
        (BaseInt(4096), 4096),
        (BaseFloat(4096.0), 4096),
        (BaseInt(LARGEST), LARGEST),
        ("500Mi", 500 * MIB),
        ("1,000 B", 1000),
        ("1,023.5 KiB", 1_048_064),
        ("12,345,678 B", 12_345_678),
        (".5 GiB", GIB // 2),
        ("6gb", 6 * GIB),
        ("512m", 512 * MIB),
        ("64k", 64 * KIB),
        ("4 gib", 4 * GIB),
        ("2Ti", 2048 * GIB),
        ("300 bytes", 300),
    ],
)
def test_a_size_is_read(text, expected_bytes):
    parsed = parse_bytes(text)
    assert parsed == expected_bytes
    assert type(parsed) is int


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("850 ns", 850),
        ("1.5 ms", 1_500_000),
        ("2 s", 2 * S),
        ("5 min", 5 * MINUTE),
        ("1 h", HOUR),
        ("0.1 us", 100),
        ("3 \u00b5s", 3 * US),
        ("3 \u03bcs", 3 * US),
        (0, 0),
        (BaseInt(17), 17),
        ("5 sec", 5 * S),
        ("2 minutes", 2 * MINUTE),
        ("90m", 90 * MINUTE),
        ("1 hour", HOUR),
    ],
)
def test_a_duration_is_read(text, expected_ns):
    parsed = parse_duration(text)
    assert parsed == expected_ns
    assert type(parsed) is int


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("20000/s", 20_000), ("3/min", 0.05), ("1.5 / s", 1.5), ("2/ms", 2000), (3, 3), (0.25, 0.25)],
)
def test_a_rate_is_read(text, per_second):
    parsed = parse_rate(text)
    assert parsed == per_second
    assert isinstance(parsed, int) == (per_second == int(per_second))


@pytest.mark.parametrize("parse", [parse_bytes, parse_duration, parse_rate])
@pytest.mark.parametrize(
    "bad",
    [
        True,
        False,
        None,
        [],
        {},
        -1,
        -0.5,
        math.nan,
        math.inf,
        -math.inf,
        "",
        " ",
        "GiB",
        "16",
        "16 parsecs",
        "-1 s",
        "-1 B",
        "nan s",
        "inf B",
        "1 2 s",
        "1__e5",
        "1e999999999 B",
        "9" * 100 + " B",
        2**63,
        1e300,
        "1/",
        "/s",
        "1/fortnight",
        "1//s",
        "0x10 B",
        "8,5 GiB",
        "1,00 B",
        "1,0000 B",
        ",500 B",
        ".B",
        "1000,000 B",
        "\u0661 B",
    ],
)
def test_everything_else_is_refused_with_a_remedy(parse, bad):
    with pytest.raises(ValueError, match="write e.g. `"):
        parse(bad)


@pytest.mark.parametrize(
    ("parse", "text", "message"),
    [
        (parse_bytes, "16 gibs", "'16 gibs' has the unknown unit 'gibs'; did you mean `GiB`?"),
        (parse_bytes, 8, "8 has no unit; write e.g. `8 GiB`, `8 MiB` or `8 B`"),
        (parse_bytes, 1e9, "1000000000.0 has no unit; write e.g. "),
        (parse_duration, 2, "2 has no unit; write e.g. `2 s` or `2 ms`"),
        (
            parse_bytes,
            "2G",
            "'2G' has two meanings; write e.g. `2 GiB` (binary) or `2 GB` (decimal)",
        ),
        (parse_bytes, "16", "'16' has no unit; write e.g. `16 GiB`"),
        (parse_bytes, "1.5 B", "'1.5 B' is not a whole number of bytes"),
        (parse_bytes, "0.0001 KiB", "'0.0001 KiB' is not a whole number of bytes"),
        (parse_bytes, BaseFloat(1.5), "1.5 is not a whole number of bytes"),
        (parse_duration, "0.5 ns", "'0.5 ns' is not a whole number of ns"),
        (parse_duration, "5 sek", "unknown unit 'sek'; did you mean `sec`?"),
        (parse_duration, "-5 s", "'-5 s' is not a quantity"),
        (parse_bytes, -5, "-5 is negative"),
        (parse_bytes, 2**63, "does not fit 64 bits"),
        (parse_rate, "20000", "'20000' is not a rate; write e.g. `20000/s`"),
        (parse_rate, "2/S", "'2/S' has the unknown unit 'S'; did you mean `s`?"),
    ],
)
def test_the_message_says_what_is_wrong(parse, text, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1,023 B"),
        (1024, "1 KiB"),
        (1_047_552, "1,023 KiB"),
        (1_048_575, "1 MiB"),
        (3 * GIB // 2, "1.5 GiB"),
        (16 * GIB, "16 GiB"),
        (-3 * MIB, "-3 MiB"),
        (5000 * 1024 * GIB, "5,000 TiB"),
    ],
)
def test_a_size_is_written(size_bytes, text):
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("duration_ns", "text"),
    [
        (0, "0 ns"),
        (999, "999 ns"),
        (1000, "1 us"),
        (999_999, "1 ms"),
        (1_840_000, "1.84 ms"),
        (59 * S, "59 s"),
        (59.96 * S, "1 min"),
        (90 * S, "1.5 min"),
        (100 * HOUR, "100 h"),
        (12.5 * MS, "12.5 ms"),
    ],
)
def test_a_duration_is_written(duration_ns, text):
    assert format_duration(duration_ns) == text


def test_a_rate_is_written():
    assert format_rate(20_012.3) == "20,012/s"
    assert format_rate(1 / 3600) == "1/h"
    assert format_rate(2.5) == "2.5/s"


def test_pages_are_rounded_up():
    assert [pages_for(n) for n in (0, 1, 4096, 4097)] == [0, 1, 1, 2]
    assert pages_for(3, page_bytes=2) == 2
    with pytest.raises(ValueError, match="size_bytes must be >= 0, got -1"):
        pages_for(-1)
    with pytest.raises(ValueError, match="page_bytes must be > 0, got 0"):
        pages_for(1, page_bytes=0)


def test_a_range_is_inclusive_and_refuses_nan():
    assert Range(0, 1).holds(0)
    assert Range(0, 1).holds(1)
    assert not Range(0, 1).holds(1.1)
    assert Range(None, None).holds(-5)
    assert not Range(None, None).holds(math.nan)
    assert not Range(0, None).holds(math.nan)
