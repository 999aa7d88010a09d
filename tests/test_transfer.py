"""What is frozen stays, bit for bit, whatever a training loop calls; the rest learns."""

import torch
import torch.nn.functional as F
from torch import nn

from course_utils.cnn import ResNet
from course_utils.data.normalized import NormalizedImages
from course_utils.training import TrainConfig, fit
from course_utils.transfer import Frozen, count_trainable


def backbone():
    torch.manual_seed(0)
    return ResNet(depths=(1, 1), widths=(3, 5), stem="small", num_classes=0)


def copied(module):
    return {name: value.clone() for name, value in module.state_dict().items()}


def test_training_changes_the_head_and_nothing_of_what_is_frozen():
    body = backbone()
    model = nn.Sequential(Frozen(body), nn.Linear(5, 2))
    before, head = copied(body), copied(model[1])
    data = NormalizedImages(torch.rand(8, 3, 16, 16), torch.arange(8) % 2)
    fit(model, data, data, config=TrainConfig(epochs=2, batch_size=4))
    model.train()
    model(data[torch.arange(8)][0])
    assert all(torch.equal(before[name], value) for name, value in body.state_dict().items())
    assert not any(torch.equal(head[name], value) for name, value in model[1].state_dict().items())


def test_the_mode_of_the_rest_is_free_and_that_of_the_frozen_part_is_not():
    model = nn.Sequential(Frozen(backbone()), nn.Dropout())
    model.train()
    assert model.training
    assert model[1].training
    assert not any(part.training for part in model[0].modules())


def test_it_computes_what_the_module_computes_and_lets_gradients_through():
    body = backbone().eval()
    images = torch.randn(2, 3, 16, 16, requires_grad=True)
    expected = torch.autograd.grad(body(images).pow(2).sum(), images)
    frozen = Frozen(body)
    torch.testing.assert_close(torch.autograd.grad(frozen(images).pow(2).sum(), images), expected)
    attend = Frozen(nn.Bilinear(3, 4, 5))
    x, y = torch.randn(2, 3), torch.randn(2, 4)
    torch.testing.assert_close(
        attend(x, y), F.bilinear(x, y, attend.module.weight, attend.module.bias)
    )


def test_trainable_numbers_are_counted():
    model = nn.Sequential(Frozen(backbone()), nn.Linear(5, 2), nn.BatchNorm1d(2))
    assert count_trainable(model) == 5 * 2 + 2 + 2 + 2
