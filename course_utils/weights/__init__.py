"""Published checkpoints (timm, torchvision, Hugging Face) and the course's own, into our models.

`load_weights` puts somebody's weights into a model that you made; `load_pretrained` makes the model
too. `names` has the tables of names, `files` reads, `loading` fits, `published` and `own` know what
a checkpoint is, `transforms` prepares its images.
"""

from course_utils.weights.checkpoint import Checkpoint
from course_utils.weights.files import WeightsMissing
from course_utils.weights.loading import load_weights
from course_utils.weights.own import CHECKPOINTS, save_checkpoint
from course_utils.weights.pretrained import (
    Pretrained,
    describe,
    load_pretrained,
    published_or_own,
)
from course_utils.weights.transforms import Transform

__all__ = [
    "CHECKPOINTS",
    "Checkpoint",
    "Pretrained",
    "Transform",
    "WeightsMissing",
    "describe",
    "load_pretrained",
    "load_weights",
    "published_or_own",
    "save_checkpoint",
]
