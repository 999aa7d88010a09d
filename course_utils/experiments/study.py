"""What a study is: a recipe, jobs, and files that survive an interruption.

A study is a recipe (everything its numbers depend on) and a list of jobs. Each finished job is saved
at once, so that an interrupted study goes on where it was.
"""

import hashlib
import json
import logging
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from course_utils.progress import replace_file

Recipe = Mapping[str, Any]
Job = Mapping[str, Any]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Study:
    """`jobs(recipe)` lists what is to be run; `run(recipe, job, cache)` gives the numbers of one job.

    `cache` is the folder of all studies, for what a job keeps besides its numbers (see `job_folder`).
    `keep(result, cache)`, if there is one, is called when the whole recipe was run: it keeps more
    than numbers, weights for instance.
    """

    question: str
    recipe: Recipe
    trial: Recipe  # what a small trial changes in the recipe
    jobs: Callable[[Recipe], list[Job]]
    run: Callable[[Recipe, Job, Path], dict[str, Any]]
    keep: Callable[[Mapping[str, Any], Path], None] | None = None


# Each is the module of that name in this folder, and has a `STUDY`.
STUDIES = (
    "position_lengths",
    "attention_cost",
    "encoder_parts",
    "norm_order",
    "cifar10_models",
    "vit_ablations",
    "learning_rates",
    "training_set_size",
    "model_claims",
    "texture_or_shape",
    "explanations",
    "transfer",
    "search_at_scale",
    "search_by_class",
)


def find_study(name: str) -> Study:
    """The study of that name. Raises `ValueError`, naming those there are."""
    if name not in STUDIES:
        raise ValueError(f"there is no study {name!r}; there are: {', '.join(STUDIES)}")
    return import_module(f"course_utils.experiments.{name}").STUDY


def run_study(name: str, recipe: Recipe, cache: Path) -> dict[str, Any]:
    """Run the jobs of a study that `cache` does not hold yet; return everything it found.

    Each job's numbers go to a file of their own as soon as they are there. The file's name carries
    a digest of the recipe, so numbers of another recipe are never taken.
    """
    study = find_study(name)
    runs = []
    for job in study.jobs(recipe):
        folder = job_folder(name, recipe, job, cache)
        file = folder.with_name(folder.name + ".json")
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            began = time.perf_counter()
            numbers = study.run(recipe, job, cache)
            seconds = round(time.perf_counter() - began, 1)
            replace_file(file, json.dumps({**job, **numbers, "seconds": seconds}).encode())
            log.info("%s: %s finished in %.0f s", name, dict(job), seconds)
        runs.append(json.loads(file.read_bytes()))
    return {"study": name, "question": study.question, "recipe": dict(recipe), "runs": runs}


def job_folder(name: str, recipe: Recipe, job: Job, cache: Path) -> Path:
    """The place in `cache` that belongs to one job of one recipe of one study."""
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:8]
    return cache / f"{name}-{digest}" / "-".join(str(value) for value in job.values())


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
    replace_file(path, (json_of({**result, **where}) + "\n").encode())


def json_of(result: Mapping[str, Any]) -> str:
    """Indented text, but a run on one line: hundreds of numbers one below the other help nobody."""
    lines = ",\n".join("  " + json.dumps(run) for run in result["runs"])
    text = json.dumps({**result, "runs": ["RUNS"]}, indent=1)
    return text.replace('  "RUNS"', lines)
