"""Data: text, digits, photographs and labeled images. Three splits everywhere.

`texts`, `digits` and `photos` need no network; `hub` has CIFAR-10 and Fashion-MNIST.
"""

from course_utils.data.digits import Digits, digits
from course_utils.data.hub import DataMissing, available, cifar10, fashion_mnist
from course_utils.data.photos import PHOTOS, photo, photos
from course_utils.data.splits import SPLITS, LabeledImages, Split
from course_utils.data.texts import course_text, languages, parallel_sentences

__all__ = [
    "PHOTOS",
    "SPLITS",
    "DataMissing",
    "Digits",
    "LabeledImages",
    "Split",
    "available",
    "cifar10",
    "course_text",
    "digits",
    "fashion_mnist",
    "languages",
    "parallel_sentences",
    "photo",
    "photos",
]
