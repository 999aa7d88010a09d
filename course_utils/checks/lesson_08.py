"""Lesson 8: sides of maps, class token and map, depthwise convolution, its parameters, scores."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checks.engine import exercise, expect_close, expect_equal, refuse

Sizes = tuple[int, ...]


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


def _sides(rule: Callable[[int, int, int, int], int], side: int, *sizes: Sizes) -> list[int]:
    """The sides of all maps, each stage reading the map of the one before."""
    found = []
    for window, stride, padding in zip(*sizes, strict=True):
        side = rule(side, window, stride, padding)
        found.append(side)
    return found


@exercise("8.1", "you know the size of every stage's map, for any picture")
def stage_sides(answer: Any) -> None:
    def right(s: int, w: int, t: int, p: int) -> int:
        return (s + 2 * p - w) // t + 1

    rules: dict[str, Callable[[int, int, int, int], int]] = {
        "You divided by the strides. That is right only when the size fits: window and padding decide "
        "whether one more window begins at the rim.": lambda s, w, t, p: s // t,
        "These are the numbers of dividing by the strides and rounding up, and of a padding of window "
        "// 2. Close, but the paddings are given: use all three.": lambda s, w, t, p: -(-s // t),
        "You counted the padding once. It is added at both ends of a side.": (
            lambda s, w, t, p: (s + p - w) // t + 1
        ),
        "You left the padding out. It makes the picture larger at both ends.": (
            lambda s, w, t, p: (s - w) // t + 1
        ),
        "The + 1 is missing: the division counts the moves, and the first window stands there before "
        "any move.": lambda s, w, t, p: (s + 2 * p - w) // t,
        "You rounded up. A window that does not fit in whole does not begin: round down.": (
            lambda s, w, t, p: -(-(s + 2 * p - w) // t) + 1
        ),
        "You did not subtract the window. It can move only as far as side + 2 padding - window.": (
            lambda s, w, t, p: (s + 2 * p) // t + 1
        ),
    }
    cvt = ((7, 3, 3), (4, 2, 2), (2, 1, 1))
    # In the first case every mistake gives another list.
    cases = (
        (73, (7, 5, 3), (4, 2, 2), (2, 2, 1)),
        (90, *cvt),
        (224, *cvt),
        (50, (5, 3, 4), (3, 1, 2), (0, 1, 1)),
        (10, (3,), (2,), (1,)),
    )
    for side, *sizes in cases:
        windows, strides, paddings = sizes
        try:
            got = answer(side, windows, strides, paddings)
        except IndexError:
            if len(windows) == 3:
                raise
            refuse(
                f"Your code expects three stages; here there is {len(windows)}. Take as many as there "
                "are windows."
            )
        if isinstance(got, tuple):
            got = list(got)
        if isinstance(got, int | float):
            refuse(
                f"Your result is one number, {got}. There is one map for each stage: return a list of "
                "their sides."
            )
        if isinstance(got, list) and any(isinstance(number, float) for number in got):
            refuse(
                f"Your sides are {got}. A side is a whole number (int): divide with `//`, which rounds "
                "down."
            )
        expected = _sides(right, side, *sizes)
        mistakes: dict[str, Any] = {
            message: _sides(rule, side, *sizes) for message, rule in rules.items()
        }
        mistakes |= {
            "Each of your stages reads the picture. Only the first does; each later one reads the map "
            "of the stage before it: use the new side.": [
                right(side, w, t, p) for w, t, p in zip(*sizes, strict=True)
            ],
            "You used CvT-13's windows, strides and paddings. Your function is given its own: use its "
            "arguments.": _sides(right, side, *cvt),
            "You returned the numbers of tokens. Asked are the sides; a square map has side x side "
            "tokens.": [s * s for s in expected],
            "You returned the sides with the picture's own side in front. Asked are the maps.": [
                side,
                *expected,
            ],
        }
        expect_equal(got, expected, mistakes, what=f"for {side} pixels, your result")


@exercise("8.2", "the class token steps aside, and the rest is a map again")
def split_tokens(answer: Any) -> None:
    rows, columns = 3, 5
    for prefix in (1, 2, 0):
        x = _normal(2, prefix + rows * columns, 7)
        before = x.clone()
        try:
            got = answer(x, (rows, columns))
        except RuntimeError as error:
            if prefix == 1 or "size" not in str(error):
                raise
            refuse(
                f"Your code stops where {prefix} tokens stand in front, and works for one. Their number "
                "is what is left over: all tokens less rows x columns."
            )
        if not torch.equal(x, before):
            refuse(
                "Your function changed x itself. Make new tensors: the block still needs the old one."
            )
        if not isinstance(got, tuple | list) or len(got) != 2:
            refuse(
                "Return two things, (prefix, maps): the tokens in front, and the map of the rest; got "
                f"{type(got).__name__}."
            )
        places = x[:, prefix:]
        right = places.transpose(1, 2).reshape(2, 7, rows, columns)
        front, maps = got
        tokens = f"with {prefix} tokens in front, "
        if torch.is_tensor(front) and torch.is_tensor(maps) and front.shape == right.shape:
            refuse("You returned the two in the other order: first the prefix, then the maps.")
        if prefix:
            last = x[:, : rows * columns].transpose(1, 2).reshape(2, 7, rows, columns)
            _expect_map(maps, last, "You took the last tokens for the prefix. It stands in front.")
        scrambled = places.reshape(2, 7, rows, columns)
        mistakes = {
            "The shape is right, but the numbers are scrambled: `reshape` or `view` keeps the order in "
            "memory, where a token's numbers lie side by side. Bring dim in front of the places first "
            "(transpose), then split the places.": scrambled,
            "Rows and columns are swapped: you filled the map column by column. Tokens stand row by "
            "row.": places.transpose(1, 2).reshape(2, 7, columns, rows).transpose(2, 3),
            "The map has the grid's axes in the other order: grid is (rows, columns).": (
                places.transpose(1, 2).reshape(2, 7, columns, rows)
            ),
            "dim must be the second axis of a map, (batch, dim, rows, columns); in yours it is the "
            "last.": places.reshape(2, rows, columns, 7),
        }
        if not torch.is_tensor(front) or front.dim() != 3:
            shape = tuple(front.shape) if torch.is_tensor(front) else type(front).__name__
            refuse(
                f"{tokens}your prefix is {shape}, but (batch, prefix, dim) is expected: keep its axis "
                "of tokens, even for one token or none (a slice `x[:, :n]` does; `x[:, 0]` drops it)."
            )
        if prefix != 1 and front.shape[1] == 1:
            refuse(
                f"You always take one token as prefix, but here {prefix} stand in front. Their number "
                "is what is left over: all tokens less rows x columns."
            )
        expect_close(maps, right, mistakes, what=f"{tokens}your map")
        expect_close(front, x[:, :prefix], what=f"{tokens}your prefix")


def _expect_map(maps: Any, wrong: Tensor, message: str) -> None:
    if torch.is_tensor(maps) and maps.shape == wrong.shape and torch.allclose(maps, wrong):
        refuse(message)


@exercise("8.3", "each channel is filtered alone, with its own kernel")
def depthwise_conv(answer: Any) -> None:
    dim = 5
    maps, kernels = _normal(2, dim, 7, 11), _normal(dim, 3, 3)
    before = maps.clone()
    try:
        got = answer(maps, kernels)
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        refuse(
            "Two shapes do not fit together. kernels[:, a, b] has the shape (dim,), and meets columns: "
            "kernels[:, a, b, None, None] meets the channels. The nine copies of the map must be "
            f"equally large: pad by one on each side, then cut rows x columns. PyTorch says: {error}"
        )
    if not torch.equal(maps, before):
        refuse(
            "Your function changed maps itself. Add into a new tensor, `torch.zeros_like(maps)`."
        )

    def conv(x: Tensor, k: Tensor, groups: int = dim) -> Tensor:
        return F.conv2d(x, k, padding=1, groups=groups)

    own = kernels[:, None]
    right = conv(maps, own)
    unpadded = F.conv2d(maps, own, groups=dim)
    last_only = torch.zeros_like(own)
    last_only[..., 2, 2] = own[..., 2, 2]
    everything = kernels[None].expand(dim, dim, 3, 3)
    reflected = F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="reflect"), own, groups=dim)
    replicated = F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="replicate"), own, groups=dim)
    wrapped = F.conv2d(F.pad(maps, (1, 1, 1, 1), mode="circular"), own, groups=dim)
    mistakes = {
        "You summed over the channels: a full convolution's step. In a depthwise one no channel sees "
        "another; the linear layer mixes them later.": conv(maps, everything, 1),
        "You summed over the channels and lost their axis. Each channel keeps a map of its own.": (
            right.sum(1)
        ),
        "You used one kernel for all channels. Each has its own: kernels[c] for channel c.": conv(
            maps, own[:1].expand(dim, 1, 3, 3)
        ),
        "Your kernel is flipped, in both directions. Mathematics calls that convolution; networks "
        "multiply without flipping: kernels[:, a, b] meets the place (i + a - 1, j + b - 1).": conv(
            maps, own.flip(2, 3)
        ),
        "Your kernel lies on its side: rows and columns of the kernel are swapped. a counts rows, b "
        "columns.": conv(maps, own.transpose(2, 3)),
        "Your kernel is flipped up and down.": conv(maps, own.flip(2)),
        "Your kernel is flipped left and right.": conv(maps, own.flip(3)),
        "Your map has shrunk: without padding, the window never stands on the rim. Add one row or "
        "column of zeros on each of the four sides.": unpadded,
        "The rim is wrong: outside of the map there are zeros. You repeated the rim or mirrored the "
        "map.": reflected,
        "The rim is wrong: outside of the map there are zeros, not copies of the rim.": replicated,
        "The rim is wrong: your shifts wrap around, so the left rim meets the right one "
        "(`torch.roll` does that). Outside of the map there are zeros.": wrapped,
        "You took the mean of the nine products. A convolution takes their sum.": right / 9,
        "Your map is moved by one place: the window's center is kernels[:, 1, 1], so pad by one on each "
        "side, the top and left included.": F.conv2d(F.pad(maps, (0, 2, 0, 2)), own, groups=dim),
        "Your kernel is turned around: with a and b from -1 to 1 its numbers are kernels[:, a + 1, "
        "b + 1], as in the formula. Python takes -1 for the last.": conv(
            maps, own.roll((1, 1), (2, 3))
        ),
        "Only the last of the nine products is left: `result =` writes over those before. Add: "
        "`result = result + ...`.": conv(maps, last_only),
    }
    expect_close(got, right, mistakes)


@exercise("8.4", "you can count a convolutional projection by hand")
def projection_parameters(answer: Any) -> None:
    def count(d: int, w: int, depthwise: int | None = None, norm: int = 2, bias: int = 1) -> int:
        return (d * w * w if depthwise is None else depthwise) + norm * d + d * d + bias * d

    for d, w in ((13, 3), (64, 3), (10, 5)):
        got = answer(d) if w == 3 else answer(d, w)
        if isinstance(got, float):
            refuse(f"A number of parameters is a whole number (int); your result is {got}.")
        mistakes = {
            "You counted a full convolution, dim x dim kernels. In a depthwise one each channel has one "
            "kernel: dim of them.": count(d, w, d * d * w * w),
            "You counted one kernel for all channels. Each channel has a kernel of its own.": count(
                d, w, w * w
            ),
            "You gave the depthwise convolution a bias. It has none: the batch norm after it would "
            "subtract it again.": count(d, w, d * w * w + d),
            "You left out the batch norm: a weight and a bias for each channel.": count(
                d, w, norm=0
            ),
            "One number for each channel is missing. Batch norm has a weight and a bias for each "
            "channel, and the linear layer has a bias for each output.": count(d, w, norm=1),
            "You counted batch norm's running mean and variance. They are kept, but not trained: they "
            "are buffers, no parameters.": count(d, w, norm=4),
            "You left out the linear layer, which mixes the channels: dim x dim weights, dim biases.": (
                d * w * w + 2 * d
            ),
            "You counted queries, keys and values. Asked is one projection.": 3 * count(d, w),
            "A window of `window` has window x window weights; you counted window of them.": count(
                d, w, d * w
            ),
            "You used a window of 3. The function is given `window`: use it.": count(d, 3),
            "You gave the batch norm two numbers in all. It has a weight and a bias for each channel, "
            "2 x dim.": count(d, w) - 2 * d + 2,
            "Your linear layer has dim weights. It mixes all channels into each: dim x dim weights, "
            "and dim biases.": count(d, w) - d * d + d,
            "Your linear layer has dim numbers in all. It mixes all channels into each: dim x dim "
            "weights, and dim biases.": count(d, w) - d * d,
        }
        what = f"for dim={d}, window={w}, your result"
        expect_equal(got, count(d, w), mistakes, what=what)


@exercise(
    "8.5", "you know what strided keys save: stride times stride, less the class token's share"
)
def score_count(answer: Any) -> None:
    def ceil(side: int, stride: int) -> int:
        return (side - 1) // stride + 1

    for grid, heads, stride, prefix in (
        ((5, 9), 3, 2, 1),
        ((56, 56), 1, 2, 0),
        ((6, 9), 2, 3, 1),
        ((4, 6), 2, 1, 1),
    ):
        rows, columns = grid
        queries = prefix + rows * columns
        places = ceil(rows, stride) * ceil(columns, stride)
        got = answer(grid, heads, stride, prefix)
        if isinstance(got, float):
            refuse(
                f"A number of scores is a whole number (int); your result is {got}. Divide with `//`."
            )
        mistakes = {
            "You divided the number of keys by the stride. The stride acts on rows and on columns, so "
            "it divides twice.": heads * queries * (prefix + rows * columns // stride),
            "You strided along the list of tokens. The stride acts on rows and on columns of the map, "
            "so it divides twice.": heads * queries * (prefix + ceil(rows * columns, stride)),
            "You strided the queries, too. Every token asks; only keys and values are fewer.": heads
            * (prefix + places) ** 2,
            "You did not use the stride: these are the scores of full attention.": heads
            * queries**2,
            "You forgot the class token: it asks and it is asked.": heads * rows * columns * places,
            "The class token is missing among the keys: it joins them after the convolution.": heads
            * queries
            * places,
            "The class token is missing among the queries: it asks as well.": heads
            * rows
            * columns
            * (prefix + places),
            "You rounded down. With window 3 and padding 1, an odd side keeps one more: 7 becomes 4. "
            "Use floor((side + 2 - 3) / stride) + 1, for rows and for columns.": heads
            * queries
            * (prefix + (rows // stride) * (columns // stride)),
            "Two things: you forgot the class token (it asks, and it is asked), and you rounded down. "
            "With window 3 and padding 1, an odd side keeps one more: 7 becomes 4.": heads
            * rows
            * columns
            * (rows // stride)
            * (columns // stride),
            "You divided the number of all places by stride x stride. With odd sides that is not the "
            "number of windows: count rows and columns, each with the formula, then multiply.": heads
            * queries
            * (prefix + rows * columns // stride**2),
            "You counted one head. Each head has scores of its own.": queries * (prefix + places),
            "You divided the class token by the stride as well. It skips the convolution: there is "
            "still one.": heads * queries * (-(-(prefix + rows * columns) // stride**2)),
            "You counted the keys only. Each query is compared with each key: multiply.": heads
            * (prefix + places),
            "Two things: you forgot the class token (it asks, and it is asked), and you divided the "
            "number of all places. Count rows and columns of the keys, each with the formula.": heads
            * rows
            * columns
            * (rows * columns // stride**2),
            "Two things: you forgot the class token (it asks, and it is asked), and you divided the "
            "product. Count the keys first, by rows and columns, then multiply.": (
                heads * (rows * columns) ** 2 // stride**2
            ),
            "You divided the product by stride x stride, the class token included. Count the keys "
            "first, by rows and columns, then multiply.": heads * queries**2 // stride**2,
            "You used the rows twice. The map need not be square: grid is (rows, columns).": heads
            * (prefix + rows**2)
            * (prefix + ceil(rows, stride) ** 2),
            "You used a stride of 2. The function is given kv_stride: use it.": heads
            * queries
            * (prefix + ceil(rows, 2) * ceil(columns, 2)),
            "You always count one class token. The function is given prefix, which may be 0: use it.": (
                heads * (1 + rows * columns) * (1 + places)
            ),
            "You counted twice as many. Each pair of a query and a key gives one score; its weight is "
            "not counted again.": 2 * heads * queries * (prefix + places),
        }
        what = f"for grid={grid}, heads={heads}, kv_stride={stride}, prefix={prefix}, your result"
        expect_equal(got, heads * queries * (prefix + places), mistakes, what=what)
