"""What an encoder's parts do: one is taken out at a time. For lesson 4."""

import math
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_utils.attention import causal_mask
from course_utils.experiments.language import course_ids, descend
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.positions import LearnedPositions
from course_utils.transformer import Encoder, NormOrder

Part = Literal["nothing", "positions", "attention", "feed-forward", "residual paths", "LayerNorm"]


class TokenModel(nn.Module):
    """The masked-token model of lesson 4, as it is typed there, or `without` one of its parts.

    `forward(ids, asked)`: ids (batch, tokens); `asked` (batch, tokens) is True where a token is to
    be told -> scores (asked, vocab). Scores are products with the embedding table (tied).
    """

    def __init__(
        self,
        *,
        vocab: int,
        dim: int,
        depth: int,
        heads: int,
        length: int,
        norm: NormOrder = "pre",
        without: Part = "nothing",
    ) -> None:
        super().__init__()
        if without not in get_args(Part):
            raise ValueError(f"without must be one of {', '.join(get_args(Part))}; got {without!r}")
        self.embed = nn.Embedding(vocab, dim)
        nn.init.normal_(self.embed.weight, std=0.02)
        self.positions: nn.Module = LearnedPositions(length=length, dim=dim)
        self.encoder = Encoder(dim=dim, depth=depth, heads=heads, norm=norm)
        self.bias = nn.Parameter(torch.zeros(vocab))
        self._take_out(without)

    def _take_out(self, part: Part) -> None:
        if part == "positions":
            self.positions = nn.Identity()
        for number, block in enumerate(self.encoder.blocks):
            if part == "attention":
                block.attn = _Silent()
            elif part == "feed-forward":
                block.mlp = _Silent()
            elif part == "LayerNorm":
                block.norm1 = block.norm2 = self.encoder.norm = nn.Identity()
            elif part == "residual paths":
                self.encoder.blocks[number] = _WithoutResiduals(block)

    def forward(
        self,
        ids: Int[Tensor, "batch tokens"],
        asked: Bool[Tensor, "batch tokens"],
        mask: Bool[Tensor, "..."] | None = None,
    ) -> Float[Tensor, "asked vocab"]:
        x = self.encoder(self.positions(self.embed(ids)), mask=mask)
        return F.linear(x[asked], self.embed.weight, self.bias)


class _Silent(nn.Module):
    """A sub-layer that adds nothing."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return torch.zeros_like(x)


class _WithoutResiduals(nn.Module):
    """The sub-layers of a block, one after the other, with nothing around them."""

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.norm1, self.attn = block.norm1, block.attn
        self.norm2, self.mlp = block.norm2, block.mlp

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return self.mlp(self.norm2(self.attn(self.norm1(x), mask=mask)))


Batch = tuple[Tensor, Tensor, Tensor, Tensor | None]  # input ids, asked, targets, attention mask


def token_batch(
    ids: Int[Tensor, " tokens"], size: int, recipe: Recipe, generator: torch.Generator
) -> Batch:
    """Random windows: some tokens replaced by the mask's id, or for "next" every next token asked."""
    length = recipe["length"]
    starts = torch.randint(len(ids) - length, (size, 1), generator=generator)
    windows = ids[starts + torch.arange(length + 1)]
    inputs, following = windows[:, :-1], windows[:, 1:]
    if recipe["task"] == "next":
        return (
            inputs,
            torch.ones_like(inputs, dtype=torch.bool),
            following.flatten(),
            causal_mask(length),
        )
    drawn = torch.rand(inputs.shape, generator=generator).topk(recipe["masked"], dim=1).indices
    asked = torch.zeros_like(inputs, dtype=torch.bool).scatter(1, drawn, True)
    return inputs.masked_fill(asked, recipe["vocab"] - 1), asked, inputs[asked], None


def learning_rate(step: int, *, steps: int, warm_up: int) -> float:
    """The share of the full rate: up in a straight line, times down along half a cosine."""
    rising = min(1.0, (step + 1) / warm_up) if warm_up else 1.0
    return rising * 0.5 * (1 + math.cos(math.pi * step / steps))


def train_token_model(
    seed: int, recipe: Recipe, without: Part = "nothing", norm: NormOrder = "pre"
) -> TokenModel:
    """Train on the train split, for `recipe["steps"]` steps; the seed fixes weights and batches."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = TokenModel(
            **{key: recipe[key] for key in ("vocab", "dim", "depth", "heads", "length")},
            norm=norm,
            without=without,
        )
    ids, order = course_ids("train", recipe["vocab"] - 1), torch.Generator().manual_seed(seed)
    if recipe.get("start") == "unigram":
        counts = torch.bincount(ids, minlength=recipe["vocab"]) + 1
        model.bias.data = (counts / counts.sum()).log()
    share = partial(learning_rate, steps=recipe["steps"], warm_up=recipe["warm_up"])

    def next_loss() -> Tensor:
        inputs, asked, targets, mask = token_batch(ids, recipe["batch"], recipe, order)
        return F.cross_entropy(model(inputs, asked, mask), targets)

    schedule = partial(torch.optim.lr_scheduler.LambdaLR, lr_lambda=share)
    descend(model, recipe, next_loss=next_loss, make_schedule=schedule)
    return model


@torch.no_grad()
def token_scores(model: TokenModel, recipe: Recipe) -> dict[str, float]:
    """Loss (nats) and share of right guesses on validation windows, the same for every model."""
    ids = course_ids("validation", recipe["vocab"] - 1)
    generator = torch.Generator().manual_seed(1)
    inputs, asked, targets, mask = token_batch(ids, recipe["windows"], recipe, generator)
    scores = model(inputs, asked, mask)
    loss = F.cross_entropy(scores, targets).item()
    right = (scores.argmax(-1) == targets).float().mean().item()
    return {"loss": round(loss, 4), "right": round(right, 4)}


def _jobs(recipe: Recipe) -> list[Job]:
    variants = [{"without": part, "depth": recipe["depth"]} for part in recipe["without"]]
    variants.append({"without": "nothing", "depth": 1})
    return [{**variant, "seed": seed} for seed in range(recipe["seeds"]) for variant in variants]


def _run(recipe: Recipe, job: Job, _cache: Path) -> dict[str, Any]:
    model = train_token_model(job["seed"], {**recipe, "depth": job["depth"]}, job["without"])
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        **token_scores(model, recipe),
    }


# The recipe that lesson 4 types; both studies start from it.
MASKED: Recipe = {
    "text": "docstrings of scikit-learn; trained on the train split, measured on the validation "
    "split, on which the learning rate, the width and the length were chosen",
    "task": "masked",
    "vocab": 1024,
    "dim": 64,
    "depth": 2,
    "heads": 4,
    "length": 24,
    "masked": 6,
    "batch": 64,
    "steps": 1400,
    "lr": 5e-3,
    "warm_up": 280,
    "weight_decay": 0.01,
    "clip": 1.0,
    "windows": 600,
    "seeds": 3,
}

STUDY = Study(
    question="What does each part of a small encoder contribute? One is taken out at a time.",
    recipe={
        **MASKED,
        "start": "unigram",  # the output bias: log of how frequent each token is
        "without": list(get_args(Part)),
    },
    trial={"seeds": 1, "steps": 20, "windows": 20},
    jobs=_jobs,
    run=_run,
)
