"""Costs by arithmetic against running models, and the plan against published runs."""

import dataclasses

import pytest
import torch

from course_utils import cnn, vit
from course_utils.scale.costs import Costs, count_costs, vit_costs
from course_utils.scale.plan import (
    ACCELERATORS,
    PUBLISHED,
    largest_batch,
    reached_utilization,
    training_flops,
    training_hours,
    training_memory,
    training_price,
)

SMALL = {"image_size": 20, "patch_size": 5, "channels": 2, "dim": 21, "depth": 3, "heads": 7} | {
    "mlp_ratio": 3.0,
    "num_classes": 11,
}


@pytest.mark.parametrize("changes", [{}, {"depth": 1, "heads": 1}, {"patch_size": 4, "dim": 14}])
def test_a_vits_costs_on_paper_are_those_that_are_counted(changes):
    """Every byte that autograd holds, in float32 and under autocast; every product; every weight."""
    arguments = {**SMALL, **changes}
    torch.manual_seed(0)
    model = vit.VisionTransformer(**arguments)
    images = torch.randn(1, 2, 20, 20)
    assert count_costs(model, images) == vit_costs(**arguments)


def test_table_1s_sizes():
    """Dosovitskiy et al. 2021, table 1: 86M, 307M and 632M parameters."""
    base = vit_costs()
    assert base.parameters == 86_567_656
    large = vit_costs(dim=1024, depth=24, heads=16, num_classes=0)
    huge = vit_costs(dim=1280, depth=32, heads=16, patch_size=14)
    assert large.parameters / 1e6 == pytest.approx(
        307, rel=0.02
    )  # theirs has a head, and patches of 32
    assert huge.parameters / 1e6 == pytest.approx(632, rel=0.001)


def test_a_resnets_operations_are_those_of_its_paper():
    """He et al. 2016, table 1: 1.8e9 for ResNet-18; the pair of multiplication and addition is one."""
    model = cnn.ResNet(num_classes=1000)
    before = {name: value.clone() for name, value in model.named_buffers()}
    costs = count_costs(model, torch.randn(1, 3, 224, 224))
    assert costs.flops / 2 == pytest.approx(1.8e9, rel=0.02)
    assert costs.parameters == 11_689_512
    for name, value in model.named_buffers():
        assert torch.equal(value, before[name])


def test_the_operations_of_published_runs():
    """3 % for what the authors rounded and count otherwise; a factor of 2 or 3 could not hide."""
    stated = [run for run in PUBLISHED.values() if run.exaflops is not None]
    assert len(stated) == 5
    for run in stated:
        assert run.flops / 1e18 == pytest.approx(run.exaflops, rel=0.03), run.source


def test_the_time_of_published_runs_is_what_accelerators_reach():
    """No published run is faster than the peak, and none as slow as a tenth of it."""
    reached = {
        name: reached_utilization(
            run.flops,
            peak=ACCELERATORS[run.accelerator].flops,
            accelerator_hours=run.accelerator_hours,
        )
        for name, run in PUBLISHED.items()
        if run.accelerator is not None
    }
    # By hand: 4258e18 / (2500 x 86400 s x 61.5e12); 40.5e18 / (8 x 53 x 3600 s x 125e12).
    assert reached == {
        "ViT-H/14, JFT": pytest.approx(0.32, abs=0.005),
        "DeiT-B, ImageNet": pytest.approx(0.21, abs=0.005),
    }


def test_hours_undo_the_utilization_and_price_follows():
    run = PUBLISHED["DeiT-B, ImageNet"]
    peak = ACCELERATORS["v100"].flops
    share = reached_utilization(run.flops, peak=peak, accelerator_hours=53 * 8)
    hours = training_hours(run.flops, peak=peak, accelerators=8, utilization=share)
    assert hours == pytest.approx(53)
    assert training_price(hours, accelerators=8, price_per_hour=2.5) == pytest.approx(53 * 8 * 2.5)
    assert training_flops(run.costs, images=7, epochs=11) == 3 * 77 * run.costs.flops


def test_memory_is_what_a_real_step_holds():
    torch.manual_seed(0)
    model = vit.VisionTransformer(**SMALL)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(5, 2, 20, 20)).sum().backward()
    optimizer.step()

    def bytes_of(tensors):
        return sum(t.numel() * t.element_size() for t in tensors)

    states = [v for s in optimizer.state.values() for n, v in s.items() if n != "step"]
    memory = training_memory(vit_costs(**SMALL), batch_size=5)
    assert memory.weights == bytes_of(model.parameters())
    assert memory.gradients == bytes_of(p.grad for p in model.parameters())
    assert memory.optimizer == bytes_of(states)
    assert memory.copies == 0
    assert memory.activations == 5 * vit_costs(**SMALL).activations
    parts = [getattr(memory, field.name) for field in dataclasses.fields(memory)]
    assert memory.total == sum(parts)


def test_sharding_and_mixed_precision():
    costs = Costs(parameters=1000, flops=1, activations=70, activations_mixed=40)
    memory = training_memory(costs, batch_size=3, precision="bf16-mixed", shards=8)
    assert dataclasses.astuple(memory) == (500, 500, 1000, 250, 120)


def test_the_largest_batch_fits_and_one_more_does_not():
    costs, room = vit_costs(), ACCELERATORS["v100"].memory
    for precision in ("32-true", "bf16-mixed"):
        most = largest_batch(costs, room, precision=precision)
        totals = [
            training_memory(costs, batch_size=n, precision=precision).total
            for n in (most, most + 1)
        ]
        assert totals[0] <= room < totals[1]
    assert largest_batch(costs, 1e9) == 0


def test_plans_that_cannot_be_are_refused(without_shape_types):
    costs = vit_costs(**SMALL)
    with pytest.raises(
        ValueError, match=r"utilization is a share, above 0 and up to 1.*got 30 and 8"
    ):
        training_hours(1e18, peak=1e12, accelerators=8, utilization=30)
    with pytest.raises(ValueError, match="must be >= 1; got 0 and 1"):
        training_memory(costs, batch_size=0)
    with pytest.raises(ValueError, match="32-true or bf16-mixed; got 'fp8'"):
        training_memory(costs, batch_size=1, precision="fp8")
    with pytest.raises(ValueError, match=r"1 image; got 2: take images\[:1\]"):
        count_costs(vit.VisionTransformer(**SMALL), torch.randn(2, 2, 20, 20))
