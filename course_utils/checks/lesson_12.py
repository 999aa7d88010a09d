"""Lesson 12: maps of the class token, distances of patches, rollout, Grad-CAM, a paired interval."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.engine import exercise, expect_also, expect_close, refuse


def _expect_unchanged(*pairs: tuple[Tensor, Tensor]) -> None:
    """Refuse an answer that has written into what it was given; pairs of (now, before)."""
    if any(not torch.equal(now, before) for now, before in pairs):
        refuse("You changed what you were given. Work on a copy, or make a new tensor.")


def _weights(*shape: int) -> Tensor:
    """Random attention weights: the last axis sums to one."""
    return torch.randn(*shape, dtype=torch.float64).softmax(dim=-1)


@exercise("12.1", "you know which part of the attention weights is what the class token looks at")
def class_token_maps(answer: Any) -> None:
    for batch, heads, grid in ((2, 3, (2, 5)), (1, 2, (4, 4))):
        rows, columns = grid
        w = _weights(batch, heads, 1 + rows * columns, 1 + rows * columns)
        before = w.clone()
        right = w[:, :, 0, 1:].unflatten(-1, grid)
        mistakes = {
            "You took the column of the class token: how much each patch looks at it. A query's look is "
            "a row, along the last axis.": w[:, :, 1:, 0].unflatten(-1, grid),
            "You took the row of the first patch. The class token is token 0.": w[
                :, :, 1, 1:
            ].unflatten(-1, grid),
            "You took the row of the last patch. The class token is token 0.": w[
                :, :, -1, 1:
            ].unflatten(-1, grid),
            "You left out the last key. The class token stands first, so its key is the one to leave "
            "out.": w[:, :, 0, :-1].unflatten(-1, grid),
            "You averaged the heads. Each head has a map of its own.": w[:, :, 0, 1:]
            .mean(dim=1)
            .unflatten(-1, grid),
            "You averaged over all queries. Asked is one query, the class token.": w[:, :, :, 1:]
            .mean(dim=2)
            .unflatten(-1, grid),
            "You filled the map column by column. Patches are counted row by row.": w[:, :, 0, 1:]
            .unflatten(-1, (columns, rows))
            .transpose(-2, -1),
            "Rows and columns are swapped: grid is (rows, columns).": w[:, :, 0, 1:].unflatten(
                -1, (columns, rows)
            ),
            "You scaled the map to sum to one. The class token also looks at itself, so less than one "
            "is left for the patches; keep that.": (
                w[:, :, 0, 1:] / w[:, :, 0, 1:].sum(dim=-1, keepdim=True)
            ).unflatten(-1, grid),
            "The maps are still rows. Give each its two axes, rows and columns.": w[:, :, 0, 1:],
        }
        try:
            got = answer(w, grid)
        except RuntimeError as error:
            if "invalid for input of size" not in str(error) and "unflatten" not in str(error):
                raise
            refuse(
                f"{1 + rows * columns} keys do not fill a grid of {rows} x {columns}: the first is the "
                "class token's own. Leave it out before you make rows and columns. PyTorch says: "
                f"{error}"
            )
        _expect_unchanged((w, before))
        by_heads = w[:, :, 0, 1:].transpose(1, 2).reshape(batch, heads, rows, columns)
        mistakes[
            "The heads are mixed up: after a transpose, `reshape` reads the numbers in another "
            "order. Split the last axis only, with `unflatten(-1, grid)`."
        ] = by_heads
        expect_close(got, right, mistakes, what="your maps")


@exercise("12.2", "you measure distances between patches in pixels, in a straight line")
def patch_distances(answer: Any) -> None:
    for (rows, columns), patch in (((2, 3), 5), ((1, 3), 4), ((3, 2), 16), ((3, 4), 2)):
        place = [(i, j) for i in range(rows) for j in range(columns)]
        column_first = [(i, j) for j in range(columns) for i in range(rows)]

        def table(
            rule: Callable[[float, float], float], places: list[tuple[int, int]], unit: float
        ) -> Tensor:
            return torch.tensor(
                [[unit * rule(a - c, b - d) for c, d in places] for a, b in places],
                dtype=torch.float64,
            )

        def straight(y: float, x: float) -> float:
            return (y * y + x * x) ** 0.5

        right = table(straight, place, patch)
        count = torch.arange(rows * columns, dtype=torch.float64)
        between = (count[:, None] - count).abs() * patch
        mistakes = {
            "Your distances are in patches. Asked are pixels: a step to the next patch is `patch` "
            "pixels.": table(straight, place, 1),
            "You added the steps down and to the right. The straight line is shorter: the square root "
            "of the sum of squares.": table(lambda y, x: abs(y) + abs(x), place, patch),
            "You took the larger of the two steps. The straight line needs both: the square root of "
            "the sum of squares.": table(lambda y, x: max(abs(y), abs(x)), place, patch),
            "These are squares of distances: the square root is missing.": table(
                lambda y, x: y * y + x * x, place, patch**2
            ),
            "The patch's side belongs outside the root, once: the root of the squares, times patch.": (
                table(straight, place, patch**2)
            ),
            "The patch's side is inside the root without its square: the distance grows like patch, not "
            "like its root.": table(straight, place, patch**0.5),
            "You subtracted the patches' numbers in the list. The last patch of a row and the first of "
            "the next are neighbors in the list and far apart in the picture: use row and column.": (
                between
            ),
            "Your patches stand in another order. They are counted row by row, and grid is (rows, "
            "columns).": table(straight, column_first, patch),
            "Your distances are whole numbers: the parts after the point are cut off.": right.floor(),
            "You returned one row of the table, the distances from the first patch. Every patch is a "
            "query: rows * columns of them.": right[0],
        }
        expect_close(answer((rows, columns), patch), right, mistakes, what="your table")


def _rolled(
    layers: list[Tensor],
    *,
    fuse: Callable[[Tensor], Tensor] = lambda layer: layer.amax(dim=0),
    residual: float = 0.5,
    scale: str = "rows",
    left: bool = True,
) -> Tensor:
    identity = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    flow = identity
    for layer in layers:
        step = (1 - residual) * fuse(layer) + residual * identity
        if scale == "rows":
            step = step / step.sum(dim=-1, keepdim=True)
        elif scale == "no keepdim":
            step = step / step.sum(dim=-1)
        elif scale == "columns":
            step = step / step.sum(dim=0, keepdim=True)
        elif scale == "all":
            step = step / step.sum()
        flow = step @ flow if left else flow @ step
    return flow


@exercise("12.3", "your rollout keeps shares: every row sums to one, whatever the heads do")
def rollout_of_largest(answer: Any) -> None:
    for heads, tokens, depth in ((3, 5, 3), (2, 4, 2)):
        layers = [_weights(heads, tokens, tokens).float() for _ in range(depth)]
        right = _rolled(layers)
        plain = _rolled(layers, scale="none")
        mistakes = {
            "You divided by `sum(dim=-1)` without keepdim. The sums then line up with the columns: "
            "column j is divided by the sum of row j, and no row sums to one.": _rolled(
                layers, scale="no keepdim"
            ),
            "You scaled the columns. A query is a row: its shares must sum to one.": _rolled(
                layers, scale="columns"
            ),
            "You divided by the sum of the whole table. Each row must sum to one.": _rolled(
                layers, scale="all"
            ),
            "The rows do not sum to one. The largest of several heads makes them larger than one: scale "
            "each layer's rows.": plain,
            "You multiplied in the other order. A later layer mixes what the earlier ones have made: "
            "it stands on the left.": _rolled(layers, left=False),
            "You took the mean of the heads. Asked is the largest weight of all heads.": _rolled(
                layers, fuse=lambda layer: layer.mean(dim=0)
            ),
            "The identity is missing: the residual connection carries each token past the attention.": (
                _rolled(layers, residual=0.0)
            ),
            "You halved the largest head only: mix half of it with half of the identity, (A + I) / 2.": (
                _rolled(layers, residual=2 / 3)
            ),
            "You halved the identity only: mix half of it with half of the largest head, (A + I) / 2.": (
                _rolled(layers, residual=1 / 3)
            ),
            "You scaled the rows before the identity was mixed in. Mix first, then scale.": _rolled(
                layers,
                fuse=lambda layer: layer.amax(dim=0) / layer.amax(dim=0).sum(dim=-1, keepdim=True),
            ),
            "You returned what reaches the class token. Asked is the whole table; its row 0 is that.": (
                right[0]
            ),
            "You multiplied number by number. Mixing mixtures is the product of tables, `@`.": (
                _product(layers)
            ),
            "You rolled out the last layer alone. All layers are multiplied.": _rolled(layers[-1:]),
            "You rolled out the first layer alone. All layers are multiplied: does `return` stand "
            "inside the loop?": _rolled(layers[:1]),
        }
        for head in range(heads):
            mistakes[
                f"You took head {head} for all. The largest is taken number by number, whichever head "
                "has it: `amax(dim=0)`."
            ] = _rolled([layer[head : head + 1] for layer in layers])
        mistakes["You averaged the layers. Mixing mixtures is the product of tables, `@`."] = (
            torch.stack([_rolled([layer]) for layer in layers]).mean(dim=0)
        )
        late = plain / plain.sum(dim=-1, keepdim=True)
        mistakes[
            "You scaled once, at the end. By then layers whose rows had a larger sum have counted more: "
            "scale each layer before it is multiplied."
        ] = late
        given = [x.clone() for x in layers]
        kept = list(given)
        try:
            got = answer(given)
        except TypeError as error:
            if "tuple" not in str(error) and "return_types" not in str(error):
                raise
            refuse(
                "`max(dim=0)` gives two things, the values and where they stand. Take `.values`, or "
                "`amax(dim=0)`."
            )
        if len(given) != depth or any(a is not b for a, b in zip(given, kept, strict=True)):
            refuse(
                "You changed the list that you were given. Go through it, and leave it as it is."
            )
        _expect_unchanged(*zip(given, layers, strict=True))
        expect_close(got, right, mistakes, what="your rollout")
    expect_also(
        answer,
        ([torch.tensor([[[1.0, 0], [0, 1]], [[0, 1], [0, 1]]])],),
        torch.tensor([[2 / 3, 1 / 3], [0, 1]]),
        "Right for several layers, but not for one: that is the example. Begin with the identity, and "
        "multiply one layer after the other.",
    )


def _product(layers: list[Tensor]) -> Tensor:
    identity = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    flow = torch.ones_like(identity)
    for layer in layers:
        step = (layer.amax(dim=0) + identity) / 2
        flow = step / step.sum(dim=-1, keepdim=True) * flow
    return flow


@exercise("12.4", "you weigh each channel by its mean gradient and keep what speaks for the class")
def cam_of(answer: Any) -> None:
    for shape in ((2, 3, 4, 5), (1, 7, 3, 2)):
        values, slope = (torch.randn(*shape, dtype=torch.float64) for _ in range(2))
        strength = slope.mean(dim=(2, 3), keepdim=True)
        places = shape[2] * shape[3]
        plain = (strength * values).sum(dim=1)
        mistakes = {
            "There are negative numbers: cut off what speaks against the class, with relu, after the "
            "channels are summed.": plain,
            "You took the absolute value. What speaks against the class is cut off, not turned into "
            "something that speaks for it.": plain.abs(),
            "You cut off before the sum. A channel that speaks against the class must be able to cancel "
            "one that speaks for it: sum the channels, then relu.": (strength * values)
            .relu()
            .sum(dim=1),
            "You kept only the positive weights. Channels with a negative weight count as well: they "
            "lower the map where they are strong.": (strength.relu() * values).sum(dim=1).relu(),
            "You multiplied place by place and did not average the gradient. Each channel has one "
            "weight: the mean of its gradient over all places.": (slope * values).sum(dim=1).relu(),
            "You averaged the gradient over the channels. The weight belongs to a channel: average over "
            "rows and columns.": (slope.mean(dim=1, keepdim=True) * values).sum(dim=1).relu(),
            "You summed the gradient over the places. Grad-CAM takes the mean; the sum makes the map "
            f"{places} times as large here.": places * plain.relu(),
            "You took the mean of the channels. Grad-CAM sums them.": plain.relu() / shape[1],
            "You scaled each map to a highest value of one. How large it is belongs to the result: "
            "leave it.": plain.relu()
            / plain.relu().amax(dim=(1, 2), keepdim=True).clamp(min=1e-12),
            "You averaged over the batch as well. Each picture has its own weights.": (
                slope.mean(dim=(0, 2, 3), keepdim=True) * values
            )
            .sum(dim=1)
            .relu(),
            "Values and gradients have changed places: the mean is of the gradient, and it weighs the "
            "values.": (values.mean(dim=(2, 3), keepdim=True) * slope).sum(dim=1).relu(),
            "The channels are still there: sum over them, one map for each picture.": (
                strength * values
            ).relu(),
        }
        mistakes[
            "You took the size of each channel's weight without its sign. A channel that speaks "
            "against the class lowers the map."
        ] = (strength.abs() * values).sum(dim=1).relu()
        mistakes[
            "You left out the weights: each channel counts as much as the mean of its gradient "
            "says."
        ] = values.sum(dim=1).relu()
        given = values.clone(), slope.clone()
        try:
            got = answer(*given)
        except RuntimeError as error:
            if "must match the size" not in str(error):
                raise
            refuse(
                "The weights, (batch, channels), do not fit the values, (batch, channels, rows, "
                f"columns). Keep the axes over which you average: `keepdim=True`. PyTorch says: {error}"
            )
        _expect_unchanged((given[0], values), (given[1], slope))
        expect_close(got, plain.relu(), mistakes, what="your map")


@exercise("12.5", "you compare two methods picture by picture, and know how sure the result is")
def paired_interval(answer: Any) -> None:
    z = 1.96
    for items in (7, 40):
        theirs = 5 * torch.rand(items, dtype=torch.float64)
        ours = theirs + 0.2 + 0.5 * torch.randn(items, dtype=torch.float64)
        difference = ours - theirs
        mean, spread = difference.mean(), difference.std()
        error = spread / items**0.5
        unpaired = ((ours.var() + theirs.var()) / items).sqrt()
        both = (ours.std() + theirs.std()) / items**0.5
        population = difference.std(correction=0) / items**0.5

        def interval(middle: Tensor, half: Tensor) -> Tensor:
            return torch.stack([middle, middle - half, middle + half])

        mistakes = {
            "You took the spread of the single pictures. The mean of many is surer: divide by the "
            "square root of their number.": interval(mean, z * spread),
            "You divided by the number of pictures. The error of a mean shrinks with the square root of "
            "their number.": interval(mean, z * spread / items),
            "You treated the two lists as different pictures. What is hard for both methods cancels in "
            "the difference of each picture: take its spread.": interval(mean, z * unpaired),
            "You added the errors of both lists. What is hard for both methods cancels in the "
            "difference of each picture: take its spread.": interval(mean, z * both),
            "You took the variance. The standard error needs its root, `std()`.": interval(
                mean, z * spread**2 / items**0.5
            ),
            "That is one standard error to each side, two times in three. For 95% take 1.96 of them.": (
                interval(mean, error)
            ),
            "You subtracted in the other order: ours - theirs.": interval(-mean, z * error),
            "You took the size of the differences without their sign. Where theirs is larger, the "
            "difference is negative.": interval(
                difference.abs().mean(), z * difference.abs().std() / items**0.5
            ),
            "You divided the sum of squares by the number of items. The spread of a sample divides by "
            "one less, as `std()` does.": interval(mean, z * population),
            "You returned mean and half the width. Asked are mean, low and high.": torch.stack(
                [mean, z * error]
            ),
            "You returned low and high without the mean in front.": interval(mean, z * error)[1:],
        }
        mistakes |= {
            "The order is (mean, low, high).": interval(mean, z * error)[[1, 0, 2]],
            "You took the middle 95% of the differences themselves. Asked is how sure their *mean* is: "
            "1.96 standard errors to both sides.": torch.stack(
                [mean, *difference.quantile(torch.tensor([0.025, 0.975], dtype=torch.float64))]
            ),
            "You took the median. The standard error belongs to the mean.": interval(
                difference.median(), z * error
            ),
        }
        given = ours.clone(), theirs.clone()
        got = answer(*given)
        _expect_unchanged((given[0], ours), (given[1], theirs))
        if type(got).__module__ == "numpy":
            got = got.tolist()
        got = torch.tensor([float(x) for x in got]) if isinstance(got, list | tuple) else got
        expect_close(
            got, interval(mean, z * error), mistakes, what="(mean, low, high)", tolerance=1e-4
        )
