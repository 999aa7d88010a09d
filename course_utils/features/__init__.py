"""Feature vectors: what a model knows of an image before it says a class. Any source, any model.

`vectors` says which tensor that is in each library's models, `models` makes one from a name,
`sources` takes images from wherever they are, `extraction` runs it all, `cache` keeps what was done.
"""

from course_utils.features.extraction import extract_features
from course_utils.features.models import FeatureModel, feature_model
from course_utils.features.result import Features, Skipped

__all__ = ["FeatureModel", "Features", "Skipped", "extract_features", "feature_model"]
