"""Execute lessons in fresh kernels, measure them, and write their outputs back.

    execute_notebooks.py [LESSON] [--fresh]

On CPU, seeded, with the network off. Running it twice changes nothing: what differs from run to run
(outputs of cells tagged `nbval-ignore-output`) is kept while the lesson's code is the same, and a
measurement is kept while the new one agrees with it within the tolerance written beside it.
`--fresh` replaces both.
"""

import argparse
import copy
import json
import os
import platform
import re
import time
from importlib.metadata import version
from pathlib import Path

from nbclient import NotebookClient
from nbclient.output_widget import OutputWidget
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell
from nbtools import ROOT, code_cells, lessons, normalize, printed, read, tags, write
from stamp import MEASURED, stamp_all, stored_repository

ENVIRONMENT = {
    "COURSE_QUIET": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "HF_HUB_OFFLINE": "1",
    "JUPYTER_PREFER_ENV_PATH": "1",  # this environment's kernel, not one of the user's
    "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    "OMP_NUM_THREADS": "2",
    "PYTHONPATH": str(ROOT / "tools/offline"),  # its sitecustomize refuses the network
}
SECONDS_TOLERANCE, GIGABYTES_TOLERANCE = 0.5, 0.2
# In kilobytes. Linux's ru_maxrss starts with the memory of whoever started the kernel; VmHWM does not.
PEAK_MEMORY = r"""
import pathlib, re, resource, sys
if sys.platform == "linux":
    print(re.search(r"VmHWM:\s+(\d+)", pathlib.Path("/proc/self/status").read_text())[1])
else:  # macOS counts bytes
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""

# Writing to the shell socket while a reply is awaited can stall a cell with widgets for its whole
# timeout (nbclient issue 312). Nobody moves a slider here, so that message is not needed.
OutputWidget.send = lambda self, *args, **kwargs: None  # type: ignore[method-assign]


def execute(notebook: NotebookNode, folder: Path) -> dict[str, float]:
    """Run all cells in a fresh kernel; return wall seconds and the kernel's peak memory."""
    client = NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    began = time.perf_counter()
    with client.setup_kernel():
        for index, cell in enumerate(notebook.cells):
            client.execute_cell(cell, index)
        seconds = time.perf_counter() - began
        gigabytes = peak_gigabytes(client)
    client.set_widgets_metadata()
    return {"seconds": round(seconds, 1), "gigabytes": round(gigabytes, 2)}


def peak_gigabytes(client: NotebookClient) -> float:
    """The kernel's largest resident size so far."""
    client.nb.cells.append(new_code_cell(PEAK_MEMORY))
    client.execute_cell(client.nb.cells[-1], len(client.nb.cells) - 1)
    return int(printed(client.nb.cells.pop())) * 1024 / 1e9


def tidy_outputs(notebook: NotebookNode) -> None:
    """Number the cells, join streams, drop widget ids and addresses: nothing that differs by run."""
    for number, cell in enumerate((c for c in code_cells(notebook) if c.source.strip()), start=1):
        cell.execution_count = number
        joined: dict[str, NotebookNode] = {}
        kept = []
        for out in cell.outputs:
            if out.output_type == "stream" and out.name in joined:
                joined[out.name].text += out.text
                continue
            if out.output_type == "stream":
                joined[out.name] = out
            if out.output_type == "execute_result":
                out.execution_count = number
            out.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)
            text = out.get("data", {}).get("text/plain")
            if text:
                out.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", " at 0x0", text)
            kept.append(out)
        cell.outputs = kept


def keep_what_varies(new: NotebookNode, old: NotebookNode) -> None:
    """The stored outputs of cells whose outputs are not compared, while all code is the same."""
    before, after = code_cells(old), code_cells(new)
    if [cell.source for cell in before] != [cell.source for cell in after]:
        return
    for was, now in zip(before, after, strict=True):
        if "nbval-ignore-output" in tags(now) and was.outputs:
            now.outputs = was.outputs


def agrees(old: dict[str, float], new: dict[str, float]) -> bool:
    """Whether a new measurement is the old one within the tolerances."""
    slower = abs(new["seconds"] - old["seconds"]) > max(5, SECONDS_TOLERANCE * old["seconds"])
    larger = abs(new["gigabytes"] - old["gigabytes"]) > GIGABYTES_TOLERANCE * old["gigabytes"]
    return not slower and not larger


def record(costs: dict[str, dict[str, float]], fresh: bool) -> None:
    """Merge new measurements into `course_utils/results/lessons.json`."""
    stored = json.loads(MEASURED.read_text(encoding="utf-8")) if MEASURED.exists() else {}
    lessons_stored = stored.get("lessons", {})
    changed = {
        name: cost
        for name, cost in costs.items()
        if fresh or name not in lessons_stored or not agrees(lessons_stored[name], cost)
    }
    if not changed and stored:
        return
    result = {
        "recipe": "make notebooks: every cell in a fresh kernel, CPU only, network off; wall time of "
        "the whole notebook with the start of its kernel, peak resident memory of the kernel",
        "tolerance": f"kept while a new run is within {SECONDS_TOLERANCE:.0%} (or 5 s) and "
        f"{GIGABYTES_TOLERANCE:.0%} of memory",
        "hardware": f"{os.cpu_count()} CPU cores ({platform.machine()}), OMP_NUM_THREADS=2",
        "versions": {"python": platform.python_version(), "torch": version("torch")},
        "lessons": dict(sorted({**lessons_stored, **changed}.items())),
    }
    MEASURED.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lesson", nargs="?", default="", help="two digits; all without it")
    parser.add_argument("--fresh", action="store_true", help="replace what is otherwise kept")
    options = parser.parse_args()
    os.environ.update(ENVIRONMENT)
    stamp_all(stored_repository())  # the set-up cell must be there before it can run
    costs = {}
    for path in lessons(options.lesson):
        notebook = read(path)
        old = copy.deepcopy(notebook)
        costs[path.name] = execute(notebook, path.parent)
        tidy_outputs(notebook)
        normalize(notebook)
        if not options.fresh:
            keep_what_varies(notebook, old)
        write(notebook, path)
        cost = costs[path.name]
        size = path.stat().st_size / 1e6
        print(
            f"{path.name}: {cost['seconds']:.1f} s, {cost['gigabytes']:.2f} GB, {size:.2f} MB file"
        )
    record(costs, options.fresh)
    stamp_all(stored_repository())


if __name__ == "__main__":
    main()
