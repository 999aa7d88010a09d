"""Data: text, digits, photographs and labeled images. Three splits everywhere.

`texts`, `digits` and `photos` need no network; `hub` has CIFAR-10 and Fashion-MNIST,
`shapes` draws pictures whose every property can be controlled,
`folder` takes your own images.
"""

from course_utils.data.controls import COLORS, Between, Each, ShapeStyle
from course_utils.data.digits import Digits, digits
from course_utils.data.folder import image_folder
from course_utils.data.hub import DataMissing, available, cifar10, fashion_mnist
from course_utils.data.photos import PHOTOS, photo, photos
from course_utils.data.shapes import SHAPES, Shapes, shapes
from course_utils.data.splits import SPLITS, LabeledImages, Split
from course_utils.data.texts import course_text, languages, parallel_sentences
from course_utils.data.textures import BACKGROUNDS, TEXTURES

__all__ = [
    "BACKGROUNDS",
    "COLORS",
    "PHOTOS",
    "SHAPES",
    "SPLITS",
    "TEXTURES",
    "Between",
    "DataMissing",
    "Digits",
    "Each",
    "LabeledImages",
    "ShapeStyle",
    "Shapes",
    "Split",
    "available",
    "cifar10",
    "course_text",
    "digits",
    "fashion_mnist",
    "image_folder",
    "languages",
    "parallel_sentences",
    "photo",
    "photos",
    "shapes",
]
