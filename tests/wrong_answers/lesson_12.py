"""Wrong answers to lesson 12 as learners write them, each with what its message must say."""

import torch
import torch.nn.functional as F

# --- 12.1: what the class token looks at --------------------------------------------------------


def takes_the_column(weights, grid):
    return weights[:, :, 1:, 0].reshape(weights.shape[0], weights.shape[1], *grid)


def keeps_the_class_tokens_key_and_drops_the_last(weights, grid):
    return weights[:, :, 0][..., : grid[0] * grid[1]].unflatten(-1, grid)


def averages_the_heads(weights, grid):
    return weights.mean(dim=1)[:, 0, 1:].view(len(weights), *grid)


def averages_all_queries(weights, grid):
    return weights.mean(dim=-2)[..., 1:].unflatten(-1, grid)


def swaps_the_grid(weights, grid):
    rows, columns = grid
    return weights[:, :, 0, 1:].reshape(*weights.shape[:2], columns, rows)


def fills_columns(weights, grid):
    maps = weights[:, :, 0, 1:].reshape(*weights.shape[:2], grid[1], grid[0])
    return maps.mT


def scales_the_map(weights, grid):
    row = weights[:, :, 0, 1:]
    return F.normalize(row, p=1, dim=-1).unflatten(-1, grid)


def leaves_rows(weights, grid):
    return weights[:, :, 0, 1:]


def asks_the_first_patch(weights, grid):
    return weights[:, :, 1, 1:].unflatten(-1, grid)


def asks_the_last_patch(weights, grid):
    return weights[:, :, -1, 1:].unflatten(-1, grid)


# --- 12.2: distances ----------------------------------------------------------------------------


def keeps_the_class_token(weights, grid):
    return weights[:, :, 0].reshape(*weights.shape[:2], *grid)


def mixes_the_heads(weights, grid):
    rows = weights[:, :, 0, 1:].transpose(1, 2)
    return rows.reshape(*weights.shape[:2], *grid)


def scales_the_weights_in_place(weights, grid):
    weights /= weights.sum(dim=-1, keepdim=True)
    weights *= 1.5
    return weights[:, :, 0, 1:].unflatten(-1, grid) / 1.5


def _middles(grid):
    return [(i, j) for i in range(grid[0]) for j in range(grid[1])]


def measures_in_patches(grid, patch):
    middles = torch.tensor(_middles(grid), dtype=torch.float32)
    return torch.cdist(middles, middles)


def walks_around_the_corner(grid, patch):
    middles = patch * torch.tensor(_middles(grid), dtype=torch.float32)
    return (middles[:, None] - middles).abs().sum(dim=-1)


def takes_the_larger_step(grid, patch):
    middles = patch * torch.tensor(_middles(grid))
    return (middles[:, None] - middles).abs().amax(dim=-1)


def forgets_the_root(grid, patch):
    middles = patch * torch.tensor(_middles(grid), dtype=torch.float32)
    return ((middles[:, None] - middles) ** 2).sum(dim=-1)


def subtracts_numbers_in_the_list(grid, patch):
    n = torch.arange(grid[0] * grid[1])
    return (n[None] - n[:, None]).abs() * patch


def counts_columns_first(grid, patch):
    places = [(i * patch, j * patch) for j in range(grid[1]) for i in range(grid[0])]
    middles = torch.tensor(places, dtype=torch.float32)
    return torch.cdist(middles, middles)


def takes_grid_for_columns_and_rows(grid, patch):
    columns, rows = grid
    middles = torch.cartesian_prod(torch.arange(rows), torch.arange(columns)) * float(patch)
    return (middles[:, None] - middles).norm(dim=-1)


def puts_the_square_outside(grid, patch):
    middles = torch.tensor(_middles(grid), dtype=torch.float32)
    return patch**2 * torch.cdist(middles, middles)


def puts_the_patch_inside_the_root(grid, patch):
    middles = torch.tensor(_middles(grid), dtype=torch.float32)
    steps = middles[:, None] - middles
    return (patch * (steps**2).sum(dim=-1)).sqrt()


def starts_from_the_corner_only(grid, patch):
    middles = patch * torch.tensor(_middles(grid), dtype=torch.float32)
    return middles.norm(dim=-1)


def cuts_off_the_parts(grid, patch):
    place = torch.tensor([(i * patch, j * patch) for i in range(grid[0]) for j in range(grid[1])])
    return torch.cdist(place.double(), place.double()).int()


# --- 12.3: rollout ------------------------------------------------------------------------------


def forgets_keepdim(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.max(dim=0).values + torch.eye(len(flow), dtype=flow.dtype)
        a = a / a.sum(dim=-1)
        flow = a @ flow
    return flow


def scales_the_columns(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.amax(dim=0) + torch.eye(len(flow), dtype=flow.dtype)
        flow = a / a.sum(dim=0) @ flow
    return flow


def does_not_scale(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        flow = (0.5 * layer.amax(dim=0) + 0.5 * torch.eye(len(flow), dtype=flow.dtype)) @ flow
    return flow


def multiplies_from_the_right(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.amax(dim=0) + torch.eye(len(flow), dtype=flow.dtype)
        flow = flow @ (a / a.sum(dim=-1, keepdim=True))
    return flow


def takes_the_mean_of_heads(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.mean(dim=0) + torch.eye(len(flow), dtype=flow.dtype)
        flow = (a / a.sum(dim=-1, keepdim=True)) @ flow
    return flow


def forgets_the_identity(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.amax(dim=0)
        flow = (a / a.sum(dim=-1, keepdim=True)) @ flow
    return flow


def scales_once_at_the_end(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        flow = (layer.amax(dim=0) + torch.eye(len(flow), dtype=flow.dtype)) / 2 @ flow
    return flow / flow.sum(dim=-1, keepdim=True)


def returns_the_class_token(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.amax(dim=0) + torch.eye(len(flow), dtype=flow.dtype)
        flow = a / a.sum(dim=-1, keepdim=True) @ flow
    return flow[0]


def multiplies_number_by_number(layers):
    flow = torch.ones(layers[0].shape[1:], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.amax(dim=0) + torch.eye(len(flow), dtype=flow.dtype)
        flow = a / a.sum(dim=-1, keepdim=True) * flow
    return flow


def returns_inside_the_loop(layers):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        a = layer.amax(dim=0) + torch.eye(len(flow), dtype=flow.dtype)
        return a / a.sum(dim=-1, keepdim=True) @ flow
    return flow


def _mixed(layers, step_of):
    flow = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for layer in layers:
        step = step_of(layer.amax(dim=0), torch.eye(len(flow), dtype=flow.dtype))
        flow = step / step.sum(dim=-1, keepdim=True) @ flow
    return flow


def takes_the_first_head(layers):
    return _mixed([layer[:1] for layer in layers], lambda a, identity: (a + identity) / 2)


def takes_max_as_it_comes(layers):
    flow = torch.eye(layers[0].shape[-1])
    for layer in layers:
        step = (layer.max(0) + torch.eye(len(flow))) / 2
        flow = step / step.sum(dim=-1, keepdim=True) @ flow
    return flow


def averages_the_layers(layers):
    one_by_one = [_mixed([layer], lambda a, identity: (a + identity) / 2) for layer in layers]
    return torch.stack(one_by_one).mean(dim=0)


def writes_into_the_layers(layers):
    eye = torch.eye(layers[0].shape[-1])
    flow = eye
    for layer in layers:
        layer += eye
        step = layer.amax(dim=0)
        flow = step / step.sum(dim=-1, keepdim=True) @ flow
    return flow


def turns_the_list_around(layers):
    layers.reverse()
    flow = torch.eye(layers[0].shape[-1])
    for layer in layers:
        step = layer.amax(dim=0) + torch.eye(len(flow))
        flow = flow @ (step / step.sum(dim=-1, keepdim=True))
    return flow


def halves_the_head_only(layers):
    return _mixed(layers, lambda a, identity: a / 2 + identity)


def halves_the_identity_only(layers):
    return _mixed(layers, lambda a, identity: a + identity / 2)


def scales_before_mixing(layers):
    return _mixed(layers, lambda a, identity: a / a.sum(dim=-1, keepdim=True) + identity)


# --- 12.4: Grad-CAM -----------------------------------------------------------------------------


def keeps_what_speaks_against(values, slope):
    return torch.einsum("bc,bcij->bij", slope.mean(dim=(2, 3)), values)


def turns_minus_into_plus(values, slope):
    return (slope.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1).abs()


def cuts_before_the_sum(values, slope):
    return F.relu(slope.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1)


def drops_negative_channels(values, slope):
    strength = slope.mean(dim=(2, 3), keepdim=True).clamp(min=0)
    return F.relu((strength * values).sum(dim=1))


def multiplies_place_by_place(values, slope):
    return F.relu((slope * values).sum(dim=1))


def averages_the_channels_gradient(values, slope):
    return F.relu((slope.mean(dim=1, keepdim=True) * values).sum(dim=1))


def sums_the_gradient(values, slope):
    return F.relu((slope.sum(dim=(2, 3), keepdim=True) * values).sum(dim=1))


def averages_the_channels(values, slope):
    return F.relu((slope.mean(dim=(2, 3), keepdim=True) * values).mean(dim=1))


def changes_their_places(values, slope):
    return F.relu((values.mean(dim=(2, 3), keepdim=True) * slope).sum(dim=1))


def forgets_the_sum(values, slope):
    return F.relu(slope.mean(dim=(2, 3), keepdim=True) * values)


def scales_to_one(values, slope):
    cam = F.relu((slope.mean(dim=(2, 3), keepdim=True) * values).sum(dim=1))
    return cam / cam.amax(dim=(1, 2), keepdim=True)


def forgets_the_sign_of_the_weights(values, slope):
    return (slope.mean(dim=(2, 3), keepdim=True).abs() * values).sum(dim=1).relu()


def forgets_the_weights(values, slope):
    return values.sum(dim=1).relu()


def drops_the_axes_of_the_mean(values, slope):
    return (slope.mean(dim=(2, 3)) * values).sum(dim=1).relu()


def weighs_in_place(values, slope):
    values *= slope.mean(dim=(2, 3), keepdim=True)
    return values.sum(dim=1).relu()


def averages_over_the_batch(values, slope):
    return F.relu((slope.mean(dim=(0, 2, 3), keepdim=True) * values).sum(dim=1))


# --- 12.5: the paired interval ------------------------------------------------------------------


def takes_the_spread_of_pictures(ours, theirs):
    d = ours - theirs
    return d.mean(), d.mean() - 1.96 * d.std(), d.mean() + 1.96 * d.std()


def divides_by_the_number(ours, theirs):
    d = ours - theirs
    half = 1.96 * d.std() / len(d)
    return d.mean(), d.mean() - half, d.mean() + half


def treats_them_as_different_pictures(ours, theirs):
    mean = ours.mean() - theirs.mean()
    half = 1.96 * (ours.var() / len(ours) + theirs.var() / len(theirs)) ** 0.5
    return mean, mean - half, mean + half


def adds_both_errors(ours, theirs):
    mean = ours.mean() - theirs.mean()
    half = 1.96 * (ours.std() / len(ours) ** 0.5 + theirs.std() / len(theirs) ** 0.5)
    return mean, mean - half, mean + half


def forgets_the_196(ours, theirs):
    d = ours - theirs
    error = d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - error, d.mean() + error


def subtracts_the_other_way(ours, theirs):
    d = theirs - ours
    error = d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error


def drops_the_sign(ours, theirs):
    d = (ours - theirs).abs()
    error = d.std() / len(d) ** 0.5
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error


def divides_by_n(ours, theirs):
    d = ours - theirs
    error = ((d - d.mean()) ** 2).mean() ** 0.5 / len(d) ** 0.5
    return d.mean(), d.mean() - 1.96 * error, d.mean() + 1.96 * error


def takes_the_variance(ours, theirs):
    d = ours - theirs
    half = 1.96 * d.var() / len(d) ** 0.5
    return d.mean(), d.mean() - half, d.mean() + half


def returns_half_the_width(ours, theirs):
    d = ours - theirs
    return d.mean(), 1.96 * d.std() / len(d) ** 0.5


def returns_low_first(ours, theirs):
    difference = ours - theirs
    error = difference.std() / len(difference) ** 0.5
    return difference.mean() - 1.96 * error, difference.mean(), difference.mean() + 1.96 * error


def takes_the_quantiles(ours, theirs):
    difference = ours - theirs
    return difference.mean(), difference.quantile(0.025), difference.quantile(0.975)


def takes_the_median(ours, theirs):
    difference = ours - theirs
    middle, error = difference.median(), difference.std() / len(difference) ** 0.5
    return middle, middle - 1.96 * error, middle + 1.96 * error


def subtracts_in_place(ours, theirs):
    ours -= theirs
    mean, error = ours.mean(), ours.std() / len(ours) ** 0.5
    return mean, mean - 1.96 * error, mean + 1.96 * error


def returns_low_and_high(ours, theirs):
    d = ours - theirs
    error = d.std() / len(d) ** 0.5
    return d.mean() - 1.96 * error, d.mean() + 1.96 * error


def wants_several_layers(layers):
    steps = []
    for layer in layers:
        step = layer.amax(dim=0) + torch.eye(layer.shape[-1])
        steps.append(step / step.sum(dim=-1, keepdim=True))
    return torch.linalg.multi_dot(steps[::-1])


BANK = {
    "12.1": [
        (takes_the_column, "column of the class token"),
        (keeps_the_class_tokens_key_and_drops_the_last, "left out the last key"),
        (averages_the_heads, "averaged the heads"),
        (averages_all_queries, "over all queries"),
        (swaps_the_grid, "grid is (rows, columns)"),
        (fills_columns, "column by column"),
        (scales_the_map, "looks at itself"),
        (leaves_rows, "still rows"),
        (asks_the_first_patch, "token 0"),
        (asks_the_last_patch, "last patch"),
        (keeps_the_class_token, "class token's own"),
        (mixes_the_heads, "heads are mixed"),
        (scales_the_weights_in_place, "changed what you were given"),
    ],
    "12.2": [
        (measures_in_patches, "in patches"),
        (walks_around_the_corner, "straight line is shorter"),
        (takes_the_larger_step, "larger of the two steps"),
        (forgets_the_root, "square root is missing"),
        (subtracts_numbers_in_the_list, "far apart in the picture"),
        (counts_columns_first, "in another order"),
        (takes_grid_for_columns_and_rows, "grid is (rows, columns)"),
        (starts_from_the_corner_only, "one row of the table"),
        (cuts_off_the_parts, "whole numbers"),
        (puts_the_square_outside, "outside the root"),
        (puts_the_patch_inside_the_root, "inside the root"),
    ],
    "12.3": [
        (forgets_keepdim, "without keepdim"),
        (scales_the_columns, "scaled the columns"),
        (does_not_scale, "do not sum to one"),
        (multiplies_from_the_right, "other order"),
        (takes_the_mean_of_heads, "mean of the heads"),
        (forgets_the_identity, "identity is missing"),
        (scales_once_at_the_end, "scaled once"),
        (returns_the_class_token, "whole table"),
        (multiplies_number_by_number, "number by number"),
        (returns_inside_the_loop, "first layer alone"),
        (halves_the_head_only, "largest head only"),
        (halves_the_identity_only, "identity only"),
        (scales_before_mixing, "Mix first"),
        (takes_the_first_head, "head 0 for all"),
        (takes_max_as_it_comes, "`.values`"),
        (averages_the_layers, "averaged the layers"),
        (writes_into_the_layers, "changed what you were given"),
        (turns_the_list_around, "changed the list"),
        (wants_several_layers, "not for one"),
    ],
    "12.4": [
        (keeps_what_speaks_against, "negative numbers"),
        (turns_minus_into_plus, "absolute value"),
        (cuts_before_the_sum, "cut off before the sum"),
        (drops_negative_channels, "only the positive weights"),
        (multiplies_place_by_place, "did not average the gradient"),
        (averages_the_channels_gradient, "average over rows and columns"),
        (sums_the_gradient, "takes the mean"),
        (averages_the_channels, "Grad-CAM sums them"),
        (changes_their_places, "changed places"),
        (forgets_the_sum, "channels are still there"),
        (scales_to_one, "highest value of one"),
        (averages_over_the_batch, "over the batch"),
        (forgets_the_sign_of_the_weights, "without its sign"),
        (forgets_the_weights, "left out the weights"),
        (drops_the_axes_of_the_mean, "`keepdim=True`"),
        (weighs_in_place, "changed what you were given"),
    ],
    "12.5": [
        (takes_the_spread_of_pictures, "spread of the single pictures"),
        (divides_by_the_number, "square root of their number"),
        (treats_them_as_different_pictures, "different pictures"),
        (adds_both_errors, "added the errors"),
        (forgets_the_196, "one standard error"),
        (subtracts_the_other_way, "other order"),
        (drops_the_sign, "without their sign"),
        (divides_by_n, "one less"),
        (returns_half_the_width, "half the width"),
        (takes_the_variance, "the variance"),
        (returns_low_and_high, "without the mean"),
        (returns_low_first, "order is (mean, low, high)"),
        (takes_the_quantiles, "how sure their *mean*"),
        (takes_the_median, "took the median"),
        (subtracts_in_place, "changed what you were given"),
    ],
}
