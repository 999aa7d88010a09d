"""Convolution by hand and the residual network against PyTorch and torchvision, in float64."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from parity import assert_same
from torch import nn

from course_utils.cnn import PRESETS, ResidualBlock, ResNet, conv2d_loop, conv2d_unfold

# Parameters, each counted once on the meta device and then written down.
SIZES = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet18_32": 11_173_962,
    "resnet_small32": 696_618,
}


def normal(*shape: int) -> torch.Tensor:
    return torch.randn(shape, dtype=torch.float64)


def empty(make, **arguments) -> nn.Module:
    """A module that nobody filled and nobody trains: that would take longest."""
    with torch.device("meta"):
        module = make(**arguments)
    return module.double().to_empty(device="cpu").requires_grad_(False)


def randomized(module: nn.Module) -> nn.Module:
    """All of it, batch norm too: its weights and running statistics start as ones and zeros."""
    with torch.no_grad():
        for tensor in module.double().state_dict().values():
            if tensor.dim() > 1:
                tensor.copy_(torch.randn(tensor.shape) * tensor[0].numel() ** -0.5)
            elif tensor.is_floating_point():
                tensor.uniform_(0.5, 1.5)
            else:
                tensor.zero_()
    return module


def assert_same_with_statistics(ours: nn.Module, theirs: nn.Module, images: torch.Tensor) -> None:
    """Outputs, input gradients and, in train mode, the running statistics."""
    assert_same(ours, theirs, images)
    torch.testing.assert_close(dict(ours.named_buffers()), dict(theirs.named_buffers()))


# --- convolution -------------------------------------------------------------------------------


@st.composite
def convolutions(draw):
    """Sides, channels, kernels, stride, padding: everything that fits."""
    padding, stride = draw(st.integers(0, 2)), draw(st.integers(1, 3))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    sides = tuple(draw(st.integers(max(1, k - 2 * padding), 7)) for k in kernel)
    return sides, draw(st.integers(1, 3)), draw(st.integers(1, 3)), kernel, stride, padding


@settings(max_examples=30, deadline=None)
@given(convolutions())
def test_convolution_by_hand_is_pytorchs_values_and_gradients(case):
    sides, channels, out_channels, kernel, stride, padding = case
    torch.manual_seed(0)
    images, kernels = normal(2, channels, *sides), normal(out_channels, channels, *kernel)
    results = []
    for function in ("pytorch", "unfold", "loop"):
        x, k = images.clone().requires_grad_(), kernels.clone().requires_grad_()
        if function == "pytorch":
            output = F.conv2d(x, k, stride=stride, padding=padding)
        elif function == "unfold":
            output = conv2d_unfold(x, k, stride, padding)
        else:
            output = torch.stack([conv2d_loop(image, k, stride, padding) for image in x])
        output.pow(3).sum().backward()
        results.append((output, x.grad, k.grad))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])


@pytest.mark.parametrize("function", [conv2d_loop, conv2d_unfold])
def test_convolutions_that_do_not_exist_are_refused(function, without_shape_types):
    image = torch.zeros(3, 5, 7) if function is conv2d_loop else torch.zeros(2, 3, 5, 7)
    with pytest.raises(ValueError, match=r"3 channels and kernels of shape \(11, 2, 3, 3\)"):
        function(image, torch.zeros(11, 2, 3, 3))
    with pytest.raises(ValueError, match=r"\(5, 7\) with padding 0, kernels of \(6, 3\), stride 1"):
        function(image, torch.zeros(11, 3, 6, 3))
    with pytest.raises(ValueError, match=r"move on by at least 1.*stride 0"):
        function(image, torch.zeros(11, 3, 3, 3), stride=0)
    assert function(image, torch.zeros(11, 3, 6, 3), padding=1).shape[-3:] == (11, 2, 7)


# --- residual block ----------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize(
    ("channels", "width", "stride"), [(7, 7, 1), (7, 11, 1), (7, 11, 2), (7, 7, 2)]
)
def test_block_equals_torchvisions(channels, width, stride, mode):
    from torchvision.models.resnet import BasicBlock

    torch.manual_seed(0)
    ours = ResidualBlock(in_channels=channels, out_channels=width, stride=stride)
    skip = None
    if stride != 1 or channels != width:
        skip = nn.Sequential(
            nn.Conv2d(channels, width, 1, stride=stride, bias=False), nn.BatchNorm2d(width)
        )
    theirs = BasicBlock(channels, width, stride=stride, downsample=skip).double()
    randomized(ours)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.train(mode == "train")
    theirs.train(mode == "train")
    assert_same_with_statistics(ours, theirs, normal(3, channels, 13, 17))


# --- ResNet ------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_resnet_equals_torchvisions(name, mode):
    import torchvision.models

    torch.manual_seed(0)
    ours = randomized(empty(ResNet, **PRESETS[name] | {"num_classes": 19}))
    theirs = empty(getattr(torchvision.models, name), num_classes=19)
    theirs.load_state_dict(ours.state_dict(), strict=True)
    ours.train(mode == "train")
    theirs.train(mode == "train")
    assert_same_with_statistics(ours, theirs, normal(2, 3, 35, 37))


def test_small_stem_equals_torchvisions_without_stride_and_pooling():
    from torchvision.models.resnet import BasicBlock
    from torchvision.models.resnet import ResNet as Theirs

    torch.manual_seed(0)
    ours = randomized(empty(ResNet, **PRESETS["resnet18_32"]))
    theirs = empty(Theirs, block=BasicBlock, layers=[2, 2, 2, 2], num_classes=10)
    theirs.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False, dtype=torch.float64)
    theirs.maxpool = nn.Identity()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    images = normal(2, 3, 17, 19)
    assert_same_with_statistics(ours.eval(), theirs.eval(), images)
    features = ours.forward_features(images)
    assert features.shape == (2, 512, 3, 3)  # 17 -> 17 -> 9 -> 5 -> 3: no early halving


def test_no_head_gives_the_mean_of_the_feature_map():
    torch.manual_seed(0)
    arguments = PRESETS["resnet_small32"] | {"channels": 1}
    model = randomized(ResNet(**arguments | {"num_classes": 0})).eval()
    with_head = randomized(ResNet(**arguments)).eval()
    shared = {name: t for name, t in with_head.state_dict().items() if not name.startswith("fc.")}
    model.load_state_dict(shared, strict=True)
    images = normal(2, 1, 29, 37)
    vectors = model(images)
    torch.testing.assert_close(vectors, with_head.forward_features(images).mean(dim=(2, 3)))
    torch.testing.assert_close(with_head.fc(vectors), with_head(images))


@pytest.mark.parametrize(("stem", "shift"), [("small", 4), ("large", 16)])
def test_shifting_the_image_by_the_total_stride_shifts_the_feature_map(stem, shift):
    """Equivariance, away from the border, where zeros come in."""
    torch.manual_seed(0)
    model = randomized(ResNet(stem=stem, depths=(1, 1, 1), widths=(5, 7, 11), num_classes=0)).eval()
    side = 16 * shift
    # A picture that repeats, so that shifting it around brings nothing new in.
    image = normal(1, 3, side, side)
    before = model.forward_features(image)
    after = model.forward_features(image.roll((shift, 2 * shift), dims=(2, 3)))
    border = 6  # cells of the map that see the edge
    inside = (..., slice(border, -border), slice(border, -border))
    torch.testing.assert_close(after[inside], before.roll((1, 2), dims=(2, 3))[inside])
    assert not torch.allclose(after[inside], before[inside])
    # A shift that is no multiple of the stride does not commute.
    odd = model.forward_features(image.roll(shift // 2, dims=2))
    assert not torch.allclose(odd[inside], before[inside])
    assert not torch.allclose(odd[inside], before.roll(1, dims=2)[inside])


def test_every_preset_has_its_exact_size():
    assert SIZES.keys() == PRESETS.keys()
    for name, size in SIZES.items():
        with torch.device("meta"):
            model = ResNet(**PRESETS[name])
        assert sum(p.numel() for p in model.parameters()) == size, name


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
def test_sizes_of_published_presets_are_torchvisions(name):
    import torchvision.models

    with torch.device("meta"):
        theirs = getattr(torchvision.models, name)()
    assert sum(p.numel() for p in theirs.parameters()) == SIZES[name]


def test_weights_start_as_torchvisions_do():
    """He et al. 2015: the spread of every convolution follows from its outputs."""
    torch.manual_seed(0)
    model = ResNet(num_classes=10)
    for module in model.modules():
        if isinstance(module, nn.Conv2d) and module.weight.numel() > 30_000:
            fan_out = module.weight[:, 0].numel()
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.03)


def test_options_that_do_not_exist_are_refused(without_shape_types):
    with pytest.raises(ValueError, match="stem must be one of large, small; got 'tiny'"):
        ResNet(stem="tiny")
    with pytest.raises(ValueError, match=r"depths=\(2, 2\), widths=\(64, 128, 256, 512\)"):
        ResNet(depths=(2, 2))
    with pytest.raises(ValueError, match=r"a depth of at least 1.*depths=\(2, 0\)"):
        ResNet(depths=(2, 0), widths=(3, 5))
