"""Wrong answers to lesson 10 as learners write them, each with what its message must say."""

import torch
import torch.nn.functional as F

# --- 10.1: which tensor -------------------------------------------------------------------------


def averages_the_channels(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=1)
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def squeezes_whatever_is_one(inside, pool="cls"):
    if inside.dim() == 4:
        return F.adaptive_avg_pool2d(inside, 1).squeeze()
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def flattens_the_map(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.reshape(len(inside), -1)
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def averages_one_side(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(-1)
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def takes_the_largest(inside, pool="cls"):
    if inside.dim() == 4:
        return F.adaptive_max_pool2d(inside, 1).flatten(1)
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def keeps_axes_of_size_one(inside, pool="cls"):
    if inside.dim() == 4:
        return F.adaptive_avg_pool2d(inside, 1)
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def averages_all_tokens(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside.mean(dim=1)


def averages_the_patches(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside[:, 1:].mean(dim=1)


def takes_the_last_token(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside[:, -1] if pool == "cls" else inside.mean(dim=1)


def slices_dim(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside[:, :, 0] if pool == "cls" else inside.mean(dim=1)


def averages_dim(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside[:, 0] if pool == "cls" else inside.mean(dim=-1)


def always_takes_the_class_token(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside[:, 0]


def leaves_a_patch_out(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(2, 3))
    return inside[:, 0] if pool == "cls" else inside[:, 1:].mean(dim=1)


def forgets_that_maps_have_four_axes(inside, pool="cls"):
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


# --- 10.2: cosine -------------------------------------------------------------------------------


def inner_product(queries, vectors):
    return queries @ vectors.T


def one_length_only(queries, vectors):
    return (queries / queries.norm(dim=1, keepdim=True)) @ vectors.T


def other_length_only(queries, vectors):
    return queries @ (vectors / vectors.norm(dim=1, keepdim=True)).T


def length_of_the_matrix(queries, vectors):
    return (queries @ vectors.T) / (queries.norm() * vectors.norm())


def lengths_of_columns(queries, vectors):
    return F.normalize(queries, dim=0) @ F.normalize(vectors, dim=0).T


def no_root(queries, vectors):
    q = queries / (queries**2).sum(dim=1, keepdim=True)
    return q @ (vectors / (vectors**2).sum(dim=1, keepdim=True)).T


def cosine_distance(queries, vectors):
    return 1 - F.normalize(queries, dim=1) @ F.normalize(vectors, dim=1).T


def euclid(queries, vectors):
    return (queries[:, None] - vectors[None]).pow(2).sum(-1).sqrt()


def transposed(queries, vectors):
    return F.normalize(vectors, dim=1) @ F.normalize(queries, dim=1).T


def not_a_number(queries, vectors):
    q = queries / queries.norm(dim=1, keepdim=True)
    return q @ (vectors / vectors.norm(dim=1, keepdim=True)).T


def no_kept_axis(queries, vectors):
    return (queries / queries.norm(dim=1)) @ (vectors / vectors.norm(dim=1)).T


def not_transposed(queries, vectors):
    return F.normalize(queries, dim=1) @ F.normalize(vectors, dim=1)


def adds_something_to_the_lengths(queries, vectors):
    q = queries / (queries.norm(dim=1, keepdim=True) + 1e-8)
    return q @ (vectors / (vectors.norm(dim=1, keepdim=True) + 1e-8)).T


def correlation(queries, vectors):
    queries = queries - queries.mean(dim=1, keepdim=True)
    vectors = vectors - vectors.mean(dim=1, keepdim=True)
    return F.normalize(queries, dim=1) @ F.normalize(vectors, dim=1).T


def sum_for_length(queries, vectors):
    return (queries @ vectors.T) / (queries.sum(dim=1)[:, None] * vectors.sum(dim=1))


def changes_its_input(queries, vectors):
    queries /= queries.norm(dim=1, keepdim=True)
    vectors /= vectors.norm(dim=1, keepdim=True)
    return queries @ vectors.T


# --- 10.3: precision ----------------------------------------------------------------------------


def counts_the_query(scores, labels, k):
    rows = scores.topk(k).indices
    return (labels[rows] == labels[:, None]).float().mean()


def drops_the_first_hit(scores, labels, k):
    rows = scores.topk(k + 1).indices[:, 1:]
    return (labels[rows] == labels[:, None]).float().mean()


def hit_rate(scores, labels, k):
    rows = scores.clone().fill_diagonal_(float("-inf")).topk(k).indices
    return (labels[rows] == labels[:, None]).any(dim=1).float().mean()


def recall_instead(scores, labels, k):
    rows = scores.clone().fill_diagonal_(float("-inf")).topk(k).indices
    hits = (labels[rows] == labels[:, None]).sum(dim=1)
    there = (labels == labels[:, None]).sum(dim=1) - 1
    return (hits / there.clamp(min=1)).mean()


def takes_the_smallest(scores, labels, k):
    rows = scores.clone().fill_diagonal_(float("inf")).argsort(dim=1)[:, :k]
    return (labels[rows] == labels[:, None]).float().mean()


def best_only(scores, labels, k):
    rows = scores.clone().fill_diagonal_(float("-inf")).argmax(dim=1)
    return (labels[rows] == labels).float().mean()


def counts_matches(scores, labels, k):
    total = 0
    for i in range(len(scores)):
        order = [j for j in scores[i].argsort(descending=True).tolist() if j != i]
        total += sum(int(labels[j] == labels[i]) for j in order[:k])
    return total / len(scores)


def adds_up_the_queries(scores, labels, k):
    total = 0
    for i in range(len(scores)):
        order = [j for j in scores[i].argsort(descending=True).tolist() if j != i]
        total += sum(int(labels[j] == labels[i]) for j in order[:k]) / k
    return total


def one_for_each_query(scores, labels, k):
    rows = scores.clone().fill_diagonal_(float("-inf")).topk(k).indices
    return (labels[rows] == labels[:, None]).float().mean(dim=1)


def overwrites_the_scores(scores, labels, k):
    scores.fill_diagonal_(float("-inf"))
    rows = scores.topk(k).indices
    return (labels[rows] == labels[:, None]).float().mean()


def zero_for_the_query(scores, labels, k):
    rows = scores.clone().fill_diagonal_(0).topk(k).indices
    return (labels[rows] == labels[:, None]).float().mean()


def minus_one_for_the_query(scores, labels, k):
    rows = scores.clone().fill_diagonal_(-1).topk(k).indices
    return (labels[rows] == labels[:, None]).float().mean()


def ranks_along_columns(scores, labels, k):
    rows = scores.clone().fill_diagonal_(float("-inf")).topk(k, dim=0).indices.T
    return (labels[rows] == labels[:, None]).float().mean()


def skips_the_query_among_k(scores, labels, k):
    total = 0
    for i in range(len(scores)):
        for j in scores[i].topk(k).indices.tolist():
            if j != i and labels[j] == labels[i]:
                total += 1
    return total / (len(scores) * k)


# --- 10.4: principal components -----------------------------------------------------------------


def does_not_center(vectors, dims):
    u, s, _ = torch.linalg.svd(vectors, full_matrices=False)
    return u[:, :dims] * s[:dims]


def projects_without_centering(vectors, dims):
    _, _, vt = torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)
    return vectors @ vt[:dims].T


def centers_the_rows(vectors, dims):
    centered = vectors - vectors.mean(dim=1, keepdim=True)
    u, s, _ = torch.linalg.svd(centered, full_matrices=False)
    return u[:, :dims] * s[:dims]


def centers_by_one_number(vectors, dims):
    u, s, _ = torch.linalg.svd(vectors - vectors.mean(), full_matrices=False)
    return u[:, :dims] * s[:dims]


def standardizes(vectors, dims):
    scaled = (vectors - vectors.mean(dim=0)) / vectors.std(dim=0)
    _, _, vt = torch.linalg.svd(scaled, full_matrices=False)
    return scaled @ vt[:dims].T


def forgets_the_spread(vectors, dims):
    u, _, _ = torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)
    return u[:, :dims]


def takes_the_last_ones(vectors, dims):
    centered = vectors - vectors.mean(dim=0)
    _, directions = torch.linalg.eigh(centered.T @ centered)
    return centered @ directions[:, :dims].flip(1)


def returns_the_directions(vectors, dims):
    return torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)[2][:dims]


def takes_columns_of_vt(vectors, dims):
    centered = vectors - vectors.mean(dim=0)
    _, _, vt = torch.linalg.svd(centered, full_matrices=False)
    return centered @ vt[:, :dims]


def keeps_all(vectors, dims):
    centered = vectors - vectors.mean(dim=0)
    u, s, _ = torch.linalg.svd(centered, full_matrices=False)
    return u * s


def cuts_columns(vectors, dims):
    return (vectors - vectors.mean(dim=0))[:, :dims]


def projects_back(vectors, dims):
    centered = vectors - vectors.mean(dim=0)
    _, _, vt = torch.linalg.svd(centered, full_matrices=False)
    return centered @ vt[:dims].T @ vt[:dims]


def centers_in_place(vectors, dims):
    vectors -= vectors.mean(dim=0)
    u, s, _ = torch.linalg.svd(vectors, full_matrices=False)
    return u[:, :dims] * s[:dims]


# --- 10.5: recall -------------------------------------------------------------------------------


def place_by_place(found, truth):
    return (found == truth).float().mean()


def place_by_place_cut(found, truth):
    return (found[:, : truth.shape[1]] == truth).float().mean()


def first_k_only(found, truth):
    k = truth.shape[1]
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return sum(len(set(f[:k]) & set(t)) for f, t in pairs) / truth.numel()


def precision_instead(found, truth):
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return sum(len(set(f) & set(t)) / len(f) for f, t in pairs) / len(truth)


def mixes_the_queries(found, truth):
    return torch.isin(truth, found).float().mean()


def all_or_nothing(found, truth):
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return sum(set(t) <= set(f) for f, t in pairs) / len(truth)


def same_as_a_whole(found, truth):
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return sum(set(t) == set(f) for f, t in pairs) / len(truth)


def any_of_them(found, truth):
    pairs = zip(found.tolist(), truth.tolist(), strict=True)
    return sum(bool(set(t) & set(f)) for f, t in pairs) / len(truth)


def best_of_truth(found, truth):
    return (found == truth[:, :1]).any(dim=1).float().mean()


def counts_what_was_found(found, truth):
    return sum(len(set(f) & set(t)) for f, t in zip(found.tolist(), truth.tolist(), strict=True))


def counts_for_each_query(found, truth):
    return counts_what_was_found(found, truth) / len(truth)


def missed(found, truth):
    return 1 - counts_what_was_found(found, truth) / truth.numel()


def jaccard(found, truth):
    pairs = [(set(f), set(t)) for f, t in zip(found.tolist(), truth.tolist(), strict=True)]
    return sum(len(f & t) / len(f | t) for f, t in pairs) / len(pairs)


def no_average(found, truth):
    return (truth[:, :, None] == found[:, None, :]).any(dim=2).float().mean(dim=1)


def fills_with_minus_a_hundred(scores, labels, k):
    scores = scores.clone().fill_diagonal_(-100)
    hits = labels[scores.topk(k).indices] == labels[:, None]
    return hits.double().mean().item()


def counts_what_was_found_twice(found, truth):
    return ((found[:, :, None] == truth[:, None]).sum() / truth.numel()).item()


def wants_to_be_told_the_pooling(inside, pool):
    if inside.dim() == 4:
        return inside.mean(dim=(-2, -1))
    return inside[:, 0] if pool == "cls" else inside.mean(dim=1)


def squeezes_tokens(inside, pool="cls"):
    if inside.dim() == 4:
        return inside.mean(dim=(-2, -1))
    return inside[:, :1].squeeze() if pool == "cls" else inside.mean(dim=1)


def finds_rows_by_their_score(scores, labels, k):
    hits = 0
    for query in range(len(scores)):
        row = scores[query].tolist()
        others = row[:query] + row[query + 1 :]
        for score in sorted(others, reverse=True)[:k]:
            hits += int(labels[row.index(score)] == labels[query])
    return hits / (len(scores) * k)


BANK = {
    "10.1": [
        (averages_the_channels, "over the channels"),
        (flattens_the_map, "side by side"),
        (squeezes_whatever_is_one, "batch of one"),
        (averages_one_side, "rows and columns must both go"),
        (takes_the_largest, "trained on the mean"),
        (keeps_axes_of_size_one, "axes of size 1"),
        (averages_all_tokens, "you averaged the tokens"),
        (averages_the_patches, "other way round"),
        (takes_the_last_token, "stands first"),
        (slices_dim, "not the first token"),
        (averages_dim, "average over the tokens"),
        (always_takes_the_class_token, "There is no class token then"),
        (leaves_a_patch_out, "all tokens are patches"),
        (forgets_that_maps_have_four_axes, "four axes"),
        (wants_to_be_told_the_pooling, "Keep the default"),
        (squeezes_tokens, "The batch axis is gone"),
    ],
    "10.2": [
        (inner_product, "left the lengths out"),
        (one_length_only, "length of the queries only"),
        (other_length_only, "length of the vectors only"),
        (length_of_the_matrix, "whole matrix"),
        (lengths_of_columns, "normalized the columns"),
        (no_root, "square root is missing"),
        (cosine_distance, "similarity"),
        (euclid, "returned distances"),
        (transposed, "swapped"),
        (not_a_number, "no direction"),
        (no_kept_axis, "keepdim"),
        (not_transposed, "transposed"),
        (adds_something_to_the_lengths, "very short vectors"),
        (correlation, "correlation"),
        (sum_for_length, "square them first"),
        (changes_its_input, "changed its inputs"),
    ],
    "10.3": [
        (counts_the_query, "query itself is among the hits"),
        (drops_the_first_hit, "dropped the first hit"),
        (hit_rate, "hit rate"),
        (recall_instead, "That is recall"),
        (takes_the_smallest, "smallest scores"),
        (best_only, "best one only"),
        (counts_matches, "Divide by k"),
        (adds_up_the_queries, "divide by their number"),
        (one_for_each_query, "Average over the queries"),
        (overwrites_the_scores, "copy"),
        (zero_for_the_query, "minus infinity"),
        (minus_one_for_the_query, "score to -1"),
        (ranks_along_columns, "row i, not column i"),
        (skips_the_query_among_k, "k others"),
        (fills_with_minus_a_hundred, "only minus infinity"),
        (finds_rows_by_their_score, "Look up rows"),
    ],
    "10.4": [
        (does_not_center, "did not center"),
        (projects_without_centering, "not the vectors that you project"),
        (centers_the_rows, "mean of each row"),
        (centers_by_one_number, "mean of all numbers"),
        (standardizes, "standardizing"),
        (forgets_the_spread, "U alone"),
        (takes_the_last_ones, "last directions"),
        (returns_the_directions, "returned the directions"),
        (takes_columns_of_vt, "its rows are the directions"),
        (keeps_all, "first `dims`"),
        (cuts_columns, "not the axes"),
        (projects_back, "projected back"),
        (centers_in_place, "make a new tensor"),
    ],
    "10.5": [
        (place_by_place, "place by place"),
        (place_by_place_cut, "place by place"),
        (first_k_only, "all that was found counts"),
        (precision_instead, "That is precision"),
        (mixes_the_queries, "mixed the queries"),
        (all_or_nothing, "whether all"),
        (same_as_a_whole, "same as a whole"),
        (any_of_them, "whether any"),
        (best_of_truth, "best one only"),
        (counts_what_was_found, "divide by the number of true ones"),
        (counts_for_each_query, "divide by k, too"),
        (missed, "was missed"),
        (jaccard, "Jaccard"),
        (no_average, "Average over queries and k"),
        (counts_what_was_found_twice, "though twice"),
    ],
}
