"""Lesson 10: which tensor, cosine similarity, precision, principal components, recall."""

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from course_utils.checks.engine import (
    exercise,
    expect_also,
    expect_close,
    expect_dtype,
    refuse,
)


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@exercise("10.1", "your vectors are what the head of each model receives")
def to_vectors(answer: Any) -> None:
    maps = _normal(2, 5, 3, 7)
    mistakes: dict[str, Any] = {
        "You averaged over the channels. The channels are the numbers of the vector: average over the "
        "places, rows and columns.": maps.mean(dim=1),
        "You averaged over channels and rows. Of (batch, channels, rows, columns) the last two axes are "
        "the places.": maps.mean(dim=(1, 2)),
        "You averaged over one of the two axes of places: rows and columns must both go.": maps.mean(
            dim=-1
        ),
        "You averaged over the rows alone: rows and columns must both go.": maps.mean(dim=2),
        "You laid all places side by side. Then the vector tells where everything is, and its length "
        "depends on the size of the picture: take the mean over the places.": maps.flatten(1),
        "You took the largest number of each channel. These heads were trained on the mean.": maps.amax(
            dim=(-2, -1)
        ),
        "You added up the places. The head was trained on their mean.": maps.sum(dim=(-2, -1)),
        "You took one corner of the map. All places count alike: take their mean.": maps[
            :, :, 0, 0
        ],
        "The axes of size 1 are still there: (batch, channels) is expected.": maps.mean(
            dim=(-2, -1), keepdim=True
        ),
        "You treated the map as tokens and took its first channel: a map has four axes.": maps[
            :, 0
        ],
        "You averaged over the batch, too. Every picture keeps its own vector.": maps.mean(
            dim=(0, 2, 3)
        ),
    }
    for pool in ("cls", "mean"):
        expect_close(
            answer(maps, pool), maps.mean(dim=(-2, -1)), mistakes, what="for a map, your result"
        )
    alone = maps[:1].mean(dim=(-2, -1))
    expect_close(
        answer(maps[:1], "cls"),
        alone,
        {
            "The batch axis is gone, because its size is 1: `squeeze()` drops every such axis. A batch "
            "of one stays a batch, (1, channels).": alone[0]
        },
        what="for a batch of one map, your result",
    )
    tokens = _normal(2, 11, 5)
    token, mean = tokens[:, 0], tokens.mean(dim=1)
    dim_gone = {
        "You averaged over dim, the numbers of each token. They are the vector: average over the "
        "tokens.": tokens.mean(dim=2),
        "You laid all tokens side by side: one vector of dim numbers is expected.": tokens.flatten(
            1
        ),
        "You added up the tokens: the head was trained on their mean.": tokens.sum(dim=1),
    }
    expect_close(
        answer(tokens, "cls"),
        token,
        {
            'With pool="cls" you averaged the tokens. The class token was trained to collect what the '
            "head needs: take it alone.": mean,
            "You averaged the patch tokens and left the class token out. It is the other way round: "
            "the head reads the class token.": tokens[:, 1:].mean(dim=1),
            "You took the last token. The class token stands first.": tokens[:, -1],
            "You took the first number of each token, not the first token: the axes are (batch, "
            "tokens, dim).": tokens[:, :, 0],
            "You took the first picture of the batch. Axis 0 is the batch, axis 1 the tokens.": tokens[
                0
            ],
            "The axis of tokens is still there, with size 1: (batch, dim) is expected.": tokens[
                :, :1
            ],
            **dim_gone,
        },
        what='for tokens with pool="cls", your result',
    )
    expect_close(
        answer(tokens, "mean"),
        mean,
        {
            'With pool="mean" you took the first token. There is no class token then: take the mean of '
            "all.": token,
            'You left the first token out. With pool="mean" there is no class token: all tokens are '
            "patches.": tokens[:, 1:].mean(dim=1),
            **dim_gone,
        },
        what='for tokens with pool="mean", your result',
    )
    expect_also(
        answer,
        (tokens,),
        token,
        'Without a second argument `pool` is "cls": the next cell leaves it out. Keep the default that '
        "stands in the stub.",
    )
    expect_also(
        answer,
        (tokens[:1], "cls"),
        token[:1],
        "The batch axis is gone, because its size is 1: `squeeze()` drops every such axis.",
    )


@exercise("10.2", "only directions count: the cosine of every pair, without a loop")
def cosine_similarity(answer: Any) -> None:
    queries, vectors = _normal(3, 5) * 2, _normal(7, 5) * 3
    long_q, long_v = queries.norm(dim=1, keepdim=True), vectors.norm(dim=1, keepdim=True)
    product, right = queries @ vectors.T, (queries / long_q) @ (vectors / long_v).T
    before = queries.clone(), vectors.clone()
    try:
        got = answer(queries, vectors)
    except RuntimeError as error:
        if "must match the size" not in str(error) and "cannot be multiplied" not in str(error):
            raise
        refuse(
            "Two shapes do not fit. A length for each row must keep its axis, (items, 1), to divide the "
            "rows (keepdim=True). And the product of (queries, dim) with (items, dim) needs the second "
            f"one transposed. PyTorch says: {error}"
        )
    if not torch.equal(queries, before[0]) or not torch.equal(vectors, before[1]):
        refuse(
            "Your function changed its inputs. Make new tensors: others still need the old ones."
        )
    mistakes: dict[str, Any] = {
        "You left the lengths out. This is the inner product: a long vector wins whatever its direction."
        "": product,
        "You divided by the length of the queries only. The vectors have lengths, too.": product
        / long_q,
        "You divided by the length of the vectors only. The queries have lengths, too.": (
            product / long_v.T
        ),
        "You divided by the norm of the whole matrix. Every row is a vector with a length of its own: "
        "dim=1.": product / (queries.norm() * vectors.norm()),
        "You normalized the columns. A vector is a row: its length sums over dim=1.": (
            queries / queries.norm(dim=0)
        )
        @ (vectors / vectors.norm(dim=0)).T,
        "You divided by the squared lengths: the square root is missing.": product
        / (long_q * long_v.T) ** 2,
        "You divided by the sum of the numbers, not by the length: square them first, and take the "
        "root of the sum.": product / (queries.sum(1, keepdim=True) * vectors.sum(1)),
        "You divided by the sum of absolute numbers. The length is the root of the sum of squares.": (
            product / (queries.abs().sum(1, keepdim=True) * vectors.abs().sum(1))
        ),
        "You returned 1 - cosine, a distance. Asked is the similarity: larger means more alike.": (
            1 - right
        ),
        "You returned distances. The cosine is the inner product divided by both lengths.": torch.cdist(
            queries, vectors
        ),
        "You returned the angle. Asked is its cosine.": right.clamp(-1, 1).acos(),
        "Rows and columns are swapped: (queries, items) is expected.": right.T,
        "You returned the cosine without its sign: opposite directions have -1.": right.abs(),
    }
    mistakes |= {
        "You subtracted the mean of each vector first. That is the correlation; the cosine keeps the "
        "vectors as they are.": _rows(queries - queries.mean(1, keepdim=True))
        @ _rows(vectors - vectors.mean(1, keepdim=True)).T
    }
    expect_close(got, right, mistakes)
    zeros = torch.zeros(1, 5, dtype=torch.float64)
    for some in ((torch.cat([queries, zeros]), vectors), (queries, torch.cat([zeros, vectors]))):
        got = answer(*some)
        if torch.is_tensor(got) and not got.isfinite().all():
            refuse(
                "A row of zeros gives NaN: 0 / 0. It has no direction, so let its cosine be 0: divide "
                "by 1 where the length is 0."
            )
        expect_close(
            got, _rows(some[0]) @ _rows(some[1]).T, what="with a row of zeros, your result"
        )
    tiny = 1e-7  # short, yet longer than the 1e-8 below which PyTorch's own cosine gives up
    expect_close(
        answer(queries * tiny, vectors * tiny),
        right,
        what="for very short vectors, which have directions as well (is a fixed number added to the "
        "lengths?), your result",
    )


def _rows(vectors: Tensor) -> Tensor:
    lengths = vectors.norm(dim=1, keepdim=True)
    return vectors / torch.where(lengths == 0, 1, lengths)


@exercise("10.3", "precision counts matches among the best k others")
def precision_at_k(answer: Any) -> None:
    items, k = 31, 4
    labels = torch.arange(items) ** 2 % 7  # of four kinds, not equally often
    # As of vectors that are not normalized: not everyone is best for itself.
    scores = _normal(items, items) + 0.5 * (labels == labels[:, None]) - 0.5
    scores[range(0, items, 2), range(0, items, 2)] += 9
    before = scores.clone()
    got = answer(scores, labels, k)
    if not torch.equal(scores, before):
        refuse(
            "Your function changed scores itself. Work on a copy (clone): others still need them."
        )
    if torch.is_tensor(got) and got.numel() > 1:
        refuse(
            f"Your result has the shape {tuple(got.shape)}. Average over the queries: one number is "
            "expected."
        )
    alone = scores.masked_fill(torch.eye(items, dtype=torch.bool), -math.inf)
    worst = scores.masked_fill(torch.eye(items, dtype=torch.bool), math.inf)
    same = labels == labels[:, None]
    others = same.sum(dim=1) - 1

    def hits(ranked: Tensor, n: int, skip: int = 0) -> Tensor:
        rows = ranked.argsort(dim=1, descending=True)[:, skip : skip + n]
        return same.gather(1, rows).double()

    right = hits(alone, k).mean()
    matches = hits(alone, k).sum(dim=1)
    mistakes: dict[str, Any] = {
        "The query itself is among the hits: it always matches, and the number comes out too high. "
        "Take it out first.": hits(scores, k).mean(),
        "You dropped the first hit of each row. That is the query only if it has the largest score; "
        "here it has not always: take out the diagonal.": hits(scores, k, skip=1).mean(),
        "You took the best k with the query among them, then left the query out of the count: k others "
        "are to be ranked.": (hits(scores, k).sum(1) - _self_among(scores, k)).mean() / k,
        "You took the k smallest scores. Large scores mean alike.": hits(-worst, k).mean(),
        "You asked whether there is any match among the k. That is the hit rate; precision counts all "
        "of them.": (matches > 0).double().mean(),
        "You divided by the number of all matches of the query. That is recall; precision divides by "
        "k.": (matches / others.clamp(min=1)).mean(),
        "You looked at the best one only. All k count.": hits(alone, 1).mean(),
        "You returned the number of matches. Divide by k.": matches.mean(),
        "You added up the queries: divide by their number.": matches.sum() / k,
        "You counted k + 1 hits.": hits(alone, k + 1).mean(),
        "You took the items that have the query among their best: row i, not column i, has the scores "
        "for query i.": hits(alone.T, k).mean(),
        "You divided by k - 1.": matches.mean() / (k - 1),
        "You divided by k + 1.": matches.mean() / (k + 1),
        "You set the query's own score to 0. Other scores can be negative, and then it ranks above "
        "them: set it to minus infinity.": hits(
            scores.masked_fill(torch.eye(items) > 0, 0), k
        ).mean(),
        "You compared the rows that were found with the number of the query, not their labels with its "
        "label.": (alone.topk(k).indices == labels[:, None]).double().mean(),
    }
    expect_close(got, right, mistakes)
    for n in (1, items - 1):
        expect_close(
            answer(scores, labels, n),
            hits(alone, n).mean(),
            {
                "You set the query's own score to -1. Other scores can be lower still, for not every "
                "score is a cosine: set it to minus infinity.": hits(
                    scores.masked_fill(torch.eye(items) > 0, -1), n
                ).mean()
            },
            what=f"for k={n}, your result",
        )
    equal = torch.tensor([[1.0, 1, 0.2], [1, 1, 0.2], [0.2, 0.3, 1]])
    expect_also(
        lambda *given: float(answer(*given)),
        (equal, torch.tensor([0, 1, 0]), 1),
        0.0,
        "Two identical pictures have equal scores. Look up rows (`topk(...).indices`), not scores.",
    )
    expect_also(
        lambda *given: float(answer(*given)),
        (scores - 1e4, labels, k),
        float(right),
        "Scores may be large and negative: only minus infinity takes the query out for certain.",
    )


def _self_among(scores: Tensor, k: int) -> Tensor:
    """1 for each query that is among its own best k."""
    rows = scores.topk(k).indices
    return (rows == torch.arange(len(scores))[:, None]).sum(dim=1)


@exercise("10.4", "you found the sheet on which the points are spread most")
def pca(answer: Any) -> None:
    items, dim, dims = 11, 5, 3
    scales = torch.tensor([1.0, 7.0, 3.0, 0.5, 2.0], dtype=torch.float64)
    vectors = _normal(items, dim) * scales @ torch.linalg.qr(_normal(dim, dim))[0] + 4 * _normal(
        dim
    )
    before = vectors.clone()
    got = answer(vectors, dims)
    if not torch.equal(vectors, before):
        refuse("Your function changed vectors itself (`-=` does): make a new tensor.")
    u, s, vt = torch.linalg.svd(vectors - vectors.mean(dim=0), full_matrices=False)
    right = u[:, :dims] * s[:dims]
    uncentered = torch.linalg.svd(vectors, full_matrices=False)
    by_rows = vectors - vectors.mean(dim=1, keepdim=True)
    of_rows = torch.linalg.svd(by_rows, full_matrices=False)
    scaled = (vectors - vectors.mean(dim=0)) / vectors.std(dim=0)
    of_scaled = torch.linalg.svd(scaled, full_matrices=False)
    mistakes: dict[str, Any] = {
        "You did not center. The first direction then points from zero to the cloud, not along it: "
        "subtract the mean of each column.": (uncentered[0] * uncentered[1])[:, :dims],
        "You centered for finding the directions, but not the vectors that you project: the map is "
        "shifted.": vectors @ vt[:dims].T,
        "You subtracted the mean of each row. Center the cloud: the mean over the items, dim=0.": (
            of_rows[0] * of_rows[1]
        )[:, :dims],
        "You divided each column by its spread, too. That is another choice (standardizing); here "
        "the vectors keep their scale.": (of_scaled[0] * of_scaled[1])[:, :dims],
        "You subtracted the mean of all numbers. Each column has its own mean: dim=0.": _coordinates(
            vectors - vectors.mean(), dims
        ),
        "You returned U alone: its columns all have length 1. Multiply by the spread S.": u[
            :, :dims
        ],
        "You took the last directions. They are sorted from the largest spread to the smallest.": (
            u[:, -dims:] * s[-dims:]
        ),
        "You returned the directions. Asked are the coordinates of the items along them.": vt[
            :dims
        ],
        "You returned the directions as columns. Asked are the coordinates of the items along them.": vt[
            :dims
        ].T,
        "You multiplied by V where V transposed stands. svd returns V transposed: its rows are the "
        "directions.": (vectors - vectors.mean(dim=0)) @ vt[:, :dims],
        "You kept all directions: return the first `dims`.": u * s,
        "You cut off columns of the vectors. The directions of PCA are not the axes of the vectors.": (
            vectors - vectors.mean(dim=0)
        )[:, :dims],
        "The columns are scaled to spread 1. Keep the spread: it is what tells the axes apart.": (
            u[:, :dims] * (items - 1) ** 0.5
        ),
        "You multiplied by S twice.": u[:, :dims] * s[:dims] ** 2,
        "You projected back into the full space: dims columns are expected.": (
            (u[:, :dims] * s[:dims]) @ vt[:dims]
        ),
        "Your result is transposed: (items, dims) is expected.": right.T,
    }
    if not torch.is_tensor(got):
        refuse(
            f"Your result is of type {type(got).__name__}, and the lesson goes on with PyTorch's "
            "tensors: `torch.from_numpy` makes one of an array."
        )
    expect_close(_mirrored(got), _mirrored(right), {m: _mirrored(w) for m, w in mistakes.items()})
    expect_dtype(got, vectors)


def _coordinates(centered: Tensor, dims: int) -> Tensor:
    u, s, _ = torch.linalg.svd(centered, full_matrices=False)
    return u[:, :dims] * s[:dims]


def _mirrored(values: Any) -> Any:
    """Each column with the sign at which its largest number is positive: SVD leaves the sign open."""
    if isinstance(values, np.ndarray):
        values = torch.from_numpy(values)
    if not torch.is_tensor(values) or values.dim() != 2 or not values.is_floating_point():
        return values
    largest = values.gather(0, values.abs().argmax(dim=0, keepdim=True))
    return values * torch.where(largest == 0, 1, largest.sign())


@exercise("10.5", "recall asks what was found, not at which place")
def recall(answer: Any) -> None:
    truth = torch.tensor([[4, 7, 1], [9, 2, 5], [3, 8, 6], [0, 1, 2], [5, 6, 7]])
    found = torch.tensor(
        [
            [7, 4, 11, 1, 12],
            [9, 10, 0, 13, 5],
            [20, 21, 22, 23, 24],
            [2, 0, 3, 4, 5],
            [1, 2, 3, 9, 6],
        ]
    )
    k, more = truth.shape[1], found.shape[1]
    same = (truth[:, :, None] == found[:, None, :]).any(dim=2)
    right = same.double().mean()
    try:
        got = answer(found, truth)
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        refuse(
            "You compared place by place, and the two have different widths. The same item at another "
            "place counts as well: compare every place with every place."
        )
    if torch.is_tensor(got) and got.numel() > 1:
        refuse(
            f"Your result has the shape {tuple(got.shape)}. Average over queries and k: one number is "
            "expected."
        )
    mistakes: dict[str, Any] = {
        "You compared place by place. The same item at another place counts as well.": (
            (found[:, :k] == truth).double().mean()
        ),
        "You looked only at the first k that were found: all that was found counts.": (
            (truth[:, :, None] == found[:, None, :k]).any(dim=2).double().mean()
        ),
        "You divided by the number of items found. That is precision; recall divides by the number of "
        "true ones, k.": same.sum() / found.numel(),
        "You mixed the queries: what was found for one query does not count for another.": (
            torch.isin(truth, found).double().mean()
        ),
        "You asked whether all true items were found. Each one that is found counts.": (
            same.all(dim=1).double().mean()
        ),
        "You asked whether any true item was found. Recall is the share of them.": (
            same.any(dim=1).double().mean()
        ),
        "You looked at the best one only: all k count.": same[:, 0].double().mean(),
        "You returned the number of items found: divide by the number of true ones.": same.sum(),
        "You returned the number for each query on average: divide by k, too.": same.sum(1)
        .double()
        .mean(),
        "You returned the share that was missed.": 1 - right,
        "You got 0. Do you ask whether the two are the same as a whole? Each true item that was found "
        "counts by itself.": 0.0,
        "You joined what was found and what is true, and divided by all of them. That is another "
        "measure (Jaccard); recall divides by the true ones.": (
            same.sum(1) / (k + more - same.sum(1))
        ).mean(),
    }
    expect_close(got, right, mistakes)
    expect_close(
        answer(truth.flip(1), truth), 1.0, what="for the same items in another order, your result"
    )
    expect_close(
        answer(found[:, :1], truth), 3 / 15, what="with one found for each query, your result"
    )
    expect_also(
        lambda *given: float(answer(*given)),
        (torch.tensor([[4, 4, 9]]), torch.tensor([[4, 7]])),
        0.5,
        "Of the true items 4 and 7 one was found, though twice: that is a half. Ask for each true item "
        "whether it is among the found, and divide by the number of true ones.",
    )
