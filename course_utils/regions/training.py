"""Teaching the detector, and how good it is: scenes, a short loop, mean average precision."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from course_utils.data.normalized import normalize
from course_utils.data.shapes import Shapes
from course_utils.evaluation import in_eval_mode
from course_utils.lesson import progress_bar
from course_utils.regions.detector import Detections, Detector
from course_utils.training import schedule


def scene_images(drawn: Shapes) -> Tensor:
    """The images as the detector takes them: floats, (x - 0.5) / 0.25."""
    return normalize(drawn.images, (0.5,), (0.25,))


def true_boxes(drawn: Shapes) -> list[Detections]:
    """What is in each scene, with score 1: every object of which something is to be seen."""
    seen = (drawn.object_labels >= 0) & drawn.visible.flatten(2).any(dim=-1)
    return [
        Detections(boxes[there].float(), labels[there], torch.ones(int(there.sum())))
        for boxes, labels, there in zip(drawn.boxes, drawn.object_labels, seen, strict=True)
    ]


def train_detector(
    detector: Detector,
    images: Tensor,
    truth: Sequence[Detections],
    *,
    epochs: int = 6,
    batch_size: int = 16,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> list[float]:
    """Train in place, AdamW and half a cosine; the mean loss of each epoch. Ends in eval mode.

    `images` (items, channels, height, width) of floats, `truth` of each. Raises `ValueError` unless
    there are as many, at least one.
    """
    if len(images) != len(truth) or not len(images):
        raise ValueError(
            f"each image needs its truth, and there must be one; got {len(images)} images and "
            f"{len(truth)}"
        )
    detector.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=learning_rate, weight_decay=0.05)
    generator = torch.Generator().manual_seed(seed)
    batches = -(-len(images) // batch_size)
    losses = []
    detector.train()
    for epoch in range(epochs):
        total = 0.0
        order = torch.randperm(len(images), generator=generator).split(batch_size)
        for step, rows in enumerate(progress_bar(list(order), f"epoch {epoch + 1}")):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate * schedule(
                    epoch * batches + step, epochs * batches, 0.1
                )
            loss = detector.loss(images[rows], [truth[row] for row in rows.tolist()])
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), 5.0)
            optimizer.step()
            total += loss.item()
        losses.append(total / batches)
    detector.eval()
    return losses


@torch.no_grad()
def detect(detector: Detector, images: Tensor, *, batch_size: int = 64) -> list[Detections]:
    """What the detector, in eval mode, finds in each image."""
    with in_eval_mode(detector):
        return [found for part in images.split(batch_size) for found in detector(part)]


@dataclass(frozen=True)
class AveragePrecision:
    """The area under precision over recall at one IoU: the mean of all classes, and each class's.

    A class that does not occur has -1 and does not count.
    """

    mean: float
    by_class: dict[int, float]


def average_precision(
    found: Sequence[Detections], truth: Sequence[Detections], *, overlap: float = 0.5
) -> AveragePrecision:
    """COCO's average precision (101 recall points) at one intersection over union, by torchmetrics.

    mAP@0.5 is `average_precision(found, truth).mean`. Raises `ValueError` unless each image has both.
    """
    from torchmetrics.detection import MeanAveragePrecision

    if len(found) != len(truth):
        raise ValueError(
            f"each image needs what was found and what is there; got {len(found)} and {len(truth)}"
        )
    metric = MeanAveragePrecision(iou_thresholds=[overlap], class_metrics=True)
    metric.warn_on_many_detections = False
    metric.update([one._asdict() for one in found], [one._asdict() for one in truth])
    result = metric.compute()
    classes, values = (result[key].reshape(-1).tolist() for key in ("classes", "map_per_class"))
    return AveragePrecision(result["map"].item(), dict(zip(classes, values, strict=True)))
