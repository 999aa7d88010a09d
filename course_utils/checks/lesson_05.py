"""Lesson 5: patches to a picture, counting, kernels in another order, a pixel's token, a crop."""

from collections.abc import Callable
from typing import Any

import torch
from einops import rearrange
from torch import Tensor

from course_utils.checks.engine import exercise, expect_also, expect_close, expect_equal, refuse
from course_utils.positions import resize_positions

Function = Callable[..., Any]


@exercise("5.1", "each side of the picture is made of which patch and which pixel, in this order")
def putting_together(answer: Function) -> None:
    rows, columns, side, channels = 2, 5, 4, 3
    picture = torch.randn(channels, rows * side, columns * side)
    patches = _cut(picture, side)

    def read(pattern: str, **sizes: int) -> Tensor:
        return rearrange(patches, pattern, h=side, w=side, **sizes)

    grid = {"r": rows, "q": columns}
    mistakes = {
        "The shape is right, but no number was moved: `reshape` and `view` fill the first line of the "
        "picture with the first patch. Split the axes, move them so that the two parts of each side "
        "stand together, then join": patches.reshape(picture.shape),
        "The axes of a patch and of the grid are joined in the wrong order: you have (h rows), but the "
        "patch must be the slow part and the pixel in it the fast part: (rows h)": read(
            "(r q) (c h w) -> c (h r) (w q)", **grid
        ),
        "The channels came to the front, but the two parts of a side do not stand together: joined like "
        "this, the first line of the picture is filled with the lines of the first patch. Rows of the "
        "grid belong beside the lines of a patch, columns of the grid beside its columns": _cut_axes(
            patches, rows, columns, side
        )
        .permute(2, 0, 1, 3, 4)
        .reshape(picture.shape),
        "Within each patch, lines and columns have changed places: every patch is mirrored at its "
        "diagonal": read("(r q) (c h w) -> c (r w) (q h)", **grid),
        "The patches are placed column by column. They stand row by row: the first ones fill the top "
        "row of the picture": read("(q r) (c h w) -> c (r h) (q w)", **grid),
        "The numbers of a patch were read with the channels last. Here all numbers of channel 0 come "
        "first": read("(r q) (h w c) -> c (r h) (q w)", **grid),
        "The picture is turned at its diagonal: (channels, width, height) instead of (channels, "
        "height, width)": picture.transpose(1, 2),
        "Rows and columns of the grid are exchanged: this picture is as high as it should be wide": (
            read("(q r) (c h w) -> c (q h) (r w)", q=columns, r=rows)
        ),
        "The patches lie one below the other. Each row of the grid has several patches side by side": (
            read("n (c h w) -> c (n h) w")
        ),
        "The patches lie side by side in one long strip. Start a new line of patches after each "
        "`columns` of them": read("n (c h w) -> c h (n w)"),
        "The channels stand last, as pictures lie in files. PyTorch has them first: (channels, "
        "height, width)": picture.permute(1, 2, 0),
        "There is a batch axis of size 1 left (`F.fold` makes one): one picture has three axes": picture[
            None
        ],
        "The axes are in place but not yet joined: (channels, rows, side, columns, side) has five, a "
        "picture three": read("(r q) (c h w) -> c r h q w", **grid),
    }
    given = patches.clone()
    expect_close(answer(given, rows, columns, side), picture, mistakes, what="your picture")
    if not torch.equal(given, patches):
        refuse(
            "The picture is right, but you changed the caller's patches. Make a new tensor instead of "
            "writing into the one that you were given"
        )
    for channels, rows, columns, side in ((1, 3, 2, 2), (2, 3, 3, 5)):
        picture = torch.randn(channels, rows * side, columns * side)
        try:
            got = torch.as_tensor(answer(_cut(picture, side), rows, columns, side))
        except (RuntimeError, TypeError, ValueError, IndexError) as error:
            refuse(
                f"Right for three channels and patches of 4, but with {channels} channel(s), {rows} x "
                f"{columns} patches of {side} it stops: {str(error).splitlines()[0]}. Work out the "
                "number of channels from the numbers in a patch, and take the sizes you are given"
            )
        if got.shape != picture.shape or not torch.allclose(got.float(), picture):
            refuse(
                f"Right for three channels and patches of 4, but not for {channels} channel(s), "
                f"{rows} x {columns} patches of {side}. Work out the number of channels from the "
                "numbers in a patch, and take the sizes you are given"
            )


def _cut(picture: Tensor, side: int) -> Tensor:
    return rearrange(picture, "c (r h) (q w) -> (r q) (c h w)", h=side, w=side)


def _cut_axes(patches: Tensor, rows: int, columns: int, side: int) -> Tensor:
    return rearrange(patches, "(r q) (c h w) -> r q c h w", r=rows, q=columns, h=side, w=side)


@exercise("5.2", "patches, numbers in a patch, and one matrix with one bias for all of them")
def counting(answer: Function) -> None:
    for sizes in ((24, 40, 3, 8, 7), (8, 12, 1, 4, 5), (224, 224, 3, 16, 768)):
        got = answer(*sizes)
        if not isinstance(got, tuple | list) or len(got) != 3:
            refuse(
                "Three integers are expected, as a tuple: (patches, numbers in one patch, parameters). "
                f"Got {got!r}"
            )
        _expect_counts(tuple(_number(value) for value in got), *sizes)


def _number(value: Any) -> Any:
    """A tensor or array of one number as that number; anything else as it is."""
    return value.item() if getattr(value, "ndim", None) == 0 else value


def _expect_counts(
    got: tuple[Any, ...], height: int, width: int, channels: int, side: int, dim: int
) -> None:
    where = (
        f" (for {height} x {width} pixels, {channels} channel(s), patches of {side}, tokens of {dim} "
        "numbers)"
    )
    patches = (height // side) * (width // side)
    numbers = side * side * channels
    pairs = [(patches, got[0]), (numbers, got[1]), (numbers * dim + dim, got[2])]
    for good, value in pairs:
        if isinstance(value, float) and value == good:
            refuse(f"{value} is a count, so give an integer: divide with `//`, not with `/`")
    expect_equal(
        got[0],
        patches,
        {
            "You counted the class token too. It is no patch: it comes later, in front of them"
            + where: patches + 1,
            f"One division by {side} is not enough: the number of patches is how many fit into the "
            "height, times how many fit into the width" + where: height * width // side,
            "You used the height for both directions. A picture need not be a square: patches in a "
            "column times patches in a row" + where: (height // side) ** 2,
            "You used the width for both directions. A picture need not be a square: patches in a "
            "column times patches in a row" + where: (width // side) ** 2,
            "You added the patches along the height and along the width. They form a grid: multiply"
            + where: height // side + width // side,
            "This is the number of pixels. Each patch covers many of them" + where: height * width,
            "The channels were counted as patches of their own. A patch reaches through all channels"
            + where: patches * channels,
        },
        what=f"the number of patches{where}",
    )
    expect_equal(
        got[1],
        numbers,
        {
            f"{side} * {side} = {side * side} is the number of pixels of a patch. Each pixel has "
            f"{channels} numbers, one for each channel" + where: side * side,
            "One side of the patch is missing: a patch has lines and columns" + where: side
            * channels,
            "You counted three channels for every picture. A gray one has one channel: take `channels`"
            + where: side * side * 3,
            "The channels were added. Each pixel has a number for each channel: multiply"
            + where: side * side + channels,
            "This is how many numbers the whole picture has. One patch is asked for" + where: height
            * width
            * channels,
            "This is the width of a token, after the embedding. Asked for is the patch as it is cut"
            + where: dim,
        },
        what=f"the numbers in one patch{where}",
    )
    expect_equal(
        got[2],
        numbers * dim + dim,
        {
            "The biases are missing: each of the numbers of a token has one" + where: numbers * dim,
            "You gave every patch a matrix of its own. The patches share one: it looks for the same "
            "things everywhere, and fits any number of patches" + where: patches
            * (numbers * dim + dim),
            "You gave every patch a matrix of its own, and left out the biases. The patches share one "
            "matrix" + where: patches * numbers * dim,
            "You gave every patch biases of its own. The patches share the matrix and the biases"
            + where: numbers * dim + patches * dim,
            "The bias was counted once for each number of the patch. It is added to the token: one for "
            "each of its numbers" + where: numbers * dim + numbers,
            "One bias for the whole token? Each of the token's numbers has its own" + where: numbers
            * dim
            + 1,
            "The channels are missing in the matrix: its rows are as long as a patch with all channels"
            + where: side * side * dim + dim,
            "A matrix has a weight for each pair of a number that goes in and one that comes out: "
            "multiply them" + where: numbers + dim,
            "These are the numbers of all tokens, not those that training may change"
            + where: patches * dim,
        },
        what=f"the number of parameters{where}",
    )


@exercise("5.3", "a weight stays with its pixel and its channel: split, move, and only then join")
def foreign_weights(answer: Function) -> None:
    dim, side, channels = 5, 4, 3
    weight = torch.randn(dim, side * side * channels)
    good = rearrange(weight, "d (h w c) -> d c h w", h=side, w=side)
    mistakes = {
        "The shape is right, but no weight was moved: `reshape` or `view` alone reads the numbers as "
        "channels first, and they were written channels last. First give each axis its place as it is, "
        "then move": weight.reshape(good.shape),
        "Lines and columns have changed places, so every kernel is mirrored at its diagonal: keep h "
        "before w": good.transpose(2, 3),
        "The axes are split rightly, but the channels still stand last. `Conv2d` wants (dim, channels, "
        "height, width)": good.permute(0, 2, 3, 1),
        "You read the numbers as (channels, h, w) and then moved them. They were written as (h, w, "
        "channels): that is how to split them first": weight.reshape(
            dim, channels, side, side
        ).permute(0, 2, 3, 1),
        "You read the numbers as (channels, h, w), put the channels last, and reshaped: that is the "
        "way there, not the way back": weight.reshape(dim, channels, side, side)
        .permute(0, 2, 3, 1)
        .reshape(good.shape),
        "These are flat rows, in the right order. A convolution wants them folded: (dim, channels, "
        "height, width)": good.flatten(1),
        "You read w before h, and the channels between. They were written as (h, w, channels)": (
            weight.reshape(dim, side, channels, side).permute(0, 2, 1, 3)
        ),
        "The order of the channels is reversed (red and blue exchanged): the channels move to the "
        "front in the order they have": good.flip(1),
        "This is JAX's layout, (h, w, channels, dim). PyTorch's `Conv2d` wants (dim, channels, height, "
        "width)": good.permute(2, 3, 1, 0),
    }
    given = weight.clone()
    expect_close(answer(given, channels, side), good, mistakes, what="your tensor of kernels")
    if not torch.equal(given, weight):
        refuse("The kernels are right, but you changed the caller's weights. Make a new tensor")
    for dim, side, channels in ((2, 2, 4), (3, 5, 1)):
        weight = torch.randn(dim, side * side * channels)
        good = rearrange(weight, "d (h w c) -> d c h w", h=side, w=side)
        try:
            got = torch.as_tensor(answer(weight.clone(), channels, side))
            same = got.shape == good.shape and torch.allclose(got.float(), good)
        except (RuntimeError, TypeError, ValueError, IndexError):
            same = False
        if not same:
            refuse(
                f"Right for 3 channels and patches of 4, but with {channels} channel(s) and patches of "
                f"{side} it stops or gives other kernels. Take the sizes you are given"
            )
    weight = torch.arange(16.0, dtype=torch.float64).reshape(2, 8)
    expect_also(
        answer,
        (weight, 2, 2),
        rearrange(weight, "d (h w c) -> d c h w", h=2, w=2),
        "Your kernels have another kind of numbers (dtype) than the weights. Make a new tensor with "
        "`dtype=weight.dtype`, or none at all",
    )


@exercise("5.4", "row of the grid times columns, plus column, plus what stands in front")
def pixel_to_token(answer: Function) -> None:
    def number(y: int, x: int, width: int, side: int, prefix: int) -> int:
        return prefix + (y // side) * (width // side) + x // side

    for y, x, width, side, prefix in ((11, 22, 32, 4, 1), (5, 9, 12, 4, 1), (70, 3, 224, 16, 1)):
        columns, row, column = width // side, y // side, x // side
        good = number(y, x, width, side, prefix)
        where = f" (for y {y}, x {x}, width {width}, patches of {side}, {prefix} token in front)"
        mistakes = {
            "The class token is missing: it is token 0, so every patch comes one later"
            + where: good - prefix,
            "x and y are exchanged: y chooses the row of the grid, x the place in this row"
            + where: prefix + column * columns + row,
            "x and y are exchanged, and the class token is missing" + where: column * columns + row,
            "A row of the grid holds width // patch_size patches, not one for each pixel"
            + where: prefix + row * width + column,
            "A row of the grid holds width // patch_size patches, not one for each pixel; and the class "
            "token is missing" + where: row * width + column,
            "x is still in pixels: find the column of the patch too" + where: prefix
            + row * columns
            + x,
            "`round` sends the second half of a patch to the next one. All pixels of one patch have the "
            "same token: use `//`" + where: prefix + round(y / side) * columns + round(x / side),
            "These are pixels: first find the row and the column of the *patch*" + where: prefix
            + y * width
            + x,
            "A pixel's number divided by the size of a patch is not its patch: patches are squares, and "
            "one line of pixels runs through many of them" + where: prefix
            + (y * width + x) // (side * side),
            "Row and column were added. A whole row of patches comes before each next row: multiply the "
            "row by the patches in a row" + where: prefix + row + column,
            "patch_size stands where the number of patches in a row belongs" + where: prefix
            + row * side
            + column,
            "You counted from 1: the first row, the first patch and the first token have number 0"
            + where: good + 1,
            "This is the place within the patch. Asked for is which patch: use `//`, not `%`"
            + where: prefix + (y % side) * columns + x % side,
        }
        got = _number(answer(y, x, width, side))
        if isinstance(got, tuple | list):
            refuse(
                f"One number is asked for, and you give {got!r}. Row and column are the way: "
                "now count the tokens that come before it" + where
            )
        if isinstance(got, float):
            if got == good:
                refuse(f"{got} is the right place, but a token's number is an integer: use `//`")
            rounded = prefix + y / side * columns + x / side
            if abs(got - rounded) < 1e-9:
                refuse(
                    f"{got:g} is no token: `/` gives fractions of a patch. All pixels of one patch have "
                    "the same token: use `//`" + where
                )
        mistakes = {message: wrong for message, wrong in mistakes.items() if wrong != good}
        expect_equal(got, good, mistakes, what=f"your token{where}")
    for y, x in ((8, 4), (0, 0), (4, 8), (7, 11)):
        expect_also(
            lambda *given: int(answer(*given)),
            (y, x, 12, 4),
            number(y, x, 12, 4, 1),
            f"Right inside a patch, but not for the pixel (y {y}, x {x}) at its edge. Pixels 0 ... "
            "patch_size - 1 are the first patch: `y // patch_size` counts so, without subtracting or "
            "rounding up",
        )
    expect_also(
        lambda *given, **named: int(answer(*given, **named)),
        (8, 4),
        8,
        "Keep the names of the arguments, width and patch_size: the lesson calls your function by them",
        width=12,
        patch_size=4,
    )
    for prefix in (0, 5):
        got, good = answer(9, 22, 32, 4, prefix), number(9, 22, 32, 4, prefix)
        expect_equal(
            int(got),
            good,
            {
                "With another number of tokens in front you still count one. Add prefix_tokens (0 with "
                "mean pooling)": good - prefix + 1
            },
            what=f"with {prefix} tokens in front, your token",
        )


@exercise("5.5", "the class token's row, then the rows of the places that remain, line by line")
def cropped_positions(answer: Function) -> None:
    rows, columns, top, left, height, width, dim = 5, 6, 2, 1, 2, 3, 4
    table = torch.randn(1, 1 + rows * columns, dim)
    first, grid = table[:, :1], table[:, 1:].unflatten(1, (rows, columns))
    crop = grid[:, top : top + height, left : left + width].flatten(1, 2)

    def with_class(patches: Tensor) -> Tensor:
        return torch.cat([first, patches.flatten(1, -2)], dim=1)

    start, count = top * columns + left, height * width
    shifted = table[:, :-1].unflatten(1, (rows, columns))
    turned = table[:, 1:].unflatten(1, (columns, rows))
    narrow = (top + torch.arange(height))[:, None] * width + left + torch.arange(width)
    mistakes = {
        "These are the first rows of the table. They belong to the top lines of the old grid, not to "
        "the crop": table[:, : 1 + count],
        "You took one slice of the table, from the first patch of the crop on. It runs on to the end of "
        "the old line, past the crop's right edge. Make a grid of the rows first, then cut in both "
        "directions": with_class(table[:, 1 + start : 1 + start + count]),
        "The class token's row is missing: it stays in front": crop,
        "The class token was taken for the first patch, so every place is off by one. Take its row off "
        "before you make the grid": with_class(shifted[:, top : top + height, left : left + width]),
        "The class token was taken for the first patch, so every place is off by one, and its row is "
        "missing in front": shifted[:, top : top + height, left : left + width].flatten(1, 2),
        "`top` and `left` are exchanged: `top` counts rows of the grid, `left` columns": with_class(
            grid[:, left : left + height, top : top + width]
        ),
        "`top` and `left` are exchanged, and the height and the width of the crop with them: `top` and "
        "the height count rows of the grid": with_class(
            grid[:, left : left + width, top : top + height]
        ),
        "The old grid was read as (columns, rows): the first number of old_grid is the rows": (
            with_class(turned[:, top : top + height, left : left + width])
        ),
        "You counted with the columns of the new grid. The table's lines are as long as the old grid is "
        "wide: old_grid[1]": with_class(table[:, 1 + narrow]),
        "The crop is read column by column. Patches stand row by row": with_class(
            grid[:, top : top + height, left : left + width].transpose(1, 2)
        ),
        "You began at the top left corner of the picture: the crop begins at row `top` and column "
        "`left`": with_class(grid[:, :height, :width]),
        "The class token's row stands last. It belongs in front": torch.cat([crop, first], dim=1),
        "The whole table was resized. A crop keeps the rows of its places as they are: cut, do not "
        "interpolate": resize_positions(table, (height, width), old_grid=(rows, columns)),
        "A slice from `top` ends at top + height, not at the height: the second number of a slice is "
        "where it ends, not how long it is": with_class(grid[:, top:height, left:width]),
        "The rows still stand in a grid, and the class token's row is missing: make one axis of them, "
        "and put that row in front": grid[:, top : top + height, left : left + width],
        "The height and the width of the new grid are exchanged": with_class(
            grid[:, top : top + width, left : left + height]
        ),
    }
    given = table.clone()
    got = answer(given, (rows, columns), top, left, (height, width))
    expect_close(got, torch.cat([first, crop], dim=1), mistakes, what="your table")
    if not torch.equal(given, table):
        refuse("The result is right, but you changed the caller's table. Make a new tensor")
    table = torch.randn(1, 1 + 4 * 3, 2)
    good = torch.cat([table[:, :1], table[:, 1:].unflatten(1, (4, 3))[:, :3, 1:].flatten(1, 2)], 1)
    got = answer(table.clone(), (4, 3), 0, 1, (3, 2))
    expect_close(got, good, what="right for one crop, but for a grid of 4 x 3 your table")
    table = torch.randn(1, 1 + 4 * 3, 2)
    lower = table[:, 1:].unflatten(1, (4, 3))[:, 1:, :2].flatten(1, 2)
    expect_also(
        answer,
        (table, (4, 3), 1, 0, (3, 2)),
        torch.cat([table[:, :1], lower], dim=1),
        "Right inside the grid, but not for a crop that reaches its lower edge: a slice that ends at "
        "-1 or 0 counts from the other end",
    )
