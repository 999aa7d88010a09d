"""A small detector of two stages: propose boxes, then say what is in each. Lesson 11.

Ren et al. 2015, "Faster R-CNN", in small: one map, no anchors, a linear layer as the second stage,
and the proposals' boxes as they are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from course_utils.cnn import ResNet
from course_utils.regions.pooling import roi_features
from course_utils.regions.proposals import ProposalHead, place_middles, proposal_loss, propose

Boxes = Float[Tensor, "boxes 4"]
Images = Float[Tensor, "batch channels height width"]


class Detections(NamedTuple):
    """What was found in one image, or is there: boxes in pixels, classes, and how sure (1 if true)."""

    boxes: Boxes
    labels: Int[Tensor, " boxes"]
    scores: Float[Tensor, " boxes"]


class RegionHead(nn.Module):
    """One linear layer on the features of a region: logits of the classes, and last of "nothing".

    `forward(regions)`: (regions, channels, cells, cells) -> (regions, num_classes + 1).
    """

    def __init__(self, *, channels: int, cells: int, num_classes: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels * cells**2, num_classes + 1)

    def forward(
        self, regions: Float[Tensor, "regions channels cells cells"]
    ) -> Float[Tensor, "regions logits"]:
        return self.linear(regions.flatten(1))


class Detector(nn.Module):
    """`forward(images)` -> `Detections` of each image; `loss(images, truth)` -> what to minimize.

    `backbone` has `forward_features(images)` -> map (batch, channels, rows, columns), each place
    `stride` pixels wide. By default a residual network of 90,480 weights, stride 4.
    """

    def __init__(
        self,
        *,
        num_classes: int,
        backbone: nn.Module | None = None,
        channels: int = 48,
        stride: int = 4,
        cells: int = 5,
    ) -> None:
        super().__init__()
        self.stride, self.cells, self.num_classes = stride, cells, num_classes
        self.backbone = backbone or ResNet(depths=(2,), widths=(channels,), num_classes=0)
        self.proposals = ProposalHead(channels=channels, stride=stride)
        self.head = RegionHead(channels=channels, cells=cells, num_classes=num_classes)

    def forward(self, images: Images) -> list[Detections]:
        maps, size = self.feature_map(images), (images.shape[-2], images.shape[-1])
        proposed = propose(self.proposals(maps), size)
        boxes = [boxes for boxes, _ in proposed]
        regions = roi_features(maps, boxes, self.cells, image_size=size)
        chances = self.head(regions).softmax(dim=-1).split([len(part) for part in boxes])
        return [
            select(found, sure[:, None] * chance[:, :-1])
            for (found, sure), chance in zip(proposed, chances, strict=True)
        ]

    def loss(self, images: Images, truth: Sequence[Detections]) -> Tensor:
        """Proposals that should have been made, and classes of proposals and of true boxes.

        A proposal is of the class of the true box with which its intersection over union is highest,
        if that is 0.5 or more; else nothing. Raises `ValueError` unless each image has its truth.
        """
        if len(truth) != len(images):
            raise ValueError(
                f"each image needs its true boxes and labels; got {len(images)} images and "
                f"{len(truth)}"
            )
        maps, size = self.feature_map(images), (images.shape[-2], images.shape[-1])
        places = self.proposals(maps)
        middles = place_middles(tuple(maps.shape[-2:]), self.stride).to(maps)
        first = proposal_loss(places, [one.boxes for one in truth], middles, self.stride)
        boxes = [
            torch.cat([found, one.boxes])
            for (found, _), one in zip(propose(places, size), truth, strict=True)
        ]
        labels = [
            label_regions(found, one, self.num_classes)
            for found, one in zip(boxes, truth, strict=True)
        ]
        regions = roi_features(maps, boxes, self.cells, image_size=size)
        return first + F.cross_entropy(self.head(regions), torch.cat(labels))

    def feature_map(self, images: Images) -> Float[Tensor, "batch features rows columns"]:
        """The backbone's map. Raises `ValueError` if its stride is not the one that was given."""
        maps = self.backbone.forward_features(images)  # type: ignore[operator]
        expected = tuple(side // self.stride for side in images.shape[-2:])
        if tuple(maps.shape[-2:]) != expected:
            raise ValueError(
                f"with stride {self.stride} images of {tuple(images.shape[-2:])} must become maps of "
                f"{expected}; got {tuple(maps.shape[-2:])}: give the backbone's stride, and images "
                "whose sides are multiples of it"
            )
        return maps


def label_regions(boxes: Boxes, truth: Detections, nothing: int) -> Int[Tensor, " boxes"]:
    """The class of the true box that each box fits best; `nothing` where none reaches IoU 0.5."""
    from torchvision.ops import box_iou

    if not len(truth.boxes):
        return torch.full((len(boxes),), nothing, device=boxes.device)
    fit, which = box_iou(boxes, truth.boxes).max(dim=1)
    return truth.labels[which].masked_fill(fit < 0.5, nothing)


def select(
    boxes: Boxes,
    scores: Float[Tensor, "boxes classes"],
    *,
    smallest: float = 0.05,
    overlap: float = 0.5,
) -> Detections:
    """The detections among boxes that each have a score for every class, the surest first.

    Scores under `smallest` do not count. Of two boxes of one class whose intersection over union is
    above `overlap` the surer stays; boxes of different classes do not suppress each other.
    """
    from torchvision.ops import batched_nms

    box, label = (scores >= smallest).nonzero(as_tuple=True)
    kept = batched_nms(boxes[box], scores[box, label], label, overlap)
    return Detections(boxes[box[kept]], label[kept], scores[box[kept], label[kept]])
