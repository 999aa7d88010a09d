"""Checks of lesson 0: the mean of squares, an axis, a matrix product."""

from collections.abc import Callable
from typing import Any

import torch

from course_utils.checks.engine import exercise, expect_close


@exercise("0.1", "the mean of the squares, not the square of the mean")
def mean_of_squares(answer: Callable[[list[float]], Any]) -> None:
    for numbers in ([1.0, 2.0, 3.0], [-2.0, 0.5], [4.0]):
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
        }
        if count > 1:
            expect_close(answer(list(numbers)), squares / count, mistakes, what=f"for {numbers} it")
        else:  # here several mistakes give the same number
            expect_close(answer(list(numbers)), squares / count, what=f"for {numbers} it")


@exercise("0.2", "one mean for each channel: height and width disappear")
def mean_color(answer: Callable[[torch.Tensor], Any]) -> None:
    image = torch.rand(3, 5, 7)
    channels_last = image.reshape(5, 7, 3).mean(dim=(0, 1))
    mistakes = {
        "That is one number for the whole picture: all three axes disappeared. The channels must "
        "stay, so name the other two axes only.": image.mean(),
        "That is the mean over the channels, a gray picture of shape (5, 7): the axis you name is "
        "the one that disappears. Name height and width instead.": image.mean(dim=0),
        "Only the height disappeared: what you return is (3, 7), one mean for each channel and "
        "column. The width must go as well.": image.mean(dim=1),
        "Only the width disappeared: what you return is (3, 5), one mean for each channel and row. "
        "The height must go as well.": image.mean(dim=2),
        "That is the sum over the pixels: divide by how many pixels there are, or take the "
        "mean.": image.sum(dim=(1, 2)),
        "You kept the axes you averaged, with length 1: the shape is (3, 1, 1), and (3,) is asked "
        "for.": image.mean(dim=(1, 2), keepdim=True),
        "You read the picture as if the channels were its last axis. Here they are the first: "
        "(channels, height, width).": channels_last,
    }
    expect_close(answer(image.clone()), image.mean(dim=(1, 2)), mistakes, what="the mean color")


@exercise("0.3", "rows times columns")
def matrix_product(answer: Callable[[torch.Tensor, torch.Tensor], Any]) -> None:
    for rows, inner, columns in ((3, 3, 3), (2, 3, 4)):  # square first: mistakes fit
        a, b = torch.rand(rows, inner) + 1, torch.rand(inner, columns) + 1
        product = a @ b
        mistakes = {
            "That is the product with its rows and columns exchanged: entry (i, j) is made from row "
            "i of A and column j of B.": product.T,
        }
        if rows == inner == columns:
            mistakes |= {
                "You multiplied the two tables entry by entry, as `*` does. An entry of the matrix "
                "product adds up a whole row of A times a whole column of B.": a * b,
                "You used rows of B where its columns are asked for: B[:, j] is column j.": a @ b.T,
                "You used columns of A where its rows are asked for: A[i] is row i.": a.T @ b,
                "Each entry holds only the last product: the products along the row must be "
                "added up.": a[:, -1:] * b[-1:],
                "That is B @ A. The order matters: rows come from A, columns from B.": b @ a,
            }
        expect_close(answer(a.clone(), b.clone()), product, mistakes, what="the product")
