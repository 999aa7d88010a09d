"""Attention: a soft look-up, masks, and many heads side by side. Built in lesson 3.

Axis names: `batch, heads, queries, keys, dim`. A mask is boolean and True means *may attend*, as in
`torch.nn.functional.scaled_dot_product_attention`; `torch.nn.MultiheadAttention` means the opposite.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


def attention(
    query: Float[Tensor, "*batch queries dim"],
    key: Float[Tensor, "*batch keys dim"],
    value: Float[Tensor, "*batch keys value_dim"],
    mask: Bool[Tensor, "..."] | None = None,
) -> tuple[Float[Tensor, "*batch queries value_dim"], Float[Tensor, "*batch queries keys"]]:
    """Scaled dot-product attention (Vaswani et al. 2017, section 3.2.1), every step visible.

    Returns `(output, weights)`: each output row is the average of the value rows under that row's
    weights, which are not negative and sum to one. `mask` broadcasts to (..., queries, keys), True =
    may attend. A query that may attend to nothing gets weights and output of zero, not NaN, and
    passes no gradient.

    Raises `TypeError` for a mask that is not boolean, `ValueError` for one that does not broadcast
    and for a key whose width is not the query's.
    """
    if query.shape[-1] != key.shape[-1]:
        raise ValueError(
            f"a query and a key are compared number by number, so their last axes must agree; got "
            f"{query.shape[-1]} and {key.shape[-1]}: project both to one head dim first"
        )
    scores = query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5
    if mask is None:
        weights = scores.softmax(dim=-1)
    else:
        check_mask(mask, tuple(scores.shape))
        weights = scores.masked_fill(~mask, float("-inf")).softmax(dim=-1)
        # A row of minus infinities has no softmax (0/0): such a query looks at nothing.
        weights = weights.masked_fill(~mask.any(dim=-1, keepdim=True), 0.0)
    return weights @ value, weights


def check_mask(mask: Tensor, scores_shape: tuple[int, ...]) -> None:
    """Raise unless `mask` is boolean and broadcasts to the scores' shape (..., queries, keys)."""
    if mask.dtype != torch.bool:
        raise TypeError(
            f"a mask is boolean, True = may attend; got {mask.dtype}: "
            "write `mask != 0`, or `mask == 0` if your ones mean 'blocked'"
        )
    axes = zip(reversed(mask.shape), reversed(scores_shape), strict=False)
    if mask.dim() > len(scores_shape) or any(size not in (1, full) for size, full in axes):
        raise ValueError(
            f"a mask must broadcast to (..., queries, keys) = {scores_shape}; got "
            f"{tuple(mask.shape)}: add axes of size 1 where it is the same for all, as in "
            "mask[:, None, None, :] for one row of keys per image"
        )


def check_heads(dim: int, heads: int) -> None:
    """Raise `ValueError` unless dim / heads, the width of a head, is a whole number."""
    if dim < 1 or heads < 1 or dim % heads:
        near = [h for h in range(1, max(dim, 0) + 1) if dim % h == 0]
        raise ValueError(
            f"dim must be divisible by heads, because each head gets dim / heads numbers; got "
            f"dim={dim}, heads={heads}: for this dim take heads from {near}"
        )


def causal_mask(tokens: int) -> Bool[Tensor, "{tokens} {tokens}"]:
    """True on and below the diagonal: a token may attend to itself and to what came before."""
    return torch.ones(tokens, tokens, dtype=torch.bool).tril()


def padding_mask(lengths: Int[Tensor, " batch"], tokens: int) -> Bool[Tensor, "batch 1 1 {tokens}"]:
    """True for the first `lengths[i]` keys of sequence i, for every head and every query.

    Raises `ValueError` for a length outside 0 ... tokens.
    """
    if lengths.min() < 0 or lengths.max() > tokens:
        raise ValueError(
            f"every length must be within 0 ... tokens ({tokens}); got {lengths.tolist()}"
        )
    keys = torch.arange(tokens, device=lengths.device)
    return (keys < lengths[:, None])[:, None, None, :]


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each on its own slice of width dim / heads (section 3.2.2).

    `forward(x, context=None, mask=None)`: x is (batch, queries, dim); keys and values come from
    `context` (batch, keys, dim), or from x itself. `mask` broadcasts to (batch, heads, queries,
    keys), True = may attend; a query that may attend to nothing gets the output projection's bias.

    PyTorch's fused kernel does the work. It never forms the weights, so while a forward hook is on
    `self.weights` the explicit `attention()` runs instead and passes them, (batch, heads, queries,
    keys), through that tap. Parameter names are timm's: `qkv` (rows: all queries, all keys, all
    values) and `proj`.

    Raises `ValueError` when dim is not divisible by heads.
    """

    def __init__(self, *, dim: int, heads: int, bias: bool = True) -> None:
        super().__init__()
        check_heads(dim, heads)
        self.dim, self.heads = dim, heads
        self.qkv = nn.Linear(dim, 3 * dim, bias=bias)
        self.proj = nn.Linear(dim, dim)
        self.weights = nn.Identity()  # a name to observe

    def forward(
        self,
        x: Float[Tensor, "batch queries dim"],
        context: Float[Tensor, "batch keys dim"] | None = None,
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "batch queries dim"]:
        if x.shape[-1] != self.dim:
            raise ValueError(f"this layer was made for dim={self.dim}; got x of {tuple(x.shape)}")
        query, key, value = self.project(x, context)
        if self.weights._forward_hooks:
            output, weights = attention(query, key, value, mask)
            self.weights(weights)
        else:
            output = fused_attention(query, key, value, mask)
        return self.proj(output.transpose(1, 2).flatten(2))

    def project(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, ...]:
        """Queries from x, keys and values from context or x, each (batch, heads, tokens, head dim).

        One matrix product makes all three. They are cut along the last axis, so that the backward
        pass joins their gradients with one copy.
        """
        if context is None:
            parts = self.qkv(x).chunk(3, dim=-1)
        else:
            weight_q, weight_kv = self.qkv.weight.split([self.dim, 2 * self.dim])
            bias_q, bias_kv = (
                (None, None)
                if self.qkv.bias is None
                else self.qkv.bias.split([self.dim, 2 * self.dim])
            )
            query = F.linear(x, weight_q, bias_q)
            parts = (query, *F.linear(context, weight_kv, bias_kv).chunk(2, dim=-1))
        return tuple(part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)


def fused_attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None) -> Tensor:
    """`attention(...)[0]` by PyTorch's fused kernel, with the same zeros for fully masked queries."""
    if mask is None:
        return F.scaled_dot_product_attention(query, key, value)
    check_mask(mask, (*query.shape[:-1], key.shape[-2]))
    # The kernels disagree on rows without a key (NaN in some releases): open the row, then zero it.
    someone = mask.any(dim=-1, keepdim=True)
    output = F.scaled_dot_product_attention(query, key, value, attn_mask=mask | ~someone)
    return output.masked_fill(~someone, 0.0)
