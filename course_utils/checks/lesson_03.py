"""Lesson 3: attention weights, masks, merging heads, what the weights take."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.engine import Refused, exercise, expect_also, expect_close, refuse

Function = Callable[..., Any]


@exercise("3.1", "scores divided by the square root of the head dim, softmax over the keys")
def weights_of_queries(answer: Function) -> None:
    queries, keys, dim = 3, 5, 7
    query, key = torch.randn(queries, dim), torch.randn(keys, dim)
    scores = query @ key.T
    cosine = torch.cosine_similarity(query[:, None], key[None], dim=-1)
    good = (scores / math.sqrt(dim)).softmax(dim=-1)
    mistakes = {
        "The softmax ran over the queries (dim=0): now each column sums to one. It is each query "
        "that shares out a total of one, so each row must sum to one": (
            scores / math.sqrt(dim)
        ).softmax(dim=0),
        f"The scores are not divided: their variance is the head dim (here {dim}), and for wide "
        "heads one key takes all the weight": scores.softmax(dim=-1),
        f"You divided by the head dim ({dim}) instead of its square root ({math.sqrt(dim):.2f}). "
        "The variance of the scores is the head dim; their typical size is its root": (
            scores / dim
        ).softmax(dim=-1),
        f"You divided by the square root of the number of keys ({keys}). A score is a sum over the "
        f"numbers of a vector, so what counts is the head dim ({dim}), however many keys there "
        "are": (scores / math.sqrt(keys)).softmax(dim=-1),
        f"You divided by the square root of the number of queries ({queries}). A score is a sum over "
        f"the numbers of a vector, so what counts is the head dim ({dim})": (
            scores / math.sqrt(queries)
        ).softmax(dim=-1),
        "The division came after the softmax: the rows no longer sum to one, and large scores have "
        "done their harm before. Divide the scores, then take the softmax": scores.softmax(dim=-1)
        / math.sqrt(dim),
        "The scores were multiplied by the square root of the head dim: that makes the weights "
        "sharper still. Divide": (scores * math.sqrt(dim)).softmax(dim=-1),
        "`** 1 / 2` is read as (** 1) / 2, so this is no root. Write `** 0.5` or math.sqrt": (
            scores / (dim / 2)
        ).softmax(dim=-1),
        "`** 1 / 2` is read as (** 1) / 2, so this is no root, and without brackets the 2 divides "
        "the scores as well. Write `** 0.5` or math.sqrt": (scores / dim / 2).softmax(dim=-1),
        f"You divided by 8, the root of a head dim of 64. Here it is {dim}: take it from "
        "query.shape[-1]": (scores / 8).softmax(dim=-1),
        "You divided by the root of 512, the dim of a model with 8 heads of 64. Here a vector has "
        f"{dim} numbers: take the head dim from query.shape[-1]": (scores / math.sqrt(512)).softmax(
            dim=-1
        ),
        "These are the scores, not yet weights: they can be negative and do not sum to one. The "
        "softmax is missing": scores / math.sqrt(dim),
        "The scores were divided by their sum. Scores can be negative or cancel, so such shares can "
        "be negative too; the softmax takes powers of e first": scores
        / scores.sum(dim=-1, keepdim=True),
        "These are powers of e, not yet divided by the sum of their row": (
            scores / math.sqrt(dim)
        ).exp(),
        "All weights of the table together sum to one. Each query shares out a total of its own, so "
        "each row must sum to one": (scores / math.sqrt(dim)).flatten().softmax(0).view_as(scores),
        "This is a sigmoid: it looks at each score alone, so nothing makes a row sum to one. The "
        "softmax compares the scores of a row": (scores / math.sqrt(dim)).sigmoid(),
        "These are logarithms of weights: `log_softmax` takes one more step than the softmax": (
            scores / math.sqrt(dim)
        ).log_softmax(dim=-1),
        "These are weights of queries for each key, (keys, queries): queries belong on the rows": (
            scores / math.sqrt(dim)
        )
        .softmax(dim=-1)
        .T,
        "The table has shape (keys, queries): queries belong on the rows, so write query @ key.T": (
            scores.T / math.sqrt(dim)
        ).softmax(dim=-1),
        "The vectors were stretched to length one first (cosine similarity). Attention compares "
        "them as they are, and divides by the root of the head dim": cosine.softmax(dim=-1),
        "The vectors were stretched to length one first (cosine similarity), and the division then "
        "makes small scores smaller still. Attention compares the vectors as they are": (
            cosine / math.sqrt(dim)
        ).softmax(dim=-1),
    }
    for power, name in ((1, "distance"), (2, "squared distance")):
        for divisor, how in ((1, ""), (math.sqrt(dim), ", divided by the root of the head dim")):
            mistakes[
                f"Your scores are minus the {name}{how}. A score here is a dot product: "
                "multiply number by number, add up"
            ] = (-(torch.cdist(query, key) ** power) / divisor).softmax(dim=-1)
    given = query.clone(), key.clone()
    expect_close(answer(*given), good, mistakes, what="your matrix of weights")
    _expect_unchanged(given, (query, key), ("query", "key"))
    query, key = torch.randn(4, 11), torch.randn(6, 11)  # no size as before
    good = (query @ key.T / math.sqrt(11)).softmax(dim=-1)
    got = _table(answer(query.clone(), key.clone()), good)
    if got is None or not torch.allclose(got.float(), good, atol=1e-5):
        refuse(
            f"Right for a head dim of {dim}, but not for one of 11 with other numbers of queries and "
            "keys. Take the head dim from query.shape[-1], not from a fixed number or another axis"
        )


@exercise("3.2", "blocked keys get no weight, the others share one, a row without a key is zero")
def weights_under_a_mask(answer: Function) -> None:
    heads, queries, keys = 2, 3, 5
    scores = torch.randn(heads, queries, keys)
    free = scores.softmax(dim=-1)
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [1, 0, 0, 0, 1]], dtype=torch.bool)
    blocked, inverted = (scores.masked_fill(where, -math.inf) for where in (~mask, mask))
    mistakes = {
        "The mask is inverted: you blocked the keys that may be attended to. Here True means may "
        "attend (in nn.MultiheadAttention it means blocked)": inverted.softmax(dim=-1),
        "The blocked scores became 0: filled with 0, or multiplied by the mask. That does not block: "
        "e to the power 0 is 1 and takes part in the sum. Minus infinity blocks": (
            scores * mask
        ).softmax(dim=-1),
        "The mask came after the softmax, so the blocked keys have taken part in the sum and the "
        "rows no longer sum to one. Block the scores before the softmax": free * mask,
        "The mask has no effect: these are the weights without it. (`masked_fill` returns a new "
        "tensor and leaves the old one as it was: keep what it returns)": free,
        "The blocked weights are minus infinity. It is the scores that are blocked, before the "
        "softmax; the weights then come out as 0": free.masked_fill(~mask, -math.inf),
        "The softmax ran over the queries: each query shares out a total of one over the keys, the "
        "last axis": blocked.softmax(dim=-2),
        "These are the blocked scores; the softmax that makes weights of them is missing": blocked,
        "The scores were divided once more. Here they are divided already": (
            scores.masked_fill(~mask, -math.inf) / math.sqrt(keys)
        ).softmax(dim=-1),
        "All weights are NaN, though each query has a key. 0 times infinity is NaN, so minus "
        "infinity cannot be multiplied by a mask: let `masked_fill` write it. And its sign must be "
        "minus": torch.full_like(scores, math.nan),
        "All weights are zero, though each query has a key. Were they NaN before you wrote zeros? 0 "
        "times infinity is NaN, so let `masked_fill` write minus infinity": torch.zeros_like(
            scores
        ),
    }
    given = scores.clone(), mask.clone()
    got = answer(*given)
    table = _table(got, scores)
    if table is not None and _leaks(table, blocked.softmax(dim=-1), mask):
        mistakes[
            "Blocked keys still get a small weight: the number that blocks them is not low enough, e "
            "to its power is not 0. Only minus infinity blocks whatever the scores are"
        ] = table
    expect_close(got, blocked.softmax(dim=-1), mistakes, what="your tensor of weights")
    _expect_unchanged(given, (scores, mask), ("scores", "mask"))
    mask[1] = False
    _expect_zeros_without_a_key(answer, scores, mask)
    for moved, message in (
        (
            torch.where(mask, scores, scores + 200),
            "Right for these scores, but not when the blocked keys have scores above 200. They still "
            "take part before you block them: a power of e becomes infinite, and 0 times infinity is "
            "NaN, or it makes the powers of the other keys round to 0. Block the scores first",
        ),
        (
            scores + 100,
            "Right for these scores, but not when all of them are 100 higher: e to the power of 100 is "
            "infinite in float32. `softmax` subtracts the highest score of each row first, which "
            "changes no weight; do so, or use it",
        ),
        (
            scores - 50,
            "Right for these scores, but not when all of them are 50 lower. A fixed number in your "
            "code (a blocking score such as -20, a small number added to a sum) works only while "
            "the scores stay far from it. Minus infinity and `softmax` work for all scores",
        ),
    ):
        good = torch.nan_to_num(moved.masked_fill(~mask, -math.inf).softmax(dim=-1))
        expect_also(answer, (moved, mask), good, message)


def _expect_unchanged(given: tuple[Tensor, ...], before: tuple[Tensor, ...], names: Any) -> None:
    """Refuse an answer that has written into its arguments."""
    for now, old, name in zip(given, before, names, strict=True):
        if not torch.equal(now, old):
            refuse(
                f"The result is right, but you changed the caller's tensor `{name}`, and the caller may "
                "need it again. Make a new tensor: `x = x / 2` does, `x /= 2`, `x[...] = 0` and methods "
                "that end in _ write into the old one"
            )


def _table(got: object, like: Tensor) -> Tensor | None:
    """`got` as a tensor, or None where that fails or its shape is not that of `like`."""
    try:
        table = torch.as_tensor(got).detach()
    except (TypeError, ValueError, RuntimeError):
        return None
    return table if table.shape == like.shape else None


def _leaks(weights: Tensor, good: Tensor, mask: Tensor) -> bool:
    """Does every blocked key get something, while the others share the rest as they should?"""
    open_ = weights * mask
    share = open_ / open_.sum(dim=-1, keepdim=True)
    return bool((weights[:, ~mask] > 0).all()) and torch.allclose(share.float(), good, atol=1e-4)


def _expect_zeros_without_a_key(answer: Function, scores: Tensor, mask: Tensor) -> None:
    """What shows only where a query may attend to nothing."""
    empty = ~mask.any(dim=-1, keepdim=True)
    infinite = scores.masked_fill(~mask, -math.inf).softmax(dim=-1)
    mistakes = {
        "A query that may attend to nothing gets NaN, because all its scores are minus infinity and "
        "the softmax divides 0 by 0. Find the rows without any True and write zeros there with "
        "`masked_fill` or `torch.where`. (Multiplying does not help: 0 times NaN is NaN)": infinite,
        "Your test for an empty row ran down the columns. Whether a query has a key is seen along the "
        "keys: mask.any(dim=-1, keepdim=True)": infinite.masked_fill(~mask.any(dim=0), 0.0),
        "A query that may attend to nothing gets equal weights on keys that are all forbidden. That "
        "is what a large negative number such as -1e9 does: all scores of the row are equal again. "
        "Such a row must be zeros": infinite.masked_fill(empty, 1 / mask.shape[-1]),
        "A query that may attend to nothing gets the weights that it would have without a mask. All "
        "its keys are forbidden, so the row must be zeros": torch.where(
            empty, scores.softmax(dim=-1), infinite
        ),
        "One query may attend to nothing, and all weights became zeros. Only the row of that query "
        "must be zeros: look at each row, not at the whole table": torch.zeros_like(scores),
    }
    got = answer(scores.clone(), mask.clone())
    table = _table(got, scores)
    if table is not None and table.isfinite().all():
        mistakes[
            "A query that may attend to nothing still gets weights, on keys that are all forbidden. "
            "A large negative number only evens out or repeats what was there; opening a key lets "
            "it through. Such a row must be zeros"
        ] = torch.where(empty, table, infinite)
    expect_close(
        got, infinite.masked_fill(empty, 0.0), mistakes, what="with a row without True, your tensor"
    )


@exercise("3.3", "heads go behind the tokens first, then the last two axes become one")
def merging_heads(answer: Function) -> None:
    batch, heads, tokens, dim = 2, 3, 5, 7
    x = torch.randn(batch, heads, tokens, dim)
    good = x.transpose(1, 2).flatten(2)
    mistakes = {
        "The shape is right, but the numbers were not moved: `reshape` and `view` read them in the "
        "order head, token, column, so one row holds several tokens of one head. The heads axis "
        "must first stand behind the tokens axis": x.reshape(batch, tokens, heads * dim),
        "The columns of the heads are interleaved: column 0 of all heads, then column 1. The head "
        "must be the slower axis, so that all columns of head 0 come first": x.permute(
            0, 2, 3, 1
        ).flatten(2),
        "The heads were averaged. Each head has found something else, and `proj` needs all of it: "
        "put them side by side": x.mean(dim=1),
        "The heads were added up. Each head has found something else, and `proj` needs all of it: "
        "put them side by side": x.sum(dim=1),
        "The heads stand one below the other, as if there were more tokens: (batch, heads * tokens, "
        "head dim). They belong side by side in the columns of one token": x.flatten(1, 2),
        "The heads stand one below the other, as if there were more tokens, now token by token. "
        "They belong side by side in the columns of one token": x.transpose(1, 2).flatten(1, 2),
        "Heads and tokens have changed places, but the last two axes, heads and head dim, are still "
        "two: make them one": x.transpose(1, 2),
        "The heads come in reverse order": x.flip(1).transpose(1, 2).flatten(2),
        "Tokens and columns are mixed up: `transpose(2, 3)` swaps tokens and head dim. It is heads "
        "and tokens that must change places": x.transpose(2, 3).reshape(batch, tokens, heads * dim),
        "Heads and columns have changed places: `transpose(1, 3)` moves the head dim to the front. It "
        "is heads and tokens that must change places": x.transpose(1, 3).reshape(
            batch, tokens, heads * dim
        ),
        f"Two heads are joined, as many as in the example. There can be any number, here {heads}": (
            torch.cat([x[:, 0], x[:, 1]], dim=-1)
        ),
        "Only one head is left. Put all of them side by side": x[:, 0],
        "Everything but the batch became one axis. Bring the heads behind the tokens, then join only "
        "the last two axes: `flatten(2)`": x.flatten(1),
        "Heads and head dim have changed places: `transpose(1, 3)`. It is heads and tokens that must "
        "change places; then the last two axes become one": x.transpose(1, 3),
    }
    try:
        got = answer(x.clone())
    except RuntimeError as error:
        if "stride" not in str(error) and "contiguous" not in str(error):
            raise
        raise Refused(
            "PyTorch refuses this `view`: after a transpose the numbers do not lie in memory in the "
            "order of the axes. There, write `reshape` or `flatten`: they copy the numbers if needed"
        ) from None
    expect_close(got, good, mistakes, what="your merged tensor")


@exercise(
    "3.4",
    "one number for each pair of tokens, in each head, layer and image; the head dim has no influence, "
    "because the dot product sums over it",
)
def bytes_of_the_weights(answer: Function) -> None:
    for case in ((3, 5, 7, 11, 13, 4), (2, 3, 8, 197, 64, 2)):
        batch, layers, heads, tokens, dim, size = case
        good = batch * layers * heads * tokens**2 * size
        side_by_side = f"(batch, heads, queries, keys) = ({batch}, {heads}, {tokens}, {tokens})"
        mistakes = {
            f"You left out the heads: every head has weights of its own, {heads} tables of {tokens} x "
            f"{tokens}": good // heads,
            "You left out the batch: every image has weights of its own": good // batch,
            "You left out the layers: the backward pass needs the weights of every layer": good
            // layers,
            f"This grows in proportion to the tokens. There is a weight for each query and each key: "
            f"{tokens} x {tokens} = {tokens**2}": good // tokens,
            "This is the size of the queries or values: tokens times head dim. The weights are "
            f"{side_by_side}: the head dim is summed over in the dot product": good // tokens * dim,
            f"`tokens * 2` is twice the tokens ({2 * tokens}); the pairs are tokens**2 ({tokens**2})": (
                good // tokens * 2
            ),
            "These are the queries, keys and values. The question is about the weights, which are "
            f"{side_by_side}": 3 * good // tokens * dim,
            "The queries, keys and values were counted as well. The question is about the weights "
            "alone": good + 3 * good // tokens * dim,
            "The head dim was counted too. It is summed over in the dot product, and the weights are "
            f"{side_by_side}: no axis of it is left": good * dim,
            f"You counted 4 bytes for every number. Here a number takes {size}: use bytes_per_number": (
                good // size * 4
            ),
            "The head dim stands where the number of heads belongs. The weights are "
            f"{side_by_side}": good // heads * dim,
            "These are megabytes. The question is about bytes": good / 1e6,
            "These are gigabytes. The question is about bytes": good / 1e9,
            "This is the number of weights. How many bytes does one number take?": good // size,
            "These are bits, eight times too many: bytes_per_number counts bytes already": good * 8,
            "Scores and weights were both counted. The question is about the weights alone": good
            * 2,
            f"The tokens of all {batch} images were paired with each other. A token looks at the "
            "tokens of its own image only, not at other images": good * batch,
            f"The heads were counted twice. One table of {tokens} x {tokens} for each head": good
            * heads,
        }
        got = answer(*case)
        if isinstance(got, Tensor) and got.ndim == 0:
            got = got.item()
        if isinstance(got, float | int) and not isinstance(got, bool):
            if abs(got) > 2**62:
                refuse("Your number is far too large: there is one weight for each pair of tokens")
            known = (good, *mistakes.values())
            if not any(math.isclose(got, number, rel_tol=1e-9) for number in known):
                refuse(
                    f"For {batch} images, {layers} layers, {heads} heads of {dim}, {tokens} tokens and "
                    f"{size} bytes a number you give {got:,} bytes, but {good:,} are expected"
                )
        expect_close(got, good, mistakes, what="your number of bytes", tolerance=1e-9)
