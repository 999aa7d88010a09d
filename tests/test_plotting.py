"""Figures: what is drawn is tested on its numbers, and every figure has its words."""

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest

from course_utils import plotting
from course_utils.plotting import heatmap, lines_with_spread, show, show_tokens, token_html

ALT = "A line that climbs from one to three, drawn for this test and for nothing else."


@pytest.fixture
def displayed(monkeypatch):
    import IPython.display

    seen = []
    monkeypatch.setattr(
        IPython.display, "display", lambda *things, **options: seen.append((things, options))
    )
    return seen


def test_show_puts_the_words_where_pages_and_readers_find_them(displayed):
    fig, ax = plt.subplots()
    ax.plot([1, 2, 3])
    show(fig, alt="\n   ".join(ALT.split()))
    (picture,), options = displayed[0]
    assert options["metadata"]["image/png"]["alt"] == picture["text/plain"]
    assert picture["image/png"].startswith(b"\x89PNG")
    (fold,), _ = displayed[1]
    assert "<details>" in fold.data
    assert "climbs from one to three" in fold.data
    assert not plt.fignum_exists(fig.number)


def test_show_gives_the_same_bytes_twice_and_no_software_version(displayed):
    for _ in range(2):
        fig, ax = plt.subplots()
        ax.plot([1, 2, 3])
        show(fig, alt=ALT)
    first, second = (displayed[i][0][0]["image/png"] for i in (0, 2))
    assert first == second
    assert b"Software" not in first


def test_show_escapes_the_words_in_html(displayed):
    fig, _ = plt.subplots()
    show(fig, alt=ALT + " It says a < b & c.")
    assert "a &lt; b &amp; c" in displayed[1][0][0].data


def test_show_refuses_an_alt_text_that_says_nothing():
    with pytest.raises(ValueError, match=r"at least 40 characters; got 6: 'a plot'"):
        show(plt.figure(), alt="a plot")


def test_colors_can_be_told_apart_without_red_or_green_cones():
    """Simulated with the matrices of Machado et al. 2009 (severity 1), then compared pairwise."""
    import matplotlib.colors

    kinds = {
        "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
        "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    }
    rgb = np.array([matplotlib.colors.to_rgb(color) for color in plotting.COLORS])
    for matrix in kinds.values():
        seen = np.clip(rgb**2.2 @ np.array(matrix).T, 0, 1) ** (1 / 2.2)
        gaps = np.linalg.norm(seen[:, None] - seen[None], axis=-1)
        assert gaps[~np.eye(len(rgb), dtype=bool)].min() > 0.1


def test_heatmap_writes_its_numbers_in_a_readable_shade():
    fig, ax = plt.subplots()
    heatmap(
        ax, [[0.0, 0.25, 1.0]], rows=["q"], columns=["a", "b", "c"], numbers=True, vmin=0, vmax=1
    )
    assert [text.get_text() for text in ax.texts] == ["0.00", "0.25", "1.00"]
    assert [text.get_color() for text in ax.texts] == ["w", "w", "k"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    plt.close(fig)


def test_lines_with_spread_draws_mean_and_standard_deviation():
    fig, ax = plt.subplots()
    runs = np.array([[1.0, 2.0, 4.0], [3.0, 2.0, 8.0], [5.0, 2.0, 0.0]])
    lines_with_spread(ax, [1, 2, 3], {"ours": runs})
    line, caps, (bars,) = ax.containers[0]
    np.testing.assert_allclose(line.get_ydata(), [3, 2, 4])
    lower, upper = (cap.get_ydata() for cap in caps)
    np.testing.assert_allclose(upper - lower, 2 * np.array([2, 0, 4]))
    assert len(bars.get_segments()) == 3
    plt.close(fig)


def test_tokens_show_spaces_ids_and_any_html_as_text():
    html = token_html([" a", "<b>", "\n"], [5, 6, 7])
    assert "␣a" in html
    assert "&lt;b&gt;" in html
    assert "⏎" in html
    assert all(f">{number}<" in html for number in (5, 6, 7))
    assert html.startswith('<div dir="ltr">')


def test_tokens_have_a_plain_form_and_must_match_their_ids(displayed):
    show_tokens([" a", "b"], [5, 6])
    assert displayed[0][0][0]["text/plain"] == "␣a=5 | b=6"
    show_tokens([" a", "b"], [5, 6], title="a < b")
    assert displayed[1][0][0]["text/plain"] == "a < b\n␣a=5 | b=6"
    assert displayed[1][0][0]["text/html"].startswith("<div>a &lt; b</div><div")
    with pytest.raises(ValueError, match="shorter"):
        token_html(["a", "b"], [1])


@pytest.mark.parametrize(
    ("piece", "text"),
    [
        (" a\n", "␣a⏎"),
        ("水".encode(), "水"),
        ("水".encode()[:2], "⟨E6 B0⟩"),
        ("👩\u200d🔬", "👩⟨U+200D⟩🔬"),
        (b"\t", "⟨U+0009⟩"),
    ],
)
def test_every_token_can_be_seen(piece, text):
    assert plotting.visible(piece) == text


def test_token_rows_draw_one_box_a_token_as_wide_as_its_text():
    fig, ax = plt.subplots()
    plotting.token_rows(ax, {"before": ["a", "b", "", " c"], "after": ["ab", "", " c"]})
    assert [text.get_text() for text in ax.texts] == ["a", "b", "␣c", "ab", "␣c"]
    np.testing.assert_allclose([box.get_x() for box in ax.patches], [0.06, 1.06, 3.06, 0.06, 3.06])
    np.testing.assert_allclose(
        [box.get_width() for box in ax.patches], [0.88, 0.88, 1.88, 1.88, 1.88]
    )
    assert [label.get_text() for label in ax.get_yticklabels()] == ["before", "after"]
    plt.close(fig)


def test_pictures_are_readable_png(displayed):
    from PIL import Image

    fig, ax = plt.subplots(figsize=(4, 2), dpi=50)
    ax.axhline(0)
    show(fig, alt=ALT)
    assert Image.open(io.BytesIO(displayed[0][0][0]["image/png"])).size == (200, 100)


def saved(fig):
    buffer = io.BytesIO()
    fig.savefig(buffer, format="png")
    plt.close(fig)
    return buffer.getvalue()


def test_a_drawing_is_stored_smaller_and_looks_the_same():
    from PIL import Image

    fig, ax = plt.subplots()
    heatmap(ax, np.add.outer(np.arange(9), np.arange(9)))
    png = saved(fig)
    small = plotting.smaller_png(png)
    assert len(small) < 0.6 * len(png)
    before, after = (
        np.asarray(Image.open(io.BytesIO(p)).convert("RGB"), float) for p in (png, small)
    )
    assert before.shape == after.shape
    assert np.abs(before - after).mean() < 1  # of 255 shades
    assert np.abs(before - after).max() < 48  # a blended pixel at the rim of a letter


def test_a_figure_with_a_photograph_keeps_its_colors():
    fig, ax = plt.subplots()
    ax.imshow(np.random.default_rng(0).random((90, 90, 3)))
    png = saved(fig)
    assert plotting.smaller_png(png) is png


def test_a_photograph_may_be_stored_with_mixed_colors():
    from PIL import Image

    from course_utils.data import photo

    fig, ax = plt.subplots()
    ax.imshow(photo("cat").permute(1, 2, 0).numpy())
    png = saved(fig)
    small = plotting.smaller_png(png, dither=True)
    assert len(small) < 0.5 * len(png)
    before, after = (
        np.asarray(Image.open(io.BytesIO(p)).convert("RGB"), float) for p in (png, small)
    )
    assert np.abs(before - after).mean() < 3  # of 255 shades
    green = before[..., 1] > before[..., 0] + 8  # the cat's eyes: a small, rare color
    assert np.abs(before - after)[green].mean() < 6


def test_where_no_widget_runs_a_sentence_stands_in_its_place(displayed):
    from ipywidgets import IntSlider

    slider = IntSlider()
    plotting.show_widget(slider, instead="A slider appears here in a running notebook.")
    (bundle,), options = displayed[0]
    assert options["raw"]
    assert bundle["text/plain"] == "A slider appears here in a running notebook."
    assert bundle["application/vnd.jupyter.widget-view+json"]["model_id"] == slider.model_id
