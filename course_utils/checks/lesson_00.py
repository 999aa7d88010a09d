"""Checks of lesson 0: the mean of squares, an axis, a matrix product."""

from collections.abc import Callable
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from course_utils.checks.engine import exercise, expect_also, expect_close, refuse


@exercise("0.1", "the mean of the squares, not the square of the mean")
def mean_of_squares(answer: Callable[[list[float]], Any]) -> None:
    # The first list tells all mistakes apart; for 1, 2, 3 several of them give 4.
    for numbers in ([1.0, 2.0, 6.0], [-2.0, 0.5], [4.0]):
        count, total = len(numbers), sum(numbers)
        squares = sum(x * x for x in numbers)
        mistakes = {
            "That is the square of the mean: you took the mean first and squared it afterward. "
            "Square every number first, then take the mean.": (total / count) ** 2,
            "That is the sum of the squares. A mean also divides by how many numbers there are, "
            f"here {count}.": squares,
            "That is the root of the mean of squares. Stop one step earlier: no square root is "
            "asked for.": (squares / count) ** 0.5,
            "That is the mean of the numbers themselves: none of them was squared.": total / count,
            "You divide by one less than the number of numbers, as for a sample variance. A mean "
            f"divides by all of them, here {count}.": squares / max(count - 1, 1),
            "You added up first and squared the sum. Square every number first, then add up.": total
            ** 2
            / count,
            "You doubled the numbers: the square of x is x * x, or x ** 2.": 2 * total / count,
            "`//` drops what stands behind the decimal point: divide with `/`.": squares // count,
            "Only the first number was counted: does `return` stand inside the loop?": (
                numbers[0] ** 2 / count
            ),
            "That is the list of the squares. Add them up and divide by how many there are.": [
                x * x for x in numbers
            ],
        }
        if count == 1:  # here several mistakes give the same number
            mistakes = {}
        given = list(numbers)
        expect_close(answer(given), squares / count, mistakes, what=f"for {numbers} it")
        if given != numbers:
            refuse("You changed the list that you were given. Make a new one for the squares.")
    expect_also(
        answer,
        ([2.0, 2.0, 5.0],),
        11.0,
        "A number that occurs twice counts twice: braces make a set, which keeps one of them.",
    )
    expect_also(
        answer, ([0.0, 3.0],), 4.5, "A zero is a number like any other: it counts in the mean."
    )
    expect_also(
        answer,
        ([1, 2, 3],),
        14 / 3,
        "Right for numbers with a point, but not for the whole numbers 1, 2, 3, or rounded. "
        "(A tensor of whole numbers has no mean: make them float first.)",
        tolerance=1e-6,
    )


@exercise("0.2", "one mean for each channel: height and width disappear")
def mean_color(answer: Callable[[torch.Tensor], Any]) -> None:
    from course_utils.data import photo

    image = torch.rand(3, 5, 7)
    cat = photo("cat")
    mistakes = {
        "That is one number for the whole picture: all three axes disappeared. The channels must "
        "stay, so name the other two axes only.": image.mean(),
        "That is the mean over the channels, a gray picture of shape (5, 7): the axis you name is "
        "the one that disappears. Name height and width instead.": image.mean(dim=0),
        "Only the height disappeared: what you return is (3, 7), one mean for each channel and "
        "column. The width must go as well.": image.mean(dim=1),
        "Only the width disappeared: what you return is (3, 5), one mean for each channel and row. "
        "The height must go as well.": image.mean(dim=2),
        "The channels disappeared, and the width stayed: what you return is (7,). Name height and "
        "width, axes 1 and 2.": image.mean(dim=(0, 1)),
        "The channels disappeared, and the height stayed: what you return is (5,). Name height and "
        "width, axes 1 and 2.": image.mean(dim=(0, 2)),
        "That is the sum over the pixels: divide by how many pixels there are, or take the "
        "mean.": image.sum(dim=(1, 2)),
        "You divided by how many numbers the whole picture holds. Each channel holds a third of "
        "them: height times width.": image.sum(dim=(1, 2)) / image.numel(),
        "You divided by the size of the cat's picture. The check brings one of another size: take "
        "it from image.shape.": image.sum(dim=(1, 2)) / cat[0].numel(),
        "That is the mean color of the cat: your function uses the `cat` in the notebook's memory, "
        "not the `image` that it is given.": cat.mean(dim=(1, 2)),
        "You kept the axes you averaged, with length 1: the shape is (3, 1, 1), and (3,) is asked "
        "for.": image.mean(dim=(1, 2), keepdim=True),
        "You read the picture as if the channels were its last axis. Here they are the first: "
        "(channels, height, width).": image.reshape(5, 7, 3).mean(dim=(0, 1)),
    }
    try:
        got = answer(image.clone())
    except IndexError as error:
        if "Dimension" not in str(error):
            raise
        refuse(
            f"You name an axis that is not there ({error}). Two means one after the other? After "
            "the first, an axis is gone, and those behind it have moved up by one."
        )
    expect_close(got, image.mean(dim=(1, 2)), mistakes, what="the mean color")
    if not isinstance(got, torch.Tensor):
        refuse(f"The numbers are right, but in a {type(got).__name__}: return a tensor.")
    other = torch.rand(3, 4, 9)
    expect_also(
        answer,
        (other,),
        other.mean(dim=(1, 2)),
        "Right for a picture of 5 x 7 pixels only. Take its size from image.shape.",
    )


@exercise("0.3", "rows times columns")
def matrix_product(answer: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
    for rows, inner, columns in ((3, 3, 3), (2, 3, 4)):  # square first: mistakes fit
        a, b = torch.rand(rows, inner) + 1, torch.rand(inner, columns) + 1
        with _Used() as used:
            got = _product(answer, a, b)
        if tuple(getattr(got, "shape", ())) == (3, 4) != (rows, columns):
            refuse(
                "Your table has the size (3, 4) of the example, whatever is multiplied: take the number "
                "of rows from A and the number of columns from B."
            )
        expect_close(got, a @ b, _product_mistakes(a, b), what="the product")
        if used.names & PRODUCTS:
            refuse(
                "The numbers are right, but PyTorch multiplied the matrices for you. Write the sum "
                "over k yourself, without `@` and its relatives."
            )
        if not isinstance(got, torch.Tensor):
            refuse(
                f"The numbers are right, but they are in a {type(got).__name__}: return a tensor, "
                "for example torch.tensor(C)."
            )
    for rows, inner, columns in ((4, 2, 3), (2, 5, 3)):
        a, b = torch.randn(rows, inner), torch.randn(inner, columns)
        expect_also(
            answer,
            (a, b),
            a @ b,
            f"Right so far, but not for {rows} x {inner} times {inner} x {columns}, with negative "
            "numbers. The sum over k has as many products as A has columns, A.shape[1].",
        )


# What multiplies matrices, and the ways out of PyTorch.
PRODUCTS = {
    "matmul",
    "__matmul__",
    "__rmatmul__",
    "mm",
    "bmm",
    "mv",
    "dot",
    "vdot",
    "inner",
    "addmm",
    "einsum",
    "tensordot",
    "linear",
    "multi_dot",
    "linalg_matmul",
    "linalg_multi_dot",
    "linalg_vecdot",
    "vecdot",
    "numpy",
    "__array__",
}


class _Used(TorchFunctionMode):
    """Notes the names of the PyTorch functions that are called under it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.names.add(getattr(func, "__name__", ""))
        return func(*args, **(kwargs or {}))


def _product(answer: Callable[[torch.Tensor, torch.Tensor], Any], a: Any, b: Any) -> Any:
    """What the answer gives for two matrices; its usual accidents are told by their cause."""
    try:
        return answer(a.clone(), b.clone())
    except IndexError as error:
        refuse(
            f"A loop runs too far ({error}). Matrices have many sizes: i counts the rows, "
            "A.shape[0], j the columns, B.shape[1], and k the positions along a row, A.shape[1]."
        )
    except RuntimeError as error:
        if "expand" not in str(error):
            raise
        refuse(
            "You put several numbers into one entry of the result: the products along the row must "
            "be added up, for example with `.sum()`."
        )


def _product_mistakes(a: torch.Tensor, b: torch.Tensor) -> dict[str, torch.Tensor]:
    product = a @ b
    below = torch.zeros_like(product)
    below[1:, 1:] = product[1:, 1:]
    first_row, first_entry = torch.zeros_like(product), torch.zeros_like(product)
    first_row[0], first_entry[0, 0] = product[0], product[0, 0]
    only_first = "Only the first {} was filled: does `return` stand inside a loop?"
    last_only = (
        "Each entry holds only the last product: the products along the row must be added up."
    )
    mistakes = {
        "That is the product with its rows and columns exchanged: entry (i, j) is made from row "
        "i of A and column j of B.": product.T,
        last_only: a[:, -1:] * b[-1:],
        "You took the mean of the products along the row. They are added up, and not "
        "divided.": product / a.shape[1],
        "You added up the row and the column first and multiplied the two sums. Multiply number by "
        "number first, then add up.": a.sum(1, keepdim=True) * b.sum(0),
        "The last position k is left out: range(n) stops at n - 1 by itself.": a[:, :-1] @ b[:-1],
        "The first row and the first column are left out: Python counts from 0.": below,
        only_first.format("row"): first_row,
        only_first.format("entry"): first_entry,
        "The sum goes on from entry to entry: it must start at 0 for each of them.": (
            product.flatten().cumsum(0).reshape(product.shape)
        ),
        "Every row of your result is the last one: `[row] * n` is one list, n times. Make a new "
        "list for each row.": product[-1:].expand_as(product),
        "The numbers are right, but in one long row: start a new row for each i.": product.flatten(),
    }
    if a.shape == b.shape:
        mistakes |= {
            "You multiplied the two tables entry by entry, as `*` does. An entry of the matrix "
            "product adds up a whole row of A times a whole column of B.": a * b,
            "You used rows of B where its columns are asked for: B[:, j] is column j.": a @ b.T,
            "You used columns of A where its rows are asked for: A[i] is row i.": a.T @ b,
            "You used columns of A and rows of B: it is row i of A, A[i], and column j of B, "
            "B[:, j].": a.T @ b.T,
            "That is B @ A. The order matters: rows come from A, columns from B.": b @ a,
        }
    else:
        mistakes["The result has as many columns as A; it must have as many as B."] = product[
            :, : a.shape[1]
        ]
    return mistakes
