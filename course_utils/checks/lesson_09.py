"""Lesson 9: fair pairs, an interval over seeds, where curves cross, shape bias, calibration."""

from collections.abc import Callable, Sequence
from itertools import combinations
from math import log2, sqrt
from statistics import mean, pstdev, stdev
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.engine import exercise, expect_also, expect_close, expect_equal, refuse

Run = dict[str, Any]
Pair = tuple[int, int]

_KEYS = ("model", "images", "epochs", "augment", "accuracy")
_RUNS: list[Run] = [
    dict(zip(_KEYS, values, strict=True))
    for values in (
        ("CNN", 500, 40, "crop", 0.41),
        ("ViT", 500, 40, "crop", 0.37),
        ("ViT", 500, 80, "crop", 0.41),
        ("CvT", 500, 40, "crop", 0.42),
        ("CvT", 500, 40, "crop + mix", 0.44),
        ("CNN", 2000, 40, "crop", 0.55),
        ("ViT", 2000, 40, "crop + mix", 0.55),
        ("CNN", 500, 40, "crop", 0.40),
    )
]


def _pairs(runs: Sequence[Run], wanted: Callable[[Run, Run], bool]) -> list[Pair]:
    return [
        (i, j) for i, j in combinations(range(len(runs)), 2) if wanted(dict(runs[i]), dict(runs[j]))
    ]


def _differing(one: Run, other: Run, leave_out: tuple[str, ...] = ("accuracy",)) -> set[str]:
    return {key for key in one if key not in leave_out and one[key] != other[key]}


@exercise("9.1", "you find the pairs of runs that answer a question, and the confounded ones")
def fair_pairs(answer: Any) -> None:
    for question in ("model", "epochs", "augment"):
        before = [dict(run) for run in _RUNS]
        got = answer(before, question)
        if before != _RUNS:
            refuse("Your function changed the runs themselves. Compare copies, or single settings.")
        if isinstance(got, int | float):
            refuse(f"You returned a number, {got}. Asked are the pairs: a list of (i, j).")
        if not isinstance(got, list | tuple | set):
            refuse(f"Return a list of pairs (i, j); got {type(got).__name__}.")
        if any(not isinstance(pair, list | tuple | set) or len(pair) != 2 for pair in got):
            refuse(f"Each entry must be a pair (i, j) of places in runs; got {list(got)[:2]}.")
        found = [tuple(pair) for pair in got]
        if any((j, i) in found for i, j in found):
            refuse(
                "You return a pair in both orders, or a run with itself. A pair is two different runs, "
                "named once, with i < j."
            )
        found = sorted((min(pair), max(pair)) for pair in found)
        right = _pairs(_RUNS, lambda a, b, q=question: _differing(a, b) == {q})  # type: ignore[misc]
        mistakes: dict[str, Any] = {
            "You took every pair that differs in the question. Among them are confounded pairs: "
            "something else differs, too, and the difference may come from that.": _pairs(
                _RUNS,
                lambda a, b, q=question: a[q] != b[q],  # type: ignore[misc]
            ),
            "You count the accuracy as a setting. It is what was measured: it may differ, and should.": (
                _pairs(_RUNS, lambda a, b, q=question: _differing(a, b, ()) == {q})  # type: ignore[misc]
            ),
            "You took pairs that differ in one setting, whichever it is. It must be the one that the "
            "question asks about.": _pairs(_RUNS, lambda a, b: len(_differing(a, b)) == 1),
            "You also took pairs with all settings alike. They tell about chance, not about the "
            "question: its setting must differ.": _pairs(
                _RUNS,
                lambda a, b, q=question: _differing(a, b) <= {q},  # type: ignore[misc]
            ),
            "You took the confounded pairs: the question's setting differs, and another one, too. "
            "Asked are the others.": _pairs(
                _RUNS,
                lambda a, b, q=question: len(_differing(a, b)) > 1 and a[q] != b[q],  # type: ignore[misc]
            ),
            "You compare neighbors in the list only. Any two runs can be a pair.": [
                pair for pair in right if pair[1] == pair[0] + 1
            ],
            "You compare each run with the first one only. Any two runs can be a pair.": [
                pair for pair in right if pair[0] == 0
            ],
        }
        expect_equal(found, right, mistakes, what=f"for the question {question!r}, your result")
        if not isinstance(got, list):
            refuse(f"The pairs are right, but in a {type(got).__name__}. Return a list.")
    runs = [
        {"accuracy": 0.5, "images": int("1000"), "stem": {"stride": 1}},
        {"stem": {"stride": 2}, "accuracy": 0.6, "images": int("1000")},
    ]
    expect_also(
        answer,
        (runs, "stem"),
        [(0, 1)],
        "Right so far, but not for runs whose settings stand in another order, or hold a dictionary. "
        "Look settings up by their names, not their places, and compare value by value, with `!=`.",
    )


def _half_width(one: Sequence[float], other: Sequence[float], factor: float) -> float:
    return factor * sqrt(stdev(one) ** 2 / len(one) + stdev(other) ** 2 / len(other))


@exercise("9.2", "you know how much of a difference may be luck")
def difference_interval(answer: Any) -> None:
    cases = (
        ([70.0, 72.0, 77.0], [61.0, 66.0, 65.0, 68.0], 2.0),
        ([50.0, 52.0, 54.0], [55.0, 50.0, 51.0], 2.78),
        ([50.0, 52.0, 54.0], [58.0, 53.0, 54.0], 2.0),
    )
    for one, other, factor in cases:
        got = answer(list(one), list(other), factor)
        if isinstance(got, int | float) or (torch.is_tensor(got) and got.ndim == 0):
            refuse(
                "Your result is one number. An interval has two: (low, high), the middle less and "
                "plus the half width."
            )
        middle, n, m = mean(one) - mean(other), len(one), len(other)
        half = _half_width(one, other, factor)

        def around(center: float, half: float) -> list[float]:
            return [center - half, center + half]

        s, t = stdev(one), stdev(other)
        mistakes: dict[str, Any] = {
            "You forgot the square root: variances were added, and a half width is a standard error.": (
                around(middle, factor * (s**2 / n + t**2 / m))
            ),
            "You did not divide by the number of runs. The mean of n runs spreads less than one run: "
            "its variance is s² / n.": around(middle, factor * sqrt(s**2 + t**2)),
            "You divided by n in the standard deviation. With few runs that is too small: divide by "
            "n - 1 (`ddof=1`).": around(
                middle, factor * sqrt(pstdev(one) ** 2 / n + pstdev(other) ** 2 / m)
            ),
            "You added the two standard errors. Luck adds up in squares: add s² / n of both, then "
            "take the root.": around(middle, factor * (s / sqrt(n) + t / sqrt(m))),
            "You divided by n, not by its root: s / n squared is s² / n². The variance of a mean is "
            "s² / n.": around(middle, factor * sqrt((s / n) ** 2 + (t / m) ** 2)),
            "You left the factor out: one standard error to each side holds the truth much less "
            "often than 95 times in 100.": around(middle, half / factor),
            "You used 1.96 and not `factor`. That is for many runs; with three it is too narrow.": (
                around(middle, half / factor * 1.96)
            ),
            "You used 2.78 and not `factor`.": around(middle, half / factor * 2.78),
            _turned(middle): around(-middle, half),
            "You took the spread of `one` only. The other mean is as uncertain.": around(
                middle, factor * s / sqrt(n)
            ),
            "You returned the middle and the half width. Asked are the two ends, (low, high).": [
                middle,
                half,
            ],
            "The ends are in the other order: first the low one.": around(middle, half)[::-1],
            "You pooled all runs in one list: then the difference of the models is counted as luck.": (
                around(middle, factor * stdev([*one, *other]) / sqrt(n + m))
            ),
        }
        expect_close(_numbers(got), around(middle, half), mistakes, what="your interval")
    runs = [50.0, 54.0, 52.0], [55.0, 50.0, 51.0]
    middle, half = mean(runs[0]) - mean(runs[1]), _half_width(*runs, 2.78)
    try:
        got = answer(*runs)
    except TypeError:
        got = None
    if got is None or abs(float(got[0]) - (middle - half)) > 1e-6:
        refuse(
            "Without a third argument `factor` is 2.78: the lesson's next cells leave it out. Keep the "
            "default that stands in the stub."
        )
    if runs[0] != [50.0, 54.0, 52.0]:
        refuse("You changed the order of the caller's runs. `sorted` makes a new list.")


def _turned(middle: float) -> str:
    """What is wrong with an interval around minus the difference; the first case has one above 0."""
    if middle >= 0:
        return "You subtracted in the other direction. Asked is one minus other."
    return (
        "Here `other` is better, and your interval lies above 0. Keep the sign of one minus other: "
        "no absolute value."
    )


def _numbers(got: Any) -> Any:
    """A list, tuple or array of numbers or one-number tensors as one tensor."""
    if type(got).__module__ == "numpy":
        got = got.tolist()
    if isinstance(got, tuple | list):
        return torch.tensor([float(value) for value in got], dtype=torch.float64)
    return got


def _crossings(x: Sequence[float], gap: Sequence[float]) -> list[float]:
    return [
        x[k] + (x[k + 1] - x[k]) * gap[k] / (gap[k] - gap[k + 1])
        for k in range(len(gap) - 1)
        if gap[k] * gap[k + 1] < 0
    ]


@exercise("9.3", "you find where two curves cross, and say so when they do not")
def crossing(answer: Any) -> None:
    sizes = [100, 400, 1600, 6400]
    once = ([30.0, 50.0, 60.0, 65.0], [20.0, 38.0, 63.0, 77.0])
    twice = ([30.0, 35.0, 60.0, 65.0], [20.0, 45.0, 70.0, 61.0])
    reverse = (once[1], once[0])
    for one, other in (once, reverse, twice):
        got = answer(list(sizes), list(one), list(other))
        gap = [a - b for a, b in zip(one, other, strict=True)]
        places = _crossings([log2(size) for size in sizes], gap)
        first = places[0]
        k = next(k for k in range(3) if gap[k] * gap[k + 1] < 0)
        share = gap[k] / (gap[k] - gap[k + 1])
        if got is None:
            refuse(
                "You found no crossing, but there is one: between two neighboring sizes the sign of "
                "one - other changes, from plus to minus or from minus to plus."
            )
        if isinstance(got, list | tuple):
            refuse(f"Return one number, the first crossing, or None; got {got}.")
        mistakes: dict[str, Any] = {
            "Your line is straight in the sizes, but the axis is logarithmic: interpolate between "
            "log(size), then turn back into a size.": _crossings(sizes, gap)[0],
            "You returned the logarithm. Asked is the number of images: 2 ** that (or exp, as your "
            "logarithm was).": first,
            "You returned the last size before the crossing. Interpolate between it and the next.": (
                float(sizes[k])
            ),
            "You returned the first size after the crossing. Interpolate between it and the one "
            "before.": float(sizes[k + 1]),
            "You returned the middle of the two sizes. The crossing lies nearer to the side where "
            "the curves are closer.": sqrt(sizes[k] * sizes[k + 1]),
            "You returned the height (an accuracy) at which they cross. Asked is the size.": (
                one[k] + share * (one[k + 1] - one[k])
            ),
            "You drew one line from the first size to the last. Look for two neighboring sizes between "
            "which the sign changes, and take the line between these.": (
                sizes[0] * (sizes[-1] / sizes[0]) ** (gap[0] / (gap[0] - gap[-1]))
            ),
            "You weighted the two ends the wrong way round: the crossing lies nearer to the size "
            "with the smaller gap.": 2
            ** (log2(sizes[k + 1]) - share * (log2(sizes[k + 1]) - log2(sizes[k]))),
        }
        if len(places) > 1:
            mistakes["You returned the last crossing. Asked is the first."] = 2 ** places[-1]
        expect_close(_double(got), 2**first, mistakes, what="your crossing", tolerance=1e-4)
    apart = answer(list(sizes), [30.0, 50.0, 60.0, 65.0], [20.0, 38.0, 57.0, 64.0])
    if apart is not None:
        refuse(
            f"These curves come near each other and do not cross within the measured sizes, but your "
            f"result is {apart}. Return None: beyond the last size nothing was measured."
        )
    touching = answer(list(sizes), [30.0, 50.0, 60.0, 65.0], [20.0, 38.0, 60.0, 75.0])
    if touching is None or abs(float(touching) - 1600) > 1:
        refuse(
            f"Here the curves are equal at a measured size, 1600: that is the crossing. Your result is "
            f"{touching}. (Is your test `< 0` where `<= 0` is needed?)"
        )
    for x, one, other, place in (
        (sizes, [20.0, 30.0, 60.0, 65.0], [20.0, 30.0, 57.0, 64.0], 100.0),
        (sizes, [20.0, 50.0, 60.0, 65.0], [20.0, 38.0, 57.0, 64.0], 100.0),
        (sizes, [30.0, 50.0, 60.0, 65.0], [20.0, 38.0, 57.0, 65.0], 6400.0),
        (sizes, [20.0, 38.0, 60.0, 64.0], [30.0, 50.0, 60.0, 65.0], 1600.0),
    ):
        expect_also(
            answer,
            (x, one, other),
            place,
            "Equal is a meeting, too, whether the lines cross there or touch, at the first size or "
            f"at the last: for {one} and {other} they first meet at {place:.0f}.",
        )
    expect_also(
        answer,
        ([100, 1000, 2000], [60.0, 60.0, 60.0], [40.0, 50.0, 70.0]),
        1000 * 2**0.5,
        "Right where sizes grow fourfold, as in the lesson. Take each pair's own ratio.",
    )


def _double(got: Any) -> Any:
    return torch.as_tensor(got, dtype=torch.float64) if isinstance(got, int | float) else got


@exercise("9.4", "you measure which cue decides")
def shape_bias(answer: Any) -> None:
    shapes = torch.tensor([0, 0, 1, 1, 2, 2, 3, 3, 0, 1, 2, 3])
    textures = torch.tensor([1, 2, 2, 3, 3, 0, 0, 1, 3, 0, 1, 2])
    answers = torch.tensor([0, 0, 1, 3, 2, 0, 0, 1, 0, 2, 0, 1])
    kept = [tensor.clone() for tensor in (answers, shapes, textures)]
    got = answer(answers, shapes, textures)
    if not all(map(torch.equal, kept, (answers, shapes, textures))):
        refuse("Your function changed its arguments. Count without writing into them.")
    by_shape = (answers == shapes).sum().item()
    by_texture = (answers == textures).sum().item()
    total = len(answers)
    mistakes: dict[str, Any] = {
        "You divided by all images. That is the accuracy by shape: answers that follow neither cue say "
        "nothing about which one wins, so they are left out.": by_shape / total,
        "You computed the texture's share. Asked is the shape's.": by_texture
        / (by_shape + by_texture),
        "You counted every answer that is not the texture as shape. Some follow neither cue.": (
            1 - by_texture / total
        ),
        "You divided shape by texture. A share compares with both together: shape / (shape + "
        "texture).": by_shape / by_texture,
        "You subtracted. Bias is a share, 0 ... 1: shape / (shape + texture).": (
            (by_shape - by_texture) / total
        ),
        "You returned a count. Divide by the number of answers that follow either cue.": (
            float(by_shape)
        ),
        "You divided a share of all images by a count. Count both, or take the share of both.": (
            by_shape / total / (by_shape + by_texture)
        ),
        "You returned percent. Asked is a share, 0 ... 1.": 100
        * by_shape
        / (by_shape + by_texture),
        "You counted shape and texture together, divided by all. Asked is shape, divided by those that "
        "follow either cue.": (by_shape + by_texture) / total,
    }
    expect_close(_single(got), by_shape / (by_shape + by_texture), mistakes, what="your bias")
    # Another number of images, so that no constant passes.
    got = answer(answers[:5], shapes[:5], textures[:5])
    expect_close(_single(got), 4 / 5, what="for five other images, your bias")
    every_texture = answer(textures, shapes, textures)
    expect_close(
        _single(every_texture), 0.0, what="where all answers follow the texture, your bias"
    )


def _single(got: Any) -> Any:
    return got.double() if torch.is_tensor(got) else _double(got)


def _binned(
    confidence: Tensor, right: Tensor, bins: int, low_end: bool = False
) -> list[tuple[float, float, float]]:
    """(count, mean confidence, accuracy) of each bin that is not empty."""
    found = []
    for k in range(bins):
        low, high = k / bins, (k + 1) / bins
        if low_end:
            inside = (confidence >= low) & (confidence < high)
        else:
            inside = (confidence > low) & (confidence <= high)
        if inside.any():
            mean_confidence = confidence[inside].mean().item()
            accuracy = right[inside].double().mean().item()
            found.append((inside.sum().item(), mean_confidence, accuracy))
    return found


@exercise("9.5", "you know whether a model is as sure as it should be")
def calibration_error(answer: Any) -> None:
    confidence = torch.tensor(
        [0.41, 0.45, 0.58, 0.61, 0.65, 0.68, 0.72, 0.79, 0.92, 0.97, 0.99, 1.0], dtype=torch.float64
    )
    right = torch.tensor([1, 0, 1, 0, 1, 0, 1, 1, 1, 1, 1, 0]).bool()
    for bins in (5, 10):
        items = len(confidence)
        parts = _binned(confidence, right, bins)
        got = answer(confidence.clone(), right.clone(), bins)
        gaps = [abs(c - a) for _, c, a in parts]
        weights = [count / items for count, _, _ in parts]

        def total(values: Sequence[float], weights: Sequence[float] = weights) -> float:
            return sum(w * v for w, v in zip(weights, values, strict=True))

        open_ends = _binned(confidence, right, bins, low_end=True)
        order = confidence.argsort()
        masses = [
            abs(confidence[part].mean() - right[part].double().mean()).item() * len(part) / items
            for part in order.tensor_split(bins)
            if len(part)
        ]
        middles = [
            (torch.tensor(c * bins).ceil().item() - 0.5) / bins for _, c, _ in parts
        ]  # c is never on an edge here, but in the last bin, where it is below 1
        mistakes: dict[str, Any] = {
            "You gave every bin the same weight. A bin counts as much as it has answers: weight it by "
            "its share of all answers.": sum(gaps) / len(gaps),
            "You divided by the number of bins. Weight each bin by its share of all answers; empty bins "
            "count nothing.": sum(gaps) / bins,
            "Too sure in one bin and not sure enough in another cancel each other: you left the "
            "absolute value out, or compared the two means over all answers, which is one bin.": total(
                [c - a for _, c, a in parts]
            ),
            "Too sure in one bin and not sure enough in another cancel each other: the absolute value "
            "belongs around the gap of each bin.": total([a - c for _, c, a in parts]),
            "You took the largest gap of a bin. The expected error is the mean over all answers.": (
                max(gaps)
            ),
            "You squared the gaps. Asked is the mean of their absolute values.": total(
                [gap**2 for gap in gaps]
            ),
            "You compared with the middle of the bin. Take the mean confidence of the answers in it.": (
                total([abs(m - a) for m, (_, _, a) in zip(middles, parts, strict=True)])
            ),
            "You compared each single answer with its confidence: an answer is right or wrong, 1 or 0, "
            "so nobody could be calibrated. Take means in a bin first.": (
                (confidence - right.double()).abs().mean().item()
            ),
            "Your bins have equally many answers. Asked are bins of equal width.": sum(masses),
            "An answer with a confidence of exactly 1 is in none of your bins. The upper end belongs to "
            "a bin, the lower one does not.": sum(n * abs(c - a) for n, c, a in open_ends) / items,
            "You returned the sum over all answers. Divide by how many there are.": sum(
                n * abs(c - a) for n, c, a in parts
            ),
        }
        value = float(got) if isinstance(got, int | float) or _is_single(got) else got
        if isinstance(value, float) and value != value:
            refuse(
                "Your result is NaN: an empty bin has no mean. Leave out the bins that no answer "
                "falls into."
            )
        expect_close(
            _single(got),
            total(gaps),
            mistakes,
            what=f"with {bins} bins, your error",
        )
    border = torch.tensor([0.5, 0.6, 0.75, 0.8], dtype=torch.float64)
    got = answer(border, torch.tensor([True, False, False, True]), 4)
    expect_close(
        _single(got),
        0.5125,
        {
            "An answer on the border of two bins belongs to the lower one: bins are (low, high].": (
                0.1625
            ),
            "An answer on the border of two bins is counted in both. It belongs to the lower one "
            "only: bins are (low, high].": 0.475,
        },
        what="with confidences on the borders of bins, your error",
    )
    expect_also(
        answer,
        (torch.tensor([0.1, 0.9]), torch.tensor([True, True]), 2),
        0.5,
        "The lowest bin is missing: a model can be wrong about itself there, too. Count bins from 0.",
    )
    given = border.clone()
    answer(given, torch.tensor([True, False, False, True]), 4)
    if not torch.equal(given, border):
        refuse("You changed the confidences that you were given. Make a new tensor.")
    sure = torch.tensor([0.75] * 4, dtype=torch.float64)
    got = answer(sure, torch.tensor([True, True, True, False]), 4)
    expect_close(
        _single(got), 0.0, what="for a model that says 0.75 and is right 3 times of 4, your error"
    )


def _is_single(got: Any) -> bool:
    return torch.is_tensor(got) and got.ndim == 0
