"""Images made ready for a model in threads, ahead of it, in order; a bounded number at a time."""

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from course_utils.features.cache import VectorCache, digest_of_file, digest_of_pixels
from course_utils.features.libraries import Transform
from course_utils.features.sources import Source, to_image
from course_utils.images import ImageUnreadable, decode, image_file, to_rgb, upright


@dataclass(frozen=True)
class Prepared:
    """One image of the source: `pixels` for the model, or its `vector` from the cache, or an error."""

    row: int
    path: Path | int
    pixels: Tensor | None = None
    vector: Tensor | None = None
    digest: bytes | None = None
    error: ImageUnreadable | None = None


@dataclass(frozen=True)
class Reader:
    """`reader(row)` makes one image of `source` ready.

    With `as_is` arrays, tensors and what else is in memory go to `transform` as they are; otherwise
    all become PIL images first, so that the same picture gives the same vector from everywhere.
    """

    source: Source
    transform: Transform
    as_is: bool
    cache: VectorCache | None

    def __call__(self, row: int) -> Prepared:
        path: Path | int = row
        try:
            item = self.source.get(row)
            if isinstance(item, Path):
                path = item
                return self._from_file(row, item)
            return self._from_memory(row, item)
        except ImageUnreadable as error:
            return Prepared(row, path, error=error)
        except OSError as error:  # a data set that opens files itself
            unreadable = ImageUnreadable(f"image {row} of the source", str(error))
            return Prepared(row, path, error=unreadable)

    def _from_file(self, row: int, path: Path) -> Prepared:
        with image_file(path) as file:
            digest = digest_of_file(file) if self.cache else None
            known = self.cache.get(digest) if self.cache and digest else None
            if known is not None:
                return Prepared(row, path, vector=known)
            image = decode(file, path)
        return Prepared(row, path, pixels=self._transformed(image, path), digest=digest)

    def _from_memory(self, row: int, item: Any) -> Prepared:
        where = f"image {row} of the source"
        digest = None
        try:
            if not self.as_is:
                item = to_image(item)
                digest = digest_of_pixels(item.size, item.tobytes()) if self.cache else None
            elif hasattr(item, "getexif"):
                item = to_rgb(upright(item), item.format)
        except (ValueError, TypeError) as error:
            raise ImageUnreadable(where, str(error)) from error
        known = self.cache.get(digest) if self.cache and digest else None
        if known is not None:
            return Prepared(row, row, vector=known)
        return Prepared(row, row, pixels=self._transformed(item, where), digest=digest)

    def _transformed(self, image: Any, where: Path | str) -> Tensor:
        try:
            pixels = self.transform(image)
        except Exception as error:
            error.add_note(f"while preparing {where} with the transform")
            raise
        if not torch.is_tensor(pixels) or pixels.dim() != 3:
            found = tuple(pixels.shape) if torch.is_tensor(pixels) else type(pixels).__name__
            raise ValueError(
                f"a transform takes one image to a tensor (channels, height, width); of {where} it "
                f"made {found}"
            )
        return pixels


def in_order(
    read: Callable[[int], Prepared], size: int, workers: int, ahead: int
) -> Iterator[Prepared]:
    """`read(row)` of all rows in order, in `workers` threads, at most `ahead` of them waiting."""
    with ThreadPoolExecutor(workers, thread_name_prefix="images") as pool:
        waiting = deque(pool.submit(read, row) for row in range(min(ahead, size)))
        following = iter(range(ahead, size))
        try:
            while waiting:
                yield waiting.popleft().result()
                waiting.extend(pool.submit(read, row) for row in islice(following, 1))
        finally:
            for future in waiting:
                future.cancel()
