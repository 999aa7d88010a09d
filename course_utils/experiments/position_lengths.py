"""Longer inputs than in training, one family of positions after the other. For lesson 2."""

import math
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_utils.data import Split
from course_utils.experiments.language import course_ids, descend
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.positions import (
    LearnedPositions,
    alibi_bias,
    apply_rotary,
    sinusoidal_positions,
)
from course_utils.transformer import FeedForward

Family = Literal["none", "sinusoidal", "learned", "rotary", "alibi"]
# What to do with a learned table, or with rotary, beyond the trained length.
Beyond = Literal["as trained", "last row repeated", "positions squeezed"]


class PositionModel(nn.Module):
    """A small causal language model (pre-norm transformer) with a position family of one's choice.

    `forward(ids)`: (batch, tokens) -> (batch, tokens, vocab), the scores of each next token. Its
    parts are built in lessons 3 and 4; here they are kept short. Two models of the same seed start
    from the same weights whatever their family: what a family adds is drawn last.

    `beyond` says what happens past `length` tokens: a learned table repeats its last row, rotary
    positions are squeezed into the trained range (position interpolation, Chen et al. 2023). With
    "as trained" neither is done, and a learned table raises `ValueError`.
    """

    def __init__(
        self, *, family: Family, vocab: int, dim: int, depth: int, heads: int, length: int
    ) -> None:
        super().__init__()
        if family not in get_args(Family):
            raise ValueError(f"family must be one of {', '.join(get_args(Family))}; got {family!r}")
        self.family, self.dim, self.heads, self.length = family, dim, heads, length
        self.beyond: Beyond = "as trained"
        self.embed = nn.Embedding(vocab, dim)
        self.blocks = nn.ModuleList(_Block(dim, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, vocab)
        if family == "learned":
            self.positions = LearnedPositions(length=length, dim=dim)

    def forward(self, ids: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens vocab"]:
        x = self.add_positions(self.embed(ids))
        turns, bias = self.inside_attention(ids.shape[1])
        for block in self.blocks:
            x = block(x, turns, bias)
        return self.head(self.norm(x))

    def add_positions(self, x: Tensor) -> Tensor:
        """Sinusoidal and learned positions are added to the tokens, once."""
        tokens = x.shape[1]
        if self.family == "sinusoidal":
            return x + sinusoidal_positions(tokens, self.dim)
        if self.family != "learned":
            return x
        if self.beyond == "last row repeated" and tokens > self.length:
            rows = torch.arange(tokens).clamp(max=self.length - 1)
            return x + self.positions.table[rows]
        return self.positions(x)

    def inside_attention(self, tokens: int) -> tuple[Tensor | None, Tensor | None]:
        """Rotary positions, or None; ALiBi's bias with the causal mask in it, or None."""
        if self.family == "rotary":
            at = torch.arange(tokens, dtype=torch.float64)
            squeeze = self.beyond == "positions squeezed" and tokens > self.length
            return (at * self.length / tokens if squeeze else at), None
        if self.family == "alibi":
            ahead = torch.ones(tokens, tokens, dtype=torch.bool).triu(1)
            bias = alibi_bias(self.heads, tokens, tokens)
            return None, bias.masked_fill(ahead, -math.inf)
        return None, None


class _Block(nn.Module):
    """Pre-norm: attention, then a feed-forward network, each added to x."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv, self.proj = nn.Linear(dim, 3 * dim), nn.Linear(dim, dim)
        self.mlp = FeedForward(dim=dim, hidden=4 * dim)

    def forward(self, x: Tensor, turns: Tensor | None, bias: Tensor | None) -> Tensor:
        parts = self.qkv(self.norm1(x)).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        if turns is not None:
            q, k = apply_rotary(q, turns), apply_rotary(k, turns)
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, is_causal=bias is None)
        x = x + self.proj(mixed.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm2(x))


def train_position_model(
    family: Family,
    seed: int,
    recipe: Recipe,
    steps: Callable[[range], Iterable[int]] = iter,
) -> PositionModel:
    """Train one family on the train split, always for `recipe["steps"]` steps.

    The seed fixes the first weights and the order of the data, the same for every family. `steps`
    may wrap the steps, in a progress bar for example.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PositionModel(
            family=family,
            **{key: recipe[key] for key in ("vocab", "dim", "depth", "heads", "length")},
        )
    ids = course_ids("train", recipe["vocab"])
    order = torch.Generator().manual_seed(seed)
    window = torch.arange(recipe["length"] + 1)

    def next_loss() -> Tensor:
        starts = torch.randint(len(ids) - len(window), (recipe["batch"], 1), generator=order)
        batch = ids[starts + window]
        return F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

    schedule = partial(
        torch.optim.lr_scheduler.OneCycleLR,
        max_lr=recipe["lr"],
        total_steps=recipe["steps"] + 1,
        pct_start=0.1,
    )
    descend(model, recipe, next_loss=next_loss, make_schedule=schedule, steps=steps)
    return model


@torch.no_grad()
def loss_by_position(
    model: PositionModel, length: int, recipe: Recipe, split: Split = "validation"
) -> Float[Tensor, "windows length"]:
    """Loss (nats) of every next token in windows of `length` tokens.

    The windows of every length end at the same places: their last columns are about the same
    targets, which only have more text before them in a longer window.
    """
    ids = course_ids(split, recipe["vocab"])
    longest = max(recipe["lengths"])
    ends = torch.linspace(longest + 1, len(ids), recipe["windows"], dtype=torch.float64).long()
    windows = ids[ends[:, None] + torch.arange(-length - 1, 0)]
    losses = []
    for batch in windows.split(max(1, recipe["batch"] * recipe["length"] // length)):
        scores = model(batch[:, :-1])
        losses.append(F.cross_entropy(scores.transpose(1, 2), batch[:, 1:], reduction="none"))
    return torch.cat(losses)


def _jobs(recipe: Recipe) -> list[Job]:
    """Seed by seed, so that an interrupted study has whole seeds."""
    return [
        {"family": family, "seed": seed}
        for seed in range(recipe["seeds"])
        for family in recipe["families"]
    ]


def _run(recipe: Recipe, job: Job, _cache: Path) -> dict[str, Any]:
    """Losses of one trained model at every length, on the same targets and by position."""
    model = train_position_model(job["family"], job["seed"], recipe)
    behaviors: list[Beyond] = ["as trained"]
    if model.family == "learned":
        behaviors.append("last row repeated")
    if model.family == "rotary":
        behaviors.append("positions squeezed")
    numbers: dict[str, Any] = {"parameters": sum(p.numel() for p in model.parameters())}
    for model.beyond in behaviors:
        numbers[model.beyond] = _losses_at_lengths(model, recipe)
    return numbers


def _losses_at_lengths(model: PositionModel, recipe: Recipe) -> dict[str, Any]:
    """The mean loss on the same targets for every length, and by place for the longest possible."""
    same_targets: list[float | None] = []
    by_position: list[float] = []
    for length in recipe["lengths"]:
        try:
            losses = loss_by_position(model, length, recipe)
        except ValueError:  # a learned table has no rows for so many tokens
            same_targets.append(None)
            continue
        same_targets.append(round(losses[:, -recipe["targets"] :].mean().item(), 4))
        by_position = losses.unflatten(1, (-1, recipe["bucket"])).mean(dim=(0, 2)).tolist()
    return {
        "same_targets": same_targets,
        "by_position": [round(loss, 4) for loss in by_position],
    }


STUDY = Study(
    question="What does each family of positions do with longer inputs than it was trained on?",
    recipe={
        "text": "docstrings of scikit-learn; trained on the train split, measured on the "
        "validation split, with which nothing was chosen",
        "families": list(get_args(Family)),
        "seeds": 5,
        "vocab": 512,
        "dim": 64,
        "depth": 2,
        "heads": 4,
        "length": 64,
        "batch": 32,
        "steps": 1000,
        "optimizer": "AdamW with torch's OneCycleLR, highest after a tenth of the steps",
        "lr": 3e-3,
        "weight_decay": 0.01,
        "clip": 1.0,
        "lengths": [64, 96, 128, 192, 256, 384, 512],
        "windows": 300,
        "targets": 32,
        "bucket": 32,
    },
    trial={"seeds": 1, "steps": 30, "windows": 20},
    jobs=_jobs,
    run=_run,
)
