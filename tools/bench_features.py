"""`extract_features` against what people write: one image at a time, and Hugging Face's pipeline.

Files included: JPEG photographs from a folder to vectors, cache off, in one alternating run in one
process on two threads. All take the same weights and the same preprocessing.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from bench_attention import THREADS
from bench_models import row
from torch import Tensor, nn

from course_utils.data import photos
from course_utils.features import FeatureModel, extract_features, feature_model
from course_utils.weights import Transform

Run = Callable[[], Tensor]
SIZE = (480, 640)  # height, width
IMAGENET = Transform((224, 224), (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 256, "bilinear")
HALVES = Transform((224, 224), (0.5,) * 3, (0.5,) * 3, None, "bilinear")


def measure(pairs: int = 7, images: int = 48) -> list[dict[str, Any]]:
    """Rows for `course_utils/results/benchmarks.json`."""
    torch.set_num_threads(THREADS)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        files = write_photographs(Path(folder) / "photographs", images)
        rows = []
        for name, model in (("ResNet-18", resnet()), ("ViT-S/16", vit())):
            rows += against_the_loop(name, model, files, pairs)
        rows += against_the_pipeline(Path(folder) / "model", files, pairs)
    return rows


def write_photographs(folder: Path, count: int) -> list[Path]:
    """`count` JPEG files of 480 x 640 pixels, cut out of real photographs."""
    import numpy as np
    from PIL import Image

    folder.mkdir()
    rng = np.random.default_rng(0)
    pictures = [
        (photo.permute(1, 2, 0) * 255).byte().numpy()
        for photo in photos().values()
        if photo.shape[1] >= 300 and photo.shape[2] >= 400
    ]
    files = []
    for i in range(count):
        picture = pictures[i % len(pictures)]
        top = int(rng.integers(0, picture.shape[0] - 299))
        left = int(rng.integers(0, picture.shape[1] - 399))
        crop = Image.fromarray(picture[top : top + 300, left : left + 400])
        files.append(folder / f"{i}.jpg")
        crop.resize(SIZE[::-1]).save(files[-1], quality=90)
    return files


def resnet() -> FeatureModel:
    from torchvision.models import resnet18

    return feature_model(resnet18().eval(), IMAGENET)


def vit() -> FeatureModel:
    import timm

    return feature_model(timm.create_model("vit_small_patch16_224").eval(), HALVES)


def one_at_a_time(model: FeatureModel, files: list[Path]) -> Run:
    """The loop of many tutorials: open, transform, add the batch axis, run."""
    from PIL import Image

    def run() -> Tensor:
        vectors = []
        for file in files:
            image = Image.open(file).convert("RGB")
            with torch.no_grad():
                vectors.append(model.vectors(model.transform(image)[None]))
        return torch.cat(vectors)

    return run


def against_the_loop(
    name: str, model: FeatureModel, files: list[Path], pairs: int
) -> list[dict[str, Any]]:
    """Two rows: float32, which must give the same vectors, and bfloat16."""
    runs: dict[str, Run] = {
        "ours": lambda: extract_features(files, model, cache=None).vectors,
        "short": lambda: (
            extract_features(files, model, cache=None, precision_name="bfloat16").vectors
        ),
        "one image at a time, float32": one_at_a_time(model, files),
    }
    vectors = {key: run() for key, run in runs.items()}
    expected = vectors["one image at a time, float32"]
    # The order of float32 sums differs with the layout in memory.
    torch.testing.assert_close(vectors["ours"], expected, rtol=1e-3, atol=1e-4)
    cosine = nn.functional.cosine_similarity(vectors["short"], expected).min().item()
    assert cosine >= 0.999, cosine
    times = alternate(runs, pairs)
    short = {"ours": times.pop("short"), **{k: v for k, v in times.items() if k != "ours"}}
    files_in_words = f"feature vectors of {len(files)} JPEG files by {name}"
    return [
        row(f"{files_in_words}, float32", times, "s", 1 / 1.3),
        row(f"{files_in_words}, bfloat16", short, "s", 0.5),
    ]


def against_the_pipeline(folder: Path, files: list[Path], pairs: int) -> list[dict[str, Any]]:
    """One row: Hugging Face's ViT-S in its own pipeline, one image at a time and in batches."""
    from transformers import ViTConfig, ViTImageProcessor, ViTModel, pipeline

    sizes: dict[str, Any] = {
        "hidden_size": 384,
        "num_attention_heads": 6,
        "intermediate_size": 1536,
    }
    module = ViTModel(ViTConfig(**sizes), add_pooling_layer=False).eval()
    module.save_pretrained(folder)
    ViTImageProcessor().save_pretrained(folder)
    extract = pipeline("image-feature-extraction", model=str(folder), device="cpu")
    names = [str(file) for file in files]

    def theirs(batch_size: int) -> Tensor:
        outputs = extract(names, batch_size=batch_size, return_tensors=True)
        return torch.cat([output[:, 0] for output in outputs])

    runs: dict[str, Run] = {
        "ours": lambda: extract_features(files, folder, cache=None).vectors,
        "Hugging Face's image-feature-extraction pipeline": lambda: theirs(1),
        "the same in batches of 8": lambda: theirs(8),
    }
    vectors = [run() for run in runs.values()]
    assert nn.functional.cosine_similarity(vectors[0], vectors[1]).min() > 0.999
    times = alternate(runs, pairs)
    return [row(f"feature vectors of {len(files)} JPEG files by ViT-S/16", times, "s", 1.0)]


def alternate(runs: dict[str, Run], pairs: int) -> dict[str, list[float]]:
    """Seconds of each, in turn."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(pairs):
        for name, run in runs.items():
            began = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - began)
    return times


if __name__ == "__main__":
    print(json.dumps(measure(), indent=1))
