"""Regions: their features, where they might be, what is in them, and a small detector. Lesson 11.

`pooling` cuts regions out of maps, `proposals` says where to look, `detector` puts both together,
`training` teaches it and scores it.
"""

from course_utils.regions.detector import Detections, Detector, RegionHead, label_regions, select
from course_utils.regions.pooling import patch_map, roi_features
from course_utils.regions.proposals import (
    Places,
    ProposalHead,
    assign_places,
    place_middles,
    proposal_loss,
    propose,
)
from course_utils.regions.training import (
    AveragePrecision,
    average_precision,
    detect,
    scene_images,
    train_detector,
    true_boxes,
)

__all__ = [
    "AveragePrecision",
    "Detections",
    "Detector",
    "Places",
    "ProposalHead",
    "RegionHead",
    "assign_places",
    "average_precision",
    "detect",
    "label_regions",
    "patch_map",
    "place_middles",
    "proposal_loss",
    "propose",
    "roi_features",
    "scene_images",
    "select",
    "train_detector",
    "true_boxes",
]
