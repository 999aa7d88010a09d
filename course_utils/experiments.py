"""The recorded studies behind `results/`: what they train, and how their numbers are made.

    python -m course_utils.experiments position_lengths           # a small trial of it
    python -m course_utils.experiments position_lengths --full    # the numbers that are recorded

A study is a recipe (everything its numbers depend on) and a list of jobs. Each finished job is saved
at once, so that an interrupted study goes on where it was. Without `--full` nothing is recorded. One
thread unless OMP_NUM_THREADS says otherwise: on models this small a second one slows down.
"""

import argparse
import hashlib
import json
import logging
import math
import os
import platform
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from course_utils.attention import attention, causal_mask
from course_utils.data import Split, course_text
from course_utils.positions import (
    LearnedPositions,
    alibi_bias,
    apply_rotary,
    sinusoidal_positions,
)
from course_utils.progress import replace_file
from course_utils.tokenizers import BPETokenizer
from course_utils.transformer import Encoder, FeedForward, NormOrder

Recipe = Mapping[str, Any]
Job = Mapping[str, Any]

RESULTS = Path(__file__).parent / "results"
CACHE = Path("build") / "experiments"
log = logging.getLogger(__name__)


# --- Studies: recipes, jobs, and files that survive an interruption ----------------------------


@dataclass(frozen=True)
class Study:
    """`jobs(recipe)` lists what is to be run; `run(recipe, job)` gives the numbers of one job."""

    question: str
    recipe: Recipe
    trial: Recipe  # what a small trial changes in the recipe
    jobs: Callable[[Recipe], list[Job]]
    run: Callable[[Recipe, Job], dict[str, Any]]


def run_study(name: str, recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Run the jobs of a study that `folder` does not hold yet; return everything it found.

    Each job's numbers go to a file of their own as soon as they are there. The file's name carries
    a digest of the recipe, so numbers of another recipe are never taken.
    """
    study = find_study(name)
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    folder = folder / f"{name}-{digest}"
    folder.mkdir(parents=True, exist_ok=True)
    runs = []
    for job in study.jobs(recipe):
        file = folder / ("-".join(str(value) for value in job.values()) + ".json")
        if not file.exists():
            began = time.perf_counter()
            numbers = study.run(recipe, job)
            seconds = round(time.perf_counter() - began, 1)
            replace_file(file, json.dumps({**job, **numbers, "seconds": seconds}).encode())
            log.info("%s: %s finished in %.0f s", name, dict(job), seconds)
        runs.append(json.loads(file.read_bytes()))
    return {"study": name, "question": study.question, "recipe": dict(recipe), "runs": runs}


def save_result(result: Mapping[str, Any], path: Path) -> None:
    """Write a study's numbers with the machine and the versions they come from, whole or not at all."""
    where = {
        "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()}), "
        f"{torch.get_num_threads()} thread(s)",
        "versions": {
            "python": platform.python_version(),
            **{library: version(library) for library in ("numpy", "scikit-learn", "torch")},
        },
    }
    replace_file(path, (_json_of({**result, **where}) + "\n").encode())


def find_study(name: str) -> Study:
    """The study of that name. Raises `ValueError`, naming those there are."""
    if name not in STUDIES:
        raise ValueError(f"there is no study {name!r}; there are: {', '.join(STUDIES)}")
    return STUDIES[name]


def _json_of(result: Mapping[str, Any]) -> str:
    """Indented, but a run on one line: hundreds of numbers one below the other help nobody."""
    lines = ",\n".join("  " + json.dumps(run) for run in result["runs"])
    text = json.dumps({**result, "runs": ["RUNS"]}, indent=1)
    return text.replace('  "RUNS"', lines)


# --- position_lengths: longer inputs than in training, one position family after the other ------

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
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe["lr"], weight_decay=recipe["weight_decay"]
    )
    scheduler = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe["lr"], total_steps=recipe["steps"] + 1, pct_start=0.1
    )
    window = torch.arange(recipe["length"] + 1)
    for _ in steps(range(recipe["steps"])):
        starts = torch.randint(len(ids) - len(window), (recipe["batch"], 1), generator=order)
        batch = ids[starts + window]
        loss = F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe["clip"])
        optimizer.step()
        scheduler.step()
    return model.eval()


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


@cache
def course_ids(split: Split, vocab: int) -> Int[Tensor, " tokens"]:
    """The course's text as one long row of token ids; the tokenizer saw the train split only."""
    return torch.tensor(course_tokenizer(vocab).encode("\n\n".join(course_text(split))))


@cache
def course_tokenizer(vocab: int) -> BPETokenizer:
    """A byte-level BPE tokenizer trained on the train split of the course's text."""
    return BPETokenizer.train(course_text("train"), vocab_size=vocab)


def _position_jobs(recipe: Recipe) -> list[Job]:
    """Seed by seed, so that an interrupted study has whole seeds."""
    return [
        {"family": family, "seed": seed}
        for seed in range(recipe["seeds"])
        for family in recipe["families"]
    ]


def _position_run(recipe: Recipe, job: Job) -> dict[str, Any]:
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


# --- attention_cost: time and memory of attention as the sequence grows -------------------------


def _cost_jobs(recipe: Recipe) -> list[Job]:
    """Both versions in alternation, so that whatever else the machine does hits both."""
    return [
        {"round": round_, "tokens": tokens, "version": version}
        for round_ in range(recipe["rounds"])
        for tokens in recipe["tokens"]
        for version in recipe["versions"]
    ]


def _cost_run(recipe: Recipe, job: Job) -> dict[str, Any]:
    """Measure in a fresh process: a peak of memory cannot be taken back."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(attention_cost, (recipe, job["version"], job["tokens"]))


@torch.no_grad()
def attention_cost(recipe: Recipe, version: str, tokens: int) -> dict[str, float]:
    """What one forward call takes: megabytes above what was resident before, milliseconds.

    The inputs are there before; the output counts. The time is that of the fastest of
    `recipe["calls"]` calls, the one that other programs disturbed least. Linux only: there a
    process's peak memory can be read and set back. Raises `ValueError` for an unknown version.
    """
    versions = {
        "explicit": lambda query, key, value: attention(query, key, value)[0],
        "fused": F.scaled_dot_product_attention,
    }
    if version not in versions:
        raise ValueError(f"version must be one of {', '.join(versions)}; got {version!r}")
    torch.set_num_threads(recipe["threads"])
    shape = (3, 1, recipe["heads"], tokens, recipe["head_dim"])
    inputs = torch.randn(shape, generator=torch.Generator().manual_seed(0)).unbind()
    versions[version](*(x[:, :, :16] for x in inputs))  # whatever is set up once, is set up now
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from what is resident now
    before = _peak_megabytes()
    versions[version](*inputs)
    megabytes = _peak_megabytes() - before
    times = []
    for _ in range(recipe["calls"]):
        began = time.perf_counter()
        versions[version](*inputs)
        times.append(time.perf_counter() - began)
    return {"megabytes": round(megabytes, 2), "milliseconds": round(1000 * min(times), 3)}


def _peak_megabytes() -> float:
    """The largest resident size of this process since it was last set back, 10^6 bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


# --- encoder_parts and norm_order: what an encoder's parts do, and the order of its norms ---------

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
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe["lr"], weight_decay=recipe["weight_decay"]
    )
    share = partial(learning_rate, steps=recipe["steps"], warm_up=recipe["warm_up"])
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, share)
    for _ in range(recipe["steps"]):
        inputs, asked, targets, mask = token_batch(ids, recipe["batch"], recipe, order)
        loss = F.cross_entropy(model(inputs, asked, mask), targets)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), recipe["clip"])
        optimizer.step()
        scheduler.step()
    return model.eval()


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


def _parts_jobs(recipe: Recipe) -> list[Job]:
    variants = [{"without": part, "depth": recipe["depth"]} for part in recipe["without"]]
    variants.append({"without": "nothing", "depth": 1})
    return [{**variant, "seed": seed} for seed in range(recipe["seeds"]) for variant in variants]


def _parts_run(recipe: Recipe, job: Job) -> dict[str, Any]:
    model = train_token_model(job["seed"], {**recipe, "depth": job["depth"]}, job["without"])
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        **token_scores(model, recipe),
    }


def _norm_jobs(recipe: Recipe) -> list[Job]:
    return [
        {"norm": norm, "depth": depth, "warm_up": warm_up, "lr": lr, "seed": seed}
        for seed in range(recipe["seeds"])
        for depth in recipe["depths"]
        for lr in recipe["lrs"]
        for norm in get_args(NormOrder)
        for warm_up in recipe["warm_ups"]
    ]


def _norm_run(recipe: Recipe, job: Job) -> dict[str, Any]:
    recipe = {**recipe, **{key: job[key] for key in ("depth", "lr", "warm_up")}}
    return token_scores(train_token_model(job["seed"], recipe, norm=job["norm"]), recipe)


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

STUDIES: dict[str, Study] = {
    "position_lengths": Study(
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
        jobs=_position_jobs,
        run=_position_run,
    ),
    "encoder_parts": Study(
        question="What does each part of a small encoder contribute? One is taken out at a time.",
        recipe={
            **MASKED,
            "start": "unigram",  # the output bias: log of how frequent each token is
            "without": list(get_args(Part)),
        },
        trial={"seeds": 1, "steps": 20, "windows": 20},
        jobs=_parts_jobs,
        run=_parts_run,
    ),
    "norm_order": Study(
        question="Which learning rates do pre-norm and post-norm bear, with and without warm-up?",
        recipe={
            **{
                key: MASKED[key]
                for key in MASKED
                if key not in ("lr", "warm_up", "depth", "masked")
            },
            "task": "next",
            "depths": [2, 12],
            "batch": 32,
            "steps": 300,
            "lrs": [3e-4, 1e-3, 3e-3],
            "warm_ups": [0, 100],
        },
        trial={"seeds": 1, "steps": 10, "windows": 20},
        jobs=_norm_jobs,
        run=_norm_run,
    ),
    "attention_cost": Study(
        question="What do time and memory of attention do when the sequence grows?",
        recipe={
            "what": "one forward call without gradients, batch 1, float32; explicit is "
            "course_utils.attention.attention, fused is F.scaled_dot_product_attention; memory is "
            "the peak above the inputs (10^6 bytes), time the fastest of the calls; each job in a "
            "process of its own",
            "versions": ["explicit", "fused"],
            "tokens": [128, 256, 512, 1024, 2048, 4096],
            "heads": 8,
            "head_dim": 64,
            "threads": 1,
            "calls": 15,
            "rounds": 5,
        },
        trial={"tokens": [128, 512], "rounds": 1},
        jobs=_cost_jobs,
        run=_cost_run,
    ),
}


def main(arguments: list[str] | None = None) -> None:
    """The command line: run a study, and with `--full` record it."""
    parser = argparse.ArgumentParser(prog="course_utils.experiments", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=STUDIES)
    parser.add_argument("--full", action="store_true", help="the whole recipe, and record it")
    parser.add_argument("--cache", type=Path, default=CACHE, help="where finished jobs are kept")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where --full records")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", "1")))
    study = find_study(options.name)
    recipe = {**study.recipe, **({} if options.full else study.trial)}
    result = run_study(options.name, recipe, options.cache)
    if options.full:
        save_result(result, options.results / f"{options.name}.json")
    else:
        log.info("%s", _json_of(result))


if __name__ == "__main__":
    main()
