"""Looking inside a model, and whether to believe what one sees there. Lesson 12.

`record` watches, `maps` makes pictures of attention, `gradients` asks what speaks for a class,
`faithfulness` tests any map on the model and on exact masks, `methods` compares them all.
"""

from course_utils.explain.faithfulness import (
    area_under,
    blurred,
    center_maps,
    mean_interval,
    perturbation_curve,
    pointing_game,
    random_maps,
)
from course_utils.explain.gradients import grad_cam, grad_cam_layer, gradient_map
from course_utils.explain.maps import (
    attention_maps,
    attention_rollout,
    grid_of_tokens,
    mean_attention_distance,
    upsample,
)
from course_utils.explain.methods import METHODS, Faithfulness, measure_faithfulness, saliency_maps
from course_utils.explain.record import Recording, explicit_attention, record

__all__ = [
    "METHODS",
    "Faithfulness",
    "Recording",
    "area_under",
    "attention_maps",
    "attention_rollout",
    "blurred",
    "center_maps",
    "explicit_attention",
    "grad_cam",
    "grad_cam_layer",
    "gradient_map",
    "grid_of_tokens",
    "mean_attention_distance",
    "mean_interval",
    "measure_faithfulness",
    "perturbation_curve",
    "pointing_game",
    "random_maps",
    "record",
    "saliency_maps",
    "upsample",
]
