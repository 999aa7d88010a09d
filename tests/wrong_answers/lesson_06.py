"""Wrong answers to lesson 6 as learners write them, each with what its message must say."""

import torch

# --- 6.1: class token and positions -------------------------------------------------------------


def puts_zeros_in_front(patches, cls_token, pos_embed):
    start = torch.zeros(patches.shape[0], 1, patches.shape[2], dtype=patches.dtype)
    return torch.cat([start, patches], dim=1) + pos_embed


def forgets_to_expand(patches, cls_token, pos_embed):
    return torch.cat([cls_token, patches], dim=1) + pos_embed


def appends_the_class_token(patches, cls_token, pos_embed):
    batch = patches.shape[0]
    tokens = torch.cat((patches, cls_token.repeat(batch, 1, 1)), 1)
    return tokens + pos_embed


def adds_positions_to_patches_first(patches, cls_token, pos_embed):
    patches = patches + pos_embed
    return torch.cat([cls_token.expand(len(patches), -1, -1), patches], dim=1)


def gives_the_class_token_no_position(patches, cls_token, pos_embed):
    patches = patches + pos_embed[:, 1:, :]
    return torch.cat([cls_token.expand(patches.size(0), -1, -1), patches], dim=1)


def starts_positions_at_the_first_patch(patches, cls_token, pos_embed):
    n = patches.shape[1]
    patches = patches + pos_embed[:, :n]
    return torch.cat([cls_token.expand(len(patches), -1, -1), patches], dim=1)


def forgets_the_positions(patches, cls_token, pos_embed):
    return torch.cat([cls_token.expand(len(patches), -1, -1), patches], dim=1)


def adds_the_class_token(patches, cls_token, pos_embed):
    return patches + cls_token + pos_embed[:, 1:]


def joins_the_features(patches, cls_token, pos_embed):
    cls = cls_token.expand(len(patches), -1, -1)
    return torch.cat([cls, patches], dim=-1) + pos_embed


def joins_the_batch(patches, cls_token, pos_embed):
    return torch.cat([cls_token, patches]) + pos_embed


def overwrites_the_first_patch(patches, cls_token, pos_embed):
    x = patches.clone()
    x[:, 0] = cls_token[0, 0]
    return x + pos_embed[:, : x.shape[1]]


def forgets_the_class_token(patches, cls_token, pos_embed):
    return patches + pos_embed[:, 1:]


def stacks_the_positions(patches, cls_token, pos_embed):
    b = len(patches)
    return torch.cat([cls_token.expand(b, -1, -1), patches, pos_embed.expand(b, -1, -1)], dim=1)


# --- 6.2: parameters ----------------------------------------------------------------------------


def _right_parameters(image_size, patch_size, channels, dim, depth, classes):
    patches = (image_size // patch_size) ** 2
    return {
        "patch_embed": patch_size**2 * channels * dim + dim,
        "cls_token": dim,
        "pos_embed": (patches + 1) * dim,
        "blocks": depth * (12 * dim**2 + 13 * dim),
        "norm": 2 * dim,
        "head": dim * classes + classes,
    }


def forgets_the_class_tokens_position(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "pos_embed": (image_size // patch_size) ** 2 * dim}


def forgets_the_colors(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "patch_embed": patch_size**2 * dim + dim}


def forgets_the_patch_bias(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "patch_embed": patch_size * patch_size * channels * dim}


def believes_the_coincidence(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "patch_embed": dim * dim + dim}


def counts_one_side_of_the_grid(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "pos_embed": (image_size // patch_size + 1) * dim}


def embeds_each_patch_with_its_own_layer(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    n = (image_size // patch_size) ** 2
    return {**parts, "patch_embed": n * (patch_size**2 * channels * dim + dim)}


def forgets_the_depth(image_size, patch_size, channels, dim, depth, classes):
    return _right_parameters(image_size, patch_size, channels, dim, 1, classes)


def puts_a_final_norm_in_every_block(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "norm": 2 * dim * depth}


def takes_a_norm_without_bias(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "norm": dim}


def forgets_the_head_bias(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "head": classes * dim}


def reads_all_tokens(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    tokens = (image_size // patch_size) ** 2 + 1
    return {**parts, "head": tokens * dim * classes + classes}


def returns_the_sum(image_size, patch_size, channels, dim, depth, classes):
    return sum(_right_parameters(image_size, patch_size, channels, dim, depth, classes).values())


def leaves_out_the_final_norm(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    del parts["norm"]
    return parts


def divides_with_a_slash(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_parameters(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "pos_embed": ((image_size / patch_size) ** 2 + 1) * dim}


# --- 6.3: multiply-adds -------------------------------------------------------------------------


def _right_macs(image_size, patch_size, channels, dim, depth, classes):
    n = (image_size // patch_size) ** 2
    return {
        "patch_embed": n * patch_size**2 * channels * dim,
        "linear": depth * 12 * (n + 1) * dim**2,
        "pairs": depth * 2 * (n + 1) ** 2 * dim,
        "head": dim * classes,
    }


def counts_flops(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {part: 2 * number for part, number in parts.items()}


def leaves_the_class_token_out(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    n = (image_size // patch_size) ** 2
    return {**parts, "linear": depth * 12 * n * dim**2, "pairs": depth * 2 * n**2 * dim}


def embeds_the_class_token(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    tokens = (image_size // patch_size) ** 2 + 1
    return {**parts, "patch_embed": tokens * patch_size**2 * channels * dim}


def classifies_every_token(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "head": ((image_size // patch_size) ** 2 + 1) * dim * classes}


def counts_the_scores_only(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "pairs": depth * ((image_size // patch_size) ** 2 + 1) ** 2 * dim}


def counts_one_for_each_pair(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "pairs": 2 * depth * ((image_size // patch_size) ** 2 + 1) ** 2}


def forgets_the_feed_forward_network(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "linear": depth * 4 * ((image_size // patch_size) ** 2 + 1) * dim**2}


def forgets_the_output_projection(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "linear": depth * 11 * ((image_size // patch_size) ** 2 + 1) * dim**2}


def embeds_one_patch(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "patch_embed": patch_size**2 * channels * dim}


def returns_the_parameters_of_the_head(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "head": dim * classes + classes}


def adds_the_biases(image_size, patch_size, channels, dim, depth, classes):
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    tokens = (image_size // patch_size) ** 2 + 1
    return {**parts, "linear": depth * tokens * (12 * dim**2 + 9 * dim)}


def runs_one_block(image_size, patch_size, channels, dim, depth, classes):
    return _right_macs(image_size, patch_size, channels, dim, 1, classes)


def returns_one_number(image_size, patch_size, channels, dim, depth, classes):
    return sum(_right_macs(image_size, patch_size, channels, dim, depth, classes).values())


def counts_every_head_in_full(image_size, patch_size, channels, dim, depth, classes):
    heads = 12
    parts = _right_macs(image_size, patch_size, channels, dim, depth, classes)
    return {**parts, "pairs": heads * parts["pairs"]}


# --- 6.4: where the class token looks -----------------------------------------------------------


def takes_the_column(weights, grid):
    return weights.mean(1)[:, 1:, 0].reshape(-1, *grid)


def averages_the_queries(weights, grid):
    return weights.mean(dim=(1, 2))[:, 1:].reshape(-1, *grid)


def averages_the_asking_patches(weights, grid):
    return weights.mean(dim=1)[:, 1:, 1:].mean(dim=1).reshape(-1, *grid)


def drops_the_last_key(weights, grid):
    return weights[:, :, 0, : grid[0] * grid[1]].mean(dim=1).view(-1, *grid)


def takes_the_first_head(weights, grid):
    return weights[:, 0, 0, 1:].reshape(len(weights), *grid)


def sums_the_heads(weights, grid):
    return weights.sum(dim=1)[:, 0, 1:].reshape(len(weights), *grid)


def takes_the_first_patch(weights, grid):
    return weights.mean(dim=1)[:, 1, 1:].reshape(len(weights), *grid)


def rescales_to_one(weights, grid):
    row = weights.mean(dim=1)[:, 0, 1:]
    return (row / row.sum(dim=-1, keepdim=True)).reshape(-1, *grid)


def keeps_its_own_share(weights, grid):
    return weights.mean(dim=1)[:, 0]


def turns_the_map(weights, grid):
    row = weights.mean(dim=1)[:, 0, 1:]
    return row.reshape(-1, *grid).transpose(1, 2)


def averages_the_images(weights, grid):
    return weights.mean(dim=(0, 1))[0, 1:].reshape(grid)


def takes_head_0_for_query_0(weights, grid):
    return weights[:, 0, 1:, 1:]


def keeps_every_row(weights, grid):
    return weights.mean(1)[:, 1:, 1:]


def lays_out_one_grid(weights, grid):
    return weights.mean(1)[:, 0, 1:].reshape(grid)


def keeps_the_heads(weights, grid):
    return weights[:, :, 0, 1:].unflatten(-1, grid)


def forgets_the_batch(weights, grid):
    return weights.mean(dim=1)[0, :, 1:]


def averages_over_the_wrong_axis(weights, grid):
    return weights.mean(dim=0)[:, 0, 1:].reshape(-1, *grid)


def lays_out_the_class_token_too(weights, grid):
    return weights.mean(dim=1)[:, 0].reshape(-1, *grid)


# --- 6.5: the normalization inside the first layer ----------------------------------------------


def averages_over_the_pixels(weight, bias, mean, std):
    weight = weight / std.view(1, -1, 1, 1)
    return weight, bias - (weight * mean.view(1, -1, 1, 1)).mean(dim=(2, 3)).sum(dim=1)


def sums_over_the_outputs_too(weight, bias, mean, std):
    new = weight / std.view(-1, 1, 1)
    return new, bias - (new * mean.view(-1, 1, 1)).sum()


def multiplies_by_std(weight, bias, mean, std):
    weight = weight * std.view(1, -1, 1, 1)
    return weight, bias - (weight * mean.view(1, -1, 1, 1)).sum(dim=(1, 2, 3))


def leaves_the_weight(weight, bias, mean, std):
    shift = (mean / std).view(1, -1, 1, 1)
    return weight, bias - (weight * shift).sum(dim=(1, 2, 3))


def normalizes_the_weight(weight, bias, mean, std):
    return (weight - mean.view(3, 1, 1)) / std.view(3, 1, 1), bias


def leaves_the_bias(weight, bias, mean, std):
    return weight / std[:, None, None], bias


def adds_the_shift(weight, bias, mean, std):
    weight = weight / std[:, None, None]
    return weight, bias + torch.einsum("dchw,c->d", weight, mean)


def forgets_to_divide_the_mean(weight, bias, mean, std):
    return weight / std[:, None, None], bias - torch.einsum("dchw,c->d", weight, mean)


def divides_the_mean_twice(weight, bias, mean, std):
    weight = weight / std[:, None, None]
    return weight, bias - torch.einsum("dchw,c->d", weight, mean / std)


def subtracts_the_mean_itself(weight, bias, mean, std):
    return weight / std[:, None, None], bias - (mean / std).sum()


def averages_over_the_patch(weight, bias, mean, std):
    weight = weight / std[:, None, None]
    return weight, bias - (weight * mean[:, None, None]).flatten(1).mean(dim=1)


def uses_one_std(weight, bias, mean, std):
    weight = weight / std.mean()
    return weight, bias - (weight * mean[:, None, None]).flatten(1).sum(dim=1)


def takes_one_mean(weight, bias, mean, std):
    weight = weight / std[:, None, None]
    return weight, bias - mean.mean() * weight.sum(dim=(1, 2, 3))


def keeps_the_channels_apart(weight, bias, mean, std):
    weight = weight / std[:, None, None]
    return weight, bias - (weight * mean[:, None, None]).sum(dim=(2, 3))


def returns_a_layer_only(weight, bias, mean, std):
    return weight / std[:, None, None]


def divides_along_the_wrong_axis(weight, bias, mean, std):
    return weight / std, bias


def divides_in_place(weight, bias, mean, std):
    weight /= std[:, None, None]
    bias -= (weight * mean[:, None, None]).sum(dim=(1, 2, 3))
    return weight, bias


def squeezes_the_map(weights, grid):
    return weights.mean(1)[:, 0, 1:].reshape(-1, *grid).squeeze()


def divides_by_four(weights, grid):
    return (weights.sum(1) / 4)[:, 0, 1:].reshape(-1, *grid)


def always_three_channels(weight, bias, mean, std):
    w = weight / std.view(1, 3, 1, 1)
    return w, bias - (w * mean.view(1, 3, 1, 1)).sum((1, 2, 3))


def always_three_images(patches, cls_token, pos_embed):
    return torch.cat([cls_token.expand(3, -1, -1), patches], dim=1) + pos_embed


BANK = {
    "6.1": [
        (forgets_to_expand, "do not have the same number of images"),
        (appends_the_class_token, "stands at the end"),
        (adds_positions_to_patches_first, "positions to the patches alone"),
        (gives_the_class_token_no_position, "the class token has none"),
        (starts_positions_at_the_first_patch, "position of its left neighbor"),
        (forgets_the_positions, "did not add the positions"),
        (adds_the_class_token, "class token to every patch"),
        (joins_the_features, "axis 1"),
        (joins_the_batch, "axis 1"),
        (overwrites_the_first_patch, "replaced the first patch"),
        (forgets_the_class_token, "class token is missing"),
        (puts_zeros_in_front, "zeros in front"),
        (stacks_the_positions, "positions as rows"),
        (always_three_images, "not for one"),
    ],
    "6.2": [
        (forgets_the_class_tokens_position, "class token has a position too"),
        (forgets_the_colors, "forgot the colors"),
        (forgets_the_patch_bias, "patch embedding's biases"),
        (believes_the_coincidence, "coincidence"),
        (counts_one_side_of_the_grid, "rows and columns"),
        (embeds_each_patch_with_its_own_layer, "go through the same layer"),
        (forgets_the_depth, "You counted one block"),
        (puts_a_final_norm_in_every_block, "one final LayerNorm"),
        (takes_a_norm_without_bias, "half of the final LayerNorm"),
        (forgets_the_head_bias, "left out the head's biases"),
        (reads_all_tokens, "head reads all tokens"),
        (returns_the_sum, "a dictionary with a count for each part"),
        (leaves_out_the_final_norm, "parts asked for"),
        (divides_with_a_slash, "whole number"),
    ],
    "6.3": [
        (counts_flops, "counted FLOPs"),
        (leaves_the_class_token_out, "N + 1 tokens"),
        (embeds_the_class_token, "embedded N + 1 patches"),
        (classifies_every_token, "head on every token"),
        (counts_the_scores_only, "pairs of tokens once"),
        (counts_one_for_each_pair, "dot product"),
        (forgets_the_feed_forward_network, "attention's four matrices only"),
        (forgets_the_output_projection, "output projection"),
        (embeds_one_patch, "for one patch"),
        (returns_the_parameters_of_the_head, "biases too"),
        (adds_the_biases, "biases too"),
        (runs_one_block, "You counted one block"),
        (returns_one_number, "a dictionary with a count for each part"),
        (counts_every_head_in_full, "each head with the whole width"),
    ],
    "6.4": [
        (takes_the_column, "column 0"),
        (takes_head_0_for_query_0, "head 0 and all queries"),
        (keeps_every_row, "every patch's own row"),
        (lays_out_one_grid, "has a grid of its own"),
        (averages_the_queries, "averaged over all queries"),
        (averages_the_asking_patches, "patches that ask"),
        (drops_the_last_key, "dropped the last key"),
        (takes_the_first_head, "took one head"),
        (sums_the_heads, "added the heads up"),
        (takes_the_first_patch, "query 1"),
        (rescales_to_one, "divided by the sum"),
        (keeps_its_own_share, "drop key 0"),
        (turns_the_map, "map is turned"),
        (averages_the_images, "averaged over the images"),
        (keeps_the_heads, "kept the heads apart"),
        (forgets_the_batch, "image 0 and all queries"),
        (averages_over_the_wrong_axis, "averaged over the images"),
        (lays_out_the_class_token_too, "does not fill the grid"),
        (squeezes_the_map, "one image with one head"),
        (divides_by_four, "one image with one head"),
    ],
    "6.5": [
        (sums_over_the_outputs_too, "summed over the outputs too"),
        (multiplies_by_std, "multiplied the weight by the standard deviation"),
        (leaves_the_weight, "left the weight as it was"),
        (normalizes_the_weight, "as if it were an image"),
        (leaves_the_bias, "left the bias as it was"),
        (adds_the_shift, "added the shift"),
        (forgets_to_divide_the_mean, "did not divide it by the standard deviation"),
        (divides_the_mean_twice, "twice"),
        (subtracts_the_mean_itself, "forgot the weights"),
        (averages_over_the_patch, "take the sum"),
        (averages_over_the_pixels, "over the pixels of a patch"),
        (uses_one_std, "one number for all channels"),
        (takes_one_mean, "one mean for all channels"),
        (keeps_the_channels_apart, "sum over all the other axes"),
        (returns_a_layer_only, "Return two tensors"),
        (divides_along_the_wrong_axis, "channel"),
        (divides_in_place, "changed a tensor"),
        (always_three_channels, "gray picture"),
    ],
}
