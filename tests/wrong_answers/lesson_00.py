"""Plausible wrong answers to lesson 0, and what the message must say about each."""

import math
import statistics

import torch

from course_utils.data import photo


def square_of_mean(numbers):
    return statistics.mean(numbers) ** 2


def sum_of_squares(numbers):
    total = 0
    for number in numbers:
        total += number**2
    return total


def root_mean_square(numbers):
    return math.sqrt(sum_of_squares(numbers) / len(numbers))


def forgot_to_square(numbers):
    return statistics.mean(numbers)


def divided_by_one_less(numbers):
    return sum_of_squares(numbers) / (len(numbers) - 1)


def forgot_to_return(numbers):
    sum_of_squares(numbers) / len(numbers)


def squared_a_list(numbers):
    return numbers**2


def square_of_sum(numbers):
    return sum(numbers) ** 2 / len(numbers)


def doubled(numbers):
    return sum(2 * number for number in numbers) / len(numbers)


def whole_division(numbers):
    return sum_of_squares(numbers) // len(numbers)


def returned_inside_the_loop(numbers):
    total = 0
    for number in numbers:
        total += number**2
        return total / len(numbers)
    return None


def list_of_squares(numbers):
    return [number**2 for number in numbers]


def rounded(numbers):
    return round(sum_of_squares(numbers) / len(numbers), 3)


def mean_of_everything(image):
    return image.mean()


def gray_picture(image):
    return (image[0] + image[1] + image[2]) / 3


def one_axis_left_out(image):
    return image.mean(1)


def other_axis_left_out(image):
    return image.mean(-1)


def sum_of_pixels(image):
    return torch.stack([channel.sum() for channel in image])


def axes_kept(image):
    return image.mean((1, 2), keepdim=True)


def channels_taken_as_last(image):
    return image.reshape(-1, 3).mean(0)


def width_stayed(image):
    return image.mean(0).mean(0)


def height_stayed(image):
    return image.permute(1, 2, 0).mean((1, 2))


def divided_by_all_numbers(image):
    return image.sum((1, 2)) / image.numel()


def divided_by_the_cats_size(image):
    return image.sum((1, 2)) / (300 * 451)


def color_of_the_cat(image):
    return photo("cat").mean((1, 2))


def axes_not_counted_anew(image):
    return image.mean(1).mean(2)


def entry_by_entry(A, B):
    return A * B


def copies_the_size_of_the_example(A, B):
    C = torch.zeros(3, 4)
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            C[i, j] = (A[i] * B[:, j]).sum()
    return C


def rows_of_both(A, B):
    C = torch.zeros(A.shape[0], B.shape[1])
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            C[i, j] = (A[i] * B[j]).sum()
    return C


def columns_of_both(A, B):
    return A.T @ B


def not_added_up(A, B):
    C = torch.zeros(A.shape[0], B.shape[1])
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(A.shape[1]):
                C[i, j] = A[i, k] * B[k, j]
    return C


def transposed(A, B):
    return B.T @ A.T


def wrong_order(A, B):
    return B @ A


def with_at(A, B):
    return A @ B


def with_einsum(A, B):
    return torch.einsum("ik,kj->ij", A, B)


def filled(A, B, *, rows=None, entry=lambda row, column: (row * column).sum()):
    C = torch.zeros(A.shape[0], B.shape[1])
    for i in range(A.shape[0])[rows or slice(None)]:
        for j in range(B.shape[1]):
            C[i, j] = entry(A[i], B[:, j])
    return C


def columns_and_rows(A, B):
    return A.T @ B.T


def mean_of_products(A, B):
    return filled(A, B, entry=lambda row, column: (row * column).mean())


def sums_multiplied(A, B):
    return filled(A, B, entry=lambda row, column: row.sum() * column.sum())


def several_numbers_in_one_entry(A, B):
    return filled(A, B, entry=lambda row, column: row * column)


def last_position_left_out(A, B):
    return filled(A, B, entry=lambda row, column: (row[:-1] * column[:-1]).sum())


def one_row_only(A, B):
    return filled(A, B, rows=slice(1))


def one_entry_only(A, B):
    C = torch.zeros(A.shape[0], B.shape[1])
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            C[i, j] = (A[i] * B[:, j]).sum()
            return C
    return None


def counted_from_one(A, B):
    C = torch.zeros(A.shape[0], B.shape[1])
    for i in range(1, A.shape[0]):
        for j in range(1, B.shape[1]):
            C[i, j] = (A[i] * B[:, j]).sum()
    return C


def sum_never_started_again(A, B):
    C, total = torch.zeros(A.shape[0], B.shape[1]), 0
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            total += (A[i] * B[:, j]).sum()
            C[i, j] = total
    return C


def one_list_many_times(A, B):
    C = [[0.0] * B.shape[1]] * A.shape[0]
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            C[i][j] = float((A[i] * B[:, j]).sum())
    return torch.tensor(C)


def one_long_row(A, B):
    return torch.stack([(row * column).sum() for row in A for column in B.T])


def list_of_lists(A, B):
    return filled(A, B).tolist()


def sizes_of_the_example(A, B):
    C = torch.zeros(3, 4)
    for i in range(3):
        for j in range(4):
            C[i, j] = (A[i] * B[:, j]).sum()
    return C


def columns_of_a_counted(A, B):
    return filled(A, B[:, : A.shape[1]])


def shape_of_a(A, B):
    C = torch.zeros(A.shape)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            C[i, j] = (A[i] * B[:, j]).sum()
    return C


def takes_a_set_of_squares(numbers):
    return sum({x * x for x in numbers}) / len(numbers)


def skips_zeros(numbers):
    kept = [x for x in numbers if x]
    return sum(x * x for x in kept) / len(kept)


def asks_a_tensor_for_the_mean(numbers):
    return torch.tensor(numbers).pow(2).mean()


def squares_in_place(numbers):
    for i in range(len(numbers)):
        numbers[i] = numbers[i] ** 2
    return sum(numbers) / len(numbers)


def means_in_a_list(image):
    return [channel.mean() for channel in image]


def divides_by_thirty_five(image):
    return image.sum(dim=(1, 2)) / 35


def makes_whole_numbers_first(image):
    return image.mul(255).byte().mean((1, 2)) / 255


def always_three_products(A, B):
    C = torch.zeros(A.shape[0], B.shape[1])
    for i in range(A.shape[0]):
        for j in range(B.shape[1]):
            for k in range(3):
                C[i, j] += A[i, k] * B[k, j]
    return C


def adds_up_sizes(A, B):
    return (A[:, :, None] * B).abs().sum(dim=1)


def asks_numpy(A, B):
    return torch.from_numpy(A.numpy() @ B.numpy())


BANK = {
    "0.1": [
        (square_of_mean, "square of the mean"),
        (sum_of_squares, "sum of the squares"),
        (root_mean_square, "no square root"),
        (forgot_to_square, "none of them was squared"),
        (divided_by_one_less, "one less than the number"),
        (forgot_to_return, "end in `return"),
        (squared_a_list, "(at `return numbers**2`)"),
        (square_of_sum, "squared the sum"),
        (doubled, "You doubled"),
        (whole_division, "`//` drops"),
        (returned_inside_the_loop, "inside the loop"),
        (list_of_squares, "list of the squares"),
        (rounded, "is 13.667 where 13.66667"),
        (takes_a_set_of_squares, "braces make a set"),
        (skips_zeros, "like any other"),
        (asks_a_tensor_for_the_mean, "make them float"),
        (squares_in_place, "changed the list"),
    ],
    "0.2": [
        (mean_of_everything, "one number for the whole picture"),
        (gray_picture, "a gray picture"),
        (one_axis_left_out, "width must go"),
        (other_axis_left_out, "height must go"),
        (sum_of_pixels, "sum over the pixels"),
        (axes_kept, "length 1"),
        (channels_taken_as_last, "last axis"),
        (width_stayed, "the width stayed"),
        (height_stayed, "the height stayed"),
        (divided_by_all_numbers, "a third of them"),
        (divided_by_the_cats_size, "size of the cat's picture"),
        (color_of_the_cat, "mean color of the cat"),
        (axes_not_counted_anew, "moved up by one"),
        (means_in_a_list, "in a list"),
        (divides_by_thirty_five, "5 x 7 pixels only"),
        (makes_whole_numbers_first, "stopped with"),
    ],
    "0.3": [
        (entry_by_entry, "entry by entry"),
        (copies_the_size_of_the_example, "the size (3, 4) of the example"),
        (rows_of_both, "rows of B"),
        (columns_of_both, "columns of A"),
        (not_added_up, "added up"),
        (transposed, "rows and columns exchanged"),
        (wrong_order, "order matters"),
        (with_at, "without `@`"),
        (with_einsum, "without `@`"),
        (columns_and_rows, "columns of A and rows of B"),
        (mean_of_products, "mean of the products"),
        (sums_multiplied, "multiplied the two sums"),
        (several_numbers_in_one_entry, "several numbers into one entry"),
        (last_position_left_out, "last position k"),
        (one_row_only, "Only the first row"),
        (one_entry_only, "Only the first entry"),
        (counted_from_one, "counts from 0"),
        (sum_never_started_again, "start at 0"),
        (one_list_many_times, "one list, n times"),
        (one_long_row, "one long row"),
        (list_of_lists, "return a tensor"),
        (sizes_of_the_example, "A loop runs too far"),
        (columns_of_a_counted, "as many as B"),
        (shape_of_a, "as many as B"),
        (always_three_products, "A.shape[1]"),
        (adds_up_sizes, "negative numbers"),
        (asks_numpy, "yourself"),
    ],
}
