"""Lesson 6: the encoder's input, parameters, multiply-adds, attention, folded normalization."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.engine import exercise, expect_also, expect_close, expect_equal, refuse

# (image_size, patch_size, channels, dim, depth, classes); the last is ViT-B/16.
SIZES = [(12, 4, 1, 6, 5, 8), (42, 7, 3, 10, 3, 11), (224, 16, 3, 768, 12, 1000)]


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@exercise("6.1", "one class token in front, and a position for each row")
def encoder_input(answer: Any) -> None:
    patches, cls, positions = _normal(3, 5, 7), _normal(1, 1, 7), _normal(1, 6, 7)
    before = patches.clone()
    try:
        got = answer(patches, cls, positions)
    except RuntimeError as error:
        text = str(error)
        if "Sizes of tensors must match except in dimension 1" in text:
            refuse(
                "The class token and your patches do not have the same number of images, so they cannot "
                "be joined: repeat the class token (`expand`), once for every image of the batch."
            )
        if "Sizes of tensors must match" in text:
            refuse(
                "You joined along an axis on which the class token does not become a row: tokens are "
                "axis 1 of (batch, tokens, dim)."
            )
        if "must match the size" in text:
            refuse(
                "You added the positions to the patches alone. There are N + 1 positions, because the "
                "class token has one too: first put it in front, then add."
            )
        raise
    if not torch.equal(patches, before):
        refuse("Your function changed the patches that it was given: make a new tensor.")
    row = cls.expand(3, -1, -1)
    right = torch.cat([row, patches], dim=1) + positions
    zeros = torch.cat([row, patches + positions[:, 1:]], dim=1)
    first = torch.cat([row, patches + positions[:, :-1]], dim=1)
    mistakes = {
        "Your class token stands at the end. It stands in front, as row 0: that is the row which the "
        "classifier reads, and the first position belongs to it.": (
            torch.cat([patches, row], dim=1) + positions
        ),
        "Your class token stands at the end, with the first position. It stands in front, as row 0.": (
            torch.cat([patches + positions[:, 1:], row + positions[:, :1]], dim=1)
        ),
        "The patches have their positions, the class token has none. Add all N + 1 positions to all "
        "N + 1 rows.": zeros,
        "You added the positions before the class token came in, so each patch got the position of "
        "its left neighbor. Position 0 belongs to the class token.": first,
        "You put the class token in front, but did not add the positions.": (
            torch.cat([row, patches], dim=1)
        ),
        "You added the class token to every patch. It is one more row, not a part of the others.": (
            patches + cls + positions[:, 1:]
        ),
        "You put the positions as rows beside the tokens. They are added, number by number: no row "
        "is added to the table.": torch.cat([row, patches, positions.expand(3, -1, -1)], dim=1),
        "You put zeros in front. The class token is a parameter that is given to you: repeat its own "
        "numbers for every image.": (
            torch.cat([torch.zeros_like(row), patches], dim=1) + positions
        ),
        "The class token is missing. Put it in front of the patches, then add the N + 1 positions.": (
            patches + positions[:, 1:]
        ),
        "Each image got its own position: you added one row of the table to a whole image. A position "
        "belongs to a row, and is the same in every image.": (
            torch.cat([row, patches], dim=1) + positions[0, :3, None]
        ),
        "You replaced the first patch by the class token. It comes in addition: N + 1 rows.": (
            torch.cat([row, patches[:, 1:]], dim=1) + positions[:, :-1]
        ),
    }
    expect_close(got, right, mistakes)
    alone = torch.cat([cls, patches[:1]], dim=1) + positions
    expect_also(
        answer,
        (patches[:1], cls, positions),
        alone,
        "Right for three images, but not for one. Take the number of images from the patches, and no "
        "`squeeze`: it removes every axis of size 1.",
    )


Sizes = tuple[int, int, int, int, int, int]
Mistakes = dict[str, dict[str, Callable[[Sizes], int]]]  # part -> message -> the number it gives


def _patches(s: Sizes) -> int:
    return (s[0] // s[1]) ** 2


def _macs(s: Sizes) -> dict[str, int]:
    _, patch_size, channels, dim, depth, classes = s
    patches, tokens = _patches(s), _patches(s) + 1
    return {
        "patch_embed": patches * patch_size**2 * channels * dim,
        "linear": depth * 12 * tokens * dim**2,
        "pairs": depth * 2 * tokens**2 * dim,
        "head": dim * classes,
    }


def _parameters(s: Sizes) -> dict[str, int]:
    _, patch_size, channels, dim, depth, classes = s
    return {
        "cls_token": dim,
        "pos_embed": (_patches(s) + 1) * dim,
        "patch_embed": patch_size**2 * channels * dim + dim,
        "blocks": depth * (12 * dim**2 + 13 * dim),
        "norm": 2 * dim,
        "head": dim * classes + classes,
    }


@exercise("6.2", "you found all 86,567,656 parameters of ViT-B/16")
def vit_parameters(answer: Any) -> None:
    mistakes: Mistakes = {
        "cls_token": {
            "The class token is one row for all images and all blocks: dim numbers.": (
                lambda s: s[3] * s[4]
            ),
            "The class token is a row of dim numbers, not one number.": lambda s: 1,
            "The class token's position belongs to `pos_embed`. The token itself has dim numbers.": (
                lambda s: 2 * s[3]
            ),
        },
        "pos_embed": {
            "Your table of positions has N rows. The class token has a position too: N + 1.": (
                lambda s: _patches(s) * s[3]
            ),
            "You counted one number for each position. A position is a whole row of dim numbers.": (
                lambda s: _patches(s) + 1
            ),
            "You took image_size / patch_size for the number of patches. That is one row of them: "
            "the grid has rows and columns.": lambda s: (s[0] // s[1] + 1) * s[3],
            "You counted a position for every pixel. A position belongs to a token.": (
                lambda s: (s[0] ** 2 + 1) * s[3]
            ),
            "You gave every block a table of positions. There is one: positions are added once, "
            "before the first block.": lambda s: s[4] * (_patches(s) + 1) * s[3],
        },
        "patch_embed": {
            "You left out the patch embedding's biases: one for each of the dim outputs.": (
                lambda s: s[1] ** 2 * s[2] * s[3]
            ),
            "A patch has patch_size * patch_size * channels numbers: you forgot the colors.": (
                lambda s: s[1] ** 2 * s[3] + s[3]
            ),
            "You forgot the colors and the biases: a patch has patch_size * patch_size * channels "
            "numbers, and each of the dim outputs a bias.": lambda s: s[1] ** 2 * s[3],
            "Your patches are patch_size numbers long. A patch is a square: patch_size * patch_size "
            "pixels, each with its channels.": lambda s: s[1] * s[2] * s[3] + s[3],
            "You counted the patch embedding once for each patch. All patches go through the same "
            "layer.": lambda s: _patches(s) * (s[1] ** 2 * s[2] * s[3] + s[3]),
            "You counted the weights once for each patch. All patches go through the same layer.": (
                lambda s: _patches(s) * s[1] ** 2 * s[2] * s[3] + s[3]
            ),
            "You took a patch of 768 numbers. That is so for 16 x 16 pixels of 3 colors only: use "
            "patch_size and channels.": lambda s: 768 * s[3] + s[3],
            "You took the width for the size of a patch. That they are equal in ViT-B/16 is a "
            "coincidence: a patch has patch_size * patch_size * channels numbers.": (
                lambda s: s[3] * s[3] + s[3]
            ),
        },
        "blocks": {
            "You counted one block. There are `depth` of them, each with its own numbers.": (
                lambda s: 12 * s[3] ** 2 + 13 * s[3]
            ),
            "You counted the matrices of the blocks, but not their biases and norms: 13 * dim in "
            "each.": lambda s: s[4] * 12 * s[3] ** 2,
            "You left out the two LayerNorms of each block: 4 * dim numbers.": (
                lambda s: s[4] * (12 * s[3] ** 2 + 9 * s[3])
            ),
            "You counted the blocks' numbers once for every token. All tokens go through the same "
            "layers.": lambda s: s[4] * (_patches(s) + 1) * (12 * s[3] ** 2 + 13 * s[3]),
        },
        "norm": {
            "You counted half of the final LayerNorm: it has a weight and a bias for each feature.": (
                lambda s: s[3]
            ),
            "There is one final LayerNorm, after the last block. Those inside the blocks are counted "
            "there.": lambda s: 2 * s[3] * s[4],
            "The norms inside the blocks belong to `blocks`. Here stands the final one alone.": (
                lambda s: 2 * s[3] * (2 * s[4] + 1)
            ),
            "A LayerNorm has a weight and a bias for each feature, 2 * dim numbers, however many "
            "tokens there are.": lambda s: 2 * s[3] * (_patches(s) + 1),
        },
        "head": {
            "You left out the head's biases: one for each class.": lambda s: s[3] * s[5],
            "The head has one bias for each output, so one for each class, not for each input.": (
                lambda s: s[3] * s[5] + s[3]
            ),
            "Your head reads all tokens. It reads one row, the class token's, so its matrix is dim "
            "times classes.": lambda s: (_patches(s) + 1) * s[3] * s[5] + s[5],
        },
    }
    _expect_parts(answer, _parameters, mistakes, _macs)


@exercise("6.3", "17.56 billion multiply-adds, and you know where they are")
def vit_macs(answer: Any) -> None:
    mistakes: Mistakes = {
        "patch_embed": {
            "You embedded N + 1 patches. The class token is a parameter: it does not come out of "
            "the patch embedding.": lambda s: (_patches(s) + 1) * s[1] ** 2 * s[2] * s[3],
            "You counted the patch embedding for one patch. Each of the N patches goes through it.": (
                lambda s: s[1] ** 2 * s[2] * s[3]
            ),
            "A patch has patch_size * patch_size * channels numbers: you forgot the colors.": (
                lambda s: _patches(s) * s[1] ** 2 * s[3]
            ),
            "You counted the biases too. They are additions only: leave them out.": (
                lambda s: _patches(s) * (s[1] ** 2 * s[2] * s[3] + s[3])
            ),
            "You let every pixel go through the layer. It works on patches: N of them.": (
                lambda s: s[0] ** 2 * s[1] ** 2 * s[2] * s[3]
            ),
        },
        "linear": {
            "The blocks work on N + 1 tokens: the class token goes through every layer too.": (
                lambda s: s[4] * 12 * _patches(s) * s[3] ** 2
            ),
            "You counted the matrices for one token. They are applied to every token.": (
                lambda s: s[4] * 12 * s[3] ** 2
            ),
            "You counted one block. There are `depth` of them.": (
                lambda s: 12 * (_patches(s) + 1) * s[3] ** 2
            ),
            "You counted attention's four matrices only. The feed-forward network has two more, each "
            "four times as large.": lambda s: s[4] * 4 * (_patches(s) + 1) * s[3] ** 2,
            "You counted the feed-forward network only. Attention's `qkv` and `proj` are linear "
            "layers too.": lambda s: s[4] * 8 * (_patches(s) + 1) * s[3] ** 2,
            "You left out the output projection of attention, `proj`: dim * dim for every token.": (
                lambda s: s[4] * 11 * (_patches(s) + 1) * s[3] ** 2
            ),
            "Your number includes biases or norms. Count the products of the matrices alone: "
            "12 * dim * dim for each token.": (
                lambda s: s[4] * (_patches(s) + 1) * (12 * s[3] ** 2 + 13 * s[3])
            ),
            "You counted the biases too. They are additions only: leave them out.": (
                lambda s: s[4] * (_patches(s) + 1) * (12 * s[3] ** 2 + 9 * s[3])
            ),
        },
        "pairs": {
            "You counted the pairs of tokens once. Attention goes through all pairs twice: for the "
            "scores, and for the average of the values.": (
                lambda s: s[4] * (_patches(s) + 1) ** 2 * s[3]
            ),
            "For a pair of tokens you counted one multiply-add. A score is a dot product: dim of "
            "them, all heads together.": lambda s: s[4] * 2 * (_patches(s) + 1) ** 2,
            "The class token is one of a pair too: there are (N + 1) * (N + 1) pairs.": (
                lambda s: s[4] * 2 * _patches(s) ** 2 * s[3]
            ),
            "You counted each pair in one direction. A asks B and B asks A: these are two scores.": (
                lambda s: s[4] * (_patches(s) + 1) * _patches(s) * s[3]
            ),
            "You counted one block. There are `depth` of them.": (
                lambda s: 2 * (_patches(s) + 1) ** 2 * s[3]
            ),
            "Every token looks at every token: tokens * tokens pairs, not tokens.": (
                lambda s: s[4] * 2 * (_patches(s) + 1) * s[3]
            ),
        },
        "head": {
            "You ran the head on every token. It reads one row, the class token's.": (
                lambda s: (_patches(s) + 1) * s[3] * s[5]
            ),
            "You ran the head on every patch. It reads one row, the class token's.": (
                lambda s: _patches(s) * s[3] * s[5]
            ),
            "You counted the biases too. They are additions only: leave them out.": (
                lambda s: s[3] * s[5] + s[5]
            ),
        },
    }
    _expect_parts(answer, _macs, mistakes, _parameters)


def _expect_parts(
    answer: Any, right: Callable[[Sizes], dict[str, int]], mistakes: Mistakes, other: Any
) -> None:
    """Compare a dictionary of counts part by part, so that the part that is wrong can be named."""
    for sizes in SIZES:
        got, expected = answer(*sizes), right(sizes)
        if isinstance(got, int | float):
            refuse(
                f"Your result is one number. Return a dictionary with a count for each part: "
                f"{', '.join(expected)}."
            )
        if got is None:
            refuse("Your result is None: does your function end in `return ...`?")
        if not isinstance(got, dict):
            refuse(
                f"Return a dictionary with a count for each part: {', '.join(expected)}. Your result is "
                f"of type {type(got).__name__}."
            )
        if set(got) != set(expected):
            keys = ", ".join(map(str, got)) or "none"
            refuse(f"The parts asked for are {', '.join(expected)}; your result has {keys}.")
        if all(got[part] == 2 * expected[part] for part in expected):
            refuse(
                "Every part is twice the number asked for: you counted FLOPs, a multiplication and an "
                "addition each. A multiply-add is the two together."
            )
        for part, number in expected.items():
            if isinstance(got[part], float):
                refuse(
                    f"A count is a whole number (int); your {part!r} is {got[part]}. Divide with `//`, "
                    "which keeps whole numbers."
                )
            times = got[part] / number if part == "pairs" else 0
            if times > 2 and times == int(times):
                refuse(
                    f"Your 'pairs' are {times:.0f} times the right number. Did you count each head with "
                    "the whole width? A head compares dim / heads numbers, so all heads together dim."
                )
            known = {message: count(sizes) for message, count in mistakes[part].items()}
            if part in other(sizes) and number != other(sizes)[part]:
                known[
                    f"In {part!r} you mixed up parameters and multiply-adds. A weight is one "
                    "parameter, and it is used once for every token that goes through it."
                ] = other(sizes)[part]
            what = f"for (image, patch, channels, dim, depth, classes) = {sizes}, your {part!r}"
            count = got[part] if isinstance(got[part], str) else int(got[part])
            expect_equal(count, number, known, what=what)


@exercise("6.4", "row 0 asks, and column 0 is no patch")
def class_token_map(answer: Any) -> None:
    rows, columns = 3, 5
    weights = (2 * _normal(2, 4, 16, 16)).softmax(dim=-1)
    try:
        got = answer(weights, (rows, columns))
    except RuntimeError as error:
        if "is invalid for input of size" not in str(error):
            raise
        refuse(
            "What you lay out does not fill the grids: one query, the class token, is kept; key 0, the "
            "class token again, is dropped; and each image of the batch has a grid of its own, (batch, "
            "rows, columns)."
        )

    def laid_out(patches: Tensor) -> Tensor:
        return patches.reshape(2, rows, columns)

    heads = weights.mean(dim=1)
    asked = heads[:, 0, 1:]
    right = laid_out(asked)
    mistakes = {
        "You took column 0: how much every patch looks at the class token. Asked for is row 0, how "
        "much the class token looks at every patch. The axes are (queries, keys).": (
            laid_out(heads[:, 1:, 0])
        ),
        "You averaged over all queries: how much attention a patch receives from everybody. Asked for "
        "is the class token's own row, query 0.": laid_out(heads.mean(dim=1)[:, 1:]),
        "You averaged over the patches that ask. Asked for is the class token's own row, query 0.": (
            laid_out(heads[:, 1:].mean(dim=1)[:, 1:])
        ),
        "You dropped the last key. The class token is key 0: drop that one, and every patch stands "
        "in its own place.": laid_out(heads[:, 0, :-1]),
        "You took image 0 and all queries: after the mean over the heads the axes are (batch, queries, "
        "keys). Keep all images, and take query 0.": heads[0, :, 1:],
        "You averaged over the images. The heads are axis 1: (batch, heads, queries, keys).": (
            weights.mean(dim=0)[:, 0, 1:].reshape(4, rows, columns)
        ),
        "You took head 0 and all queries: average over the heads, axis 1, before you choose a query.": (
            weights[:, 0, 1:, 1:]
        ),
        "You kept every patch's own row. Asked for is one row, the class token's: query 0.": heads[
            :, 1:, 1:
        ],
        "You took query 1, the first patch. The class token is row 0.": laid_out(heads[:, 1, 1:]),
        "You took the last query. The class token stands in front: row 0.": (
            laid_out(heads[:, -1, 1:])
        ),
        "You took one head. The map asked for is the average over the heads.": (
            laid_out(weights[:, 0, 0, 1:])
        ),
        "You added the heads up. Take their average, so that the map stays a share of the attention.": (
            laid_out(weights.sum(dim=1)[:, 0, 1:])
        ),
        "You took the largest of the heads. The map asked for is their average.": (
            laid_out(weights.amax(dim=1)[:, 0, 1:])
        ),
        "You divided by the sum over the patches. Leave the shares as they are: what is missing to "
        "one is what the class token gives to itself.": right / right.sum((1, 2), keepdim=True),
        "You averaged over the images too. Every image has a map of its own: keep the batch axis.": (
            right.mean(dim=0)
        ),
        "Your map is turned: rows and columns are exchanged. The result has shape (batch, rows, "
        "columns).": right.transpose(1, 2),
        "You filled the grid column by column. Patches are numbered row by row: reshape to (batch, "
        "rows, columns).": asked.reshape(2, columns, rows).transpose(1, 2),
        "Your map keeps one number for the class token's look at itself. It has no place in the grid: "
        "drop key 0.": heads[:, 0],
        "Your map is one row of patches: lay it out as (batch, rows, columns).": asked,
        "You kept the heads apart. The map asked for is their average.": (
            weights[:, :, 0, 1:].reshape(2, 4, rows, columns)
        ),
    }
    expect_close(got, right, mistakes)
    one = torch.zeros(1, 1, 3, 3)
    one[0, 0, 0] = torch.tensor([0.2, 0.3, 0.5])
    expect_also(
        answer,
        (one, (1, 2)),
        torch.tensor([[[0.3, 0.5]]]),
        "Right for two images and four heads, but not for one image with one head, the example. Take "
        "the numbers from the shape and the mean over axis 1; `squeeze` removes every axis of size "
        "1.",
    )


@exercise("6.5", "the normalization is a part of the model, and can move into its first layer")
def fold_normalization(answer: Any) -> None:
    weight, bias = _normal(7, 3, 2, 2), _normal(7)
    mean, std = torch.rand(3).double() + 0.2, torch.rand(3).double() + 0.3
    given = (weight.clone(), bias.clone(), mean.clone(), std.clone())
    try:
        got = answer(weight, bias, mean, std)
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        refuse(
            "Your shapes do not fit. mean and std have one number for each channel, and the channels "
            "are axis 1 of the weight (dim, channels, patch, patch): they need axes of size 1 for those "
            "behind. The shift of the bias has one number for each output: sum over all the other axes."
        )
    if any(not torch.equal(a, b) for a, b in zip(given, (weight, bias, mean, std), strict=True)):
        refuse("Your function changed a tensor that it was given: make new ones.")
    if not isinstance(got, tuple | list) or len(got) != 2:
        refuse("Return two tensors: the new weight and the new bias.")
    center, spread = mean[:, None, None], std[:, None, None]
    moved = (weight * center / spread).sum(dim=(1, 2, 3))
    expect_close(
        got[0],
        weight / spread,
        {
            "You multiplied the weight by the standard deviation. The image is divided by it, so the "
            "weight must be divided too.": weight * spread,
            "You left the weight as it was. (x - mean) / std has two steps: dividing by std changes "
            "the weight, subtracting the mean changes the bias.": weight,
            "You normalized the weight as if it were an image. The weight is multiplied with the "
            "image: only the division moves to it.": (weight - center) / spread,
            "You divided by the variance. Divide by the standard deviation.": weight / spread**2,
            "You divided by one number for all channels. Each channel has its own.": (
                weight / std.mean()
            ),
        },
        what="your weight",
    )
    expect_close(
        got[1],
        bias - moved,
        {
            "You left the bias as it was. What is subtracted from every pixel is a constant, and the "
            "constant of a layer is its bias.": bias,
            "You added the shift to the bias. The mean is subtracted from the image, so its share is "
            "subtracted from the bias.": bias + moved,
            "You subtracted the mean, but did not divide it by the standard deviation: "
            "(x - mean) / std is x / std - mean / std.": (
                bias - (weight * center).sum(dim=(1, 2, 3))
            ),
            "You divided the shift by the standard deviation twice. Take the old weight, or the new "
            "one and the mean alone.": bias - (weight * center / spread**2).sum(dim=(1, 2, 3)),
            "You forgot the weights: the shift that reaches an output is the sum of weight * mean / "
            "std over all numbers of a patch.": bias - (mean / std).sum(),
            "You summed over the outputs too. Each output has a shift of its own: sum over axes 1, 2 "
            "and 3 alone.": bias - (weight * center / spread).sum(),
            "You took one mean for all channels. Each channel has its own.": (
                bias - (weight / spread).sum(dim=(1, 2, 3)) * mean.mean()
            ),
            "You averaged over the numbers of a patch. A layer adds its products up: take the sum.": (
                bias - (weight * center / spread).mean(dim=(1, 2, 3))
            ),
            "You averaged over the pixels of a patch. A layer adds its products up: take the sum over "
            "pixels, too.": bias - (weight * center / spread).mean(dim=(2, 3)).sum(dim=1),
            "You divided the bias too. It is added after the products: only the shift changes it.": (
                bias / std.mean() - moved
            ),
        },
        what="your bias",
    )
    gray = (
        torch.full((1, 1, 1, 1), 6.0),
        torch.ones(1),
        torch.full((1,), 0.5),
        torch.full((1,), 2.0),
    )
    message = (
        "Right for three channels, but a gray picture has one: take the number from the shapes "
        "(`[:, None, None]` needs none)."
    )
    expect_also(lambda *of: answer(*of)[0], gray, torch.full((1, 1, 1, 1), 3.0), message)
    expect_also(lambda *of: answer(*of)[1], gray, torch.full((1,), -0.5), message)
