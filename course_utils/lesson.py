"""What a notebook needs around the teaching: a start, sources, recorded results, the lesson list."""

import inspect
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Lesson:
    """One notebook: `number` as in its file name, minutes to work through it with its exercises."""

    number: str
    slug: str
    title: str
    part: str
    minutes: int
    ready: bool = True

    @property
    def file(self) -> str:
        return f"{self.number}_{self.slug}.ipynb"


FOUNDATIONS, MODELS, USES = "Foundations", "Models that see", "What people do with them"
LESSONS = (
    Lesson("00", "start_here", "Start here", FOUNDATIONS, 20),
    Lesson("01", "tokenizers", "Tokenizers", FOUNDATIONS, 100),
    Lesson("02", "embeddings_and_positions", "Embeddings and positions", FOUNDATIONS, 100),
    Lesson("03", "attention", "Attention", FOUNDATIONS, 110),
    Lesson("04", "transformer_encoder", "The transformer encoder", FOUNDATIONS, 110),
    Lesson("05", "images_as_tokens", "Images as tokens", MODELS, 90),
    Lesson("06", "vision_transformer", "The Vision Transformer", MODELS, 120),
    Lesson("07", "convolutional_networks", "Convolutional networks", MODELS, 120),
    Lesson(
        "08",
        "convolutional_vision_transformer",
        "The Convolutional vision Transformer",
        MODELS,
        120,
    ),
    Lesson("09", "cnn_vs_vit", "CNN, ViT and CvT: one fair comparison", MODELS, 120),
    Lesson("10", "feature_vectors", "Feature vectors and image search", USES, 90),
    Lesson("11", "transfer_and_regions", "Transfer and regions", USES, 100),
    Lesson("12", "looking_inside", "Looking inside", USES, 90),
    Lesson("13", "training_at_scale", "Training at scale", USES, 120),
)


def start(seed: int = 0) -> None:
    """Make a fresh kernel ready: same random numbers, same threads, same figures for everyone."""
    import torch

    from course_utils.plotting import use_course_style

    torch.manual_seed(seed)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", min(2, os.cpu_count() or 1))))
    torch.set_printoptions(precision=3, sci_mode=False)
    use_course_style()


@dataclass(frozen=True)
class MachineCheck:
    """One thing a lesson needs: whether this machine has it, and what was found."""

    need: str
    ok: bool
    found: str


def check_machine() -> list[MachineCheck]:
    """What the lessons need of a machine: Python, PyTorch, memory, disk, and two right sums."""
    import platform
    import shutil
    import sys

    import torch

    gigabytes = memory_gigabytes()
    free = shutil.disk_usage(".").free / 1e9
    x = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    right = (x @ x.T).tolist() == [[5, 14], [14, 50]]
    return [
        MachineCheck(
            "Python 3.11 or newer", sys.version_info >= (3, 11), platform.python_version()
        ),
        MachineCheck("PyTorch that multiplies matrices correctly", right, str(torch.__version__)),
        MachineCheck("4 GB of memory", gigabytes is None or gigabytes >= 3.5, _about(gigabytes)),
        MachineCheck("1 GB of free disk space", free >= 1, _about(free)),
        MachineCheck("one CPU core (two are better)", True, f"{os.cpu_count()} cores"),
    ]


def memory_gigabytes() -> float | None:
    """The machine's memory in GB (1e9 bytes), or None where the system does not tell."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def _about(gigabytes: float | None) -> str:
    return "not told by this system" if gigabytes is None else f"{gigabytes:.0f} GB"


def show_source(*objects: Any) -> None:
    """Display the live source of package functions or classes, so that it cannot drift."""
    from IPython.display import Code, display

    for thing in objects:
        source = inspect.getsource(thing)
        where = f"# {thing.__module__}.{thing.__qualname__}\n"
        display(Code(where + source, language="python"))


def quiet() -> bool:
    """True while lessons are executed for their stored outputs: nothing may differ between runs."""
    return os.environ.get("COURSE_QUIET") == "1"


def progress_bar(steps: Iterable[Any], description: str = "") -> Iterable[Any]:
    """`tqdm` over `steps`, silent while stored outputs are written or compared."""
    from tqdm.auto import tqdm

    return tqdm(steps, desc=description, disable=quiet(), leave=False)


def recorded(name: str) -> dict[str, Any]:
    """The recorded numbers of a long run, with recipe, seeds, hardware and versions.

    Raises `FileNotFoundError`, listing what is recorded, for an unknown name.
    """
    folder = files("course_utils") / "results"
    path = folder / f"{name}.json"
    if not path.is_file():
        known = sorted(p.name.removesuffix(".json") for p in folder.iterdir())
        raise FileNotFoundError(f"no recorded result {name!r}; there are: {', '.join(known)}")
    return json.loads(path.read_text(encoding="utf-8"))
