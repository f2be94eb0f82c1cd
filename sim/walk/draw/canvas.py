"""A picture in SVG, element by element; whole numbers only, so that it is the same everywhere."""

from __future__ import annotations

from html import escape
from typing import Final

INK, FAINT, RULE, CHANGED = "#1a1a1a", "#5f5f5f", "#bbbbbb", "#c44e00"
"""Colours of text, of side notes, of rules, and of what an operation changed."""
HATCH: Final = "url(#readonly)"
SQUARE: Final = 19
"""Side of a small square with a letter."""

_HEAD: Final = """\
<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" \
viewBox="0 0 {width} {height}" role="img">
<title>{title}</title>
<style>
text{{font-family:"DejaVu Sans",Verdana,Arial,sans-serif;font-size:10px;fill:#1a1a1a}}
.m{{text-anchor:middle}} .e{{text-anchor:end}} .b{{font-weight:bold}}
.f{{fill:#5f5f5f}} .x{{fill:#c44e00}}
.a{{fill:none;stroke:#555555;stroke-width:1.2;marker-end:url(#tip)}}
.n{{fill:none;stroke:#c44e00;stroke-width:2;marker-end:url(#newtip)}}
.c{{stroke:#c44e00;stroke-width:2.5}}
</style>
<defs>
<pattern id="readonly" width="5" height="5" patternUnits="userSpaceOnUse" \
patternTransform="rotate(45)">
<rect width="5" height="5" fill="#ffffff"/><rect width="2" height="5" fill="#d4d4d4"/>
</pattern>
<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" \
orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#555555"/></marker>
<marker id="newtip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="9" markerHeight="9" \
orient="auto" markerUnits="userSpaceOnUse"><path d="M0 0L8 4L0 8z" fill="#c44e00"/></marker>
{symbols}</defs>
<rect width="{width}" height="{height}" fill="#ffffff"/>
"""
_CLASSES: Final = {FAINT: "f", CHANGED: "x", "middle": "m", "end": "e"}


class Canvas:
    """Collects elements; what is drawn later lies on top."""

    def __init__(self, width: int) -> None:
        self.width = width
        self._parts: list[str] = []
        self._symbols: dict[tuple[str, str, bool], str] = {}

    def text(
        self,
        x: int,
        y: int,
        text: str,
        *,
        size: int = 10,
        fill: str = INK,
        bold: bool = False,
        anchor: str = "",
    ) -> None:
        """Write one line; `y` is its base line, `anchor` `middle`, `end`, or "" for its start."""
        names = [_CLASSES[key] for key in (fill, anchor) if key in _CLASSES] + ["b"] * bold
        look = f' class="{" ".join(names)}"' if names else ""
        look += f' style="font-size:{size}px"' if size != 10 else ""
        self._parts.append(f'<text x="{x}" y="{y}"{look}>{escape(text, quote=False)}</text>')

    def box(
        self,
        x: int,
        y: int,
        width: int,
        height: int,
        *,
        fill: str = "#ffffff",
        dash: str = "",
        changed: bool = False,
        radius: int = 0,
        stroke: str = INK,
        clear: bool = False,
    ) -> None:
        """Draw a box; one that `changed` has a thick edge and a filled corner.

        What lies behind a `clear` one shines through.
        """
        look = ' class="c"' if changed else f' stroke="{stroke}"'
        look += f' stroke-dasharray="{dash}"' if dash else ""
        look += f' rx="{radius}"' if radius else ""
        look += ' fill-opacity="0.8"' if clear else ""
        self._parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" fill="{fill}"{look}/>'
        )
        if changed:
            self._parts.append(f'<path d="M{x + width - 8} {y}h8v8z" fill="{CHANGED}"/>')

    def teeth(self, x: int, y: int, width: int, height: int) -> None:
        """Divide a box at both ends: it stands for many side by side."""
        starts = [x + 5, x + 10, x + width - 10, x + width - 5]
        path = "".join(f"M{start} {y}v{height}" for start in starts)
        self._parts.append(f'<path d="{path}" stroke="{INK}"/>')

    def square(self, x: int, y: int, letter: str, fill: str, *, changed: bool = False) -> None:
        """Draw a small square with a letter in it."""
        key = (letter, fill, changed)
        name = self._symbols.setdefault(key, f"s{len(self._symbols)}")
        self._parts.append(f'<use href="#{name}" x="{x}" y="{y}"/>')

    def arrow(self, x: int, start: int, end: int, *, changed: bool = False) -> None:
        """Draw an arrow straight up or down."""
        self.way(f"M{x} {start}V{end}", changed=changed)

    def way(self, path: str, *, changed: bool = False) -> None:
        """Draw an arrow along an SVG path."""
        self._parts.append(f'<path d="{path}" class="{"n" if changed else "a"}"/>')

    def rule(self, y: int) -> None:
        """Draw a thin line across."""
        self._parts.append(f'<path d="M0 {y}H{self.width}" stroke="{RULE}"/>')

    def svg(self, height: int, title: str) -> str:
        """Return the document."""
        head = _HEAD.format(
            width=self.width,
            height=height,
            title=escape(title, quote=False),
            symbols="".join(f"{self._symbol(*key)}\n" for key in self._symbols),
        )
        return head + "\n".join(self._parts) + "\n</svg>\n"

    def _symbol(self, letter: str, fill: str, changed: bool) -> str:
        look = ' class="c"' if changed else f' stroke="{INK}"'
        parts = [f'<rect width="{SQUARE}" height="{SQUARE}" fill="{fill}"{look}/>']
        if changed:
            parts.append(f'<path d="M{SQUARE - 8} 0h8v8z" fill="{CHANGED}"/>')
        if letter:
            parts.append(f'<text x="{SQUARE // 2}" y="14" class="m">{letter}</text>')
        return f'<g id="{self._symbols[letter, fill, changed]}">{"".join(parts)}</g>'
