"""Wrong answers to lesson 7 as learners write them, each with what its message must say."""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

# --- 7.1: a kernel slides -----------------------------------------------------------------------


def flips_as_in_mathematics(image, kernel):
    kernel = torch.flip(kernel, dims=(0, 1))
    rows, columns = kernel.shape
    out = torch.zeros(image.shape[0] - rows + 1, image.shape[1] - columns + 1)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = torch.sum(image[i : i + rows, j : j + columns] * kernel)
    return out


def stops_one_place_early(image, kernel):
    rows, columns = kernel.shape
    out = torch.zeros(image.shape[0] - rows, image.shape[1] - columns)
    for i in range(image.shape[0] - rows):
        for j in range(image.shape[1] - columns):
            out[i, j] = (image[i : i + rows, j : j + columns] * kernel).sum()
    return out


def leaves_the_last_places_empty(image, kernel):
    rows, columns = kernel.shape
    out = torch.zeros(image.shape[0] - rows + 1, image.shape[1] - columns + 1)
    for i in range(image.shape[0] - rows):
        for j in range(image.shape[1] - columns):
            out[i, j] = (image[i : i + rows, j : j + columns] * kernel).sum()
    return out


def keeps_the_size(image, kernel):
    height, width = image.shape
    rows, columns = kernel.shape
    padded = F.pad(image, (1, 1, 1, 1))
    out = torch.zeros(height, width)
    for i in range(height):
        for j in range(width):
            out[i, j] = (padded[i : i + rows, j : j + columns] * kernel).sum()
    return out


def takes_the_mean(image, kernel):
    rows, columns = kernel.shape
    places = [
        [
            (image[i : i + rows, j : j + columns] * kernel).mean()
            for j in range(image.shape[1] - columns + 1)
        ]
        for i in range(image.shape[0] - rows + 1)
    ]
    return torch.tensor(places)


def multiplies_matrices(image, kernel):
    rows, columns = kernel.shape
    out = torch.zeros(image.shape[0] - rows + 1, image.shape[1] - columns + 1)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = (image[i : i + rows, j : j + columns] @ kernel).sum()
    return out


def jumps_by_the_kernel(image, kernel):
    rows, columns = kernel.shape
    out = []
    for i in range(0, image.shape[0] - rows + 1, rows):
        starts = range(0, image.shape[1] - columns + 1, columns)
        line = [(image[i : i + rows, j : j + columns] * kernel).sum() for j in starts]
        out.append(torch.stack(line))
    return torch.stack(out)


def swaps_the_axes(image, kernel):
    rows, columns = kernel.shape
    out = torch.zeros(image.shape[1] - columns + 1, image.shape[0] - rows + 1)
    for i in range(image.shape[0] - rows + 1):
        for j in range(image.shape[1] - columns + 1):
            out[j, i] = (image[i : i + rows, j : j + columns] * kernel).sum()
    return out


def sums_the_window_only(image, kernel):
    rows, columns = kernel.shape
    return image.unfold(0, rows, 1).unfold(1, columns, 1).sum(dim=(2, 3))


def writes_into_the_image(image, kernel):
    rows, columns = kernel.shape
    for i in range(image.shape[0] - rows + 1):
        for j in range(image.shape[1] - columns + 1):
            image[i, j] = (image[i : i + rows, j : j + columns] * kernel).sum()
    return image[: image.shape[0] - rows + 1, : image.shape[1] - columns + 1]


def assumes_a_square_kernel(image, kernel):
    k = kernel.shape[0]
    out = torch.zeros(image.shape[0] - k + 1, image.shape[1] - k + 1)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = (image[i : i + k, j : j + k] * kernel).sum()
    return out


def forgets_to_return(image, kernel):
    F.conv2d(image[None, None], kernel[None, None])


# --- 7.2: the cost ------------------------------------------------------------------------------


def pads_one_side(side, in_channels, out_channels, kernel, stride, padding):
    places = (side + padding - kernel) // stride + 1
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, weights * places**2


def forgets_the_first_place(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, weights * places**2


def rounds_up(side, in_channels, out_channels, kernel, stride, padding):
    places = math.ceil((side - kernel + 2 * padding) / stride) + 1
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, weights * places**2


def divides_into_floats(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) / stride + 1
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, weights * places**2


def forgets_the_input_channels(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    weights = kernel**2 * out_channels
    return places, weights, weights * places**2


def adds_biases(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    weights = (kernel * kernel * in_channels + 1) * out_channels
    return places, weights, weights * places**2


def gives_every_place_its_weights(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    work = kernel * kernel * in_channels * out_channels * places * places
    return places, work, work


def counts_a_linear_layer(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    weights = (in_channels * side * side) * (out_channels * places * places)
    return places, weights, weights


def works_on_the_input(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, side * side * weights


def counts_a_row_of_places(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, places * weights


def counts_multiply_and_add(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    weights = kernel * kernel * in_channels * out_channels
    return places, weights, 2 * places * places * weights


def returns_the_work_only(side, in_channels, out_channels, kernel, stride, padding):
    places = (side - kernel + 2 * padding) // stride + 1
    return places**2 * kernel**2 * in_channels * out_channels


# --- 7.3: the receptive field -------------------------------------------------------------------


def multiplies_kernels(layers):
    return math.prod(kernel for kernel, _ in layers)


def adds_kernels(layers):
    return sum(kernel for kernel, stride in layers)


def ignores_strides(layers):
    field = 1
    for kernel, _ in layers:
        field += kernel - 1
    return field


def strides_too_early(layers):
    field, jump = 1, 1
    for kernel, stride in layers:
        jump *= stride
        field += (kernel - 1) * jump
    return field


def remembers_one_stride(layers):
    field, last = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * last
        last = stride
    return field


def adds_whole_kernels(layers):
    field, jump = 1, 1
    for kernel, stride in layers:
        field += kernel * jump
        jump *= stride
    return field


def walks_backward(layers):
    field, jump = 1, 1
    for kernel, stride in reversed(layers):
        field += (kernel - 1) * jump
        jump *= stride
    return field


def starts_at_zero(layers):
    field, jump = 0, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump *= stride
    return field


def adds_strides(layers):
    field, jump = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump += stride
    return field


def adds_strides_less_one(layers):
    field, jump = 1, 1
    for kernel, stride in layers:
        field += (kernel - 1) * jump
        jump += stride - 1
    return field


def adds_half_kernels(layers):
    field, jump = 1, 1
    for kernel, stride in layers:
        field += kernel // 2 * jump
        jump *= stride
    return field


def multiplies_the_field(layers):
    field = 1
    for kernel, stride in layers:
        field = field * stride + kernel - 1
    return field


def returns_the_total_stride(layers):
    return math.prod(stride for _, stride in layers)


def empties_the_list(layers):
    field = 1
    while layers:
        kernel, stride = layers.pop()
        field = field * stride + kernel - stride
    return field


# --- 7.4: batch norm ----------------------------------------------------------------------------


def moved(old, new, momentum):
    return (1 - momentum) * old + momentum * new


def averages_over_images_only(x, running_mean, running_var, momentum, eps):
    mean, var = x.mean(0), x.var(0, correction=0)
    return (x - mean) / (var + eps).sqrt(), running_mean, running_var


def writes_instance_norm(x, running_mean, running_var, momentum, eps):
    mean = x.mean(dim=(2, 3), keepdim=True)
    var = x.var(dim=(2, 3), correction=0, keepdim=True)
    return (x - mean) / (var + eps).sqrt(), running_mean, running_var


def writes_layer_norm(x, running_mean, running_var, momentum, eps):
    return F.layer_norm(x, x.shape[1:], eps=eps), running_mean, running_var


def normalizes_with_the_unbiased_variance(x, running_mean, running_var, momentum, eps):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), keepdim=True)
    new_mean = moved(running_mean, mean.flatten(), momentum)
    return (x - mean) / (var + eps).sqrt(), new_mean, moved(running_var, var.flatten(), momentum)


def stores_the_biased_variance(x, running_mean, running_var, momentum, eps):
    mean = x.mean((0, 2, 3), keepdim=True)
    var = ((x - mean) ** 2).mean((0, 2, 3), keepdim=True)
    new_mean = moved(running_mean, mean.flatten(), momentum)
    return (x - mean) / (var + eps).sqrt(), new_mean, moved(running_var, var.flatten(), momentum)


def turns_the_momentum_round(x, running_mean, running_var, momentum, eps):
    y = F.batch_norm(x, None, None, training=True, eps=eps)
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3))
    return y, moved(mean, running_mean, momentum), moved(var, running_var, momentum)


def normalizes_with_the_stored_statistics(x, running_mean, running_var, momentum, eps):
    y = F.batch_norm(x, running_mean, running_var, training=False, eps=eps)
    return (
        y,
        moved(running_mean, x.mean((0, 2, 3)), momentum),
        moved(running_var, x.var((0, 2, 3)), momentum),
    )


def updates_then_normalizes(x, running_mean, running_var, momentum, eps):
    running_mean = (1 - momentum) * running_mean + momentum * x.mean((0, 2, 3))
    running_var = (1 - momentum) * running_var + momentum * x.var((0, 2, 3))
    y = (x - running_mean[:, None, None]) / (running_var[:, None, None] + eps).sqrt()
    return y, running_mean, running_var


def updates_in_place(x, running_mean, running_var, momentum, eps):
    y = F.batch_norm(x, running_mean, running_var, training=True, momentum=momentum, eps=eps)
    return y, running_mean, running_var


def forgets_to_reshape(x, running_mean, running_var, momentum, eps):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    return (x - mean) / (var + eps).sqrt(), running_mean, running_var


def keeps_four_axes(x, running_mean, running_var, momentum, eps):
    mean, var = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), correction=0, keepdim=True)
    shape = (1, -1, 1, 1)
    new_mean = moved(running_mean.reshape(shape), mean, momentum)
    new_var = moved(running_var.reshape(shape), x.var((0, 2, 3), keepdim=True), momentum)
    return (x - mean) / (var + eps).sqrt(), new_mean, new_var


def returns_the_output_only(x, running_mean, running_var, momentum, eps):
    return F.batch_norm(x, None, None, training=True, eps=eps)


def leaves_the_running_statistics(x, running_mean, running_var, momentum, eps):
    return F.batch_norm(x, None, None, training=True, eps=eps), running_mean, running_var


def stores_the_deviation(x, running_mean, running_var, momentum, eps):
    y = F.batch_norm(x, None, None, training=True, eps=eps)
    return (
        y,
        moved(running_mean, x.mean((0, 2, 3)), momentum),
        moved(running_var, x.std((0, 2, 3)), momentum),
    )


# --- 7.5: the feature vector --------------------------------------------------------------------


@torch.no_grad()
def returns_logits(model, images):
    was_training = model.training
    model.eval()
    logits = model(images)
    model.train(was_training)
    return logits


@torch.no_grad()
def forgets_eval(model, images):
    return model.forward_features(images).mean(dim=(2, 3))


@torch.no_grad()
def flattens_the_map(model, images):
    was_training = model.training
    vectors = model.eval().forward_features(images).flatten(1)
    model.train(was_training)
    return vectors


@torch.no_grad()
def pools_by_the_maximum(model, images):
    was_training = model.training
    vectors = model.eval().forward_features(images).amax(dim=(2, 3))
    model.train(was_training)
    return vectors


@torch.no_grad()
def leaves_the_model_in_eval_mode(model, images):
    model.eval()
    return model.forward_features(images).mean(dim=(2, 3))


@torch.no_grad()
def always_ends_in_training_mode(model, images):
    model.eval()
    vectors = model.forward_features(images).mean(dim=(2, 3))
    model.train()
    return vectors


def keeps_gradients(model, images):
    was_training = model.training
    vectors = model.eval().forward_features(images).mean(dim=(2, 3))
    model.train(was_training)
    return vectors


@torch.no_grad()
def takes_the_head_off(model, images):
    was_training = model.training
    model.eval()
    model.fc = nn.Identity()
    vectors = model(images)
    model.train(was_training)
    return vectors


@torch.no_grad()
def returns_the_map(model, images):
    was_training = model.training
    feature_map = model.eval().forward_features(images)
    model.train(was_training)
    return feature_map


@torch.no_grad()
def keeps_axes_of_size_one(model, images):
    was_training = model.training
    vectors = F.adaptive_avg_pool2d(model.eval().forward_features(images), 1)
    model.train(was_training)
    return vectors


@torch.no_grad()
def averages_over_channels(model, images):
    net = copy.deepcopy(model).eval()
    return net.forward_features(images).mean(dim=1).flatten(1)


def converts_to_a_list_of_names(model, images):
    return [name for name, _ in model.named_parameters()]


def builds_a_layer(image, kernel):
    conv = torch.nn.Conv2d(1, 1, tuple(kernel.shape), bias=False)
    conv.weight.data = kernel[None, None]
    return conv(image[None, None])[0, 0]


def switches_gradients_off_for_good(model, images):
    was = model.training
    model.eval()
    torch.set_grad_enabled(False)
    vectors = model.forward_features(images).mean((2, 3))
    model.train(was)
    return vectors


def freezes_the_model(model, images):
    was = model.training
    vectors = model.eval().requires_grad_(False).forward_features(images).mean((2, 3))
    model.train(was)
    return vectors


def pools_square_maps(model, images):
    was = model.training
    with torch.no_grad():
        feature_map = model.eval().forward_features(images)
    model.train(was)
    return F.avg_pool2d(feature_map, feature_map.shape[-1]).flatten(1)


def leaves_a_hook(model, images):
    kept, was = [], model.training
    model.fc.register_forward_pre_hook(lambda module, inputs: kept.append(inputs[0]))
    with torch.no_grad():
        model.eval()(images)
    model.train(was)
    return kept[-1]


def normalizes_three_channels(x, running_mean, running_var, momentum, eps):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    normal = (x - mean.reshape(1, 3, 1, 1)) / (var + eps).sqrt().reshape(1, 3, 1, 1)
    return (
        normal,
        (1 - momentum) * running_mean + momentum * mean,
        (1 - momentum) * running_var + momentum * x.var((0, 2, 3)),
    )


def takes_the_width_for_the_batch(x, running_mean, running_var, momentum, eps):
    mean, var = x.mean((0, 2, 3)), x.var((0, 2, 3), correction=0)
    normal = (x - mean[:, None, None]) / (var + eps).sqrt()[:, None, None]
    items = x.shape[2] * x.shape[3] ** 2
    return (
        normal,
        (1 - momentum) * running_mean + momentum * mean,
        (1 - momentum) * running_var + momentum * var * items / (items - 1),
    )


BANK = {
    "7.1": [
        (flips_as_in_mathematics, "flipped the kernel"),
        (stops_one_place_early, "one place too early"),
        (leaves_the_last_places_empty, "only a part of the map"),
        (keeps_the_size, "padding"),
        (takes_the_mean, "mean of the products"),
        (multiplies_matrices, "as matrices"),
        (jumps_by_the_kernel, "do not overlap"),
        (swaps_the_axes, "swapped in your result"),
        (sums_the_window_only, "left the weights out"),
        (writes_into_the_image, "changed the image itself"),
        (assumes_a_square_kernel, "RuntimeError"),
        (forgets_to_return, "is None"),
        (builds_a_layer, "record for gradients"),
    ],
    "7.2": [
        (pads_one_side, "on both sides"),
        (forgets_the_first_place, "it is free"),
        (rounds_up, "rounded up"),
        (divides_into_floats, "whole numbers"),
        (forgets_the_input_channels, "one for each channel of the input"),
        (adds_biases, "bias"),
        (gives_every_place_its_weights, "share the same kernel"),
        (counts_a_linear_layer, "linear layer"),
        (works_on_the_input, "places of the *map*"),
        (counts_a_row_of_places, "along one side"),
        (counts_multiply_and_add, "only the multiplications"),
        (returns_the_work_only, "three numbers"),
    ],
    "7.3": [
        (multiplies_kernels, "multiplied the kernels"),
        (adds_kernels, "added up the kernels"),
        (ignores_strides, "left the strides out"),
        (strides_too_early, "own stride"),
        (remembers_one_stride, "the layer before alone"),
        (adds_whole_kernels, "k - 1"),
        (walks_backward, "backward"),
        (starts_at_zero, "field of 0"),
        (adds_strides, "Distances multiply"),
        (adds_strides_less_one, "less 1 each"),
        (adds_half_kernels, "half a kernel"),
        (multiplies_the_field, "the field so far"),
        (returns_the_total_stride, "not the field"),
        (empties_the_list, "changed the list"),
    ],
    "7.4": [
        (averages_over_images_only, "over the images alone"),
        (writes_instance_norm, "instance norm"),
        (writes_layer_norm, "channels too"),
        (normalizes_with_the_unbiased_variance, "divides by n - 1"),
        (stores_the_biased_variance, "unbiased"),
        (turns_the_momentum_round, "turned around"),
        (normalizes_with_the_stored_statistics, "evaluation mode"),
        (updates_then_normalizes, "new running statistics"),
        (updates_in_place, "changed one of the tensors"),
        (forgets_to_reshape, "*last* axis"),
        (keeps_four_axes, "one number for each channel"),
        (returns_the_output_only, "three tensors"),
        (leaves_the_running_statistics, "did not move it"),
        (stores_the_deviation, "standard deviation"),
        (normalizes_three_channels, "7 channels"),
        (takes_the_width_for_the_batch, "4 * 5 * 2 numbers"),
    ],
    "7.5": [
        (returns_logits, "logits"),
        (forgets_eval, "training mode"),
        (flattens_the_map, "one long vector"),
        (pools_by_the_maximum, "largest number"),
        (leaves_the_model_in_eval_mode, "the other one"),
        (always_ends_in_training_mode, "came in evaluation mode"),
        (keeps_gradients, "no_grad"),
        (takes_the_head_off, "took the model apart"),
        (returns_the_map, "all its places"),
        (keeps_axes_of_size_one, "size 1"),
        (averages_over_channels, "other way round"),
        (converts_to_a_list_of_names, "must be a tensor"),
        (switches_gradients_off_for_good, "gradients off for everything"),
        (freezes_the_model, "froze the weights"),
        (pools_square_maps, "no square"),
        (leaves_a_hook, "call `remove()`"),
    ],
}
