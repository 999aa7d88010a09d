"""The course's multi-head attention against PyTorch's and timm's, at the shape of ViT-B/16.

Forward and backward on (8, 197, 768) with 12 heads in float32. Times: one alternating run in one
process. Memory: the sum of all allocations alive at a time, which is the same in every run.
"""

import json
import statistics
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

SHAPE, HEADS, THREADS = (8, 197, 768), 12, 2
Step = Callable[[], None]


def measure(pairs: int = 25) -> list[dict[str, Any]]:
    """Rows for `course_utils/results/benchmarks.json`: time and peak memory against each library."""
    torch.set_num_threads(THREADS)
    steps = {name: make_step(name) for name in NAMES}
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    for turn in range(pairs + 3):  # three turns to warm up
        for name, step in steps.items():
            began = time.perf_counter()
            step()
            if turn >= 3:
                times[name].append(time.perf_counter() - began)
    peaks = {name: [peak_megabytes(step)] for name, step in steps.items()}
    where = "8 x 197 x 768, 12 heads, float32, forward and backward"
    return [
        *(compare(f"multi-head attention, {where}", other, times, "s") for other in NAMES[1:]),
        *(compare(f"its peak memory, {where}", other, peaks, "mb") for other in NAMES[1:]),
    ]


def compare(name: str, other: str, values: dict[str, list[float]], unit: str) -> dict[str, Any]:
    """The median over the turns of ours divided by theirs."""
    ratios = [a / b for a, b in zip(values["ours"], values[other], strict=True)]
    digits = 4 if unit == "s" else 1
    return {
        "name": name,
        "against": NAMES_IN_WORDS[other],
        "target": 1.0,
        "ratio": round(statistics.median(ratios), 3),
        f"ours_{unit}": round(statistics.median(values["ours"]), digits),
        f"theirs_{unit}": round(statistics.median(values[other]), digits),
        "pairs": len(ratios),
    }


def make_step(name: str) -> Step:
    """A function that runs one forward and backward pass of the named implementation."""
    torch.manual_seed(0)
    x = torch.randn(SHAPE)
    layer = make_layer(name)

    def step() -> None:
        inputs = x.clone().requires_grad_()
        if name == "pytorch":
            layer(inputs, inputs, inputs, need_weights=False)[0].sum().backward()
        else:
            layer(inputs).sum().backward()

    return step


def make_layer(name: str) -> nn.Module:
    dim = SHAPE[-1]
    if name == "pytorch":
        return nn.MultiheadAttention(dim, HEADS, batch_first=True)
    if name == "timm":
        from timm.layers import Attention

        return Attention(dim, num_heads=HEADS, qkv_bias=True)
    from course_utils.attention import MultiHeadAttention

    return MultiHeadAttention(dim=dim, heads=HEADS)


def peak_megabytes(step: Step) -> float:
    """The most memory that one step holds at a time, from every allocation that PyTorch records."""
    step()  # makes the gradients of the parameters, which stay
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        step()
    # The profiler's table sums allocations by operator; the raw events have their order in time.
    events = profiler.profiler.kineto_results.events()
    records = [event for event in events if event.name() == "[memory]"]
    held = peak = 0
    for event in sorted(records, key=lambda event: event.start_ns()):
        held += event.nbytes()
        peak = max(peak, held)
    return peak / 1e6


NAMES = ("ours", "pytorch", "timm")
NAMES_IN_WORDS = {
    "pytorch": f"torch.nn.MultiheadAttention(need_weights=False) {version('torch')}",
    "timm": f"timm.layers.Attention {version('timm')}",
}

if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
