"""Wrong answers to lesson 3 as learners write them, each with what its message must say."""

import math

import torch
import torch.nn.functional as F


def forgets_the_division(query, key):
    scores = query @ key.transpose(0, 1)
    return F.softmax(scores, dim=1)


def softmax_down_the_columns(query, key):
    return torch.softmax(query @ key.T / query.shape[1] ** 0.5, 0)


def divides_by_the_dim(query, key):
    return ((query @ key.T) / query.size(-1)).softmax(-1)


def takes_the_root_of_the_number_of_keys(query, key):
    dim = key.shape[0]
    return (query @ key.T / math.sqrt(dim)).softmax(-1)


def takes_the_root_of_the_number_of_queries(query, key):
    return (query @ key.T / math.sqrt(len(query))).softmax(-1)


def divides_after_the_softmax(query, key):
    weights = (query @ key.T).softmax(dim=-1)
    return weights / query.shape[-1] ** 0.5


def multiplies_by_the_root(query, key):
    return (query @ key.T * query.shape[-1] ** 0.5).softmax(dim=-1)


def shares_without_powers(query, key):
    scores = torch.einsum("qd,kd->qk", query, key) / math.sqrt(query.shape[-1])
    return scores / scores.sum(-1, keepdim=True)


def stops_at_the_scores(query, key):
    return query @ key.T / query.shape[-1] ** 0.5


def keys_on_the_rows(query, key):
    scores = key @ query.T / query.shape[-1] ** 0.5
    return scores.softmax(dim=0)


def compares_directions_only(query, key):
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    return (query @ key.T).softmax(dim=-1)


def compares_directions_and_divides(query, key):
    query, key = F.normalize(query, dim=-1), F.normalize(key, dim=-1)
    return (query @ key.T / query.shape[-1] ** 0.5).softmax(dim=-1)


def sigmoid_instead_of_softmax(query, key):
    return torch.sigmoid(query @ key.T / query.shape[-1] ** 0.5)


def minus_the_distance(query, key):
    return (-torch.cdist(query, key) / query.shape[-1] ** 0.5).softmax(dim=-1)


def minus_the_squared_distance(query, key):
    return (-((query[:, None] - key) ** 2).sum(dim=-1)).softmax(dim=-1)


def one_total_for_the_table(query, key):
    powers = torch.exp(query @ key.T / math.sqrt(query.shape[-1]))
    return powers / powers.sum()


def stops_at_the_powers(query, key):
    return torch.exp(query @ key.T / math.sqrt(query.shape[-1]))


def takes_the_log_softmax(query, key):
    return F.log_softmax(query @ key.T / math.sqrt(query.shape[-1]), dim=-1)


def half_power_without_brackets(query, key):
    return (query @ key.T / query.shape[-1] ** 1 / 2).softmax(dim=-1)


def half_power_with_outer_brackets(query, key):
    return (query @ key.T / (query.shape[-1] ** 1 / 2)).softmax(dim=-1)


def a_fixed_eight(query, key):
    return (query @ key.T / 8).softmax(dim=-1)


def divides_by_the_root_of_the_model_dim(query, key):
    return (query @ key.T / 512**0.5).softmax(dim=-1)


def keys_on_the_rows_softmax_over_queries(query, key):
    return (key @ query.T / query.shape[-1] ** 0.5).softmax(dim=-1)


def a_fixed_root_of_seven(query, key):
    return (query @ key.T / 7**0.5).softmax(dim=-1)


def a_root_that_fits_one_size(query, key):
    return (query @ key.T / (len(key) + 2) ** 0.5).softmax(dim=-1)


def divides_the_callers_query(query, key):
    query /= query.shape[-1] ** 0.5
    return (query @ key.T).softmax(dim=-1)


def blocks_where_true(scores, mask):
    scores = scores.masked_fill(mask, float("-inf"))
    return torch.nan_to_num(scores.softmax(-1))


def blocks_where_true_and_leaves_nan(scores, mask):
    return torch.where(mask, -math.inf, scores).softmax(-1)


def multiplies_the_scores(scores, mask):
    return torch.softmax(scores * mask.float(), dim=-1)


def masks_after_the_softmax(scores, mask):
    weights = scores.softmax(dim=-1)
    weights[:, ~mask] = 0
    return weights


def leaves_nan(scores, mask):
    return scores.masked_fill(~mask, -torch.inf).softmax(dim=-1)


def a_large_negative_number(scores, mask):
    return scores.masked_fill(mask == 0, -1e9).softmax(dim=-1)


def minus_ten(scores, mask):
    return scores.masked_fill(~mask, -10.0).softmax(dim=-1)


def minus_twenty_and_zeros(scores, mask):
    return scores.masked_fill(~mask, -20.0).softmax(dim=-1) * mask


def minus_five_on_top(scores, mask):
    return (scores - 5.0 * ~mask).softmax(dim=-1)


def adds_minus_ten_thousand(scores, mask):
    return (scores + (1 - mask.float()) * -1e4).softmax(dim=-1)


def opens_the_first_key(scores, mask):
    open_keys = mask.clone()
    open_keys[~mask.any(dim=-1), 0] = True
    return scores.masked_fill(~open_keys, -math.inf).softmax(dim=-1)


def gives_up_the_whole_table(scores, mask):
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return torch.zeros_like(weights) if weights.isnan().any() else weights


def zero_times_infinity(scores, mask):
    return (scores + (~mask).float() * -math.inf).softmax(dim=-1)


def plus_infinity(scores, mask):
    return scores.masked_fill(~mask, math.inf).softmax(dim=-1)


def divides_once_more(scores, mask):
    scores = scores / scores.shape[-1] ** 0.5
    return torch.nan_to_num(scores.masked_fill(~mask, -math.inf).softmax(dim=-1))


def adds_a_large_negative_number(scores, mask):
    return (scores + (~mask) * -1e9).softmax(-1)


def forgets_that_masked_fill_returns(scores, mask):
    scores.masked_fill(~mask, float("-inf"))
    return scores.softmax(dim=-1)


def rescales_without_care_for_empty_rows(scores, mask):
    weights = scores.softmax(dim=-1) * mask
    return weights / weights.sum(dim=-1, keepdim=True)


def skips_the_mask_for_empty_rows(scores, mask):
    open_rows = mask | ~mask.any(dim=-1, keepdim=True)
    return scores.masked_fill(~open_rows, float("-inf")).softmax(dim=-1)


def fills_with_zero(scores, mask):
    return scores.masked_fill(~mask, 0.0).softmax(dim=-1)


def multiplies_nan_by_zero(scores, mask):
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return weights * mask.any(dim=-1, keepdim=True)


def looks_down_the_columns(scores, mask):
    weights = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    return weights.masked_fill(~mask.any(dim=0), 0.0)


def zero_times_infinity_made_zero(scores, mask):
    return torch.nan_to_num((scores + (~mask) * -math.inf).softmax(dim=-1))


def fills_the_callers_scores(scores, mask):
    return torch.nan_to_num(scores.masked_fill_(~mask, -math.inf).softmax(dim=-1))


def writes_into_the_callers_scores(scores, mask):
    scores[:, ~mask] = -math.inf
    return torch.nan_to_num(scores.softmax(dim=-1))


def rescales_after_the_softmax(scores, mask):
    weights = scores.softmax(dim=-1) * mask
    return torch.nan_to_num(weights / weights.sum(dim=-1, keepdim=True))


def subtracts_the_highest_blocked_score(scores, mask):
    powers = (scores - scores.amax(dim=-1, keepdim=True)).exp() * mask
    return torch.nan_to_num(powers / powers.sum(dim=-1, keepdim=True))


def powers_without_the_highest(scores, mask):
    powers = scores.masked_fill(~mask, -math.inf).exp()
    return torch.nan_to_num(powers / powers.sum(dim=-1, keepdim=True))


def powers_times_the_mask(scores, mask):
    powers = scores.exp() * mask
    return torch.nan_to_num(powers / powers.sum(dim=-1, keepdim=True))


def softmax_over_the_queries(scores, mask):
    return scores.masked_fill(~mask, float("-inf")).softmax(dim=1)


def reshapes_at_once(x):
    batch, heads, tokens, dim = x.shape
    return x.reshape(batch, tokens, heads * dim)


def views_at_once(x):
    return x.contiguous().view(x.shape[0], x.shape[2], -1)


def views_after_the_transpose(x):
    return x.transpose(1, 2).view(x.shape[0], x.shape[2], -1)


def interleaves_the_columns(x):
    return torch.stack(list(x.unbind(dim=1)), dim=-1).flatten(2)


def averages_the_heads(x):
    return x.mean(1)


def adds_the_heads(x):
    return sum(x[:, head] for head in range(x.shape[1]))


def heads_one_below_the_other(x):
    return torch.cat([x[:, head] for head in range(x.shape[1])], dim=1)


def forgets_to_flatten(x):
    return x.transpose(1, 2)


def swaps_tokens_and_columns(x):
    batch, heads, tokens, dim = x.shape
    return x.transpose(-2, -1).reshape(batch, tokens, heads * dim)


def swaps_heads_and_columns(x):
    return x.transpose(1, 3).reshape(x.shape[0], x.shape[2], -1)


def flattens_everything(x):
    return x.flatten(1)


def swaps_heads_and_columns_only(x):
    return x.transpose(1, 3)


def joins_two_heads(x):
    return torch.cat([x[:, 0], x[:, 1]], dim=-1)


def concatenates_backwards(x):
    return torch.cat([x[:, -1 - head] for head in range(x.shape[1])], dim=-1)


def one_table_for_all_heads(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * tokens**2 * bytes_per_number


def one_number_a_token(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens * bytes_per_number


def size_of_the_queries(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens * head_dim * bytes_per_number


def counts_the_head_dim_too(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens * tokens * head_dim * bytes_per_number


def numbers_instead_of_bytes(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens * tokens


def four_bytes_always(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens**2 * 4


def head_dim_for_heads(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * head_dim * tokens**2 * bytes_per_number


def megabytes(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens**2 * bytes_per_number / 1e6


def bits(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens * tokens * bytes_per_number * 8


def one_layer(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * heads * tokens * tokens * bytes_per_number


def one_image(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return layers * heads * tokens * tokens * bytes_per_number


def twice_the_tokens(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens * 2 * bytes_per_number


def queries_keys_and_values_too(batch, layers, heads, tokens, head_dim, bytes_per_number):
    numbers = tokens**2 + 3 * tokens * head_dim
    return batch * layers * heads * numbers * bytes_per_number


def queries_keys_and_values_only(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return 3 * batch * layers * heads * tokens * head_dim * bytes_per_number


def one_too_many(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return batch * layers * heads * tokens**2 * bytes_per_number + 10


def pairs_of_all_tokens_in_the_batch(batch, layers, heads, tokens, head_dim, bytes_per_number):
    return layers * heads * (batch * tokens) ** 2 * bytes_per_number


BANK = {
    "3.1": [
        (forgets_the_division, "not divided"),
        (softmax_down_the_columns, "ran over the queries"),
        (divides_by_the_dim, "instead of its square root"),
        (takes_the_root_of_the_number_of_keys, "number of keys"),
        (takes_the_root_of_the_number_of_queries, "number of queries"),
        (divides_after_the_softmax, "after the softmax"),
        (multiplies_by_the_root, "multiplied by the square root"),
        (shares_without_powers, "divided by their sum"),
        (stops_at_the_scores, "softmax is missing"),
        (keys_on_the_rows, "queries belong on the rows"),
        (compares_directions_only, "cosine similarity"),
        (compares_directions_and_divides, "smaller still"),
        (sigmoid_instead_of_softmax, "sigmoid"),
        (minus_the_distance, "minus the distance, divided"),
        (minus_the_squared_distance, "minus the squared distance"),
        (one_total_for_the_table, "a total of its own"),
        (stops_at_the_powers, "not yet divided by the sum"),
        (takes_the_log_softmax, "logarithms"),
        (half_power_without_brackets, "without brackets"),
        (half_power_with_outer_brackets, "this is no root"),
        (a_fixed_eight, "divided by 8"),
        (divides_by_the_root_of_the_model_dim, "root of 512"),
        (keys_on_the_rows_softmax_over_queries, "write query @ key.T"),
        (a_fixed_root_of_seven, "not for one of 11"),
        (a_root_that_fits_one_size, "another axis"),
        (divides_the_callers_query, "caller's tensor `query`"),
    ],
    "3.2": [
        (blocks_where_true, "inverted"),
        (blocks_where_true_and_leaves_nan, "inverted"),
        (multiplies_the_scores, "multiplied by the mask"),
        (masks_after_the_softmax, "after the softmax"),
        (leaves_nan, "0 by 0"),
        (a_large_negative_number, "-1e9"),
        (adds_a_large_negative_number, "-1e9"),
        (minus_ten, "not low enough"),
        (minus_twenty_and_zeros, "50 lower"),
        (minus_five_on_top, "not low enough"),
        (adds_minus_ten_thousand, "repeats what was there"),
        (opens_the_first_key, "opening a key"),
        (gives_up_the_whole_table, "not at the whole table"),
        (zero_times_infinity, "0 times infinity"),
        (plus_infinity, "its sign"),
        (divides_once_more, "divided already"),
        (forgets_that_masked_fill_returns, "no effect"),
        (rescales_without_care_for_empty_rows, "0 by 0"),
        (skips_the_mask_for_empty_rows, "without a mask"),
        (softmax_over_the_queries, "ran over the queries"),
        (fills_with_zero, "filled with 0"),
        (multiplies_nan_by_zero, "0 times NaN"),
        (looks_down_the_columns, "down the columns"),
        (zero_times_infinity_made_zero, "NaN before you wrote zeros"),
        (fills_the_callers_scores, "caller's tensor `scores`"),
        (writes_into_the_callers_scores, "caller's tensor `scores`"),
        (rescales_after_the_softmax, "scores above 200"),
        (subtracts_the_highest_blocked_score, "scores above 200"),
        (powers_times_the_mask, "0 times infinity is NaN"),
        (powers_without_the_highest, "100 higher"),
    ],
    "3.3": [
        (reshapes_at_once, "numbers were not moved"),
        (views_at_once, "numbers were not moved"),
        (views_after_the_transpose, "write `reshape` or `flatten`"),
        (interleaves_the_columns, "interleaved"),
        (averages_the_heads, "averaged"),
        (adds_the_heads, "added up"),
        (heads_one_below_the_other, "one below the other"),
        (forgets_to_flatten, "make them one"),
        (swaps_tokens_and_columns, "tokens and columns are mixed up"),
        (swaps_heads_and_columns, "heads and columns"),
        (flattens_everything, "became one axis"),
        (swaps_heads_and_columns_only, "then the last two axes"),
        (joins_two_heads, "two heads are joined"),
        (concatenates_backwards, "reverse order"),
    ],
    "3.4": [
        (one_table_for_all_heads, "left out the heads"),
        (one_number_a_token, "in proportion to the tokens"),
        (size_of_the_queries, "size of the queries"),
        (counts_the_head_dim_too, "head dim was counted too"),
        (numbers_instead_of_bytes, "how many bytes"),
        (four_bytes_always, "4 bytes for every number"),
        (head_dim_for_heads, "stands where the number of heads"),
        (megabytes, "megabytes"),
        (bits, "these are bits"),
        (one_layer, "left out the layers"),
        (one_image, "left out the batch"),
        (twice_the_tokens, "twice the tokens (22)"),
        (queries_keys_and_values_too, "counted as well"),
        (queries_keys_and_values_only, "these are the queries, keys and values"),
        (one_too_many, "50,830 bytes, but 50,820"),
        (pairs_of_all_tokens_in_the_batch, "other images"),
    ],
}
