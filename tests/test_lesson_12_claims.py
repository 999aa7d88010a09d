"""What lesson 12 says and does not compute itself: how little its keys can be looked at."""

import torch
from scipy.optimize import linprog

from course_utils.experiments.explanations import draw
from course_utils.explain import record
from course_utils.lesson import recorded
from course_utils.weights import CHECKPOINTS, load_pretrained


def test_the_keys_that_are_looked_at_keep_nearly_all_whatever_solution_one_takes():
    model = load_pretrained("vit_small32_shapes")
    drawn = draw(recorded("explanations")["recipe"], "test", 20, seed=0)
    images = CHECKPOINTS["vit_small32_shapes"].transform(drawn.images)
    with record(model, "blocks.4", "weights") as inside, torch.no_grad():
        model(images)
        block = model.blocks[5]
        _, _, values = block.attn.project(block.norm1(inside["blocks.4"]), None)
    rows = inside["blocks.5.attn"][:, :, 0].double().flatten(0, 1)
    drops = []
    for weights, keys in zip(rows, values.double().flatten(0, 1), strict=True):
        rules = torch.cat([keys, torch.ones_like(keys[:, :1])], dim=1).T
        looked_at = (weights > 0.01).double()
        solved = linprog(
            looked_at.numpy(),
            A_eq=rules.numpy(),
            b_eq=(rules @ weights).numpy(),
            bounds=(0, None),
        )
        assert solved.success
        drops.append((looked_at @ weights).item() - solved.fun)
    assert sum(drops) / len(drops) < 0.02
