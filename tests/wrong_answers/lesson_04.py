"""Wrong answers to lesson 4 as learners write them, each with what its message must say."""

import math
from collections import Counter

import torch
import torch.nn.functional as F

# --- 4.1: LayerNorm by hand ---------------------------------------------------------------------


def normalizes_over_the_first_axis(x, weight, bias, eps):
    mean = x.mean(0)
    variance = ((x - mean) ** 2).mean(0)
    return (x - mean) / torch.sqrt(variance + eps) * weight + bias


def normalizes_each_feature_like_batch_norm(x, weight, bias, eps):
    rows = x.reshape(-1, x.shape[-1])
    rows = (rows - rows.mean(0)) / (rows.var(0, unbiased=False) + eps).sqrt()
    return (rows * weight + bias).reshape(x.shape)


def normalizes_over_the_tokens(x, weight, bias, eps):
    mean = x.mean(dim=1, keepdim=True)
    std = torch.sqrt(x.var(dim=1, unbiased=False, keepdim=True) + eps)
    return weight * (x - mean) / std + bias


def normalizes_a_whole_sentence(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[1:], eps=eps) * weight + bias


def takes_one_mean_for_everything(x, weight, bias, eps):
    return (x - x.mean()) / (x.var(correction=0) + eps) ** 0.5 * weight + bias


def uses_var_as_it_is(x, weight, bias, eps):
    return (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True) + eps).sqrt() * weight + bias


def adds_eps_to_the_deviation(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    std = ((x - mean) ** 2).mean(-1, keepdim=True).sqrt()
    return weight * (x - mean) / (std + eps) + bias


def writes_the_annotated_transformer_version(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    std = x.std(-1, keepdim=True)
    return weight * (x - mean) / (std + eps) + bias


def forgets_eps(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    return (x - mean) / x.std(-1, keepdim=True, correction=0) * weight + bias


def forgets_the_root(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    variance = (x - mean).pow(2).mean(-1, keepdim=True)
    return (x - mean) / (variance + eps) * weight + bias


def forgets_to_subtract_the_mean(x, weight, bias, eps):
    variance = torch.var(x, dim=-1, correction=0, keepdim=True)
    return x / torch.sqrt(variance + eps) * weight + bias


def writes_rms_norm(x, weight, bias, eps):
    return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + eps) * weight + bias


def shifts_before_scaling(x, weight, bias, eps):
    return (F.layer_norm(x, x.shape[-1:], eps=eps) + bias) * weight


def forgets_weight_and_bias(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[-1:], eps=eps)


def forgets_the_bias(x, weight, bias, eps):
    return F.layer_norm(x, x.shape[-1:], weight, eps=eps)


def works_in_place(x, weight, bias, eps):
    x -= x.mean(-1, keepdim=True)
    x /= (x.pow(2).mean(-1, keepdim=True) + eps).sqrt()
    return x * weight + bias


def forgets_keepdim(x, weight, bias, eps):
    return weight * (x - x.mean(-1)) / torch.sqrt(x.var(-1, correction=0) + eps) + bias


# --- 4.2: the parameters of a block -------------------------------------------------------------


def counts_matrices_only(dim, hidden):
    return 3 * dim * dim + dim * dim + dim * hidden + hidden * dim


def forgets_the_norms(dim, hidden):
    attention = 4 * (dim * dim + dim)
    return attention + dim * hidden + hidden + hidden * dim + dim


def forgets_the_linear_biases(dim, hidden):
    return 4 * dim**2 + 2 * dim * hidden + 2 * 2 * dim


def forgets_the_output_projection(dim, hidden):
    qkv = 3 * (dim * dim + dim)
    return qkv + (dim + 1) * hidden + (hidden + 1) * dim + 4 * dim


def counts_one_feed_forward_layer(dim, hidden):
    return 4 * (dim * dim + dim) + dim * hidden + hidden + 2 * 2 * dim


def counts_one_projection_for_all_three(dim, hidden):
    total = 0
    for inputs, outputs in [(dim, dim), (dim, dim), (dim, hidden), (hidden, dim)]:
        total += inputs * outputs + outputs
    return total + 4 * dim


def counts_one_number_for_each_norm_feature(dim, hidden):
    total = 2 * dim
    for inputs, outputs in [(dim, 3 * dim), (dim, dim), (dim, hidden), (hidden, dim)]:
        total += inputs * outputs + outputs
    return total


def ignores_hidden(dim, hidden):
    return 12 * dim**2 + 13 * dim


def divides_into_a_float(dim, hidden):
    return (4 * dim**2 + 2 * dim * hidden + 9 * dim + hidden) / 1


# --- 4.3: the pre-norm block --------------------------------------------------------------------


def writes_post_norm(x, attend, feed, norm1, norm2):
    x = norm1(x + attend(x))
    return norm2(x + feed(x))


def normalizes_the_residual_path(x, attend, feed, norm1, norm2):
    x = norm1(x)
    x = x + attend(x)
    x = norm2(x)
    return x + feed(x)


def forgets_the_residual_path(x, attend, feed, norm1, norm2):
    x = attend(norm1(x))
    return feed(norm2(x))


def forgets_the_first_residual(x, attend, feed, norm1, norm2):
    x = attend(norm1(x))
    return x + feed(norm2(x))


def forgets_the_second_residual(x, attend, feed, norm1, norm2):
    x = x + attend(norm1(x))
    return feed(norm2(x))


def keeps_the_first_x_for_both(x, attend, feed, norm1, norm2):
    residual = x
    x = residual + attend(norm1(x))
    return residual + feed(norm2(x))


def runs_both_in_parallel(x, attend, feed, norm1, norm2):
    return x + attend(norm1(x)) + feed(norm2(x))


def shares_one_norm(x, attend, feed, norm1, norm2):
    for layer in (attend, feed):
        x = x + layer(norm1(x))
    return x


def leaves_the_norms_out(x, attend, feed, norm1, norm2):
    x = x + attend(x)
    return x + feed(x)


def feeds_before_it_attends(x, attend, feed, norm1, norm2):
    x = x + feed(norm1(x))
    return x + attend(norm2(x))


def adds_in_place(x, attend, feed, norm1, norm2):
    x += attend(norm1(x))
    x += feed(norm2(x))
    return x


def normalizes_at_the_end(x, attend, feed, norm1, norm2):
    x = x + attend(norm1(x))
    x = x + feed(norm2(x))
    return norm2(x)


def adds_once_around_both(x, attend, feed, norm1, norm2):
    return x + feed(norm2(attend(norm1(x))))


# --- 4.4: the loss of a unigram model -----------------------------------------------------------


def _smooth(train_ids, vocab):
    counts = torch.ones(vocab)
    for i in train_ids.tolist():
        counts[i] += 1
    return counts / counts.sum()


def takes_bits(train_ids, targets, vocab):
    p = _smooth(train_ids, vocab)
    return -sum(math.log2(p[t]) for t in targets.tolist()) / len(targets)


def counts_the_answers(train_ids, targets, vocab):
    return -_smooth(targets, vocab).log()[targets].mean()


def leaves_zero_counts(train_ids, targets, vocab):
    counts = torch.bincount(train_ids, minlength=vocab)
    return -(counts / counts.sum()).log()[targets].mean()


def forgets_that_the_sum_grew(train_ids, targets, vocab):
    counts = torch.bincount(train_ids, minlength=vocab) + 1
    p = counts / len(train_ids)
    return -torch.log(p[targets]).mean()


def averages_over_the_vocabulary(train_ids, targets, vocab):
    return -_smooth(train_ids, vocab).log().mean()


def averages_over_different_targets(train_ids, targets, vocab):
    p = _smooth(train_ids, vocab)
    kinds = Counter(targets.tolist())
    return -sum(math.log(p[t]) for t in kinds) / len(kinds)


def returns_the_sum(train_ids, targets, vocab):
    return -_smooth(train_ids, vocab).log()[targets].sum()


def returns_perplexity(train_ids, targets, vocab):
    return torch.exp(-_smooth(train_ids, vocab).log()[targets].mean())


def forgets_the_minus(train_ids, targets, vocab):
    return _smooth(train_ids, vocab)[targets].log().mean()


def averages_before_the_logarithm(train_ids, targets, vocab):
    return -_smooth(train_ids, vocab)[targets].mean().log()


def computes_the_entropy_of_train(train_ids, targets, vocab):
    p = _smooth(train_ids, vocab)
    return -(p * p.log()).sum()


def returns_the_uniform_loss(train_ids, targets, vocab):
    return math.log(vocab)


def gives_counts_as_scores(train_ids, targets, vocab):
    counts = torch.bincount(train_ids, minlength=vocab) + 1.0
    return F.cross_entropy(counts.repeat(len(targets), 1), targets)


# --- 4.5: the loss at the masked positions ------------------------------------------------------


def averages_over_all_tokens(scores, ids, is_masked):
    return F.cross_entropy(scores.flatten(0, 1), ids.flatten())


def takes_the_visible_ones(scores, ids, is_masked):
    return F.cross_entropy(scores[~is_masked], ids[~is_masked])


def multiplies_by_the_mask_and_averages(scores, ids, is_masked):
    losses = F.cross_entropy(scores.transpose(1, 2), ids, reduction="none")
    return (losses * is_masked).mean()


def sums_over_the_masked(scores, ids, is_masked):
    log_p = scores.log_softmax(-1).gather(-1, ids.unsqueeze(-1)).squeeze(-1)
    return -(log_p * is_masked).sum()


def applies_softmax_twice(scores, ids, is_masked):
    probabilities = scores[is_masked].softmax(dim=-1)
    return F.cross_entropy(probabilities, ids[is_masked])


def averages_within_each_sentence(scores, ids, is_masked):
    rows = [F.cross_entropy(s[m], i[m]) for s, i, m in zip(scores, ids, is_masked, strict=True)]
    return torch.stack(rows).mean()


def forgets_the_minus_of_the_logarithm(scores, ids, is_masked):
    log_p = scores[is_masked].log_softmax(-1)
    return log_p[torch.arange(len(log_p)), ids[is_masked]].mean()


def keeps_one_loss_each(scores, ids, is_masked):
    return F.cross_entropy(scores[is_masked], ids[is_masked], reduction="none")


def measures_accuracy(scores, ids, is_masked):
    return (scores.argmax(-1)[is_masked] == ids[is_masked]).float().mean()


def zeroes_the_visible_scores(scores, ids, is_masked):
    scores = scores * is_masked.unsqueeze(-1)
    return F.cross_entropy(scores.flatten(0, 1), ids.flatten())


def marks_the_rest_with_zero(scores, ids, is_masked):
    targets = (ids * is_masked).flatten()
    return F.cross_entropy(scores.flatten(0, 1), targets, ignore_index=0)


def subtracts_the_squared_mean(x, weight, bias, eps):
    mean = x.mean(-1, keepdim=True)
    variance = (x * x).mean(-1, keepdim=True) - mean**2
    return weight * (x - mean) / torch.sqrt(variance + eps) + bias


def fills_float32(x, weight, bias, eps):
    out = torch.zeros(x.shape)
    out[:] = F.layer_norm(x, x.shape[-1:], weight, bias, eps)
    return out


def multiplies_the_probabilities(train_ids, targets, vocab):
    p = (torch.bincount(train_ids, minlength=vocab) + 1) / (len(train_ids) + vocab)
    return -p[targets].prod().log() / len(targets)


def overwrites_the_ids(scores, ids, is_masked):
    ids[~is_masked] = -100
    return F.cross_entropy(scores.flatten(0, 1), ids.flatten())


def takes_the_logarithm_of_softmax(scores, ids, is_masked):
    p = scores.softmax(-1).gather(-1, ids[..., None])[..., 0]
    return -p[is_masked].log().mean()


def goes_sentence_by_sentence(scores, ids, is_masked):
    rows = zip(scores, ids, is_masked, strict=True)
    total = sum(F.cross_entropy(s[m], i[m]) * m.sum() for s, i, m in rows)
    return total / is_masked.sum()


def leaves_the_gradient_behind(scores, ids, is_masked):
    rows = zip(scores[is_masked], ids[is_masked], strict=True)
    return torch.tensor([-s.log_softmax(0)[i].item() for s, i in rows]).mean()


BANK = {
    "4.1": [
        (normalizes_over_the_first_axis, "averaged over the batch"),
        (normalizes_each_feature_like_batch_norm, "batch and the tokens, feature by feature"),
        (normalizes_over_the_tokens, "averaged over the tokens"),
        (normalizes_a_whole_sentence, "tokens and features together"),
        (takes_one_mean_for_everything, "for the whole tensor"),
        (uses_var_as_it_is, "divides by dim - 1"),
        (adds_eps_to_the_deviation, "after the root"),
        (writes_the_annotated_transformer_version, "dim - 1, and eps is added after the root"),
        (forgets_eps, "left eps out"),
        (forgets_the_root, "divided by the variance"),
        (forgets_to_subtract_the_mean, "did not subtract the mean"),
        (writes_rms_norm, "RMSNorm"),
        (shifts_before_scaling, "First scale, then shift"),
        (forgets_weight_and_bias, "did not use weight and bias"),
        (forgets_the_bias, "did not add the bias"),
        (forgets_keepdim, "keepdim=True"),
        (works_in_place, "changed x itself"),
        (subtracts_the_squared_mean, "nearly everything cancels"),
        (fills_float32, "is float32"),
    ],
    "4.2": [
        (counts_matrices_only, "neither the biases nor the two LayerNorms"),
        (forgets_the_norms, "left out the two LayerNorms"),
        (forgets_the_linear_biases, "left out the biases of the linear layers"),
        (forgets_the_output_projection, "output projection"),
        (counts_one_feed_forward_layer, "one of the two layers"),
        (counts_one_projection_for_all_three, "queries, keys and values"),
        (counts_one_number_for_each_norm_feature, "LayerNorm"),
        (ignores_hidden, "given `hidden`"),
        (divides_into_a_float, "whole number"),
    ],
    "4.3": [
        (writes_post_norm, "post-norm order of 2017"),
        (normalizes_the_residual_path, "normalized the residual path too"),
        (forgets_the_residual_path, "no residual path"),
        (adds_once_around_both, "runs around both branches"),
        (forgets_the_first_residual, "first residual path is missing"),
        (forgets_the_second_residual, "second residual path is missing"),
        (keeps_the_first_x_for_both, "starts too early"),
        (runs_both_in_parallel, "parallel"),
        (shares_one_norm, "norm1 twice"),
        (leaves_the_norms_out, "did not use the norms"),
        (feeds_before_it_attends, "Attention comes first"),
        (adds_in_place, "in place"),
        (normalizes_at_the_end, "one more norm at the end"),
    ],
    "4.4": [
        (takes_bits, "base 2"),
        (counts_the_answers, "looking at the answers"),
        (leaves_zero_counts, "infinite"),
        (forgets_that_the_sum_grew, "sum to one"),
        (averages_over_the_vocabulary, "averaged over the vocabulary"),
        (averages_over_different_targets, "averaged over the different tokens"),
        (returns_the_sum, "returned the sum"),
        (returns_perplexity, "perplexity"),
        (forgets_the_minus, "forgot the minus"),
        (averages_before_the_logarithm, "averaged the probabilities"),
        (computes_the_entropy_of_train, "entropy of the train counts"),
        (gives_counts_as_scores, "counts to cross-entropy as scores"),
        (returns_the_uniform_loss, "all tokens the same probability"),
        (multiplies_the_probabilities, "too small for a computer"),
    ],
    "4.5": [
        (marks_the_rest_with_zero, "id 0 was left out"),
        (averages_over_all_tokens, "visible ones too"),
        (takes_the_visible_ones, "averaged over the visible tokens"),
        (multiplies_by_the_mask_and_averages, "number of all tokens"),
        (sums_over_the_masked, "returned the sum"),
        (applies_softmax_twice, "applied softmax first"),
        (zeroes_the_visible_scores, "visible tokens' scores to zero"),
        (averages_within_each_sentence, "within each sentence"),
        (forgets_the_minus_of_the_logarithm, "forgot the minus"),
        (keeps_one_loss_each, "one loss for each masked token"),
        (measures_accuracy, "share of right guesses"),
        (overwrites_the_ids, "wrote into"),
        (takes_the_logarithm_of_softmax, "breaks down"),
        (goes_sentence_by_sentence, "has no gap"),
        (leaves_the_gradient_behind, "no gradient flows"),
    ],
}
