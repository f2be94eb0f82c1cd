"""How figures look: sizes, colours, fonts, and how they become files.

Figures are as wide as a phone can show without shrinking the text beyond reading; a desktop sets
two side by side.  Colours are seaborn's colour-blind palette, and no meaning rests on colour
alone; the frame is its `whitegrid`.  Both are written out, because to import seaborn takes longer
than some reports, and only maps need it.  The same data give the same bytes.
"""

import base64
import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

WIDTH_IN: Final = 4.7
PNG_DPI: Final = 200
INK: Final = "#1f2933"
FAINT: Final = "#7b8794"
GRID: Final = "#e4e7eb"
PALETTE: Final = (
    "#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#fbafe4", "#949494",
    "#ece133", "#56b4e9",
)  # fmt: skip
BLUE, ORANGE, GREEN, RED, PURPLE, BROWN, PINK, GREY, YELLOW, SKY = PALETTE
MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES: Final[tuple[Any, ...]] = (
    "-",
    (0, (5, 1.5)),
    (0, (1.5, 1.2)),
    (0, (6, 1.5, 1.5, 1.5)),
    (0, (3, 1, 1, 1, 1, 1)),
)

_RC: Final[Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "text.color": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "axes.axisbelow": True,
    "axes.grid": True,
    "xtick.bottom": False,
    "ytick.left": False,
    "lines.solid_capstyle": "round",
    "patch.edgecolor": "w",
    "patch.force_edgecolor": True,
    "grid.color": GRID,
    "grid.linewidth": 0.8,
    "legend.fontsize": 9,
    "legend.frameon": False,
    "lines.linewidth": 1.8,
    "figure.dpi": 100,
    "savefig.facecolor": "white",
    "svg.fonttype": "path",
    "svg.hashsalt": "cowpool",
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure as the page shows it: `svg` is its picture, `alt` says it without one."""

    name: str
    title: str
    caption: str
    alt: str
    svg: str

    @property
    def data_uri(self) -> str:
        """The picture as an address that needs no network."""
        coded = base64.b64encode(self.svg.encode()).decode()
        return f"data:image/svg+xml;base64,{coded}"


@contextmanager
def canvas(
    height_in: float, *, rows: int = 1, heights: Sequence[float] | None = None
) -> Iterator[tuple[Figure, list[Any]]]:
    """Yield a figure of the usual width and its axes, one below the other."""
    with mpl.rc_context():
        mpl.rcParams.update(_RC)
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        axes = figure.subplots(rows, 1, squeeze=False, height_ratios=heights)
        for axis in axes.flat:
            axis.spines[["top", "right"]].set_visible(False)
            axis.set_axisbelow(True)
        yield figure, list(axes.flat)


def drawn(
    figure: Figure, folder: Path, name: str, *, title: str, caption: str, alt: str
) -> Drawing:
    """Save `figure` as SVG and PNG in `folder` and return it for the page.

    Must be called inside `canvas`, whose settings the files need too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    engine = figure.get_layout_engine()
    if engine is not None:
        engine.execute(figure)
        figure.set_layout_engine(None)  # else both files lay it out again, and draw it twice
    text = io.StringIO()
    figure.savefig(text, format="svg", metadata={"Date": None, "Creator": "cowpool"})
    svg = text.getvalue()
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    figure.savefig(folder / f"{name}.png", dpi=PNG_DPI, metadata={"Software": "cowpool"})
    return Drawing(name, title, caption, alt, svg)


def ink_on(colour: Any) -> str:
    """Return black or white, whichever has the higher contrast on `colour` (WCAG 2.1)."""
    behind = _luminance(colour)
    on_white = 1.05 / (behind + 0.05)
    on_ink = (behind + 0.05) / (_luminance(INK) + 0.05)
    return "white" if on_white > on_ink else INK


def _luminance(colour: Any) -> float:
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4
              for c in mpl.colors.to_rgb(colour)]  # fmt: skip
    return float(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
