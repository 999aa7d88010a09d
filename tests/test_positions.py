"""Positions: each family against somebody else's code, and its law."""

import math

import pytest
import torch

from course_utils.positions import (
    LearnedPositions,
    alibi_bias,
    apply_rotary,
    resize_positions,
    sinusoidal_positions,
    sinusoidal_positions_2d,
)


@pytest.fixture(autouse=True)
def float64():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(("length", "dim", "base"), [(7, 22, 10000.0), (13, 6, 50.0), (1, 2, 3.0)])
def test_sinusoidal_is_the_papers_formula(length, dim, base):
    expected = [
        [
            (math.cos if column % 2 else math.sin)(position / base ** (2 * (column // 2) / dim))
            for column in range(dim)
        ]
        for position in range(length)
    ]
    torch.testing.assert_close(sinusoidal_positions(length, dim, base), torch.tensor(expected))


def test_sinusoidal_keeps_its_digits_far_out_in_float32():
    torch.set_default_dtype(torch.float32)
    far = sinusoidal_positions(100_001, 2)[-1]
    assert far.dtype == torch.float32
    expected = torch.tensor([math.sin(100_000), math.cos(100_000)])
    torch.testing.assert_close(far, expected)


@pytest.mark.parametrize("shift", [1, 5, 29])
def test_a_sinusoidal_shift_is_one_rotation_for_all_positions(shift):
    dim = 14
    table = sinusoidal_positions(83, dim, base=20.0)  # slow waves would leave the solution open
    matrix = torch.linalg.lstsq(table[:-shift], table[shift:]).solution
    torch.testing.assert_close(table[:-shift] @ matrix, table[shift:])
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(dim))
    assert math.isclose(torch.linalg.det(matrix).item(), 1.0, abs_tol=1e-9)


@pytest.mark.parametrize(("height", "width", "dim"), [(3, 5, 28), (7, 2, 4)])
def test_sinusoidal_2d_equals_timm_up_to_its_order_of_columns(height, width, dim):
    from timm.layers import build_sincos2d_pos_embed

    theirs = build_sincos2d_pos_embed(
        [height, width], dim, interleave_sin_cos=True, dtype=torch.float64
    )
    # Theirs: within each half first the sines, then the cosines; ours alternates them.
    alternating = torch.arange(dim).reshape(2, 2, dim // 4).transpose(1, 2).flatten()
    ours = sinusoidal_positions_2d(height, width, dim)
    # Theirs counts in float32.
    torch.testing.assert_close(ours, theirs[:, alternating], rtol=1e-5, atol=1e-5)


def test_learned_positions_add_the_first_rows_and_pass_gradient_to_them_only():
    layer = LearnedPositions(length=7, dim=5)
    x = torch.randn(2, 3, 5)
    torch.testing.assert_close(layer(x) - x, layer.table[:3].expand(2, 3, 5))
    layer(x).sum().backward()
    torch.testing.assert_close(layer.table.grad[:3], torch.full((3, 5), 2.0))
    assert (layer.table.grad[3:] == 0).all()
    assert 0.01 < layer.table.std() < 0.03


def test_learned_positions_equal_bert_s_embedding_of_positions():
    layer = LearnedPositions(length=11, dim=5)
    embedding = torch.nn.Embedding.from_pretrained(layer.table.detach())
    x = torch.randn(2, 7, 5)
    torch.testing.assert_close(layer(x), x + embedding(torch.arange(7)))


@pytest.mark.parametrize("positions", [None, torch.tensor([4.0, 0.0, 17.0, 2.5, 9.0])])
def test_rotary_equals_gptj(positions):
    from transformers.models.gptj.modeling_gptj import apply_rotary_pos_emb

    x = torch.randn(2, 3, 5, 22)  # batch, heads, tokens, dim
    at = torch.arange(5) if positions is None else positions
    angles = at[:, None] / 10000 ** (torch.arange(0, 22, 2) / 22)
    theirs = apply_rotary_pos_emb(
        x.transpose(1, 2), angles.sin().expand(2, 5, 11), angles.cos().expand(2, 5, 11)
    ).transpose(1, 2)
    torch.testing.assert_close(apply_rotary(x, positions), theirs)


def test_rotary_equals_llama_with_its_columns_in_another_order():
    from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

    dim = 22
    x = torch.randn(2, 3, 5, dim)
    angles = torch.arange(5)[:, None] / 10000 ** (torch.arange(0, dim, 2) / dim)
    twice = torch.cat([angles, angles], dim=-1)[None]
    halves = torch.cat([torch.arange(0, dim, 2), torch.arange(1, dim, 2)])
    theirs, _ = apply_rotary_pos_emb(x[..., halves], x[..., halves], twice.cos(), twice.sin())
    torch.testing.assert_close(apply_rotary(x)[..., halves], theirs)


def test_rotary_scores_depend_on_the_distance_only_and_lengths_stay():
    query, key = torch.randn(14), torch.randn(14)

    def score(m, n):
        turned = apply_rotary(torch.stack([query, key]), torch.tensor([m, n]))
        return turned[0] @ turned[1]

    torch.testing.assert_close(score(3.0, 11.0), score(103.0, 111.0))
    torch.testing.assert_close(score(0.0, 8.0), score(3.0, 11.0))
    assert not torch.isclose(score(0.0, 8.0), score(8.0, 0.0))
    torch.testing.assert_close(apply_rotary(query[None], torch.tensor([77.0])).norm(), query.norm())


@pytest.mark.parametrize("heads", [1, 2, 8, 16, 3, 12])
def test_alibi_equals_bloom_up_to_what_softmax_ignores(heads):
    from transformers.models.bloom.modeling_bloom import build_alibi_tensor

    keys = 7
    theirs = build_alibi_tensor(torch.ones(1, keys), heads, torch.float64)  # slope * key position
    ours = alibi_bias(heads, keys, keys)
    causal = torch.ones(keys, keys, dtype=torch.bool).tril()
    rows = theirs.expand(heads, keys, keys).masked_fill(~causal, -math.inf).softmax(-1)
    # Bloom computes its slopes in float32.
    torch.testing.assert_close(
        ours.masked_fill(~causal, -math.inf).softmax(-1), rows, rtol=1e-6, atol=1e-7
    )


def test_alibi_is_symmetric_in_distance_and_its_last_query_stands_at_the_last_key():
    square = alibi_bias(4, 7, 7)
    torch.testing.assert_close(square, square.transpose(1, 2))
    torch.testing.assert_close(square[:, 0, 3], -3 * torch.tensor([0.25, 0.0625, 2**-6, 2**-8]))
    torch.testing.assert_close(alibi_bias(4, 3, 7), square[:, -3:])


@pytest.mark.parametrize("new_grid", [(3, 11), (8, 8), (2, 2), (5, 5)])
@pytest.mark.parametrize("prefix_tokens", [0, 1, 2])
def test_resize_positions_equals_timm(new_grid, prefix_tokens):
    from timm.layers import resample_abs_pos_embed

    table = torch.randn(1, prefix_tokens + 25, 7)
    theirs = resample_abs_pos_embed(table, list(new_grid), num_prefix_tokens=prefix_tokens)
    torch.testing.assert_close(resize_positions(table, new_grid, prefix_tokens), theirs)


def test_resize_positions_from_a_grid_that_is_not_square_equals_timm():
    from timm.layers import resample_abs_pos_embed

    table = torch.randn(1, 1 + 21, 5)
    theirs = resample_abs_pos_embed(table, [4, 9], old_size=[3, 7])
    torch.testing.assert_close(resize_positions(table, (4, 9), old_grid=(3, 7)), theirs)


def test_resize_to_the_same_grid_is_the_same_table():
    table = torch.randn(1, 10, 4)
    assert torch.equal(resize_positions(table, (3, 3)), table)


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda: sinusoidal_positions(5, 7), r"even.*dim=7: try 8"),
        (lambda: sinusoidal_positions(5, 0), r"dim=0: try 2"),
        (lambda: sinusoidal_positions_2d(2, 3, 6), r"divisible by 4.*dim=6: try 8"),
        (lambda: LearnedPositions(length=4, dim=6)(torch.zeros(1, 5, 6)), r"4 tokens; got 5.*rot"),
        (lambda: apply_rotary(torch.zeros(3, 5)), r"even.*dim=5"),
        (lambda: apply_rotary(torch.zeros(3, 4), torch.zeros(2)), r"\(3,\), got \(2,\)"),
        (lambda: alibi_bias(4, 5, 3), r"queries <= keys; got heads=4, queries=5, keys=3"),
        (lambda: alibi_bias(0, 3, 3), r"heads=0"),
        (lambda: resize_positions(torch.zeros(1, 12, 4), (2, 2)), r"12 rows less 1.*11.*old_grid="),
        (lambda: resize_positions(torch.zeros(1, 10, 4), (0, 2)), r"new grid \(0, 2\)"),
    ],
)
def test_errors_give_the_rule_the_values_and_the_way_out(call, text):
    with pytest.raises(ValueError, match=text):
        call()
