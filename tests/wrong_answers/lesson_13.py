"""Wrong answers to lesson 13 as learners write them, each with what its message must say."""

import torch

# --- 13.1: the next mean ------------------------------------------------------------------------


def takes_the_middle(average, weights, count):
    return 0.5 * average + 0.5 * weights


def divides_by_the_old_count(average, weights, count):
    return average + (weights - average) / count


def forgets_that_the_mean_was_divided(average, weights, count):
    return (average + weights) / (count + 1)


def uses_a_fixed_share(average, weights, count):
    return average.lerp(weights, 0.1)


def writes_into_the_mean(average, weights, count):
    average += (weights - average) / (count + 1)
    return average


def weighs_the_new_one_by_count(average, weights, count):
    return (average + weights * count) / (1 + count)


def keeps_the_sum(average, weights, count):
    return average * count + weights


def sum_over_the_old_count(average, weights, count):
    return (average * count + weights) / count


# --- 13.2: take the scale back ------------------------------------------------------------------


def divides_in_half(gradients, scale):
    if any(not g.isfinite().all() for g in gradients):
        return None
    return [(g / scale).float() for g in gradients]


def never_looks(gradients, scale):
    return [g.float() / scale for g in gradients]


def looks_for_nan_only(gradients, scale):
    if any(g.isnan().any() for g in gradients):
        return None
    return [g.float() / scale for g in gradients]


def looks_at_the_first_only(gradients, scale):
    if not torch.isfinite(gradients[0]).all():
        return None
    return [g.to(torch.float32) / scale for g in gradients]


def drops_the_broken_tensor(gradients, scale):
    return [g.float() / scale for g in gradients if g.isfinite().all()]


def sets_broken_numbers_to_zero(gradients, scale):
    return [torch.nan_to_num(g.float(), 0, 0, 0) / scale for g in gradients]


def scales_again(gradients, scale):
    if any(not g.isfinite().all() for g in gradients):
        return None
    return [g.float() * scale for g in gradients]


def only_changes_the_type(gradients, scale):
    if any(not g.isfinite().all() for g in gradients):
        return None
    return [g.float() for g in gradients]


def divides_inside_the_arguments(gradients, scale):
    if any(not g.isfinite().all() for g in gradients):
        return None
    for gradient in gradients:
        gradient /= scale
    return [g.float() for g in gradients]


# --- 13.3: unequal shares -----------------------------------------------------------------------


def plain_mean(gradients, sizes):
    return sum(gradients) / len(gradients)


def adds(gradients, sizes):
    return sum(gradients)


def weighted_by_processes(gradients, sizes):
    return sum(g * s for g, s in zip(gradients, sizes, strict=True)) / len(sizes)


def weighted_not_divided(gradients, sizes):
    out = torch.zeros_like(gradients[0])
    for i in range(len(sizes)):
        out += gradients[i] * sizes[i]
    return out


def divides_each_by_its_size(gradients, sizes):
    return torch.stack([g / s for g, s in zip(gradients, sizes, strict=True)]).mean(0)


def inverse_weights(gradients, sizes):
    w = torch.tensor([1 / s for s in sizes], dtype=gradients[0].dtype)
    return torch.einsum("p,pij->ij", w / w.sum(), torch.stack(gradients))


def sums_over_images(gradients, sizes):
    return sum(gradients) / sum(sizes)


# --- 13.4: share a batch out --------------------------------------------------------------------


def forgets_the_processes(global_batch, processes, fits):
    n = 1
    while global_batch % n or global_batch // n > fits:
        n += 1
    return global_batch // n, n


def fills_each_process(global_batch, processes, fits):
    return fits, global_batch // (processes * fits)


def ignores_the_room(global_batch, processes, fits):
    return global_batch // processes, 1


def halves_until_it_fits(global_batch, processes, fits):
    batch, parts = global_batch // processes, 1
    while batch > fits:
        batch, parts = batch // 2, parts * 2
    return batch, parts


def one_image_at_a_time(global_batch, processes, fits):
    return 1, global_batch // processes


def other_order(global_batch, processes, fits):
    own = global_batch // processes
    for parts in range(1, own + 1):
        if own % parts == 0 and own / parts <= fits:
            return parts, own // parts
    return None


def true_division(global_batch, processes, fits):
    own, parts = global_batch / processes, 1
    while own % parts or own / parts > fits:
        parts += 1
    return own / parts, parts


def room_must_be_left(global_batch, processes, fits):
    own, parts = global_batch // processes, 1
    while own % parts or own // parts >= fits:
        parts += 1
    return own // parts, parts


def half_images(global_batch, processes, fits):
    own = global_batch / processes
    parts = -(-own // fits)
    return own / parts, parts


# --- 13.5: days ---------------------------------------------------------------------------------


def forward_only(parameters, tokens, images, epochs, peak, accelerators, utilization):
    return 2 * parameters * tokens * images * epochs / (peak * accelerators * utilization) / 86400


def hours(parameters, tokens, images, epochs, peak, accelerators, utilization):
    return 6 * parameters * tokens * images * epochs / (peak * accelerators * utilization) / 3600


def full_peak(parameters, tokens, images, epochs, peak, accelerators, utilization):
    return 6 * parameters * tokens * images * epochs / (peak * accelerators) / 86400


def slower_is_shorter(parameters, tokens, images, epochs, peak, accelerators, utilization):
    seconds = 6 * parameters * tokens * images * epochs * utilization / (peak * accelerators)
    return seconds / 60 / 60 / 24


def one_accelerator(parameters, tokens, images, epochs, peak, accelerators, utilization):
    return 6 * parameters * tokens * images * epochs / (peak * utilization) / (24 * 3600)


def images_only(parameters, tokens, images, epochs, peak, accelerators, utilization):
    return 6 * parameters * images * epochs / (peak * accelerators * utilization) / 86400


def multiply_adds(parameters, tokens, images, epochs, peak, accelerators, utilization):
    return 3 * parameters * tokens * images * epochs / (peak * accelerators * utilization) / 86400


def knows_the_scale(gradients, scale):
    if not all(torch.isfinite(g).all() for g in gradients):
        return None
    return [g.float() / 65536 for g in gradients]


def looks_at_the_sum(gradients, scale):
    if not all(torch.isfinite(g.sum()) for g in gradients):
        return None
    return [g.float() / scale for g in gradients]


def matrices_only(gradients, sizes):
    n = torch.tensor(sizes)
    return (torch.stack(gradients) * n[:, None, None]).sum(0) / n.sum()


BANK = {
    "13.1": [
        (takes_the_middle, "weighs more than one new tensor"),
        (divides_by_the_old_count, "there are count + 1 tensors now"),
        (forgets_that_the_mean_was_divided, "multiply it back first"),
        (uses_a_fixed_share, "exponential average"),
        (writes_into_the_mean, "changed its arguments"),
        (weighs_the_new_one_by_count, "exchanged the roles"),
        (keeps_the_sum, "not yet divided"),
        (sum_over_the_old_count, "You divided by `count`"),
    ],
    "13.2": [
        (divides_in_half, "divided in float16"),
        (never_looks, "infinite number in the last tensor"),
        (looks_for_nan_only, "still returns gradients"),
        (looks_at_the_first_only, "still returns gradients"),
        (drops_the_broken_tensor, "left out only that tensor"),
        (sets_broken_numbers_to_zero, "return None"),
        (scales_again, "You multiplied by the scale"),
        (only_changes_the_type, "still those of the scaled loss"),
        (divides_inside_the_arguments, "changed its arguments"),
        (knows_the_scale, "use `scale`"),
        (looks_at_the_sum, "with `isfinite`"),
    ],
    "13.3": [
        (plain_mean, "plain mean over the processes"),
        (adds, "You added the gradients"),
        (weighted_by_processes, "divided by the number of processes"),
        (weighted_not_divided, "did not divide by the number of all images"),
        (divides_each_by_its_size, "They are means already"),
        (inverse_weights, "are inverted"),
        (sums_over_images, "as sums over images"),
        (matrices_only, "one axis"),
    ],
    "13.4": [
        (forgets_the_processes, "You forgot the processes"),
        (fills_each_process, "must be exact"),
        (ignores_the_room, "does not fit"),
        (halves_until_it_fits, "parts are enough"),
        (one_image_at_a_time, "parts are enough"),
        (other_order, "exchanged the two"),
        (half_images, "half an image"),
        (true_division, "Return whole numbers"),
        (room_must_be_left, "1 part is enough"),
    ],
    "13.5": [
        (forward_only, "forward pass only"),
        (hours, "in hours"),
        (full_peak, "left the utilization out"),
        (slower_is_shorter, "makes a training longer"),
        (one_accelerator, "left the accelerators out"),
        (images_only, "left the tokens out"),
        (multiply_adds, "not 3"),
    ],
}
