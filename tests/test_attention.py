"""Attention against PyTorch, in float64, on sizes that no axis shares with another."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from course_utils.attention import (
    MultiHeadAttention,
    attention,
    causal_mask,
    padding_mask,
)

BATCH, HEADS, QUERIES, KEYS, DIM = 2, 3, 5, 7, 11
SEEDS = (0, 1, 2)
MASK_SHAPES = [
    (KEYS,),
    (QUERIES, KEYS),
    (QUERIES, 1),
    (1, QUERIES, KEYS),
    (HEADS, 1, KEYS),
    (HEADS, QUERIES, KEYS),
    (BATCH, 1, 1, KEYS),
    (BATCH, 1, QUERIES, 1),
    (BATCH, HEADS, QUERIES, KEYS),
    (1, 1, 1, 1),
]


def query_key_value(seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    sizes = (QUERIES, KEYS, KEYS)
    return [
        torch.randn(BATCH, HEADS, n, DIM, dtype=torch.float64, generator=generator) for n in sizes
    ]


def random_mask(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    """Random, but every query may attend to something (the other case has its own tests)."""
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) < 0.6
    mask[..., 0] = True
    return mask


@pytest.mark.parametrize("seed", SEEDS)
def test_attention_equals_pytorch(seed):
    query, key, value = query_key_value(seed)
    output, weights = attention(query, key, value)
    torch.testing.assert_close(output, F.scaled_dot_product_attention(query, key, value))
    torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    torch.testing.assert_close(weights @ value, output)


@pytest.mark.parametrize("shape", MASK_SHAPES, ids=str)
def test_a_mask_of_any_broadcastable_shape_equals_pytorch(shape):
    query, key, value = query_key_value()
    mask = random_mask(shape)
    output, weights = attention(query, key, value, mask)
    theirs = F.scaled_dot_product_attention(query, key, value, attn_mask=mask.expand(weights.shape))
    torch.testing.assert_close(output, theirs)
    assert (weights.masked_select(~mask.expand_as(weights)) == 0).all()


def test_the_value_may_be_wider_than_the_key():
    query, key, _ = query_key_value()
    value = torch.randn(BATCH, HEADS, KEYS, 13, dtype=torch.float64)
    output, _ = attention(query, key, value)
    torch.testing.assert_close(output, F.scaled_dot_product_attention(query, key, value))


def test_a_query_with_nothing_to_attend_to_gets_zeros_and_sends_no_gradient():
    inputs = [part.requires_grad_() for part in query_key_value()]
    mask = random_mask((QUERIES, KEYS))
    mask[3] = False
    output, weights = attention(*inputs, mask)
    assert (output[:, :, 3] == 0).all()
    assert (weights[:, :, 3] == 0).all()
    output.pow(2).sum().backward()
    assert all(part.grad.isfinite().all() for part in inputs)
    assert (inputs[0].grad[:, :, 3] == 0).all()
    assert (inputs[0].grad[:, :, 2] != 0).any()


def test_attention_commutes_with_a_permutation_of_queries_and_ignores_one_of_keys():
    query, key, value = query_key_value()
    of_queries, of_keys = torch.randperm(QUERIES), torch.randperm(KEYS)
    output, _ = attention(query, key, value)
    shuffled, _ = attention(query[:, :, of_queries], key[:, :, of_keys], value[:, :, of_keys])
    torch.testing.assert_close(shuffled, output[:, :, of_queries])


def test_causal_mask_is_what_pytorch_calls_causal():
    query, key, value = query_key_value()
    query = torch.randn_like(key)
    output, _ = attention(query, key, value, causal_mask(KEYS))
    theirs = F.scaled_dot_product_attention(query, key, value, is_causal=True)
    torch.testing.assert_close(output, theirs)


def test_padding_is_as_if_the_padded_keys_were_not_there():
    query, key, value = query_key_value()
    output, _ = attention(query, key, value, padding_mask(torch.tensor([KEYS, 4]), KEYS))
    torch.testing.assert_close(output[0], attention(query, key, value)[0][0])
    shorter, _ = attention(query[1:], key[1:, :, :4], value[1:, :, :4])
    torch.testing.assert_close(output[1:], shorter)


@pytest.mark.parametrize("lengths", [[3, 8], [-1, 2]])
def test_padding_mask_refuses_lengths_that_do_not_exist(lengths):
    with pytest.raises(ValueError, match=r"0 \.\.\. tokens \(7\).*\["):
        padding_mask(torch.tensor(lengths), 7)


DIM_MODEL = HEADS * DIM


def ours_and_pytorchs(bias: bool = True) -> tuple[MultiHeadAttention, nn.MultiheadAttention]:
    torch.manual_seed(0)
    ours = MultiHeadAttention(dim=DIM_MODEL, heads=HEADS, bias=bias).double()
    theirs = nn.MultiheadAttention(DIM_MODEL, HEADS, bias=bias, batch_first=True).double()
    with torch.no_grad():
        for parameter in ours.parameters():
            nn.init.normal_(parameter, std=0.3)
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.out_proj.weight.copy_(ours.proj.weight)
        if bias:
            theirs.in_proj_bias.copy_(ours.qkv.bias)
            theirs.out_proj.bias.copy_(ours.proj.bias)
        else:
            ours.proj.bias.zero_()
    return ours, theirs


@pytest.mark.parametrize("explicit", [False, True], ids=["fused", "observed"])
@pytest.mark.parametrize("bias", [True, False])
def test_self_attention_equals_pytorchs_layer_outputs_and_gradients(bias, explicit):
    ours, theirs = ours_and_pytorchs(bias)
    if explicit:
        ours.weights.register_forward_hook(lambda *_: None)
    x = torch.randn(BATCH, QUERIES, DIM_MODEL, dtype=torch.float64)
    mask = random_mask((BATCH, 1, QUERIES, QUERIES))
    a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
    got = ours(a, mask=mask)
    blocked = ~mask.expand(BATCH, HEADS, QUERIES, QUERIES).flatten(0, 1)  # theirs: True = blocked
    expected, _ = theirs(b, b, b, attn_mask=blocked)
    torch.testing.assert_close(got, expected)
    got.pow(2).sum().backward()
    expected.pow(2).sum().backward()
    torch.testing.assert_close(a.grad, b.grad)
    torch.testing.assert_close(ours.qkv.weight.grad, theirs.in_proj_weight.grad)


@pytest.mark.parametrize("bias", [True, False])
def test_cross_attention_equals_pytorchs_layer(bias):
    ours, theirs = ours_and_pytorchs(bias)
    x = torch.randn(BATCH, QUERIES, DIM_MODEL, dtype=torch.float64)
    context = torch.randn(BATCH, KEYS, DIM_MODEL, dtype=torch.float64)
    mask = padding_mask(torch.tensor([KEYS, 3]), KEYS)
    expected, _ = theirs(x, context, context, key_padding_mask=~mask[:, 0, 0])
    torch.testing.assert_close(ours(x, context, mask), expected)


def test_observing_the_weights_changes_nothing_and_shows_what_pytorch_reports():
    ours, theirs = ours_and_pytorchs()
    x = torch.randn(BATCH, QUERIES, DIM_MODEL, dtype=torch.float64)
    seen = []
    fused = ours(x)
    handle = ours.weights.register_forward_hook(lambda _, __, weights: seen.append(weights))
    torch.testing.assert_close(ours(x), fused)
    handle.remove()
    ours(x)
    _, expected = theirs(x, x, x, average_attn_weights=False)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0], expected)


@pytest.mark.parametrize("explicit", [False, True], ids=["fused", "observed"])
def test_a_fully_masked_query_gets_the_bias_of_the_output_projection(explicit):
    ours, _ = ours_and_pytorchs()
    if explicit:
        ours.weights.register_forward_hook(lambda *_: None)
    x = torch.randn(BATCH, QUERIES, DIM_MODEL, dtype=torch.float64, requires_grad=True)
    mask = random_mask((QUERIES, QUERIES))
    mask[2] = False
    output = ours(x, mask=mask)
    torch.testing.assert_close(output[:, 2], ours.proj.bias.expand(BATCH, -1))
    output.sum().backward()
    assert x.grad.isfinite().all()


def test_attention_from_timm_takes_our_parameters_as_they_are():
    from timm.layers import Attention

    ours, _ = ours_and_pytorchs()
    theirs = Attention(DIM_MODEL, num_heads=HEADS, qkv_bias=True).double()
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x = torch.randn(BATCH, QUERIES, DIM_MODEL, dtype=torch.float64)
    torch.testing.assert_close(ours(x), theirs(x))


def test_dim_not_divisible_by_heads_says_which_heads_fit():
    with pytest.raises(ValueError, match=r"dim=10, heads=3.*\[1, 2, 5, 10\]"):
        MultiHeadAttention(dim=10, heads=3)


@pytest.mark.parametrize("heads", [0, -2])
def test_heads_must_be_positive(heads):
    with pytest.raises(ValueError, match=f"heads={heads}"):
        MultiHeadAttention(dim=8, heads=heads)


def test_an_input_of_another_width_is_refused():
    with pytest.raises(ValueError, match=r"dim=33.*\(2, 5, 32\)"):
        MultiHeadAttention(dim=33, heads=3)(torch.zeros(2, 5, 32))


@pytest.mark.parametrize("use", ["function", "layer"])
def test_a_mask_that_is_not_boolean_is_refused_with_the_way_out(use, without_shape_types):
    mask = torch.ones(QUERIES, QUERIES)
    with pytest.raises(TypeError, match=r"True = may attend; got torch.float32.*mask != 0"):
        call(use, mask)


@pytest.mark.parametrize("use", ["function", "layer"])
@pytest.mark.parametrize("shape", [(4, QUERIES), (BATCH, QUERIES), (1, 1, 1, QUERIES, QUERIES)])
def test_a_mask_of_another_shape_is_refused_with_both_shapes(use, shape):
    rule = rf"\({BATCH}, {HEADS}, {QUERIES}, {QUERIES}\); got \({', '.join(map(str, shape))}\)"
    with pytest.raises(ValueError, match=rule):
        call(use, torch.ones(shape, dtype=torch.bool))


def test_a_key_of_another_width_is_refused(without_shape_types):
    with pytest.raises(ValueError, match=r"last axes must agree; got 4 and 5"):
        attention(torch.zeros(2, 4), torch.zeros(3, 5), torch.zeros(3, 5))


def call(use: str, mask: torch.Tensor) -> None:
    if use == "layer":
        MultiHeadAttention(dim=DIM_MODEL, heads=HEADS)(
            torch.zeros(BATCH, QUERIES, DIM_MODEL), mask=mask
        )
        return
    zeros = torch.zeros(BATCH, HEADS, QUERIES, DIM)
    attention(zeros, zeros, zeros, mask)
