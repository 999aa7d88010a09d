"""The order of an encoder's norms: which learning rates each bears. For lesson 4."""

from pathlib import Path
from typing import Any, get_args

from course_utils.experiments.encoder_parts import MASKED, token_scores, train_token_model
from course_utils.experiments.study import Job, Recipe, Study
from course_utils.transformer import NormOrder


def _jobs(recipe: Recipe) -> list[Job]:
    return [
        {"norm": norm, "depth": depth, "warm_up": warm_up, "lr": lr, "seed": seed}
        for seed in range(recipe["seeds"])
        for depth in recipe["depths"]
        for lr in recipe["lrs"]
        for norm in get_args(NormOrder)
        for warm_up in recipe["warm_ups"]
    ]


def _run(recipe: Recipe, job: Job, _cache: Path) -> dict[str, Any]:
    recipe = {**recipe, **{key: job[key] for key in ("depth", "lr", "warm_up")}}
    return token_scores(train_token_model(job["seed"], recipe, norm=job["norm"]), recipe)


STUDY = Study(
    question="Which learning rates do pre-norm and post-norm bear, with and without warm-up?",
    recipe={
        **{key: MASKED[key] for key in MASKED if key not in ("lr", "warm_up", "depth", "masked")},
        "task": "next",
        "depths": [2, 12],
        "batch": 32,
        "steps": 300,
        "lrs": [3e-4, 1e-3, 3e-3],
        "warm_ups": [0, 100],
    },
    trial={"seeds": 1, "steps": 10, "windows": 20},
    jobs=_jobs,
    run=_run,
)
