"""`extract_features`: files in, vectors out; in batches, ahead of the model, and not twice."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from course_utils.evaluation import (
    Precision,
    at_least_float32,
    check_precision,
    in_eval_mode,
    precision,
)
from course_utils.features.cache import VectorCache, default_folder
from course_utils.features.fingerprint import settings_of, transform_in_words
from course_utils.features.models import FeatureModel, feature_model
from course_utils.features.reading import Prepared, Reader, in_order
from course_utils.features.result import Features, Skipped
from course_utils.features.sources import make_source
from course_utils.features.vectors import check_vectors
from course_utils.images import ImageUnreadable
from course_utils.kernels import linear_as_convolution
from course_utils.lesson import progress_bar
from course_utils.weights import Pretrained, Transform


def extract_features(
    source: Any,
    model: str | Path | nn.Module | Pretrained | FeatureModel,
    *,
    transform: Callable[[Any], Tensor] | None = None,
    batch_size: int = 16,
    on_error: Literal["raise", "skip"] = "raise",
    precision_name: Precision = "float32",
    device: str | torch.device | None = None,
    cache: str | Path | None = "auto",
    workers: int | None = None,
) -> Features:
    """The feature vectors of all images of `source`, in its order: never logits.

    `source` is a folder (all images below it, in natural order), a file, a list of paths, PIL images,
    arrays (height, width, channels) or tensors (channels, height, width), one array or tensor of
    many, or a data set whose items are images, begin with one, or have one under "image" or "img".

    `model` is one of the course's checkpoints; "resnet18" or another of torchvision's names; a name
    of timm; a name on the Hugging Face hub or a folder laid out as there; a module of any of these;
    what `published_or_own` returned; or a `FeatureModel`. Each comes with its own preprocessing;
    `transform` (PIL image -> tensor) replaces it; a function of your own gets tensors and arrays as
    they are, a `Transform` of the course gets them as PIL images.

    An image that cannot be read is an error that names it, or with on_error="skip" one line of
    `errors` in the result. "bfloat16" is about twice as fast where the processor has it, and its
    vectors have a cosine of more than 0.999 to float32's. The device is a GPU where there is one;
    a module is put back where it was. Pixels of at most some five batches are in memory at a time.

    Vectors of files are kept in `cache`, a folder ("auto": `COURSE_CACHE` or the user's cache; None:
    nowhere), by the content of the file and by model, preprocessing and precision. A run that was
    interrupted goes on. A transform that is a function of your own is not cached.

    Raises `ImageUnreadable`, `WeightsMissing`, and `ValueError` or `TypeError` for arguments that do
    not fit, also if no image at all can be read.
    """
    _check(batch_size, on_error, workers)
    check_precision(precision_name)
    images = make_source(source)
    chosen = feature_model(model, transform)
    as_is = transform is not None and not isinstance(transform, Transform)
    kept = _cache(chosen, cache, precision_name, images.in_memory)
    reader = Reader(images, chosen.transform, as_is, kept)
    threads = workers or _cores()
    stream = in_order(reader, images.size, threads, ahead=2 * batch_size + threads)
    todo = _Work(chosen, images.size, batch_size, kept, on_error)
    short = precision_name != "float32"
    in_precision = precision(precision_name, chosen.module) if short else nullcontext()
    with torch.no_grad(), _ready(chosen.module, device or _best_device()), in_precision:
        try:
            for _ in progress_bar(range(images.size), "feature vectors"):
                todo.take(next(stream))
            todo.run()
        finally:
            stream.close()  # type: ignore[attr-defined]
            if kept:
                kept.write()
    return todo.result(images.ignored)


class _Work:
    """The batch that is being filled, and all vectors so far."""

    def __init__(
        self,
        model: FeatureModel,
        size: int,
        batch_size: int,
        cache: VectorCache | None,
        on_error: str,
    ) -> None:
        self.model, self.size, self.batch_size = model, size, batch_size
        self.cache, self.on_error = cache, on_error
        self.batch: list[Prepared] = []
        self.paths: dict[int, Path | int] = {}
        self.errors: list[Skipped] = []
        self.vectors: Tensor | None = None

    def take(self, item: Prepared) -> None:
        """The next image of the source: into the batch, or among the errors."""
        if item.error is not None:
            if self.on_error == "raise":
                raise ImageUnreadable(item.error.path, item.error.reason, WAY_OUT) from item.error
            self.errors.append(Skipped(item.path, item.error.reason))
            return
        self.paths[item.row] = item.path
        if item.vector is not None:
            self._keep([item.row], item.vector[None])
            return
        self.batch.append(item)
        if len(self.batch) == self.batch_size:
            self.run()

    def run(self) -> None:
        """The vectors of the batch."""
        if not self.batch:
            return
        batch, self.batch = self.batch, []
        images = _stacked(batch)
        like = next(self.model.module.parameters(), images)
        if like.is_cuda:
            images = images.pin_memory()
        images = images.to(like.device, like.dtype, non_blocking=True)
        images = images.contiguous(memory_format=torch.channels_last)
        with torch.inference_mode():
            vectors = self.model.vectors(images)
            check_vectors(vectors, images, self.model.name)
            vectors = at_least_float32(vectors).cpu()
        self._keep([item.row for item in batch], vectors)
        digests = [item.digest for item in batch if item.digest is not None]
        if self.cache and digests:
            self.cache.add(digests, vectors)

    def _keep(self, rows: list[int], vectors: Tensor) -> None:
        if self.vectors is None:  # made out here, so that it can take part in training
            self.vectors = torch.empty(self.size, vectors.shape[1], dtype=vectors.dtype)
        self.vectors[rows] = vectors

    def result(self, ignored: tuple[Path, ...]) -> Features:
        if self.vectors is None:
            first = self.errors[0]
            raise ValueError(
                f"none of the {self.size} images can be read; the first, {first.path}: {first.reason}"
            )
        rows = sorted(self.paths)
        vectors = self.vectors if len(rows) == self.size else self.vectors[rows]
        return Features(
            vectors=vectors,
            paths=tuple(self.paths[row] for row in rows),
            rows=tuple(rows),
            model=self.model.identity,
            errors=tuple(self.errors),
            ignored=ignored,
        )


def _stacked(batch: list[Prepared]) -> Tensor:
    pixels = [item.pixels for item in batch if item.pixels is not None]
    shapes = {tuple(one.shape) for one in pixels}
    if len(shapes) > 1:
        raise ValueError(
            f"images of one batch have one size; the transform made {sorted(shapes)}: let it resize "
            "and crop, or take batch_size=1"
        )
    return torch.stack(pixels)


@contextmanager
def _ready(module: nn.Module, device: str | torch.device) -> Iterator[None]:
    """The module in eval mode on `device`, its convolutions channels-last; then as it was before.

    On a CPU, channels-last is what makes convolutions fast, and linear layers are faster as such.
    """
    first = next(module.parameters(), None)
    before = None if first is None else first.device
    strides = any(p.dim() == 4 and p.is_contiguous() for p in module.parameters())
    with in_eval_mode(module), linear_as_convolution(module):
        module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        try:
            yield
        finally:
            layout = torch.contiguous_format if strides else torch.channels_last
            module.to(before or device, memory_format=layout)  # type: ignore[call-overload]


def _cache(
    model: FeatureModel, folder: str | Path | None, precision_name: str, in_memory: bool
) -> VectorCache | None:
    """The cache for what this model makes in this way; None where there is to be none."""
    root = default_folder() if folder == "auto" else folder
    if root is None or (folder == "auto" and in_memory):
        return None
    transform = transform_in_words(model.transform)
    if transform is None or not model.known_vectors:
        if folder == "auto":
            return None
        raise ValueError(
            "vectors are kept by model and preprocessing, and a function of your own does not tell "
            "what it does: give course_utils.weights.Transform(...) as transform, or cache=None"
        )
    made_by = f"{model.identity} {settings_of(model.module)} {precision_name} {transform}"
    return VectorCache(Path(root).expanduser(), made_by)


def _check(batch_size: int, on_error: str, workers: int | None) -> None:
    if batch_size < 1 or on_error not in ("raise", "skip") or (workers is not None and workers < 1):
        raise ValueError(
            f"batch_size and workers must be >= 1 and on_error raise or skip; got batch_size="
            f"{batch_size}, workers={workers}, on_error={on_error!r}"
        )


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


def _cores() -> int:
    return min(16, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


WAY_OUT = 'repair it or take it away, or leave such files out with on_error="skip"'
