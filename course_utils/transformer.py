"""The transformer encoder: feed-forward, residual block, stack. Built in lesson 4.

Two orders of the same parts: *post-norm*, LayerNorm after each residual sum (Vaswani et al. 2017,
section 3.1), and *pre-norm*, LayerNorm before each sub-layer and once more at the end (Xiong et al.
2020, "On Layer Normalization in the Transformer Architecture", figure 1; the order of ViT and GPT-2).
"""

from typing import Literal, get_args

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.backends import mkldnn

from course_utils.attention import MultiHeadAttention

NormOrder = Literal["pre", "post"]


class PointwiseLinear(nn.Linear):
    """`nn.Linear` on every token: (..., in) -> (..., out).

    Outside training, on a CPU, a batch of tokens goes through the 1 x 1 convolution that it equals:
    where we measured (`make bench`), oneDNN's convolution was faster than the matrix product and its
    bias.
    """

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch out"]:
        if self.training or x.ndim != 3 or x.device.type != "cpu" or not mkldnn.is_available():
            return super().forward(x)
        row = x.transpose(1, 2)[:, :, None]  # a map of one row, without a copy
        row = F.conv2d(row, self.weight[:, :, None, None], self.bias)
        return row[:, :, 0].transpose(1, 2)


class FeedForward(nn.Module):
    """Two linear layers with GELU between, on every token alike: (..., dim) -> (..., dim)."""

    def __init__(self, *, dim: int, hidden: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.fc1 = PointwiseLinear(dim, hidden)
        self.act = nn.GELU()
        self.drop = nn.Dropout(dropout)
        self.fc2 = PointwiseLinear(hidden, dim)

    def forward(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return self.fc2(self.drop(self.act(self.fc1(x))))


class EncoderBlock(nn.Module):
    """Attention mixes the tokens, a feed-forward network works on each; both are added to x.

    `forward(x, mask=None)`: (batch, tokens, dim) -> the same shape; `mask` as in
    `MultiHeadAttention`. Parameter names are timm's. LayerNorm's eps is PyTorch's 1e-5 unless set:
    published ViTs use 1e-6 (timm, torchvision) or 1e-12 (Hugging Face).

    Raises `ValueError` for a norm order other than "pre" and "post".
    """

    def __init__(
        self,
        *,
        dim: int,
        heads: int,
        mlp_ratio: float = 4.0,
        norm: NormOrder = "pre",
        dropout: float = 0.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_norm_order(norm)
        self.pre_norm = norm == "pre"
        self.norm1 = nn.LayerNorm(dim, eps=norm_eps)
        self.attn = MultiHeadAttention(dim=dim, heads=heads)
        self.norm2 = nn.LayerNorm(dim, eps=norm_eps)
        self.mlp = FeedForward(dim=dim, hidden=int(dim * mlp_ratio), dropout=dropout)
        self.drop = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        if self.pre_norm:
            x = x + self.drop(self.attn(self.norm1(x), mask=mask))
            return x + self.drop(self.mlp(self.norm2(x)))
        x = self.norm1(x + self.drop(self.attn(x, mask=mask)))
        return self.norm2(x + self.drop(self.mlp(x)))


class Encoder(nn.Module):
    """`depth` blocks one after the other; pre-norm blocks are followed by one final LayerNorm.

    `forward(x, mask=None)`: (batch, tokens, dim) -> the same shape.
    """

    def __init__(
        self,
        *,
        dim: int,
        depth: int,
        heads: int,
        mlp_ratio: float = 4.0,
        norm: NormOrder = "pre",
        dropout: float = 0.0,
        norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        check_norm_order(norm)
        self.blocks = nn.ModuleList(
            EncoderBlock(
                dim=dim,
                heads=heads,
                mlp_ratio=mlp_ratio,
                norm=norm,
                dropout=dropout,
                norm_eps=norm_eps,
            )
            for _ in range(depth)
        )
        # The residual path of pre-norm blocks is never normalized; post-norm blocks end in a norm.
        self.norm = nn.LayerNorm(dim, eps=norm_eps) if norm == "pre" else nn.Identity()

    def forward(
        self, x: Float[Tensor, "batch tokens dim"], mask: Bool[Tensor, "..."] | None = None
    ) -> Float[Tensor, "batch tokens dim"]:
        for block in self.blocks:
            x = block(x, mask=mask)
        return self.norm(x)


def check_norm_order(norm: str) -> None:
    """Raise `ValueError` unless `norm` is one of the two orders."""
    if norm not in get_args(NormOrder):
        raise ValueError(
            f'norm must be "pre" (LayerNorm before each sub-layer, as in ViT) or "post" (after each '
            f"residual sum, as in the 2017 paper); got {norm!r}"
        )
