"""Texts that are nearly right: mistyped, mangled by an editor, or written by nobody."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from random import Random

ODD_VALUES: Final = (
    "", "~", "null", "true", "no", "0", "-1", "1", "1.5", "1e400", "-1e400", ".nan", ".inf",
    "99999999999999999999999999", "9" * 70, "0x10", "1_000", "0.1", "-0", "1e-320",
    "4 GiB", "4GiB", "4 Gib", "-4 GiB", "99999999 TiB", "0 B", "4097 B", "1 s", "-1 s", "0 ns",
    "1e9 h", "20000/s", "0/s", "1/0", "50 %", "[]", "{}", "[1, 2]", "[[[[]]]]", "{a: 1}", "{a: }",
    "{times: host.memory, by: 2}", "{times: x, by: -1}", "{low: 1, high: 0}", "{least: 1, most: 0}",
    "'text'", '"text"', "'", '"', "|", ">-", "&a 1", "*a", "!!python/object:os.system x", "<<: 1",
    "redis", "steps", "generic", "fifo", "6.12", "5.10", "7.2.4", "2.6", "always", "never", "cow",
    '"\\e[31m"', '"\\u202e"', '"\\ud800"', "\u0661\u0662", "a" * 1000, "x: y: z", "@", "`", "%",
    "../../../etc/passwd", "/dev/null", "=cmd|'/C calc'!A0", "<script>alert(1)</script>", "$HOME",
    "2026-11-28", "12:30:45", "1.2.3.4", "host.memory", "processes.P.dataset", "on", "off", "y",
)  # fmt: skip


def mutated(text: str, luck: Random, others: tuple[str, ...] = ()) -> str:
    """Return `text` with one to four mistakes in it; it may take pieces of `others`."""
    for _ in range(luck.choice((1, 1, 1, 2, 2, 3, 4))):
        text = luck.choice(_MISTAKES)(text, luck, others)
    return text


def _line(change):
    """Make a mistake of a change to one line; a change to ``None`` takes the line away."""

    def mistake(text: str, luck: Random, others: tuple[str, ...]) -> str:
        lines = text.split("\n")
        n = luck.randrange(len(lines))
        new = change(lines[n], luck, lines)
        lines[n : n + 1] = [] if new is None else [new]
        return "\n".join(lines)

    return mistake


def _other_value(line: str, luck: Random, lines: list[str]) -> str:
    key, colon, _ = line.partition(":")
    return f"{key}: {luck.choice(ODD_VALUES)}" if colon else luck.choice(ODD_VALUES)


def _other_word(line: str, luck: Random, lines: list[str]) -> str:
    words = line.split(" ")
    words[luck.randrange(len(words))] = luck.choice(ODD_VALUES)
    return " ".join(words)


def _typo(line: str, luck: Random, lines: list[str]) -> str:
    if not line:
        return luck.choice("-:{}[]#&*!|>'\"%@` x")
    n = luck.randrange(len(line))
    return luck.choice(
        (
            line[:n] + line[n + 1 :],
            line[:n] + line[n] + line[n:],
            line[:n] + luck.choice("abcxyz_.-:{}[],#&*!|>'\"%@`0123456789 ") + line[n + 1 :],
            line[: n - 1] + line[n : n + 1] + line[n - 1 : n] + line[n + 1 :],
        )
    )


def _indented(line: str, luck: Random, lines: list[str]) -> str:
    step = luck.choice((-4, -2, -1, 1, 2, 4))
    return " " * step + line if step > 0 else line[min(-step, len(line) - len(line.lstrip())) :]


def _byte(text: str, luck: Random, others: tuple[str, ...]) -> str:
    n = luck.randrange(len(text) + 1)
    new = chr(
        luck.choice((luck.randrange(0x20), luck.randrange(0x7F, 0xA0), 0xFEFF, 0x1F600, 9, 13))
    )
    return text[:n] + new + text[n + 1 :]


def _cut(text: str, luck: Random, others: tuple[str, ...]) -> str:
    return text[: luck.randrange(len(text) + 1)]


def _spliced(text: str, luck: Random, others: tuple[str, ...]) -> str:
    other = luck.choice(others or (text,)).split("\n")
    lines = text.split("\n")
    n, first = luck.randrange(len(lines) + 1), luck.randrange(len(other))
    return "\n".join(lines[:n] + other[first : first + luck.randrange(1, 12)] + lines[n:])


def _repeated(text: str, luck: Random, others: tuple[str, ...]) -> str:
    lines = text.split("\n")
    n = luck.randrange(len(lines))
    return "\n".join(lines[: n + 1] + [lines[n]] * luck.choice((1, 1, 2, 300)) + lines[n + 1 :])


def _swapped(text: str, luck: Random, others: tuple[str, ...]) -> str:
    lines = text.split("\n")
    a, b = luck.randrange(len(lines)), luck.randrange(len(lines))
    lines[a], lines[b] = lines[b], lines[a]
    return "\n".join(lines)


_MISTAKES: Final = (
    *(_line(_other_value),) * 4,
    *(_line(_other_word),) * 2,
    *(_line(_typo),) * 4,
    _line(_indented),
    _line(lambda line, luck, lines: None),
    _byte,
    _cut,
    _spliced,
    _repeated,
    _swapped,
)
