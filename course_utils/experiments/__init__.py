"""The recorded studies behind `results/`: what they train, and how their numbers are made.

One file a study; `study` says what a study is, `python -m course_utils.experiments` runs them.
"""

from course_utils.experiments.language import course_ids, course_tokenizer
from course_utils.experiments.position_lengths import (
    PositionModel,
    loss_by_position,
    train_position_model,
)
from course_utils.experiments.study import STUDIES, Study, find_study, run_study, save_result

__all__ = [
    "STUDIES",
    "PositionModel",
    "Study",
    "course_ids",
    "course_tokenizer",
    "find_study",
    "loss_by_position",
    "run_study",
    "save_result",
    "train_position_model",
]
