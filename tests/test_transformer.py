"""The encoder against PyTorch's own layers with the same weights, in float64."""

import pytest
import torch
from parity import assert_same
from torch import nn

from course_utils.attention import padding_mask
from course_utils.transformer import Encoder, EncoderBlock, FeedForward, PointwiseLinear

BATCH, TOKENS, HEADS, DIM = 2, 5, 3, 21
RATIO = 13 / 7  # a hidden width of 39, which is no multiple of anything else here


def copy_weights(ours: EncoderBlock, theirs: nn.TransformerEncoderLayer) -> None:
    """Ours, made random, into PyTorch's names."""
    pairs = [
        (theirs.self_attn.in_proj_weight, ours.attn.qkv.weight),
        (theirs.self_attn.in_proj_bias, ours.attn.qkv.bias),
    ]
    for a, b in [
        (theirs.self_attn.out_proj, ours.attn.proj),
        (theirs.linear1, ours.mlp.fc1),
        (theirs.linear2, ours.mlp.fc2),
        (theirs.norm1, ours.norm1),
        (theirs.norm2, ours.norm2),
    ]:
        pairs += [(a.weight, b.weight), (a.bias, b.bias)]
    with torch.no_grad():
        for target, source in pairs:
            nn.init.normal_(source, std=0.4)
            target.copy_(source)


def pytorchs_layer(norm: str, eps: float) -> nn.TransformerEncoderLayer:
    return nn.TransformerEncoderLayer(
        DIM,
        HEADS,
        int(DIM * RATIO),
        dropout=0.0,
        activation="gelu",
        layer_norm_eps=eps,
        batch_first=True,
        norm_first=norm == "pre",
        dtype=torch.float64,
    )


def both(norm: str, eps: float = 1e-5) -> tuple[EncoderBlock, nn.TransformerEncoderLayer]:
    torch.manual_seed(0)
    ours = EncoderBlock(dim=DIM, heads=HEADS, mlp_ratio=RATIO, norm=norm, norm_eps=eps).double()
    theirs = pytorchs_layer(norm, eps)
    copy_weights(ours, theirs)
    return ours, theirs


@pytest.mark.parametrize("norm", ["pre", "post"])
@pytest.mark.parametrize("eps", [1e-5, 1e-2])
def test_block_equals_pytorchs_layer_outputs_and_gradients(norm, eps):
    ours, theirs = both(norm, eps)
    x = torch.randn(BATCH, TOKENS, DIM, dtype=torch.float64)
    assert_same(ours, theirs, x)
    torch.testing.assert_close(ours.mlp.fc1.weight.grad, theirs.linear1.weight.grad)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_block_with_padding_equals_pytorchs_layer(norm):
    ours, theirs = both(norm)
    x = torch.randn(BATCH, TOKENS, DIM, dtype=torch.float64)
    mask = padding_mask(torch.tensor([TOKENS, 3]), TOKENS)
    expected = theirs(x, src_key_padding_mask=~mask[:, 0, 0])
    torch.testing.assert_close(ours(x, mask=mask), expected)


@pytest.mark.parametrize("norm", ["pre", "post"])
def test_encoder_equals_pytorchs_stack(norm):
    torch.manual_seed(1)
    depth = 3
    ours = Encoder(dim=DIM, depth=depth, heads=HEADS, mlp_ratio=RATIO, norm=norm).double()
    final = nn.LayerNorm(DIM, dtype=torch.float64) if norm == "pre" else None
    theirs = nn.TransformerEncoder(
        pytorchs_layer(norm, 1e-5), depth, norm=final, enable_nested_tensor=False
    )
    for our_block, their_layer in zip(ours.blocks, theirs.layers, strict=True):
        copy_weights(our_block, their_layer)
    if final is not None:
        with torch.no_grad():
            nn.init.normal_(ours.norm.weight)
            final.weight.copy_(ours.norm.weight)
    x = torch.randn(BATCH, TOKENS, DIM, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_block_parameters_have_timms_names_and_timm_computes_the_same():
    from timm.models.vision_transformer import Block

    ours, _ = both("pre")
    theirs = Block(DIM, HEADS, mlp_ratio=RATIO, qkv_bias=True, norm_layer=nn.LayerNorm).double()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(BATCH, TOKENS, DIM, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_without_positions_the_encoder_commutes_with_a_permutation_of_tokens():
    encoder = Encoder(dim=DIM, depth=2, heads=HEADS).double()
    x = torch.randn(BATCH, TOKENS, DIM, dtype=torch.float64)
    order = torch.tensor([3, 0, 4, 1, 2])
    torch.testing.assert_close(encoder(x[:, order]), encoder(x)[:, order])


def test_dropout_drops_while_training_and_only_then():
    block = EncoderBlock(dim=DIM, heads=HEADS, dropout=0.5)
    x = torch.randn(BATCH, TOKENS, DIM)
    assert not torch.equal(block(x), block(x))
    block.eval()
    assert torch.equal(block(x), block(x))
    plain = EncoderBlock(dim=DIM, heads=HEADS)
    plain.load_state_dict(block.state_dict(), strict=True)
    torch.testing.assert_close(block(x), plain(x))


@pytest.mark.parametrize(("dim", "hidden"), [(7, 29), (16, 64)])
def test_feed_forward_is_gelu_between_two_matrices(dim, hidden):
    layer = FeedForward(dim=dim, hidden=hidden).double()
    x = torch.randn(2, 3, dim, dtype=torch.float64)
    inner = x @ layer.fc1.weight.T + layer.fc1.bias
    gelu = inner * 0.5 * (1 + torch.erf(inner / 2**0.5))
    torch.testing.assert_close(layer(x), gelu @ layer.fc2.weight.T + layer.fc2.bias)


def test_parameters_of_vit_base_s_block_and_stack_counted_by_hand():
    d = 768
    attention = (d * 3 * d + 3 * d) + (d * d + d)
    feed_forward = (d * 4 * d + 4 * d) + (4 * d * d + d)
    block = attention + feed_forward + 2 * (2 * d)
    with torch.device("meta"):
        encoder = Encoder(dim=d, depth=12, heads=12)
    assert sum(p.numel() for p in encoder.parameters()) == 12 * block + 2 * d == 85_056_000


@pytest.mark.parametrize("make", [EncoderBlock, Encoder])
def test_an_unknown_norm_order_is_refused(make, without_shape_types):
    depth = {"depth": 1} if make is Encoder else {}
    with pytest.raises(ValueError, match=r'"pre".*"post".*got \'both\''):
        make(dim=4, heads=2, norm="both", **depth)


def test_heads_that_do_not_divide_dim_are_refused_by_the_encoder_too():
    with pytest.raises(ValueError, match=r"dim=10, heads=4"):
        Encoder(dim=10, depth=1, heads=4)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("training", [True, False])
def test_the_pointwise_layer_is_a_linear_layer_with_gradients(training: bool, bias: bool) -> None:
    torch.manual_seed(0)
    plain = nn.Linear(11, 7, bias=bias).double()
    ours = PointwiseLinear(11, 7, bias=bias).double().train(training)
    ours.load_state_dict(plain.state_dict(), strict=True)
    x = torch.randn(3, 13, 17, dtype=torch.float64)[..., 2:13].requires_grad_()  # not contiguous
    away = torch.randn(3, 13, 7, dtype=torch.float64)
    torch.testing.assert_close(ours(x), plain(x))
    for left, right in zip(
        torch.autograd.grad((ours(x) * away).sum(), [x, *ours.parameters()]),
        torch.autograd.grad((plain(x) * away).sum(), [x, *plain.parameters()]),
        strict=True,
    ):
        torch.testing.assert_close(left, right)


def test_outside_training_no_pass_over_memory_is_for_the_bias_alone() -> None:
    layer = PointwiseLinear(11, 7).eval()
    with torch.profiler.profile() as profile:
        layer(torch.randn(3, 13, 11))
    names = {event.key for event in profile.key_averages()}
    assert "aten::addmm" not in names
    assert "aten::convolution" in names


@pytest.mark.parametrize("shape", [(11,), (5, 11), (2, 3, 5, 11)])
def test_the_pointwise_layer_takes_tokens_of_any_shape(shape: tuple[int, ...]) -> None:
    layer = PointwiseLinear(11, 7).double().eval()
    x = torch.randn(shape, dtype=torch.float64)
    torch.testing.assert_close(layer(x), x @ layer.weight.T + layer.bias)
