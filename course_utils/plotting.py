"""Figures from plain arrays. Every figure ends in `show(fig, alt=...)`: the finding, in words.

Nothing is told by color alone: `COLORS` (Okabe and Ito 2008, told apart with any kind of color
vision) go together with `MARKERS`, `LINES` or `HATCHES`.
"""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from textwrap import fill
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)))
HATCHES = ("", "//", "..", "xx", "\\\\", "++", "oo")


def use_course_style() -> None:
    """The look of every figure; called by the set-up cell."""
    plt.rcParams.update(
        {
            "figure.figsize": (7.0, 3.6),
            "figure.dpi": 96,
            "figure.constrained_layout.use": True,
            "axes.prop_cycle": plt.cycler(color=COLORS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 11,
            "image.cmap": "viridis",
            "image.interpolation": "nearest",
        }
    )


def show(fig: Figure, *, alt: str, dither: bool = False) -> None:
    """Display `fig` as a picture, with the same finding in words under a fold, and close it.

    `alt` goes to the picture's metadata, where web pages take it from, and under the fold, because
    JupyterLab and GitHub pass no alt text on. `dither` stores photographs with 256 mixed colors, about
    a third of the size: for figures of which no color is to be read off. Raises `ValueError` for an
    alt text under 40 characters: too short to carry what the figure shows.
    """
    from io import BytesIO

    from IPython.display import HTML, Image, display

    alt = " ".join(alt.split())
    if len(alt) < 40:
        raise ValueError(
            f"alt text tells what the figure shows to somebody who cannot see it, so it needs at "
            f"least 40 characters; got {len(alt)}: {alt!r}. Say what is plotted and what to see."
        )
    buffer = BytesIO()
    fig.savefig(buffer, format="png", metadata={"Software": None})
    plt.close(fig)
    png = smaller_png(buffer.getvalue(), dither=dither)
    picture = Image(data=png, format="png", alt=alt)
    display(
        {"image/png": picture.data, "text/plain": alt},
        raw=True,
        metadata={"image/png": {"alt": alt}},
    )
    display(HTML(f"<details><summary>This figure in words</summary><p>{escape(alt)}</p></details>"))


def smaller_png(png: bytes, *, dither: bool = False) -> bytes:
    """A drawn figure with 256 colors, about a third of the size; a figure with photographs as it was.

    Lines and letters have few colors and their blends; more than 4,096 mean a photograph. With
    `dither` that too gets 256 colors, mixed from pixel to pixel.
    """
    from io import BytesIO

    from PIL import Image

    picture = Image.open(BytesIO(png)).convert("RGB")
    photograph = picture.getcolors(4096) is None
    if photograph and not dither:
        return png
    buffer = BytesIO()
    if photograph:
        palette = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=5)
        few = picture.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG)
    else:
        few = picture.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()


def show_widget(widget: Any, *, instead: str) -> None:
    """Display an ipywidgets widget; where none runs (GitHub, the course site), `instead` is shown.

    Otherwise a reader there would meet the widget's technical description.
    """
    from IPython.display import display

    view = {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}
    bundle = {"text/plain": instead, "application/vnd.jupyter.widget-view+json": view}
    display(bundle, raw=True)
    # Colab's ipywidgets 7 runs the function of `interactive` only when told that it is displayed.
    getattr(widget, "_handle_displayed", lambda: None)()


def heatmap(
    ax: Axes,
    matrix: Any,
    *,
    rows: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
    numbers: bool = False,
    **imshow: Any,
) -> None:
    """Draw a (rows, columns) matrix with optional labels and the numbers written in the cells."""
    matrix = np.asarray(matrix)
    image = ax.imshow(matrix, **imshow)
    ax.figure.colorbar(image, ax=ax, shrink=0.8)
    if rows is not None:
        ax.set_yticks(range(len(rows)), rows)
    if columns is not None:
        ax.set_xticks(
            range(len(columns)), columns, rotation=90 if max(map(len, columns)) > 3 else 0
        )
    if numbers:
        for (i, j), value in np.ndenumerate(matrix):
            shade = image.cmap(image.norm(value))
            dark = 0.299 * shade[0] + 0.587 * shade[1] + 0.114 * shade[2] < 0.5
            ax.text(j, i, f"{value:.2f}", ha="center", va="center", color="w" if dark else "k")


def lines_with_spread(
    ax: Axes, x: Any, runs: dict[str, Any], *, spread: str = "standard deviation"
) -> None:
    """One line a name from (seeds, points) arrays: the mean, with an error bar of one deviation."""
    for k, (name, values) in enumerate(runs.items()):
        values = np.asarray(values, dtype=float)
        style: dict[str, Any] = {"marker": MARKERS[k % 7], "linestyle": LINES[k % 7], "capsize": 3}
        ax.errorbar(x, values.mean(axis=0), values.std(axis=0, ddof=1), label=name, **style)
    ax.legend(title=f"mean ± {spread}", fontsize=9, title_fontsize=9)


TINTS = ("#dceaf7", "#fdebd0", "#d9f2e6")


def visible(piece: str | bytes) -> str:
    """A token as it can be shown: a space as "␣", a line break as "⏎".

    Bytes that are no whole characters are shown as "⟨E6 B0⟩", and other signs without a shape, such
    as a zero-width joiner, as "⟨U+200D⟩".
    """
    try:
        text = piece.decode("utf-8") if isinstance(piece, bytes) else piece
    except UnicodeDecodeError as error:
        return f"⟨{error.object.hex(' ').upper()}⟩"
    signs = {" ": "␣", "\n": "⏎"}
    return "".join(
        signs.get(sign, sign if sign.isprintable() else f"⟨U+{ord(sign):04X}⟩") for sign in text
    )


def token_html(pieces: Iterable[str | bytes], ids: Iterable[int]) -> str:
    """HTML that shows tokens as bordered boxes with their ids below, readable without color.

    Each token as by `visible`; each box has its own text direction, so Arabic reads rightly inside
    a box while the boxes stand in token order, left to right. Where a page drops the style, each
    token is still followed by its id as a subscript.
    """
    boxes = []
    for k, (piece, number) in enumerate(zip(pieces, ids, strict=True)):
        text = escape(visible(piece))
        boxes.append(
            f'<span style="display:inline-block;margin:2px;padding:1px 4px;border:1px solid #444;'
            f'border-radius:4px;background:{TINTS[k % 3]};color:#111;text-align:center">'
            f'<bdi style="font-family:monospace">{text}</bdi>'
            f'<sub style="display:block;color:#333;line-height:1.3">{number}</sub></span>'
        )
    return f'<div dir="ltr">{" ".join(boxes)}</div>'


def show_tokens(pieces: Iterable[str | bytes], ids: Iterable[int], *, title: str = "") -> None:
    """Display tokens and ids in a notebook: boxes where HTML shows, "text=id | text=id" elsewhere.

    `title` stands above them: what a cell prints is shown apart from what it displays.
    """
    from IPython.display import display

    pieces, ids = list(pieces), list(ids)
    plain = " | ".join(f"{visible(piece)}={id}" for piece, id in zip(pieces, ids, strict=True))
    html = token_html(pieces, ids)
    if title:
        html, plain = f"<div>{escape(title)}</div>{html}", f"{title}\n{plain}"
    display({"text/html": html, "text/plain": plain}, raw=True)


def token_rows(ax: Axes, rows: Mapping[str, Iterable[str | bytes]]) -> None:
    """Draw each row's tokens as boxes, as wide as their text: from row to row one sees them join.

    An empty token leaves a gap. For Latin text: the figures' font has few other scripts.
    """
    widest = 0
    for y, pieces in enumerate(rows.values()):
        x = 0
        for k, piece in enumerate(pieces):
            width = len(piece) or 1
            if piece:
                corner = (x + 0.06, y - 0.4)
                ax.add_patch(Rectangle(corner, width - 0.12, 0.8, fc=TINTS[k % 3], ec="#444444"))
                text = visible(piece)
                ax.text(x + width / 2, y, text, ha="center", va="center", family="monospace")
            x += width
        widest = max(widest, x)
    ax.set(xlim=(0, widest), ylim=(len(rows) - 0.4, -0.6), xticks=[])
    ax.set_yticks(range(len(rows)), list(rows))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)


def course_map(parts: Mapping[str, Sequence[tuple[str, str, bool]]]) -> Figure:
    """The lessons as numbered boxes, a row for each part: part -> (number, title, ready).

    A solid frame is a lesson that is there, a dashed one a lesson to come.
    """
    longest = max(map(len, parts.values()))
    fig, ax = plt.subplots(figsize=(9.6, 1.3 * len(parts) + 0.3))
    for y, (part, lessons) in enumerate(parts.items()):
        ax.text(0, y - 0.42, part, weight="bold", va="bottom")
        for x, (number, title, ready) in enumerate(lessons):
            style: dict[str, Any] = {"fc": TINTS[y % 3]} if ready else {"fc": "white", "ls": "--"}
            ax.add_patch(Rectangle((x, y - 0.36), 0.9, 0.66, ec="#444444", **style))
            ax.text(x + 0.05, y - 0.3, number, va="top", weight="bold", fontsize=9)
            words = fill(title, 17, break_long_words=False)
            ax.text(x + 0.45, y + 0.05, words, ha="center", va="center", fontsize=8.5)
            if x:
                ax.annotate("", (x, y), (x - 0.1, y), arrowprops={"arrowstyle": "->"})
    ax.set(xlim=(-0.05, longest), ylim=(len(parts) - 0.5, -0.75))
    ax.axis("off")
    return fig


def progress_chart(exercises: Mapping[str, Sequence[str]], passed: Iterable[str]) -> Figure:
    """A square for each exercise, a row for each lesson; a passed one is filled and ticked."""
    done = set(passed)
    fig, ax = plt.subplots(figsize=(6.4, 0.42 * len(exercises) + 0.9))
    for y, numbers in enumerate(exercises.values()):
        for x, number in enumerate(numbers):
            color = COLORS[0] if number in done else "white"
            ax.add_patch(Rectangle((x, y - 0.35), 0.8, 0.7, fc=color, ec="#444444"))
            text, shade = (f"{number} ✓", "white") if number in done else (number, "black")
            ax.text(x + 0.4, y, text, ha="center", va="center", color=shade, fontsize=9)
    widest = max(map(len, exercises.values()), default=1)
    ax.set(xlim=(-0.1, widest), ylim=(len(exercises) - 0.4, -0.6), xticks=[])
    ax.set_yticks(range(len(exercises)), list(exercises))
    ax.spines[:].set_visible(False)
    ax.tick_params(length=0)
    ax.set_xlabel("exercises; filled and ticked = passed")
    return fig
