"""Lesson 4: LayerNorm, a block's parameters, the pre-norm order, a unigram's loss, a masked loss."""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from course_utils.checks.engine import exercise, expect_also, expect_close, expect_equal, refuse


def _normal(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64)


@exercise("4.1", "each token is normalized on its own, over its features")
def layer_norm(answer: Any) -> None:
    x, weight, bias, eps = 3 * _normal(2, 5, 7) + 1, _normal(7) + 2, _normal(7), 0.25
    before = x.clone()
    try:
        got = answer(x, weight, bias, eps)
    except RuntimeError as error:
        if "must match the size" not in str(error):
            raise
        refuse(
            "Your shapes do not fit: one mean for each token has shape (batch, tokens), and x has one "
            "axis more. Keep the axis that was averaged over, with size 1: `keepdim=True`."
        )
    if not torch.equal(x, before):
        refuse(
            "Your function changed x itself (an in-place operation such as `x -= ...`). The residual "
            "path still needs the old x: make a new tensor."
        )

    def normalized(dims: Any, bottom: Callable[[Tensor], Tensor]) -> Tensor:
        centered = x - x.mean(dims, keepdim=True)
        return centered / bottom(centered.pow(2).mean(dims, keepdim=True))

    def root(variance: Tensor) -> Tensor:
        return (variance + eps).sqrt()

    right = normalized(-1, root)
    not_centered = x / root(x.var(-1, correction=0, keepdim=True))
    mistakes = {
        "You averaged over the batch, so a token's result depends on the other sentences. That is "
        "(a part of) batch norm. LayerNorm looks along the last axis: the features of one token.": (
            normalized(0, root) * weight + bias
        ),
        "You averaged over the tokens, so a token's result depends on its neighbors. LayerNorm looks "
        "along the last axis: the features of one token.": normalized(1, root) * weight + bias,
        "You averaged over the batch and the tokens, feature by feature. That is batch norm. "
        "LayerNorm looks along the last axis: the features of one token.": (
            normalized((0, 1), root) * weight + bias
        ),
        "You averaged over tokens and features together, so a token's result depends on its "
        "neighbors. Each token has a mean and a variance of its own.": (
            normalized((1, 2), root) * weight + bias
        ),
        "You took one mean and one variance for the whole tensor. Each token has a mean and a "
        "variance of its own: keep all axes but the last.": (
            normalized((0, 1, 2), root) * weight + bias
        ),
        "Your variance divides by dim - 1 (the unbiased estimate, PyTorch's default for `var` and "
        "`std`). LayerNorm divides by dim: the mean of the squared distances. See `correction`.": (
            normalized(-1, lambda v: (v * 7 / 6 + eps).sqrt()) * weight + bias
        ),
        "You added eps to the standard deviation, after the root. LayerNorm adds it to the variance, "
        "under the root.": normalized(-1, lambda v: v.sqrt() + eps) * weight + bias,
        "Your variance divides by dim - 1, and eps is added after the root. LayerNorm divides by "
        "dim, and adds eps under the root.": (
            normalized(-1, lambda v: (v * 7 / 6).sqrt() + eps) * weight + bias
        ),
        "You left eps out. A token whose features are all equal has variance 0, and without eps that "
        "is a division by zero.": normalized(-1, torch.sqrt) * weight + bias,
        "You divided by the variance. Divide by its square root, the standard deviation: only then "
        "is the spread of the result 1.": normalized(-1, lambda v: v + eps) * weight + bias,
        "You did not subtract the mean. (That is close to RMSNorm, a newer layer, but LayerNorm "
        "centers first.)": not_centered * weight + bias,
        "You divided by the root of the mean square and did not subtract the mean. That is RMSNorm, "
        "a newer layer; LayerNorm centers first.": (
            x / root(x.pow(2).mean(-1, keepdim=True)) * weight + bias
        ),
        "You added the bias before multiplying by the weight. First scale, then shift: otherwise "
        "the weight scales the bias too.": (right + bias) * weight,
        "You normalized, but did not use weight and bias. The layer learns both: a scale and a shift "
        "for each feature.": right,
        "You scaled by the weight, but did not add the bias.": right * weight,
        "You added the bias, but did not scale by the weight.": right + bias,
    }
    expect_close(got, right * weight + bias, mistakes)
    flat = torch.full((2, 3, 4), 7.0, dtype=torch.float64)
    same = answer(flat, torch.ones(4).double(), torch.zeros(4).double(), 1e-5)
    expect_close(
        same, torch.zeros(2, 3, 4), what="for tokens whose features are all 7, your result"
    )
    if torch.as_tensor(got).dtype != x.dtype:
        refuse(
            "Your result is float32, and x is float64: make new tensors with `torch.zeros_like(x)`, "
            "and do not change the kind of numbers."
        )
    far = 1e8 + torch.tensor([[[0.0, 1, 2, 5]]], dtype=torch.float64)
    expect_also(
        answer,
        (far, torch.ones(4).double(), torch.zeros(4).double(), 1e-5),
        F.layer_norm(far - 1e8, (4,)),
        "The mean of the squares minus the squared mean: for large numbers nearly everything "
        "cancels, and rounding is left. Subtract the mean first, then square.",
        tolerance=1e-3,
    )


@exercise("4.2", "you can count an encoder block by hand")
def block_parameters(answer: Any) -> None:
    def attention(d: int) -> int:
        return d * 3 * d + 3 * d + d * d + d

    def feed(d: int, h: int) -> int:
        return d * h + h + h * d + d

    def no_bias(d: int, h: int) -> int:
        return 4 * d * d + 2 * d * h

    mistakes: dict[str, Callable[[int, int], int]] = {
        "You counted the four matrices of weights, but neither the biases nor the two LayerNorms. "
        "Each linear layer also has one bias for each output; each LayerNorm has a weight and a "
        "bias for each feature.": no_bias,
        "You left out the biases of the linear layers: one number for each output.": (
            lambda d, h: no_bias(d, h) + 4 * d
        ),
        "You left out the two LayerNorms: each has a weight and a bias for each feature.": (
            lambda d, h: attention(d) + feed(d, h)
        ),
        "You counted half of the LayerNorms' numbers. A block has two LayerNorms, and each has a "
        "weight and a bias for each feature.": lambda d, h: attention(d) + feed(d, h) + 2 * d,
        "You left out attention's output projection, the layer that mixes the heads.": (
            lambda d, h: d * 3 * d + 3 * d + feed(d, h) + 4 * d
        ),
        "You counted one matrix for queries, keys and values. There are three of them, each dim "
        "times dim.": lambda d, h: 2 * (d * d + d) + feed(d, h) + 4 * d,
        "You counted one of the two layers of the feed-forward network. It goes from dim to hidden "
        "and back.": lambda d, h: attention(d) + d * h + h + 4 * d,
        "The second layer of the feed-forward network has dim outputs, so dim biases, not hidden.": (
            lambda d, h: attention(d) + 2 * (d * h + h) + 4 * d
        ),
        "You used hidden = 4 * dim. The function is given `hidden`: use it.": (
            lambda d, h: attention(d) + feed(d, 4 * d) + 4 * d
        ),
    }
    for d, h in ((6, 10), (64, 256), (768, 3072)):
        got = answer(d, h)
        if isinstance(got, float):
            refuse(f"A number of parameters is a whole number (int); your result is {got}.")
        expect_equal(
            got,
            attention(d) + feed(d, h) + 4 * d,
            {message: count(d, h) for message, count in mistakes.items()},
            what=f"for dim={d}, hidden={h}, your result",
        )


@exercise("4.3", "the residual path stays free: norms stand inside the branches")
def pre_norm_block(answer: Any) -> None:
    a, b, x = _normal(7, 7), _normal(7, 7), _normal(2, 5, 7)

    def attend(t: Tensor) -> Tensor:
        return torch.tanh(t @ a) + t.mean(1, keepdim=True)

    def feed(t: Tensor) -> Tensor:
        return torch.sin(t @ b)

    def norm1(t: Tensor) -> Tensor:
        return F.layer_norm(t, (7,)) * 1.5

    def norm2(t: Tensor) -> Tensor:
        return F.layer_norm(t, (7,)) * 0.5 + 1

    before = x.clone()
    got = answer(x, attend, feed, norm1, norm2)
    if not torch.equal(x, before):
        refuse(
            "Your function changed the x that it was given (`x += ...` works in place). Write "
            "`x = x + ...`, which makes a new tensor; the caller still needs the old one."
        )
    middle = x + attend(norm1(x))
    right = middle + feed(norm2(middle))
    one, swapped = norm1(x), x + feed(norm1(x))
    post = norm1(x + attend(x))
    no_norm = x + attend(x)
    mistakes = {
        "That is the post-norm order of 2017: add, then normalize. In pre-norm the norm stands "
        "before the sub-layer, inside the branch, and nothing stands on the residual path.": (
            norm2(post + feed(post))
        ),
        "You normalized the residual path too: you added the branch to norm(x). Add it to x itself, "
        "untouched; only the branch sees norm(x).": (lambda n: norm2(n) + feed(norm2(n)))(
            one + attend(one)
        ),
        "You normalized the residual path at the first sub-layer: you added attention's result to "
        "norm1(x). Add it to x itself.": (lambda n: n + feed(norm2(n)))(one + attend(one)),
        "You normalized the residual path at the second sub-layer: the feed-forward network's result "
        "is added to the sum before the norm.": norm2(middle) + feed(norm2(middle)),
        "There is no residual path in your block: the branches' results are passed on, and x itself "
        "is lost. Add x to each.": feed(norm2(attend(norm1(x)))),
        "One residual path runs around both branches together. Each branch needs its own: add after "
        "attention, and again after the feed-forward network.": x + feed(norm2(attend(norm1(x)))),
        "Attention's result is not added to x: the first residual path is missing.": (
            lambda m: m + feed(norm2(m))
        )(attend(norm1(x))),
        "The feed-forward network's result is not added to what went in: the second residual path "
        "is missing.": feed(norm2(middle)),
        "The second residual path starts too early: add the feed-forward network's result to the "
        "sum after attention, not to the x at the beginning, or attention's result is lost.": (
            x + feed(norm2(middle))
        ),
        "Your feed-forward network does not see attention's result: both branches start from the "
        "same x (a *parallel* block). Here the second starts from the sum after the first.": (
            x + attend(norm1(x)) + feed(norm2(x))
        ),
        "You used norm1 twice. Each sub-layer has a norm of its own, with its own learned weight and "
        "bias.": middle + feed(norm1(middle)),
        "You used norm2 for attention and norm1 for the feed-forward network: the other way round.": (
            lambda m: m + feed(norm1(m))
        )(x + attend(norm2(x))),
        "You did not use the norms. In pre-norm each sub-layer sees a normalized copy of x.": (
            no_norm + feed(no_norm)
        ),
        "The feed-forward network comes first in your block. Attention comes first here.": (
            swapped + attend(norm2(swapped))
        ),
        "Your block ends after attention: the feed-forward network is missing.": middle,
        "You added one more norm at the end. A pre-norm block ends with the bare sum; the one final "
        "norm stands after the whole stack.": norm2(right),
    }
    expect_close(got, right, mistakes)


@exercise("4.4", "you know what a model must beat")
def unigram_loss(answer: Any) -> None:
    train = torch.tensor([0, 0, 0, 1, 2, 0, 1, 2, 0, 4])
    targets = torch.tensor([0, 1, 1, 0, 3, 2, 0])
    vocab = 6

    def loss(p: Tensor) -> Tensor:
        return -p.log()[targets].mean()

    counts = torch.bincount(train, minlength=vocab).double()
    p = (counts + 1) / (counts + 1).sum()
    own = torch.bincount(targets, minlength=vocab).double() + 1
    seen = targets.unique()
    mistakes = {
        "You took the logarithm to base 2, which gives bits. Cross-entropy in PyTorch is in nats: "
        "the natural logarithm.": loss(p) / torch.tensor(2.0).log(),
        "You counted the tokens of `targets`. That is looking at the answers: a model's "
        "probabilities come from the train split alone.": loss(own / own.sum()),
        "You counted without the 1 for each token of the vocabulary. Token 3 never occurs in "
        "`train_ids`, so its probability is 0 and its loss infinite.": loss(counts / counts.sum()),
        "You added 1 to each count, but divided by the number of train tokens. The sum is larger "
        "now, too: probabilities must sum to one.": loss((counts + 1) / len(train)),
        "You averaged over the different tokens, each once. The loss is an average over all of "
        "`targets`: a frequent token counts as often as it occurs.": -p.log()[seen].mean(),
        "You averaged over the vocabulary, each token once. The loss is an average over all of "
        "`targets`: look up -log p for each of them.": -p.log().mean(),
        "You returned the sum. The loss is the average over `targets`, so that long and short texts "
        "can be compared.": loss(p) * len(targets),
        "You forgot the minus: the logarithm of a probability is negative, a loss is positive.": (
            -loss(p)
        ),
        "You returned the perplexity, exp(loss). Leave the loss in nats.": loss(p).exp(),
        "You averaged the probabilities, then took the logarithm. First -log p of each target, then "
        "the average.": -p[targets].mean().log(),
        "You gave the counts to cross-entropy as scores. It takes exp of a score: give the logarithm "
        "of the counts, or look up -log p yourself.": -(counts + 1).log_softmax(0)[targets].mean(),
        "You computed the loss on the train tokens themselves. Count on `train_ids`, then look up "
        "`targets`.": -p.log()[train].mean(),
        "That is the entropy of the train counts, the loss on the train tokens. Count on "
        "`train_ids`, then look up `targets`.": -(p * p.log()).sum(),
        "That is the loss of a model that gives all tokens the same probability (log of the "
        "vocabulary's size). A unigram model uses how often each occurs.": (
            torch.tensor(float(vocab)).log()
        ),
    }
    given = train.clone(), targets.clone()
    expect_close(answer(*given, vocab), loss(p).float(), mistakes)
    if not (torch.equal(given[0], train) and torch.equal(given[1], targets)):
        refuse("You changed the tokens that you were given. Make new tensors.")
    expect_also(
        lambda *of: float(answer(*of)),
        (torch.tensor([0, 1]), torch.zeros(1000, dtype=torch.long), 4),
        torch.tensor(3.0).log().item(),
        "You multiplied the probabilities first: of many targets the product is too small for a "
        "computer, and becomes 0. Take the logarithm of each, then average.",
    )


@exercise("4.5", "the loss looks at what was hidden, and at nothing else")
def masked_loss(answer: Any) -> None:
    scores, ids = 2 * _normal(3, 5, 11), torch.randint(11, (3, 5))
    hidden = torch.zeros(3, 5, dtype=torch.bool)
    hidden[0, [1, 3, 4]] = hidden[1, 0] = hidden[2, [0, 2]] = True
    ids[0, 1] = 0  # a true id like any other
    losses = F.cross_entropy(scores.transpose(1, 2), ids, reduction="none")
    twice = F.cross_entropy(scores.softmax(-1).transpose(1, 2), ids, reduction="none")
    rows = (losses * hidden).sum(1) / hidden.sum(1)
    mistakes = {
        "You averaged over all tokens, the visible ones too. A visible token stands in the input: "
        "the model can copy it, and that teaches nothing. Use the masked positions alone.": (
            losses.mean()
        ),
        "You averaged over the visible tokens. The targets are the masked ones: `is_masked` is True "
        "where a token was hidden.": losses[~hidden].mean(),
        "You set the visible tokens' losses to zero, but then divided by the number of all tokens. "
        "Divide by the number of masked ones.": (losses * hidden).mean(),
        "You set the visible tokens' scores to zero and averaged over all tokens. They still count, "
        "with the loss of a blind guess. Leave them out.": F.cross_entropy(
            (scores * hidden[..., None]).transpose(1, 2), ids
        ),
        "A gap whose true token has the id 0 was left out. Id 0 is a token like any other: choose the "
        "gaps with `is_masked`, not by their ids.": losses[hidden & (ids > 0)].mean(),
        "You returned the sum. The average does not depend on how many tokens were masked, the sum "
        "does.": losses[hidden].sum(),
        "You applied softmax first. `F.cross_entropy` wants scores: it takes the logarithm of the "
        "softmax itself, so yours was applied twice.": twice[hidden].mean(),
        "You averaged within each sentence, then over sentences. A sentence with one masked token "
        "then weighs as much as one with three: average over all masked tokens at once.": rows.mean(),
        "You forgot the minus: the logarithm of a probability is negative, a loss is positive.": (
            -losses[hidden].mean()
        ),
        "You returned the average probability of the right tokens. The loss is the average of "
        "-log(probability).": (-losses[hidden]).exp().mean(),
        "You returned one loss for each masked token; average them.": losses[hidden],
        "You returned the share of right guesses, which has no useful gradient. The loss is the "
        "average of -log(probability) of the right token.": (
            (scores.argmax(-1) == ids)[hidden].double().mean()
        ),
    }
    given = scores.clone(), ids.clone(), hidden.clone()
    expect_close(answer(*given), losses[hidden].mean(), mistakes)
    if any(not torch.equal(a, b) for a, b in zip(given, (scores, ids, hidden), strict=True)):
        refuse(
            "You wrote into what you were given (-100 into the ids, perhaps), and it is needed "
            "again. Use `masked_fill` or another function that makes a new tensor."
        )
    if not getattr(answer(scores.clone().requires_grad_(), ids, hidden), "requires_grad", False):
        refuse(
            "Your loss is a bare number: no gradient flows back from it, and nothing can be trained. "
            "Stay with tensors, without `.item()`."
        )
    sure = torch.zeros(1, 3, 4)
    sure[0, 0, 1], sure[0, 1, 2] = 200, 1000
    gaps = torch.tensor([[True, True, False]])
    expect_also(
        answer,
        (sure, torch.tensor([[0, 2, 3]]), gaps),
        torch.tensor(100.0),
        "Softmax first and the logarithm after breaks down for large scores: a probability becomes "
        "0, its logarithm infinite, and a small number added hides it. `F.cross_entropy` or "
        "`log_softmax` takes both steps at once.",
    )
    hidden[1] = False
    expect_also(
        answer,
        (scores, ids, hidden),
        losses[hidden].mean(),
        "Right so far, but not where a sentence has no gap. Choose all gaps at once, not sentence by "
        "sentence.",
    )
