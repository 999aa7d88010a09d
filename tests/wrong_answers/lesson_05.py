"""Wrong answers to lesson 5 as learners write them, each with what its message must say."""

import torch
import torch.nn.functional as F
from einops import rearrange


def reshapes_at_once(patches, rows, columns, patch_size):
    channels = patches.shape[1] // patch_size**2
    return patches.reshape(channels, rows * patch_size, columns * patch_size)


def views_the_transpose(patches, rows, columns, patch_size):
    return patches.contiguous().view(-1, rows * patch_size, columns * patch_size)


def brings_only_the_channels_to_the_front(patches, rows, columns, patch_size):
    p = patch_size
    x = patches.reshape(rows, columns, -1, p, p).permute(2, 0, 1, 3, 4)
    return x.reshape(-1, rows * p, columns * p)


def pixel_before_patch(patches, rows, columns, patch_size):
    x = patches.view(rows, columns, -1, patch_size, patch_size)
    x = x.permute(2, 3, 0, 4, 1)
    return x.reshape(-1, rows * patch_size, columns * patch_size)


def mirrors_each_patch(patches, rows, columns, patch_size):
    x = patches.view(rows, columns, -1, patch_size, patch_size).permute(2, 0, 4, 1, 3)
    return x.reshape(-1, rows * patch_size, columns * patch_size)


def column_by_column(patches, rows, columns, patch_size):
    return rearrange(
        patches,
        "(columns rows) (c h w) -> c (rows h) (columns w)",
        rows=rows,
        h=patch_size,
        w=patch_size,
    )


def channels_last_in_the_patch(patches, rows, columns, patch_size):
    return rearrange(
        patches,
        "(rows columns) (h w c) -> c (rows h) (columns w)",
        rows=rows,
        h=patch_size,
        w=patch_size,
    )


def width_before_height(patches, rows, columns, patch_size):
    return rearrange(
        patches,
        "(rows columns) (c h w) -> c (columns w) (rows h)",
        rows=rows,
        h=patch_size,
        w=patch_size,
    )


def one_below_the_other(patches, rows, columns, patch_size):
    squares = patches.view(len(patches), -1, patch_size, patch_size)
    return torch.cat(list(squares), dim=1)


def one_long_strip(patches, rows, columns, patch_size):
    squares = patches.view(len(patches), -1, patch_size, patch_size)
    return torch.cat(list(squares), dim=2)


def a_picture_as_in_a_file(patches, rows, columns, patch_size):
    return rearrange(
        patches,
        "(rows columns) (c h w) -> (rows h) (columns w) c",
        rows=rows,
        h=patch_size,
        w=patch_size,
    )


def folds_and_leaves_the_batch(patches, rows, columns, patch_size):
    size = (rows * patch_size, columns * patch_size)
    return F.fold(patches.T[None], size, kernel_size=patch_size, stride=patch_size)


def forgets_to_join(patches, rows, columns, patch_size):
    x = patches.view(rows, columns, -1, patch_size, patch_size)
    return x.permute(2, 0, 3, 1, 4)


def always_three_channels(patches, rows, columns, patch_size):
    x = patches.reshape(rows, columns, 3, patch_size, patch_size).permute(2, 0, 3, 1, 4)
    return x.reshape(3, rows * patch_size, columns * patch_size)


def writes_with_rows_and_columns_exchanged(patches, rows, columns, patch_size):
    p = patch_size
    picture = torch.zeros(patches.shape[1] // p**2, rows * p, columns * p)
    for number, patch in enumerate(patches):
        row, column = number % rows, number // rows
        square = patch.view(-1, p, p)
        picture[:, row * p : (row + 1) * p, column * p : (column + 1) * p] = square
    return picture


def a_wide_grid_made_high(patches, rows, columns, patch_size):
    x = patches.view(columns, rows, -1, patch_size, patch_size).permute(2, 0, 3, 1, 4)
    return x.reshape(-1, columns * patch_size, rows * patch_size)


def forgets_the_channels(height, width, channels, patch_size, dim):
    numbers = patch_size**2
    return (height // patch_size) * (width // patch_size), numbers, numbers * dim + dim


def counts_the_class_token(height, width, channels, patch_size, dim):
    tokens = height * width // patch_size**2 + 1
    return tokens, patch_size**2 * channels, patch_size**2 * channels * dim + dim


def a_matrix_for_each_patch(height, width, channels, patch_size, dim):
    tokens = height * width // patch_size**2
    numbers = patch_size**2 * channels
    return tokens, numbers, tokens * (numbers + 1) * dim


def a_matrix_for_each_patch_without_bias(height, width, channels, patch_size, dim):
    tokens = height * width // patch_size**2
    numbers = patch_size**2 * channels
    return tokens, numbers, tokens * numbers * dim


def forgets_the_bias(height, width, channels, patch_size, dim):
    return height * width // patch_size**2, patch_size**2 * channels, patch_size**2 * channels * dim


def takes_every_picture_for_a_square(height, width, channels, patch_size, dim):
    numbers = patch_size**2 * channels
    return (height // patch_size) ** 2, numbers, (numbers + 1) * dim


def divides_once(height, width, channels, patch_size, dim):
    numbers = patch_size**2 * channels
    return height * width // patch_size, numbers, (numbers + 1) * dim


def adds_the_directions(height, width, channels, patch_size, dim):
    numbers = patch_size**2 * channels
    return height // patch_size + width // patch_size, numbers, (numbers + 1) * dim


def patches_of_each_channel(height, width, channels, patch_size, dim):
    tokens = height * width * channels // patch_size**2
    return tokens, patch_size**2 * channels, (patch_size**2 * channels + 1) * dim


def fractions_of_patches(height, width, channels, patch_size, dim):
    numbers = patch_size**2 * channels
    return height / patch_size * width / patch_size, numbers, (numbers + 1) * dim


def one_number(height, width, channels, patch_size, dim):
    return height * width // patch_size**2


def the_bias_at_the_patch(height, width, channels, patch_size, dim):
    numbers = patch_size**2 * channels
    return height * width // patch_size**2, numbers, numbers * dim + numbers


def a_bias_for_each_token(height, width, channels, patch_size, dim):
    tokens, numbers = height * width // patch_size**2, patch_size**2 * channels
    return tokens, numbers, numbers * dim + tokens * dim


def the_width_of_a_token(height, width, channels, patch_size, dim):
    return height * width // patch_size**2, dim, dim * dim + dim


def forgets_the_channels_in_the_matrix(height, width, channels, patch_size, dim):
    tokens, numbers = height * width // patch_size**2, patch_size**2 * channels
    return tokens, numbers, (patch_size**2 + 1) * dim


def folds_at_once(weight, channels, patch_size):
    return weight.reshape(len(weight), channels, patch_size, patch_size)


def mirrors_the_kernels(weight, channels, patch_size):
    return weight.view(-1, patch_size, patch_size, channels).permute(0, 3, 2, 1)


def leaves_the_channels_last(weight, channels, patch_size):
    return weight.view(-1, patch_size, patch_size, channels)


def folds_then_moves(weight, channels, patch_size):
    return weight.view(-1, channels, patch_size, patch_size).permute(0, 2, 3, 1)


def goes_the_other_way(weight, channels, patch_size):
    kernels = weight.view(-1, channels, patch_size, patch_size)
    return kernels.permute(0, 2, 3, 1).reshape(kernels.shape)


def leaves_them_flat(weight, channels, patch_size):
    return rearrange(weight, "d (p c) -> d (c p)", c=channels)


def channels_in_the_middle(weight, channels, patch_size):
    kernels = weight.view(-1, patch_size, channels, patch_size)
    return kernels.permute(0, 2, 1, 3)


def as_jax_has_them(weight, channels, patch_size):
    return rearrange(weight, "d (h w c) -> h w c d", h=patch_size, w=patch_size)


def blue_first(weight, channels, patch_size):
    kernels = weight.view(-1, patch_size, patch_size, channels)
    return kernels.permute(0, 3, 1, 2).flip(1)


def three_channels_always(weight, channels, patch_size):
    return weight.view(-1, patch_size, patch_size, 3).permute(0, 3, 1, 2)


def patches_of_four(weight, channels, patch_size):
    return weight.view(len(weight), 4, 4, -1).permute(0, 3, 1, 2)


def forgets_the_class_token(y, x, width, patch_size, prefix_tokens=1):
    return (y // patch_size) * (width // patch_size) + x // patch_size


def exchanges_x_and_y(y, x, width, patch_size, prefix_tokens=1):
    return prefix_tokens + (x // patch_size) * (width // patch_size) + y // patch_size


def exchanges_x_and_y_without_class_token(y, x, width, patch_size, prefix_tokens=1):
    return (x // patch_size) * (width // patch_size) + y // patch_size


def a_row_of_pixels(y, x, width, patch_size, prefix_tokens=1):
    return prefix_tokens + y // patch_size * width + x // patch_size


def the_pixel_itself(y, x, width, patch_size, prefix_tokens=1):
    return y * width + x + prefix_tokens


def divides_the_number_of_the_pixel(y, x, width, patch_size, prefix_tokens=1):
    return (y * width + x) // patch_size**2 + prefix_tokens


def adds_row_and_column(y, x, width, patch_size, prefix_tokens=1):
    return y // patch_size + x // patch_size + prefix_tokens


def patch_size_in_a_row(y, x, width, patch_size, prefix_tokens=1):
    return y // patch_size * patch_size + x // patch_size + prefix_tokens


def counts_from_one(y, x, width, patch_size, prefix_tokens=1):
    return (y // patch_size) * (width // patch_size) + x // patch_size + 1 + prefix_tokens


def divides_with_fractions(y, x, width, patch_size, prefix_tokens=1):
    return prefix_tokens + y / patch_size * (width // patch_size) + x / patch_size


def always_one_in_front(y, x, width, patch_size, prefix_tokens=1):
    return 1 + (y // patch_size) * (width // patch_size) + x // patch_size


def the_place_in_the_patch(y, x, width, patch_size, prefix_tokens=1):
    return prefix_tokens + y % patch_size * (width // patch_size) + x % patch_size


def the_first_rows(table, old_grid, top, left, new_grid):
    return table[:, : 1 + new_grid[0] * new_grid[1]]


def one_slice(table, old_grid, top, left, new_grid):
    start = 1 + top * old_grid[1] + left
    rows = table[:, start : start + new_grid[0] * new_grid[1]]
    return torch.cat([table[:, :1], rows], dim=1)


def loses_the_class_token(table, old_grid, top, left, new_grid):
    grid = table[0, 1:].reshape(*old_grid, -1)
    crop = grid[top : top + new_grid[0], left : left + new_grid[1]]
    return crop.reshape(1, new_grid[0] * new_grid[1], -1)


def counts_the_class_token_as_a_patch(table, old_grid, top, left, new_grid):
    rows = [0]
    for y in range(top, top + new_grid[0]):
        rows += [y * old_grid[1] + x for x in range(left, left + new_grid[1])]
    return table[:, rows]


def exchanges_top_and_left(table, old_grid, top, left, new_grid):
    grid = table[:, 1:].unflatten(1, old_grid)
    crop = grid[:, left : left + new_grid[0], top : top + new_grid[1]]
    return torch.cat([table[:, :1], crop.flatten(1, 2)], dim=1)


def exchanges_both_pairs(table, old_grid, top, left, new_grid):
    (height, width), dim = new_grid, table.shape[-1]
    grid = table[0, 1:].reshape(*old_grid, dim)
    crop = grid[left : left + width, top : top + height].reshape(1, height * width, dim)
    return torch.cat((table[:, 0:1], crop), 1)


def takes_the_grid_as_width_and_height(table, old_grid, top, left, new_grid):
    columns = old_grid[0]
    numbers = [
        1 + y * columns + x
        for y in range(top, top + new_grid[0])
        for x in range(left, left + new_grid[1])
    ]
    return table[:, [0, *numbers]]


def counts_with_the_new_columns(table, old_grid, top, left, new_grid):
    numbers = [
        1 + y * new_grid[1] + x
        for y in range(top, top + new_grid[0])
        for x in range(left, left + new_grid[1])
    ]
    return table[:, [0, *numbers]]


def reads_the_crop_column_by_column(table, old_grid, top, left, new_grid):
    numbers = [
        1 + y * old_grid[1] + x
        for x in range(left, left + new_grid[1])
        for y in range(top, top + new_grid[0])
    ]
    return table[:, [0, *numbers]]


def begins_in_the_corner(table, old_grid, top, left, new_grid):
    grid = table[:, 1:].unflatten(1, old_grid)[:, : new_grid[0], : new_grid[1]]
    return torch.cat([table[:, :1], grid.flatten(1, 2)], dim=1)


def puts_the_class_token_last(table, old_grid, top, left, new_grid):
    grid = table[:, 1:].unflatten(1, old_grid)
    crop = grid[:, top : top + new_grid[0], left : left + new_grid[1]].flatten(1, 2)
    return torch.cat([crop, table[:, :1]], dim=1)


def resizes_the_table(table, old_grid, top, left, new_grid):
    grid = table[:, 1:].unflatten(1, old_grid).permute(0, 3, 1, 2)
    grid = F.interpolate(grid, size=new_grid, mode="bicubic", antialias=True)
    return torch.cat([table[:, :1], grid.flatten(2).transpose(1, 2)], dim=1)


def ends_slices_at_their_length(table, old_grid, top, left, new_grid):
    grid = table[:, 1:].unflatten(1, old_grid)[:, top : new_grid[0], left : new_grid[1]]
    return torch.cat([table[:, :1], grid.flatten(1, 2)], dim=1)


def leaves_the_crop_a_grid(table, old_grid, top, left, new_grid):
    grid = table[:, 1:].unflatten(1, old_grid)
    return grid[:, top : top + new_grid[0], left : left + new_grid[1]]


def leaves_x_in_pixels(y, x, width, patch_size, prefix_tokens=1):
    return prefix_tokens + y // patch_size * (width // patch_size) + x


def rounds_to_the_nearest_patch(y, x, width, patch_size, prefix_tokens=1):
    return prefix_tokens + round(y / patch_size) * (width // patch_size) + round(x / patch_size)


def row_and_column(y, x, width, patch_size, prefix_tokens=1):
    return y // patch_size, x // patch_size


def three_channels_for_every_picture(height, width, channels, patch_size, dim):
    numbers = 3 * patch_size**2
    return height * width // patch_size**2, numbers, (numbers + 1) * dim


def fills_float32(weight, channels, patch_size):
    out = torch.zeros(len(weight), channels, patch_size, patch_size)
    for h in range(patch_size):
        for w in range(patch_size):
            for c in range(channels):
                out[:, c, h, w] = weight[:, (h * patch_size + w) * channels + c]
    return out


def one_pixel_late(y, x, width, patch_size, prefix_tokens=1):
    rows, columns = (y - 1) // patch_size, (x - 1) // patch_size
    return prefix_tokens + rows * (width // patch_size) + columns


def renames_the_arguments(y, x, w, p, prefix=1):
    return prefix + y // p * (w // p) + x // p


def ends_slices_before_zero(positions, old_grid, top, left, new_grid):
    grid = positions[:, 1:].unflatten(1, old_grid)
    bottom, right = top + new_grid[0] - old_grid[0], left + new_grid[1] - old_grid[1]
    crop = grid[:, top : bottom or None, left : right or None]
    crop = crop if bottom else grid[:, top:bottom, left : right or None]
    return torch.cat([positions[:, :1], crop.flatten(1, 2)], dim=1)


BANK = {
    "5.1": [
        (reshapes_at_once, "no number was moved"),
        (views_the_transpose, "no number was moved"),
        (brings_only_the_channels_to_the_front, "filled with the lines of the first patch"),
        (pixel_before_patch, "the patch must be the slow part"),
        (mirrors_each_patch, "mirrored at its diagonal"),
        (column_by_column, "column by column"),
        (writes_with_rows_and_columns_exchanged, "column by column"),
        (channels_last_in_the_patch, "channels last"),
        (width_before_height, "turned at its diagonal"),
        (one_below_the_other, "one below the other"),
        (one_long_strip, "one long strip"),
        (a_picture_as_in_a_file, "channels stand last"),
        (folds_and_leaves_the_batch, "batch axis"),
        (forgets_to_join, "not yet joined"),
        (always_three_channels, "number of channels from"),
        (a_wide_grid_made_high, "as high as it should be wide"),
    ],
    "5.2": [
        (forgets_the_channels, "each pixel has 3 numbers"),
        (counts_the_class_token, "class token too"),
        (a_matrix_for_each_patch, "share one"),
        (a_matrix_for_each_patch_without_bias, "left out the biases"),
        (forgets_the_bias, "biases are missing"),
        (takes_every_picture_for_a_square, "need not be a square"),
        (divides_once, "one division by 8"),
        (adds_the_directions, "multiply"),
        (patches_of_each_channel, "through all channels"),
        (fractions_of_patches, "divide with `//`"),
        (one_number, "three integers"),
        (the_bias_at_the_patch, "added to the token"),
        (a_bias_for_each_token, "biases of its own"),
        (the_width_of_a_token, "after the embedding"),
        (three_channels_for_every_picture, "a gray one has"),
        (forgets_the_channels_in_the_matrix, "channels are missing in the matrix"),
    ],
    "5.3": [
        (folds_at_once, "no weight was moved"),
        (mirrors_the_kernels, "mirrored at its diagonal"),
        (leaves_the_channels_last, "channels still stand last"),
        (folds_then_moves, "read the numbers as (channels, h, w)"),
        (goes_the_other_way, "the way there"),
        (leaves_them_flat, "flat rows"),
        (channels_in_the_middle, "channels between"),
        (as_jax_has_them, "JAX"),
        (blue_first, "reversed"),
        (three_channels_always, "but with 4 channel(s)"),
        (patches_of_four, "sizes you are given"),
        (fills_float32, "dtype=weight.dtype"),
    ],
    "5.4": [
        (forgets_the_class_token, "class token is missing"),
        (exchanges_x_and_y, "x and y are exchanged"),
        (exchanges_x_and_y_without_class_token, "and the class token is missing"),
        (a_row_of_pixels, "not one for each pixel"),
        (the_pixel_itself, "these are pixels"),
        (divides_the_number_of_the_pixel, "patches are squares"),
        (adds_row_and_column, "multiply the row"),
        (patch_size_in_a_row, "patch_size stands where"),
        (counts_from_one, "counted from 1"),
        (divides_with_fractions, "fractions of a patch"),
        (always_one_in_front, "add prefix_tokens"),
        (the_place_in_the_patch, "within the patch"),
        (leaves_x_in_pixels, "x is still in pixels"),
        (rounds_to_the_nearest_patch, "`round` sends"),
        (row_and_column, "one number is asked for"),
        (one_pixel_late, "at its edge"),
        (renames_the_arguments, "names of the arguments"),
    ],
    "5.5": [
        (the_first_rows, "first rows of the table"),
        (exchanges_both_pairs, "and the height and the width of the crop with them"),
        (one_slice, "past the crop's right edge"),
        (loses_the_class_token, "row is missing"),
        (counts_the_class_token_as_a_patch, "off by one"),
        (exchanges_top_and_left, "`top` and `left` are exchanged"),
        (takes_the_grid_as_width_and_height, "(columns, rows)"),
        (counts_with_the_new_columns, "columns of the new grid"),
        (reads_the_crop_column_by_column, "column by column"),
        (begins_in_the_corner, "top left corner"),
        (puts_the_class_token_last, "stands last"),
        (resizes_the_table, "do not interpolate"),
        (ends_slices_at_their_length, "ends at top + height"),
        (leaves_the_crop_a_grid, "still stand in a grid"),
        (ends_slices_before_zero, "lower edge"),
    ],
}
