"""`make bench`: the course's code against the reference libraries, as ratios.

Each row is measured in alternation in one run; below 1 means that ours is faster or smaller. Writes
`course_utils/results/benchmarks.json`, which the lessons quote.
"""

import json
import os
import platform
from importlib.metadata import version

import bench_attention
import bench_features
import bench_models
import bench_tokenizers
from nbtools import ROOT

RESULT = ROOT / "course_utils/results/benchmarks.json"
LIBRARIES = ("torch", "torchvision", "timm", "transformers", "tokenizers")


def table(rows: list[dict]) -> str:
    """The rows as text, marked where a target is missed."""
    lines = []
    for row in rows:
        verdict = "" if row["ratio"] <= row["target"] else "   MISSED"
        lines.append(
            f"{row['ratio']:8.4g} (target {row['target']:g}){verdict}  {row['name']}\n"
            f"{'':>8} against {row['against']}"
        )
    return "\n".join(lines)


def main() -> None:
    parts = (bench_attention, bench_models, bench_tokenizers, bench_features)
    rows = [row for part in parts for row in part.measure()]
    result = {
        "recipe": "make bench: ours and theirs in turn in one run; ratio = median over the turns of "
        "ours / theirs, target = the most it may be",
        "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()})",
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "rows": rows,
    }
    RESULT.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(table(rows))


if __name__ == "__main__":
    main()
