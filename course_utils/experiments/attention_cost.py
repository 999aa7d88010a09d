"""Time and memory of attention as the sequence grows. For lesson 3."""

import time
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from course_utils.attention import attention
from course_utils.experiments.study import Job, Recipe, Study


def _jobs(recipe: Recipe) -> list[Job]:
    """Both versions in alternation, so that whatever else the machine does hits both."""
    return [
        {"round": round_, "tokens": tokens, "version": version}
        for round_ in range(recipe["rounds"])
        for tokens in recipe["tokens"]
        for version in recipe["versions"]
    ]


def _run(recipe: Recipe, job: Job, _cache: Path) -> dict[str, Any]:
    """Measure in a fresh process: a peak of memory cannot be taken back."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(measure_attention, (recipe, job["version"], job["tokens"]))


@torch.no_grad()
def measure_attention(recipe: Recipe, version: str, tokens: int) -> dict[str, float]:
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


STUDY = Study(
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
    jobs=_jobs,
    run=_run,
)
