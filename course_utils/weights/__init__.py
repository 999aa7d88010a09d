"""Published checkpoints (timm, torchvision, Hugging Face) and the course's own, into our models.

`names` has the tables of names, `files` reads, `loading` fits.
"""

from course_utils.weights.files import WeightsMissing
from course_utils.weights.loading import load_weights

__all__ = ["WeightsMissing", "load_weights"]
