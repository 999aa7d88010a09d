"""Where might something be? Every place of a map says how likely, and how far its edges are.

One box a place, without anchors, as in FCOS (Tian et al. 2019, section 3), but not asked which class:
a proposal network (Ren et al. 2015, "Faster R-CNN", section 3.1).
"""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

Boxes = Float[Tensor, "_ 4"]  # as many as there are in an image


class Places(NamedTuple):
    """What a proposal head says at each place: a logit, and a box in pixels of the image."""

    logits: Float[Tensor, "batch places"]
    boxes: Float[Tensor, "batch places 4"]


class ProposalHead(nn.Module):
    """`forward(feature_map)`: (batch, channels, rows, columns) -> `Places`, row by row.

    `stride` is how many pixels of the image a place is wide. A place gives the logarithms of the
    distances to the left, upper, right and lower edge, in strides, so that no box is inside out.
    """

    def __init__(self, *, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.out = nn.Conv2d(channels, 5, 1)
        nn.init.normal_(self.out.weight, std=0.01)
        # Few places have an object: start there (Lin et al. 2017, "Focal Loss", section 4.1).
        self.out.bias = nn.Parameter(torch.tensor([-3.0, 0.7, 0.7, 0.7, 0.7]))

    def forward(self, feature_map: Float[Tensor, "batch channels rows columns"]) -> Places:
        out = self.out(F.relu(self.conv(feature_map))).flatten(2)
        reach = out[:, 1:].clamp(max=6).exp().transpose(1, 2) * self.stride
        middle = place_middles(tuple(feature_map.shape[-2:]), self.stride).to(out)
        return Places(
            out[:, 0], torch.cat([middle - reach[..., :2], middle + reach[..., 2:]], dim=-1)
        )


def place_middles(grid: tuple[int, ...], stride: int) -> Float[Tensor, "places 2"]:
    """x, y in pixels of the middle of each place of a grid (rows, columns), row by row."""
    y, x = ((torch.arange(side) + 0.5) * stride for side in grid)
    return torch.cartesian_prod(y, x).flip(-1)


def assign_places(
    middles: Float[Tensor, "places 2"], boxes: Boxes, stride: int
) -> Int[Tensor, " places"]:
    """Which box each place is to find, -1 for none: one in whose middle part it lies.

    The middle part is half as wide and high as the box, but at least 1.5 strides, so that each box
    within the image has a place. Where several do, the smallest box.
    """
    if not len(boxes):
        return torch.full((len(middles),), -1, device=middles.device)
    center, size = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    near = (middles[:, None] - center).abs() <= (size / 4).clamp(min=0.75 * stride)
    area = size.prod(dim=-1).expand(len(middles), -1)
    smallest, which = area.masked_fill(~near.all(dim=-1), torch.inf).min(dim=1)
    return which.masked_fill(smallest.isinf(), -1)


def proposal_loss(places: Places, truth: list[Boxes], middles: Tensor, stride: int) -> Tensor:
    """How wrong the places are: cross-entropy of object or not, and 1 - GIoU where there is one.

    GIoU: Rezatofighi et al. 2019. Both are sums, divided by the number of places with an object.
    """
    from torchvision.ops import generalized_box_iou_loss

    found = [assign_places(middles, boxes, stride) for boxes in truth]
    wanted: Bool[Tensor, "batch places"] = torch.stack(found) >= 0
    count = wanted.sum().clamp(min=1)
    objects = F.binary_cross_entropy_with_logits(
        places.logits, wanted.to(places.logits), reduction="sum"
    )
    targets = [boxes[which[which >= 0]] for boxes, which in zip(truth, found, strict=True)]
    edges = generalized_box_iou_loss(places.boxes[wanted], torch.cat(targets), reduction="sum")
    return (objects + edges) / count


@torch.no_grad()
def propose(
    places: Places, image_size: tuple[int, int], *, keep: int = 16, overlap: float = 0.6
) -> list[tuple[Boxes, Float[Tensor, " _"]]]:
    """For each image up to `keep` boxes and their probabilities, the most likely first.

    Boxes are cut at the edges of the image; of boxes whose intersection over union is above
    `overlap`, the likeliest stays (non-maximum suppression, by torchvision).
    """
    from torchvision.ops import clip_boxes_to_image, nms

    proposed = []
    for logits, boxes in zip(*places, strict=True):
        best = logits.topk(min(4 * keep, len(logits))).indices
        boxes = clip_boxes_to_image(boxes[best], image_size)
        kept = nms(boxes, logits[best], overlap)[:keep]
        proposed.append((boxes[kept], logits[best][kept].sigmoid()))
    return proposed
