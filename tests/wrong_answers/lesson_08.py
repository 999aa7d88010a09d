"""Wrong answers to lesson 8 as learners write them, each with what its message must say."""

import math

import torch
import torch.nn.functional as F

# --- 8.1: the sides of the maps -----------------------------------------------------------------


def divides_by_the_strides(side, windows, strides, paddings):
    sides = []
    for stride in strides:
        side = side // stride
        sides.append(side)
    return sides


def divides_and_rounds_up(side, windows, strides, paddings):
    sides = []
    for stride in strides:
        side = math.ceil(side / stride)
        sides.append(side)
    return sides


def pads_once(side, windows, strides, paddings):
    sides = []
    for w, s, p in zip(windows, strides, paddings, strict=True):
        side = (side + p - w) // s + 1
        sides.append(side)
    return sides


def forgets_the_padding(side, windows, strides, paddings):
    sides = []
    for w, s in zip(windows, strides, strict=True):
        side = (side - w) // s + 1
        sides.append(side)
    return sides


def forgets_the_first_window(side, windows, strides, paddings):
    sides = []
    for i in range(len(windows)):
        side = (side + 2 * paddings[i] - windows[i]) // strides[i]
        sides.append(side)
    return sides


def always_starts_from_the_picture(side, windows, strides, paddings):
    return [(side + 2 * p - w) // s + 1 for w, s, p in zip(windows, strides, paddings, strict=True)]


def keeps_fractions(side, windows, strides, paddings):
    sides = []
    for w, s, p in zip(windows, strides, paddings, strict=True):
        side = (side + 2 * p - w) / s + 1
        sides.append(side)
    return sides


def rounds_up(side, windows, strides, paddings):
    sides = []
    for w, s, p in zip(windows, strides, paddings, strict=True):
        side = math.ceil((side + 2 * p - w) / s) + 1
        sides.append(side)
    return sides


def returns_the_last_side(side, windows, strides, paddings):
    for w, s, p in zip(windows, strides, paddings, strict=True):
        side = (side + 2 * p - w) // s + 1
    return side


def returns_tokens(side, windows, strides, paddings):
    tokens = []
    for w, s, p in zip(windows, strides, paddings, strict=True):
        side = (side + 2 * p - w) // s + 1
        tokens.append(side**2)
    return tokens


def starts_the_list_with_the_picture(side, windows, strides, paddings):
    sides = [side]
    for w, s, p in zip(windows, strides, paddings, strict=True):
        sides.append((sides[-1] + 2 * p - w) // s + 1)
    return sides


def uses_the_numbers_of_cvt_13(side, windows, strides, paddings):
    sides = []
    for w, s, p in zip((7, 3, 3), (4, 2, 2), (2, 1, 1), strict=True):
        side = (side + 2 * p - w) // s + 1
        sides.append(side)
    return sides


def expects_three_stages(side, windows, strides, paddings):
    sides = []
    for k in range(3):
        side = (side + 2 * paddings[k] - windows[k]) // strides[k] + 1
        sides.append(side)
    return sides


def pads_with_half_the_window(side, windows, strides, paddings):
    sides = []
    for w, s in zip(windows, strides, strict=True):
        side = (side + 2 * (w // 2) - w) // s + 1
        sides.append(side)
    return sides


def returns_a_tensor(side, windows, strides, paddings):
    sides = []
    for w, s, p in zip(windows, strides, paddings, strict=True):
        side = (side + 2 * p - w) // s + 1
        sides.append(side)
    return torch.tensor(sides)


# --- 8.2: class token and map -------------------------------------------------------------------


def reshapes_without_transposing(x, grid):
    n = x.shape[1] - grid[0] * grid[1]
    return x[:, :n], x[:, n:].reshape(x.shape[0], x.shape[2], *grid)


def always_takes_one(x, grid):
    prefix, rest = x[:, :1], x[:, 1:]
    return prefix, rest.transpose(1, 2).reshape(len(x), -1, grid[0], grid[1])


def takes_one_if_there_is_any(x, grid):
    prefix = x[:, :1]
    rest = x[:, -grid[0] * grid[1] :]
    return prefix, rest.transpose(1, 2).unflatten(2, grid)


def drops_the_axis_of_tokens(x, grid):
    n = grid[0] * grid[1]
    return x[:, 0], x[:, -n:].transpose(1, 2).unflatten(2, grid)


def swaps_rows_and_columns(x, grid):
    rows, columns = grid
    n = x.shape[1] - rows * columns
    return x[:, :n], x[:, n:].transpose(1, 2).unflatten(2, (columns, rows))


def fills_column_by_column(x, grid):
    rows, columns = grid
    n = x.shape[1] - rows * columns
    maps = x[:, n:].transpose(1, 2).unflatten(2, (columns, rows)).transpose(2, 3)
    return x[:, :n], maps


def takes_the_prefix_from_the_end(x, grid):
    n = grid[0] * grid[1]
    return x[:, n:], x[:, :n].transpose(1, 2).unflatten(2, grid)


def leaves_dim_last(x, grid):
    n = x.shape[1] - grid[0] * grid[1]
    return x[:, :n], x[:, n:].unflatten(1, grid)


def returns_the_map_first(x, grid):
    n = x.shape[1] - grid[0] * grid[1]
    return x[:, n:].transpose(1, 2).unflatten(2, grid), x[:, :n]


def returns_the_map_alone(x, grid):
    n = x.shape[1] - grid[0] * grid[1]
    return x[:, n:].transpose(1, 2).unflatten(2, grid)


# --- 8.3: depthwise convolution -----------------------------------------------------------------


def _shifted_sum(maps, pick_kernel):
    rows, columns = maps.shape[-2:]
    padded = F.pad(maps, (1, 1, 1, 1))
    result = torch.zeros_like(maps)
    for a in range(3):
        for b in range(3):
            result = result + pick_kernel(a, b) * padded[:, :, a : a + rows, b : b + columns]
    return result


def mixes_all_channels(maps, kernels):
    weight = kernels.unsqueeze(0).repeat(maps.shape[1], 1, 1, 1)
    return F.conv2d(maps, weight, padding=1)


def sums_the_channels_away(maps, kernels):
    return _shifted_sum(maps, lambda a, b: kernels[:, a, b][:, None, None]).sum(dim=1)


def uses_the_first_kernel_everywhere(maps, kernels):
    return _shifted_sum(maps, lambda a, b: kernels[0, a, b])


def meets_columns_not_channels(maps, kernels):
    return _shifted_sum(maps, lambda a, b: kernels[:, a, b])


def flips_the_kernel(maps, kernels):
    return _shifted_sum(maps, lambda a, b: kernels[:, 2 - a, 2 - b][:, None, None])


def turns_the_kernel_on_its_side(maps, kernels):
    return _shifted_sum(maps, lambda a, b: kernels[:, b, a][:, None, None])


def forgets_to_pad(maps, kernels):
    batch, dim, rows, columns = maps.shape
    result = torch.zeros(batch, dim, rows - 2, columns - 2, dtype=maps.dtype)
    for a in range(3):
        for b in range(3):
            part = maps[:, :, a : a + rows - 2, b : b + columns - 2]
            result += kernels[:, a, b].view(1, -1, 1, 1) * part
    return result


def rolls_around(maps, kernels):
    result = torch.zeros_like(maps)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            k = kernels[:, a + 1, b + 1][:, None, None]
            result = result + k * torch.roll(maps, (-a, -b), dims=(2, 3))
    return result


def averages(maps, kernels):
    return _shifted_sum(maps, lambda a, b: kernels[:, a, b][:, None, None]) / 9


def pads_on_one_side_only(maps, kernels):
    rows, columns = maps.shape[-2:]
    padded = F.pad(maps, (0, 2, 0, 2))
    result = torch.zeros_like(maps)
    for a in range(3):
        for b in range(3):
            part = padded[:, :, a : a + rows, b : b + columns]
            result = result + kernels[:, a, b][:, None, None] * part
    return result


def repeats_the_rim(maps, kernels):
    padded = F.pad(maps, (1, 1, 1, 1), mode="replicate")
    return F.conv2d(padded, kernels[:, None], groups=len(kernels))


def copies_the_formula(maps, kernels):
    rows, columns = maps.shape[-2:]
    padded = F.pad(maps, (1, 1, 1, 1))
    result = torch.zeros_like(maps)
    for a in (-1, 0, 1):
        for b in (-1, 0, 1):
            part = padded[:, :, 1 + a : 1 + a + rows, 1 + b : 1 + b + columns]
            result = result + kernels[:, a, b][:, None, None] * part
    return result


def keeps_the_last_product(maps, kernels):
    rows, columns = maps.shape[-2:]
    padded = F.pad(maps, (1, 1, 1, 1))
    for a in range(3):
        for b in range(3):
            part = padded[:, :, a : a + rows, b : b + columns]
            result = kernels[:, a, b][:, None, None] * part
    return result


# --- 8.4: parameters of a projection ------------------------------------------------------------


def counts_a_full_convolution(dim, window=3):
    return dim * dim * window * window + 2 * dim + dim * dim + dim


def counts_one_kernel(dim, window=3):
    return window * window + 2 * dim + dim * dim + dim


def gives_the_convolution_a_bias(dim, window=3):
    return dim * window**2 + dim + 2 * dim + dim * dim + dim


def forgets_the_batch_norm(dim, window=3):
    return dim * window**2 + dim * dim + dim


def counts_the_running_averages(dim, window=3):
    return dim * window**2 + 4 * dim + dim * dim + dim


def counts_half_a_batch_norm(dim, window=3):
    return dim * window**2 + dim + dim * dim + dim


def forgets_the_linear_bias(dim, window=3):
    return dim * window**2 + 2 * dim + dim * dim


def forgets_the_linear_layer(dim, window=3):
    return dim * window**2 + 2 * dim


def counts_all_three(dim, window=3):
    return 3 * (dim * window**2 + 2 * dim + dim * dim + dim)


def ignores_the_window(dim, window=3):
    return dim * 9 + 2 * dim + dim * dim + dim


def takes_a_row_for_a_window(dim, window=3):
    return dim * window + 2 * dim + dim * dim + dim


def gives_batch_norm_two_numbers(dim, window=3):
    return dim * window**2 + 2 + dim * dim + dim


def gives_the_linear_layer_dim_weights(dim, window=3):
    return dim * window**2 + 2 * dim + dim + dim


def gives_the_linear_layer_dim_numbers(dim, window=3):
    return dim * window**2 + 2 * dim + dim


# --- 8.5: scores --------------------------------------------------------------------------------


def divides_once(grid, heads, kv_stride, prefix):
    n = grid[0] * grid[1]
    return heads * (prefix + n) * (prefix + n // kv_stride)


def strides_along_the_list(grid, heads, kv_stride, prefix):
    n = grid[0] * grid[1]
    return heads * (prefix + n) * (prefix + math.ceil(n / kv_stride))


def strides_the_queries_too(grid, heads, kv_stride, prefix):
    n = prefix + math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return heads * n * n


def ignores_the_stride(grid, heads, kv_stride, prefix):
    return heads * (prefix + grid[0] * grid[1]) ** 2


def forgets_the_class_token(grid, heads, kv_stride, prefix):
    keys = math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return heads * grid[0] * grid[1] * keys


def asks_no_class_token(grid, heads, kv_stride, prefix):
    keys = math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return heads * (prefix + grid[0] * grid[1]) * keys


def lets_no_class_token_ask(grid, heads, kv_stride, prefix):
    keys = prefix + math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return heads * grid[0] * grid[1] * keys


def rounds_odd_sides_down(grid, heads, kv_stride, prefix):
    keys = prefix + (grid[0] // kv_stride) * (grid[1] // kv_stride)
    return heads * (prefix + grid[0] * grid[1]) * keys


def forgets_the_class_token_and_rounds_down(grid, heads, kv_stride, prefix):
    places = (grid[0] // kv_stride) * (grid[1] // kv_stride)
    return heads * grid[0] * grid[1] * places


def divides_all_places(grid, heads, kv_stride, prefix):
    n = grid[0] * grid[1]
    return heads * (prefix + n) * (prefix + n // kv_stride**2)


def counts_one_head(grid, heads, kv_stride, prefix):
    keys = prefix + math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return (prefix + grid[0] * grid[1]) * keys


def divides_all_places_without_class_token(grid, heads, kv_stride, prefix):
    n = grid[0] * grid[1]
    return heads * n * (n // kv_stride**2)


def divides_the_product(grid, heads, kv_stride, prefix):
    n = grid[0] * grid[1]
    return heads * n * n // kv_stride**2


def divides_the_product_with_class_token(grid, heads, kv_stride, prefix):
    n = prefix + grid[0] * grid[1]
    return heads * n * n // kv_stride**2


def uses_the_rows_twice(grid, heads, kv_stride, prefix):
    side = grid[0]
    return heads * (prefix + side * side) * (prefix + ((side - 1) // kv_stride + 1) ** 2)


def strides_by_two(grid, heads, kv_stride, prefix):
    keys = prefix + math.ceil(grid[0] / 2) * math.ceil(grid[1] / 2)
    return heads * (prefix + grid[0] * grid[1]) * keys


def counts_one_class_token_always(grid, heads, kv_stride, prefix):
    keys = 1 + math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return heads * (1 + grid[0] * grid[1]) * keys


def counts_the_weights_too(grid, heads, kv_stride, prefix):
    keys = prefix + math.ceil(grid[0] / kv_stride) * math.ceil(grid[1] / kv_stride)
    return 2 * heads * (prefix + grid[0] * grid[1]) * keys


def divides_into_a_float(grid, heads, kv_stride, prefix):
    n = grid[0] * grid[1]
    return heads * (prefix + n) * (prefix + n / kv_stride**2)


BANK = {
    "8.1": [
        (divides_by_the_strides, "You divided by the strides"),
        (divides_and_rounds_up, "use all three"),
        (pads_once, "at both ends"),
        (forgets_the_padding, "left the padding out"),
        (forgets_the_first_window, "+ 1 is missing"),
        (always_starts_from_the_picture, "reads the picture"),
        (keeps_fractions, "whole number"),
        (rounds_up, "rounded up"),
        (returns_the_last_side, "one map for each stage"),
        (returns_tokens, "numbers of tokens"),
        (starts_the_list_with_the_picture, "own side in front"),
        (uses_the_numbers_of_cvt_13, "its arguments"),
        (expects_three_stages, "expects three stages"),
        (pads_with_half_the_window, "window // 2"),
        (returns_a_tensor, "as Tensor: return [18, 9, 5]"),
    ],
    "8.2": [
        (reshapes_without_transposing, "scrambled"),
        (always_takes_one, "what is left over"),
        (takes_one_if_there_is_any, "what is left over"),
        (drops_the_axis_of_tokens, "keep its axis"),
        (swaps_rows_and_columns, "grid is (rows, columns)"),
        (fills_column_by_column, "column by column"),
        (takes_the_prefix_from_the_end, "stands in front"),
        (leaves_dim_last, "second axis"),
        (returns_the_map_first, "other order"),
        (returns_the_map_alone, "Return two things"),
    ],
    "8.3": [
        (mixes_all_channels, "no channel sees another"),
        (sums_the_channels_away, "lost their axis"),
        (uses_the_first_kernel_everywhere, "one kernel for all"),
        (meets_columns_not_channels, "meets the channels"),
        (flips_the_kernel, "without flipping"),
        (turns_the_kernel_on_its_side, "on its side"),
        (forgets_to_pad, "has shrunk"),
        (rolls_around, "wrap around"),
        (averages, "mean of the nine"),
        (pads_on_one_side_only, "moved by one place"),
        (repeats_the_rim, "not copies of the rim"),
        (copies_the_formula, "-1 for the last"),
        (keeps_the_last_product, "last of the nine"),
    ],
    "8.4": [
        (counts_a_full_convolution, "full convolution"),
        (counts_one_kernel, "one kernel for all"),
        (gives_the_convolution_a_bias, "has none"),
        (forgets_the_batch_norm, "left out the batch norm"),
        (counts_the_running_averages, "buffers"),
        (counts_half_a_batch_norm, "One number for each channel is missing"),
        (forgets_the_linear_bias, "the linear layer has a bias"),
        (forgets_the_linear_layer, "left out the linear layer"),
        (counts_all_three, "one projection"),
        (ignores_the_window, "given `window`"),
        (takes_a_row_for_a_window, "window x window"),
        (gives_batch_norm_two_numbers, "two numbers in all"),
        (gives_the_linear_layer_dim_weights, "has dim weights"),
        (gives_the_linear_layer_dim_numbers, "dim numbers in all"),
    ],
    "8.5": [
        (divides_once, "divides twice"),
        (forgets_the_class_token_and_rounds_down, "and you rounded down"),
        (strides_along_the_list, "along the list"),
        (strides_the_queries_too, "Every token asks"),
        (ignores_the_stride, "full attention"),
        (forgets_the_class_token, "forgot the class token"),
        (asks_no_class_token, "missing among the keys"),
        (lets_no_class_token_ask, "missing among the queries"),
        (rounds_odd_sides_down, "rounded down"),
        (divides_all_places, "stride x stride"),
        (counts_one_head, "counted one head"),
        (divides_into_a_float, "whole number"),
        (divides_all_places_without_class_token, "divided the number of all places"),
        (divides_the_product, "divided the product"),
        (divides_the_product_with_class_token, "the class token included"),
        (uses_the_rows_twice, "rows twice"),
        (strides_by_two, "given kv_stride"),
        (counts_one_class_token_always, "given prefix"),
        (counts_the_weights_too, "twice as many"),
    ],
}
