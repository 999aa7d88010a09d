"""Vectors kept on disk by the content of the image and by what made them: no image is done twice.

A folder for each model, preprocessing and precision, in it files of digests and vectors
(safetensors). A run adds a file every few seconds, whole or not at all: one that was killed goes on
where it was, and several may run at a time.
"""

import hashlib
import os
import time
import warnings
from pathlib import Path
from typing import BinaryIO

import torch
from torch import Tensor

from course_utils.progress import replace_file

SECONDS = 10.0  # of work that a kill may cost
MANY_FILES = 32  # are put together when a run begins
DIGEST_BYTES = 20


def default_folder() -> Path | None:
    """`COURSE_CACHE` if it is set (nowhere if that is empty), else below the user's cache folder."""
    chosen = os.environ.get("COURSE_CACHE")
    if chosen is not None:
        return Path(chosen).expanduser() if chosen else None
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "course_utils" / "features"


class VectorCache:
    """Digest of an image -> its vector, for one model, preprocessing and precision (`made_by`).

    What cannot be read or written is told once as a warning, and work goes on without it.
    """

    def __init__(self, root: Path, made_by: str) -> None:
        self.made_by = made_by
        self.folder = root / hashlib.blake2b(made_by.encode(), digest_size=10).hexdigest()
        self.places: dict[bytes, tuple[Tensor, int]] = {}
        self.new: list[tuple[bytes, Tensor]] = []
        self.written = time.monotonic()
        self.broken = False
        files = sorted(self.folder.glob("*.safetensors"))
        for file in files:
            self._read(file)
        if len(files) > MANY_FILES:
            self._put_together(files)

    def get(self, digest: bytes) -> Tensor | None:
        """The vector of an image, if it was made before this run began."""
        place = self.places.get(digest)
        return None if place is None else place[0][place[1]]

    def add(self, digests: list[bytes], vectors: Tensor) -> None:
        """Remember vectors (items, dim); they are written every few seconds."""
        self.new += zip(digests, vectors.clone(), strict=True)
        if time.monotonic() - self.written > SECONDS:
            self.write()

    def write(self) -> None:
        """Write what is new into a file of its own."""
        if self.new and not self.broken:
            digests, vectors = zip(*self.new, strict=True)
            self._write(list(digests), torch.stack(vectors))
        self.new, self.written = [], time.monotonic()

    def _write(self, digests: list[bytes], vectors: Tensor) -> bool:
        from safetensors.torch import save

        keys = torch.frombuffer(bytearray(b"".join(digests)), dtype=torch.uint8)
        content = save(
            {"digests": keys.reshape(-1, DIGEST_BYTES), "vectors": vectors},
            metadata={"made_by": self.made_by},
        )
        path = self.folder / f"{time.time_ns()}-{os.getpid()}.safetensors"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            replace_file(path, content)
        except OSError as error:
            self.broken = True
            reason = error.strerror or error
            warnings.warn(f"vectors cannot be kept in {self.folder}: {reason}", stacklevel=2)
        return not self.broken

    def _read(self, file: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            tensors = load_file(file)
            digests, vectors = tensors["digests"], tensors["vectors"]
        except (OSError, SafetensorError, KeyError) as error:
            warnings.warn(f"{file} is damaged and not used ({error}): delete it", stacklevel=2)
            return
        self.places |= {bytes(d): (vectors, row) for row, d in enumerate(digests.numpy())}

    def _put_together(self, files: list[Path]) -> None:
        """One file in place of many; killed in between, some vectors are there twice."""
        vectors = torch.stack([vectors[row] for vectors, row in self.places.values()])
        if self._write(list(self.places), vectors):
            self.places = {digest: (vectors, row) for row, digest in enumerate(self.places)}
            for file in files:
                file.unlink(missing_ok=True)


def digest_of_file(file: BinaryIO) -> bytes:
    """The digest of a file's content; the file is at its beginning before and after."""
    digest = hashlib.blake2b(digest_size=DIGEST_BYTES)
    while block := file.read(1 << 20):
        digest.update(block)
    file.seek(0)
    return digest.digest()


def digest_of_pixels(size: tuple[int, int], pixels: bytes) -> bytes:
    """The digest of an RGB image in memory."""
    digest = hashlib.blake2b(f"RGB {size}".encode(), digest_size=DIGEST_BYTES)
    digest.update(pixels)
    return digest.digest()
