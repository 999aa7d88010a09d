"""The replaced kernels compute the same, and nothing of them stays behind."""

import pytest
import torch
from torch import Tensor, nn

from course_utils.kernels import linear_as_convolution, replaced_forward


def operations(model: nn.Module, x: Tensor) -> set[str]:
    with torch.profiler.profile() as profile:
        model(x)
    return {event.key for event in profile.key_averages()}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(3, 13, 11), (2, 3, 5, 11), (1, 1, 11)])
@torch.no_grad()
def test_a_linear_layer_runs_as_the_convolution_that_it_equals(
    shape: tuple[int, ...], bias: bool
) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(11, 7, bias=bias)
    x = torch.randn(*shape[:-1], 17)[..., 2:13]  # not contiguous
    expected = torch.nn.functional.linear(
        x.double(), layer.weight.double(), layer.bias.double() if bias else None
    )
    with linear_as_convolution(layer):
        assert "aten::convolution" in operations(layer, x)
        torch.testing.assert_close(layer(x).double(), expected, rtol=1e-5, atol=1e-6)
    assert "aten::convolution" not in operations(layer, x)


@pytest.mark.parametrize(
    "x",
    [
        torch.zeros(5, 11),
        torch.zeros(11),
        torch.zeros(3, 0, 11),
        torch.zeros(3, 13, 11).double(),
    ],
    ids=["a row for each image", "one vector", "no token", "float64"],
)
def test_what_gains_nothing_stays_a_matrix_product(x: Tensor) -> None:
    layer = nn.Linear(11, 7).to(x.dtype)
    expected = layer(x)
    with linear_as_convolution(layer):
        assert "aten::convolution" not in operations(layer, x)
        assert torch.equal(layer(x), expected)


def test_a_model_gets_its_own_layers_back_after_an_error_too() -> None:
    model = nn.Sequential(nn.Linear(11, 7), nn.GELU(), nn.Linear(7, 5))

    def fail() -> None:
        with linear_as_convolution(model):
            assert "forward" in vars(model[0])
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert "forward" not in vars(model[0]) | vars(model[2])


def test_hooks_see_what_the_layer_gets_and_gives() -> None:
    layer, x, seen = nn.Linear(11, 7), torch.randn(3, 13, 11), []
    layer.register_forward_hook(lambda _, arguments, out: seen.append((arguments[0], out)))
    with linear_as_convolution(layer):
        out = layer(x)
    assert seen[0][0] is x
    assert seen[0][1] is out


def test_layers_of_another_class_or_with_another_forward_are_left_alone() -> None:
    class Doubled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    special, x = Doubled(11, 7), torch.randn(3, 13, 11)
    patched = nn.Linear(11, 7)
    patched.forward = lambda input: input + 1
    with linear_as_convolution(nn.ModuleList([special, patched])):
        torch.testing.assert_close(special(x), 2 * nn.functional.linear(x, *special.parameters()))
        assert torch.equal(patched(x), x + 1)
    assert torch.equal(patched(x), x + 1)


def test_a_forward_that_was_replaced_before_comes_back() -> None:
    layer, x = nn.Identity(), torch.ones(2)
    layer.forward = lambda input: input + 1
    with replaced_forward([layer], lambda _, forward: lambda input: 10 * forward(input)):
        assert layer(x).tolist() == [20, 20]
    assert layer(x).tolist() == [2, 2]
