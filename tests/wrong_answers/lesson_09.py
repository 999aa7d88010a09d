"""Wrong answers to lesson 9 as learners write them, each with what its message must say."""

import math
from statistics import stdev

import numpy as np
import torch

# --- 9.1: fair pairs ----------------------------------------------------------------------------


def _all_pairs(runs):
    return [(i, j) for i in range(len(runs)) for j in range(i + 1, len(runs))]


def takes_whatever_differs_in_the_question(runs, question):
    return [(i, j) for i, j in _all_pairs(runs) if runs[i][question] != runs[j][question]]


def wants_the_same_accuracy(runs, question):
    found = []
    for i, j in _all_pairs(runs):
        differ = [key for key in runs[i] if runs[i][key] != runs[j][key]]
        if differ == [question]:
            found.append((i, j))
    return found


def settings_of(run):
    return {key: value for key, value in run.items() if key != "accuracy"}


def takes_one_difference_of_any_kind(runs, question):
    found = []
    for i, j in _all_pairs(runs):
        one, other = settings_of(runs[i]), settings_of(runs[j])
        if sum(one[key] != other[key] for key in one) == 1:
            found.append((i, j))
    return found


def forgets_that_the_question_must_differ(runs, question):
    found = []
    for i, j in _all_pairs(runs):
        one, other = settings_of(runs[i]), settings_of(runs[j])
        if all(one[key] == other[key] for key in one if key != question):
            found.append((i, j))
    return found


def names_each_pair_twice(runs, question):
    found = []
    for i, a in enumerate(runs):
        for j, b in enumerate(runs):
            one, other = settings_of(a), settings_of(b)
            if [key for key in one if one[key] != other[key]] == [question]:
                found.append((i, j))
    return found


def gives_the_confounded_ones(runs, question):
    found = []
    for i, j in _all_pairs(runs):
        one, other = settings_of(runs[i]), settings_of(runs[j])
        differ = {key for key in one if one[key] != other[key]}
        if question in differ and len(differ) >= 2:
            found.append((i, j))
    return found


def counts_them(runs, question):
    found = 0
    for i, j in _all_pairs(runs):
        one, other = settings_of(runs[i]), settings_of(runs[j])
        found += [key for key in one if one[key] != other[key]] == [question]
    return found


def compares_neighbors(runs, question):
    found = []
    for i in range(len(runs) - 1):
        one, other = settings_of(runs[i]), settings_of(runs[i + 1])
        if [key for key in one if one[key] != other[key]] == [question]:
            found.append((i, i + 1))
    return found


def pops_the_accuracy_out_of_the_runs(runs, question):
    for run in runs:
        run.pop("accuracy")
    return [
        (i, j)
        for i, j in _all_pairs(runs)
        if [key for key in runs[i] if runs[i][key] != runs[j][key]] == [question]
    ]


# --- 9.2: an interval over seeds ----------------------------------------------------------------


def _ends(middle, half):
    return middle - half, middle + half


def forgets_the_root(one, other, factor=2.78):
    error = np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other)
    return _ends(np.mean(one) - np.mean(other), factor * error)


def takes_the_spread_of_single_runs(one, other, factor=2.78):
    error = math.sqrt(np.var(one, ddof=1) + np.var(other, ddof=1))
    return _ends(np.mean(one) - np.mean(other), factor * error)


def uses_numpys_default(one, other, factor=2.78):
    error = np.sqrt(np.std(one) ** 2 / len(one) + np.std(other) ** 2 / len(other))
    return _ends(np.mean(one) - np.mean(other), factor * error)


def adds_standard_errors(one, other, factor=2.78):
    a, b = np.std(one, ddof=1), np.std(other, ddof=1)
    return _ends(
        np.mean(one) - np.mean(other), factor * (a / len(one) ** 0.5 + b / len(other) ** 0.5)
    )


def divides_by_n_before_squaring(one, other, factor=2.78):
    a, b = np.std(one, ddof=1) / len(one), np.std(other, ddof=1) / len(other)
    return _ends(np.mean(one) - np.mean(other), factor * math.hypot(a, b))


def forgets_the_factor(one, other, factor=2.78):
    one, other = torch.tensor(one), torch.tensor(other)
    error = (one.var() / len(one) + other.var() / len(other)).sqrt()
    return _ends(one.mean() - other.mean(), error)


def knows_1_96_by_heart(one, other, factor=2.78):
    error = np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other))
    return _ends(np.mean(one) - np.mean(other), 1.96 * error)


def subtracts_the_other_way(one, other, factor=2.78):
    error = np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other))
    return _ends(np.mean(other) - np.mean(one), factor * error)


def gives_middle_and_half_width(one, other, factor=2.78):
    error = np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other))
    return np.mean(one) - np.mean(other), factor * error


def gives_the_half_width(one, other, factor=2.78):
    return factor * np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other))


def trusts_the_other_mean(one, other, factor=2.78):
    return _ends(np.mean(one) - np.mean(other), factor * np.std(one, ddof=1) / len(one) ** 0.5)


def loses_the_sign(one, other, factor=2.78):
    error = np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other))
    return _ends(abs(np.mean(one) - np.mean(other)), factor * error)


def knows_2_78_by_heart(one, other, factor=2.78):
    error = np.sqrt(np.var(one, ddof=1) / len(one) + np.var(other, ddof=1) / len(other))
    return _ends(np.mean(one) - np.mean(other), 2.78 * error)


# --- 9.3: where curves cross --------------------------------------------------------------------


def _first_change(one, other):
    gap = [a - b for a, b in zip(one, other, strict=True)]
    for k in range(len(gap) - 1):
        if gap[k] * gap[k + 1] <= 0:
            return k, gap[k] / (gap[k] - gap[k + 1])
    return None, None


def is_straight_in_the_sizes(sizes, one, other):
    k, share = _first_change(one, other)
    return None if k is None else sizes[k] + share * (sizes[k + 1] - sizes[k])


def stays_in_the_logarithm(sizes, one, other):
    k, share = _first_change(one, other)
    if k is None:
        return None
    low, high = math.log2(sizes[k]), math.log2(sizes[k + 1])
    return low + share * (high - low)


def takes_the_size_before(sizes, one, other):
    k, _ = _first_change(one, other)
    return None if k is None else sizes[k]


def takes_the_size_after(sizes, one, other):
    return next((s for s, a, b in zip(sizes, one, other, strict=True) if b > a), None)


def takes_the_middle(sizes, one, other):
    k, _ = _first_change(one, other)
    return None if k is None else (sizes[k] * sizes[k + 1]) ** 0.5


def gives_the_height(sizes, one, other):
    k, share = _first_change(one, other)
    return None if k is None else one[k] + share * (one[k + 1] - one[k])


def swaps_the_weights(sizes, one, other):
    k, share = _first_change(one, other)
    return None if k is None else sizes[k] ** share * sizes[k + 1] ** (1 - share)


def sees_one_direction_only(sizes, one, other):
    for k in range(len(sizes) - 1):
        before, after = one[k] - other[k], one[k + 1] - other[k + 1]
        if before > 0 >= after:
            return sizes[k] * (sizes[k + 1] / sizes[k]) ** (before / (before - after))
    return None


def takes_the_last_crossing(sizes, one, other):
    found = None
    for k in range(len(sizes) - 1):
        before, after = one[k] - other[k], one[k + 1] - other[k + 1]
        if before * after <= 0:
            found = sizes[k] * (sizes[k + 1] / sizes[k]) ** (before / (before - after))
    return found


def looks_beyond_the_last_size(sizes, one, other):
    k, share = _first_change(one, other)
    if k is None:
        before, after = one[-2] - other[-2], one[-1] - other[-1]
        k, share = len(sizes) - 2, before / (before - after + 1e-9)
    return sizes[k] * (sizes[k + 1] / sizes[k]) ** share


def misses_a_touch(sizes, one, other):
    gap = [a - b for a, b in zip(one, other, strict=True)]
    for k in range(len(gap) - 1):
        if gap[k] > 0 > gap[k + 1] or gap[k] < 0 < gap[k + 1]:
            share = gap[k] / (gap[k] - gap[k + 1])
            return sizes[k] * (sizes[k + 1] / sizes[k]) ** share
    return None


def lists_all(sizes, one, other):
    k, share = _first_change(one, other)
    return [] if k is None else [sizes[k] * (sizes[k + 1] / sizes[k]) ** share]


def draws_one_line(sizes, one, other):
    before, after = one[0] - other[0], one[-1] - other[-1]
    if before * after > 0:
        return None
    return sizes[0] * (sizes[-1] / sizes[0]) ** (before / (before - after))


# --- 9.4: shape bias ----------------------------------------------------------------------------


def divides_by_all(answers, shapes, textures):
    return (answers == shapes).float().mean()


def gives_the_textures_share(answers, shapes, textures):
    s, t = (answers == shapes).sum(), (answers == textures).sum()
    return (t / (s + t)).item()


def counts_what_is_not_texture(answers, shapes, textures):
    return (answers != textures).float().mean().item()


def divides_shape_by_texture(answers, shapes, textures):
    return ((answers == shapes).sum() / (answers == textures).sum()).item()


def subtracts(answers, shapes, textures):
    return ((answers == shapes).float().mean() - (answers == textures).float().mean()).item()


def counts_shape(answers, shapes, textures):
    return sum(int(a == s) for a, s in zip(answers, shapes, strict=True))


def gives_percent(answers, shapes, textures):
    s, t = (answers == shapes).sum(), (answers == textures).sum()
    return 100 * s / (s + t)


def counts_either_cue(answers, shapes, textures):
    return ((answers == shapes) | (answers == textures)).float().mean()


def divides_a_mean_by_a_sum(answers, shapes, textures):
    by_shape = answers == shapes
    return (by_shape.float().mean() / (by_shape | (answers == textures)).sum()).item()


# --- 9.5: calibration ---------------------------------------------------------------------------


def _bins(confidence, right, bins):
    """(share, mean confidence, accuracy) of the bins that are not empty."""
    found = []
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if inside.any():
            found.append(
                (
                    inside.double().mean(),
                    confidence[inside].mean(),
                    right[inside].double().mean(),
                )
            )
    return found


def weighs_bins_alike(confidence, right, bins):
    return torch.stack([abs(c - a) for _, c, a in _bins(confidence, right, bins)]).mean()


def divides_by_the_bins(confidence, right, bins):
    return sum(abs(c - a) for _, c, a in _bins(confidence, right, bins)) / bins


def forgets_the_absolute_value(confidence, right, bins):
    return sum(n * (c - a) for n, c, a in _bins(confidence, right, bins))


def forgets_it_the_other_way(confidence, right, bins):
    return sum(n * (a - c) for n, c, a in _bins(confidence, right, bins))


def takes_one_bin(confidence, right, bins):
    return abs(confidence.mean() - right.double().mean())


def takes_the_worst_bin(confidence, right, bins):
    return max(abs(c - a) for _, c, a in _bins(confidence, right, bins))


def squares(confidence, right, bins):
    return sum(n * (c - a) ** 2 for n, c, a in _bins(confidence, right, bins))


def takes_the_middle_of_a_bin(confidence, right, bins):
    total = 0.0
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if inside.any():
            gap = abs((k + 0.5) / bins - right[inside].double().mean())
            total += inside.sum() / len(right) * gap
    return total


def compares_single_answers(confidence, right, bins):
    return (confidence - right.double()).abs().mean().item()


def makes_bins_of_equal_number(confidence, right, bins):
    order = confidence.argsort()
    total = 0.0
    for part in order.tensor_split(bins):
        gap = abs(confidence[part].mean() - right[part].double().mean())
        total += len(part) / len(right) * gap
    return total


def loses_the_surest(confidence, right, bins):
    total = 0.0
    for k in range(bins):
        inside = (confidence >= k / bins) & (confidence < (k + 1) / bins)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].double().mean())
            total += inside.sum() / len(right) * gap
    return total


def puts_borders_above(confidence, right, bins):
    total = 0.0
    for k in range(bins):
        last = k == bins - 1
        inside = (confidence >= k / bins) & (last | (confidence < (k + 1) / bins))
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].double().mean())
            total += inside.sum() / len(right) * gap
    return total


def counts_borders_twice(confidence, right, bins):
    total = 0.0
    for k in range(bins):
        inside = (confidence >= k / bins) & (confidence <= (k + 1) / bins)
        if inside.any():
            gap = abs(confidence[inside].mean() - right[inside].double().mean())
            total += inside.sum() / len(right) * gap
    return total


def takes_means_of_empty_bins(confidence, right, bins):
    total = 0.0
    for k in range(bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        gap = abs(confidence[inside].mean() - right[inside].double().mean())
        total += inside.sum() / len(right) * gap
    return total


def sums_over_answers(confidence, right, bins):
    return len(right) * sum(n * abs(c - a) for n, c, a in _bins(confidence, right, bins))


def returns_a_set(runs, question):
    found = set()
    for j in range(len(runs)):
        for i in range(j):
            differ = {k for k in runs[i] if runs[i][k] != runs[j][k]} - {"accuracy"}
            if differ == {question}:
                found.add((i, j))
    return found


def asks_for_identity(runs, question):
    found = []
    for j in range(len(runs)):
        for i in range(j):
            differ = {k for k in runs[i] if runs[i][k] is not runs[j][k]} - {"accuracy"}
            if differ == {question}:
                found.append((i, j))
    return found


def wants_the_factor(one, other, factor):
    middle = sum(one) / len(one) - sum(other) / len(other)
    half = factor * (stdev(one) ** 2 / len(one) + stdev(other) ** 2 / len(other)) ** 0.5
    return middle - half, middle + half


def assumes_fourfold_sizes(sizes, one, other):
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    for k, gap in enumerate(gaps):
        if gap == 0:
            return sizes[k]
        if k + 1 < len(gaps) and gap * gaps[k + 1] < 0:
            return sizes[k] * 4 ** (gap / (gap - gaps[k + 1]))
    return None


def misses_a_meeting_at_the_first_size(sizes, one, other):
    gaps = [a - b for a, b in zip(one, other, strict=True)]
    for k in range(1, len(gaps)):
        if gaps[k] == 0:
            return sizes[k]
        if gaps[k - 1] * gaps[k] < 0:
            share = gaps[k - 1] / (gaps[k - 1] - gaps[k])
            return sizes[k - 1] * (sizes[k] / sizes[k - 1]) ** share
    return None


def skips_the_lowest_bin(confidence, right, bins):
    error = 0.0
    for k in range(1, bins):
        inside = (confidence > k / bins) & (confidence <= (k + 1) / bins)
        if inside.any():
            gap = confidence[inside].mean() - right[inside].double().mean()
            error += inside.sum().item() / len(right) * gap.abs().item()
    return error


BANK = {
    "9.1": [
        (takes_whatever_differs_in_the_question, "confounded pairs"),
        (wants_the_same_accuracy, "accuracy as a setting"),
        (takes_one_difference_of_any_kind, "whichever it is"),
        (forgets_that_the_question_must_differ, "about chance"),
        (names_each_pair_twice, "in both orders"),
        (gives_the_confounded_ones, "Asked are the others"),
        (counts_them, "a list of (i, j)"),
        (compares_neighbors, "neighbors in the list"),
        (pops_the_accuracy_out_of_the_runs, "changed the runs"),
        (returns_a_set, "in a set"),
        (asks_for_identity, "by their names"),
    ],
    "9.2": [
        (forgets_the_root, "square root"),
        (takes_the_spread_of_single_runs, "divide by the number of runs"),
        (uses_numpys_default, "ddof=1"),
        (adds_standard_errors, "adds up in squares"),
        (divides_by_n_before_squaring, "not by its root"),
        (forgets_the_factor, "left the factor out"),
        (knows_1_96_by_heart, "1.96"),
        (subtracts_the_other_way, "other direction"),
        (gives_middle_and_half_width, "the two ends"),
        (gives_the_half_width, "An interval has two"),
        (trusts_the_other_mean, "as uncertain"),
        (loses_the_sign, "no absolute value"),
        (knows_2_78_by_heart, "not `factor`"),
        (wants_the_factor, "Keep the default"),
    ],
    "9.3": [
        (is_straight_in_the_sizes, "axis is logarithmic"),
        (stays_in_the_logarithm, "returned the logarithm"),
        (takes_the_size_before, "last size before"),
        (takes_the_size_after, "first size after"),
        (takes_the_middle, "middle of the two"),
        (gives_the_height, "the height"),
        (swaps_the_weights, "wrong way round"),
        (sees_one_direction_only, "from minus to plus"),
        (takes_the_last_crossing, "last crossing"),
        (looks_beyond_the_last_size, "nothing was measured"),
        (misses_a_touch, "equal at a measured size"),
        (lists_all, "Return one number"),
        (draws_one_line, "from the first size to the last"),
        (assumes_fourfold_sizes, "own ratio"),
        (misses_a_meeting_at_the_first_size, "at the first size"),
    ],
    "9.4": [
        (divides_by_all, "divided by all images"),
        (gives_the_textures_share, "texture's share"),
        (counts_what_is_not_texture, "follow neither cue"),
        (divides_shape_by_texture, "divided shape by texture"),
        (subtracts, "You subtracted"),
        (counts_shape, "returned a count"),
        (gives_percent, "returned percent"),
        (counts_either_cue, "shape and texture together"),
        (divides_a_mean_by_a_sum, "share of all images by a count"),
    ],
    "9.5": [
        (weighs_bins_alike, "same weight"),
        (divides_by_the_bins, "number of bins"),
        (forgets_the_absolute_value, "cancel each other"),
        (forgets_it_the_other_way, "cancel each other"),
        (takes_one_bin, "cancel each other"),
        (takes_the_worst_bin, "largest gap"),
        (squares, "squared the gaps"),
        (takes_the_middle_of_a_bin, "middle of the bin"),
        (compares_single_answers, "each single answer"),
        (makes_bins_of_equal_number, "equally many answers"),
        (loses_the_surest, "exactly 1"),
        (puts_borders_above, "belongs to the lower one"),
        (counts_borders_twice, "counted in both"),
        (takes_means_of_empty_bins, "empty bin has no mean"),
        (sums_over_answers, "sum over all answers"),
        (skips_the_lowest_bin, "Count bins from 0"),
    ],
}
