"""Plausible wrong answers to lesson 0, and what the message must say about each."""

import math
import statistics

import torch


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


def entry_by_entry(A, B):
    return A * B


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


def shape_of_a(A, B):
    C = torch.zeros(A.shape)
    for i in range(A.shape[0]):
        for j in range(A.shape[1]):
            C[i, j] = (A[i] * B[:, j]).sum()
    return C


BANK = {
    "0.1": [
        (square_of_mean, "square of the mean"),
        (sum_of_squares, "sum of the squares"),
        (root_mean_square, "no square root"),
        (forgot_to_square, "none of them was squared"),
        (divided_by_one_less, "one less than the number"),
        (forgot_to_return, "end in `return"),
        (squared_a_list, "TypeError"),
    ],
    "0.2": [
        (mean_of_everything, "one number for the whole picture"),
        (gray_picture, "a gray picture"),
        (one_axis_left_out, "width must go"),
        (other_axis_left_out, "height must go"),
        (sum_of_pixels, "sum over the pixels"),
        (axes_kept, "length 1"),
        (channels_taken_as_last, "last axis"),
    ],
    "0.3": [
        (entry_by_entry, "entry by entry"),
        (rows_of_both, "rows of B"),
        (columns_of_both, "columns of A"),
        (not_added_up, "added up"),
        (transposed, "rows and columns exchanged"),
        (wrong_order, "order matters"),
        (shape_of_a, "shape (2, 3), but (2, 4)"),
    ],
}
