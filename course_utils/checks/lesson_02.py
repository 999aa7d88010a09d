"""Checks of lesson 2: places squeezed, the clock, the turn, the penalty."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from course_utils.checks.engine import exercise, expect_also, expect_close, refuse
from course_utils.positions import alibi_bias, apply_rotary, sinusoidal_positions


@exercise("2.1", "places squeezed into 0 ... 1: the step depends on the length")
def squeezed(answer: Callable[[int], Any]) -> None:
    for length in (5, 9, 2, 12):
        result = answer(length)
        expect_two(result)
        codes, step = result
        if isinstance(codes, float | int) or getattr(codes, "ndim", 1) == 0:
            refuse(
                "The first thing you return is one number. The codes come first, one for each token, "
                "then the step: `return codes, step`."
            )
        places = torch.arange(length)
        expect_close(
            codes,
            places / (length - 1),
            {
                "You divided by the number of tokens, so the last token never reaches 1. "
                f"{length} tokens have one gap fewer than tokens: count the gaps.": places / length,
                "Your first token does not get 0: you count places from 1. The first place is 0, and "
                "the last one is length - 1.": (places + 1) / length,
                "Your codes are not squeezed: they grow with the length, which is what we want to get "
                "rid of. The last token's code must be 1 for every length.": places,
                "You made one code too many: the length is the number of tokens, not of "
                "gaps.": torch.linspace(0, 1, length + 1),
                "You divided with //, which drops what stands after the point. Use /.": (
                    places // (length - 1)
                ),
                "Your step is 0.25 for every length, so longer texts leave 0 ... 1. To end at "
                "1, the step must shrink as the text grows: compute it from the length.": places
                * 0.25,
                "Your codes are rounded. Leave them as they are: small errors add up over a long "
                "text.": (places / (length - 1)).round(decimals=3),
                "Your codes run from -1 to 1; this exercise asks for 0 to 1.": (
                    torch.linspace(-1, 1, length)
                ),
                "Your codes run backwards: the first token gets 0, the last one 1.": torch.linspace(
                    1, 0, length
                ),
            },
            what=f"the row of codes for {length} tokens",
        )
        expect_close(
            torch.as_tensor(step, dtype=torch.float64),
            torch.tensor(1 / (length - 1), dtype=torch.float64),
            {
                "Your codes are right, but the step is not the gap between them: you divided by the "
                f"number of tokens. Compare with codes[1] - codes[0] for {length} tokens.": (
                    torch.tensor(1 / length, dtype=torch.float64)
                ),
                "Your codes are right, but the step is the one before squeezing. After squeezing, "
                "the gap between neighbors is smaller and depends on the length.": (
                    torch.tensor(1.0, dtype=torch.float64)
                ),
                "Your step is rounded. Leave it as it is, or it is no longer the gap between two "
                "codes.": torch.tensor(1 / (length - 1), dtype=torch.float64).round(decimals=3),
                "Your step is right for another length only: it must be computed from this length, "
                f"here {length}. That it changes is the point of the exercise.": (
                    torch.tensor(0.5 if length == 5 else 0.25, dtype=torch.float64)
                ),
            },
            what=f"the step for {length} tokens",
        )
    for length in (7, 150):
        expect_also(
            lambda n: answer(n)[0],
            (length,),
            torch.arange(length) / (length - 1),
            f"Right so far, but for {length} tokens your row has another length or ends beside 1. "
            "`arange` with a step that is a fraction can end one code too late, because the step is "
            "rounded: count whole places first, then divide.",
        )


def expect_tensor(got: Any) -> None:
    """Refuse lists and arrays: the lesson goes on with tensors."""
    if isinstance(got, list | tuple) or type(got).__module__ == "numpy":
        refuse(
            f"Your result has the type {type(got).__name__}; the lesson goes on with tensors: "
            "wrap it, `return torch.tensor(...)`."
        )


def expect_two(result: Any) -> None:
    """Refuse what is not a pair (codes, step)."""
    if result is None:
        refuse("your result is None: does your function end in `return ...`?")
    if not isinstance(result, tuple | list) or len(result) != 2:
        refuse(
            "Return two things, the codes and the step: `return codes, step`. The lesson compares "
            "the steps of texts of different length."
        )


@exercise("2.2", "one clock for each place: slow and fast hands, a sine and a cosine each")
def clock(answer: Callable[..., Any]) -> None:
    cases = ((13, 8, 10000.0), (0, 6, 10000.0), (7, 6, 100.0), (1234, 4, 10000.0))
    for position, dim, base in cases:
        try:
            got = answer(position, dim) if base == 10000.0 else answer(position, dim, base)
        except ZeroDivisionError:
            refuse(f"You divide by 0. {NO_BRACKETS}")
        expect_tensor(got)
        expect_close(
            got,
            sinusoidal_positions(position + 1, dim, base)[position],
            clock_mistakes(position, dim, base),
            what=f"the code of place {position} with dim {dim} and base {base:g}",
        )


NO_BRACKETS = (
    "** comes before * and / in Python: base ** 2 * i / dim is 0 for hand 0. Put the whole exponent in "
    "brackets: base ** (2 * i / dim)."
)


def clock_mistakes(position: int, dim: int, base: float) -> dict[str, Tensor]:
    """What is said about a wrong clock -> the numbers that this mistake gives."""
    pairs = torch.arange(dim // 2, dtype=torch.float64)
    columns = torch.arange(dim, dtype=torch.float64)
    right = position * base ** (-2 * pairs / dim)

    def hands(angles: Tensor) -> Tensor:
        return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten()

    def one_angle_a_column(angles: Tensor) -> Tensor:
        return torch.where(columns % 2 == 0, angles.sin(), angles.cos())

    return {
        "The exponent of the base is the number of the hand in your code, so each hand is 10000 times "
        "slower than the one before and all but the first stand still. It must be 2i/dim, which stays "
        "below 1.": hands(position * base**-pairs),
        "You divided with //, which drops what stands after the point. Use /: a slow hand turns by a "
        "fraction.": hands((position / base ** (2 * pairs / dim)).floor()),
        "All hands but the first stand still in your code. Does each hand get an angle of its own, and "
        "is the exponent 2i divided by dim?": hands(position * base ** (-2 * pairs)),
        "The exponent is i/dim in your code. It is 2i/dim, because each hand takes two "
        "columns: the slowest hand must come close to the base.": hands(
            position * base ** (-pairs / dim)
        ),
        "The exponent is positive in your code, so the base multiplies the place: later hands get "
        "faster, not slower. The place is divided by base^(2i/dim).": (
            hands(position * base ** (2 * pairs / dim))
        ),
        "All sines stand first, then all cosines. The numbers are right, but the paper's order takes "
        "turns: sine and cosine of one hand stand side by side.": (
            torch.cat([right.sin(), right.cos()])
        ),
        "The numbers are right, but each hand has a row of its own. The code is one row of dim numbers: "
        "add `.flatten()`.": torch.stack([right.sin(), right.cos()], dim=-1),
        "Your i steps over columns, 0, 2, 4, ..., and is doubled once more: hand 1 gets the speed of "
        "hand 2. Either count hands and use 2i/dim, or count columns in steps of 2 and use "
        "i/dim.": hands(position * base ** (-4 * pairs / dim)),
        "** comes before / in Python: base ** (2 * i) / dim divides the power by dim. Put the whole "
        "exponent in brackets: base ** (2 * i / dim).": (
            hands(position * dim * base ** (-2 * pairs))
        ),
        "** comes before / in Python: position / base ** (2 * i) / dim divides by dim outside the "
        "exponent. Put the whole exponent in brackets: base ** (2 * i / dim).": (
            hands(position / dim * base ** (-2 * pairs))
        ),
        NO_BRACKETS: hands(position / (base**2 * pairs / dim)),
        "You count a full turn, 2 pi, for each place. There is no pi in the formula: hand 0 turns by 1 "
        "radian at each place.": hands(2 * math.pi * right),
        "Your slow hands come first. Hand 0 is the fastest: it turns by 1 radian at each "
        "place.": hands(right.flip(0)),
        "Your exponent is i/(dim/2 - 1), as in tensor2tensor, so that the slowest hand reaches the base "
        "exactly. Here it is the paper's: 2i/dim.": hands(
            position * base ** (-pairs / (dim / 2 - 1))
        ),
        "Your hands are counted from 1, so the fastest hand is missing. Hand 0 turns by 1 radian at "
        "each place.": hands(position * base ** (-2 * (pairs + 1) / dim)),
        "Sine and cosine are swapped: the even columns hold the sine.": (
            torch.stack([right.cos(), right.sin()], dim=-1).flatten()
        ),
        "Your angles are taken for degrees. math.sin and torch.sin expect radians, and the formula "
        "gives radians already: nothing is to be converted.": hands(torch.deg2rad(right)),
        "Your places are counted from 1: the code of place 0 must have all its hands straight up, "
        "sine 0 and cosine 1.": hands((position + 1) * base ** (-2 * pairs / dim)),
        "The sine and the cosine of one hand must share one angle. In your code every column has an "
        "angle of its own, so no pair is the tip of a hand. Count hands, not columns.": (
            one_angle_a_column(position * base ** (-columns / dim))
        ),
        "You took the number of the column for the number of the hand: there are dim/2 hands, and each "
        "takes two columns.": one_angle_a_column(position * base ** (-2 * columns / dim)),
        "The base is fixed at 10000 in your code. It is an argument of the function: use "
        "`base`.": hands(position * 10000.0 ** (-2 * pairs / dim)),
        "Every column holds a sine in your code. The second number of each hand is a cosine: a sine "
        "alone does not say on which side the hand stands.": (
            torch.stack([right.sin(), right.sin()], dim=-1).flatten()
        ),
        "All hands turn at the same speed in your code, so places some six apart look nearly alike. "
        "Divide the place by base^(2i/dim), a different number for each hand i.": (
            hands(torch.full_like(pairs, position))
        ),
    }


@exercise("2.3", "each pair turned by its own angle: lengths are kept")
def turn_vector(answer: Callable[..., Any]) -> None:
    vector = torch.tensor([1.0, 0.5, -0.3, 2.0, 0.7, -1.1, 0.2, 0.9])
    cases = ((13, 8, 10000.0), (0, 4, 10000.0), (2, 6, 100.0), (2.5, 4, 10000.0))
    for position, dim, base in cases:
        given = vector[:dim].clone()
        got = answer(given, position) if base == 10000.0 else answer(given, position, base)
        expect_tensor(got)
        if not torch.equal(given, vector[:dim]):
            refuse(
                "Your function changes the vector it was given. The caller still needs that: the "
                "same vector is turned to other places too. Write into a new tensor. (Changing a "
                "number before its partner is computed also gives a wrong partner.)"
            )
        expect_close(
            got,
            apply_rotary(vector[None, :dim], torch.tensor([position]), base)[0],
            turn_mistakes(vector[:dim], position, base),
            what=f"a vector of {dim} numbers turned to place {position} with base {base:g}",
        )
    still = torch.tensor([0.0, 0.0, 1.0, 0.0])
    expect_also(
        answer,
        (still, 1),
        apply_rotary(still[None], torch.tensor([1]), 10000.0)[0],
        "A pair (0, 0) has no angle of its own, and stays (0, 0). Turn with sine and cosine of the "
        "place's angle; no angle of the vector is needed.",
    )


def turn_mistakes(vector: Tensor, position: float, base: float) -> dict[str, Tensor]:
    """What is said about a wrong turn -> the numbers that this mistake gives."""
    dim = len(vector)
    pairs = torch.arange(dim // 2, dtype=torch.float64)
    speeds = base ** (-2 * pairs / dim)
    even, odd = vector[0::2].double(), vector[1::2].double()
    first, second = vector.double().chunk(2)

    def turned(angles: Tensor) -> Tensor:
        a, b = even * angles.cos() - odd * angles.sin(), even * angles.sin() + odd * angles.cos()
        return torch.stack([a, b], dim=-1).flatten()

    right = position * speeds
    a = even * right.cos() - odd * right.sin()
    b = even * right.sin() + odd * right.cos()
    both_plus = torch.stack([even * right.cos() + odd * right.sin(), b], dim=-1).flatten()
    swapped = torch.stack(
        [even * right.sin() - odd * right.cos(), even * right.cos() + odd * right.sin()], dim=-1
    ).flatten()
    halves = [
        first * right.cos() - second * right.sin(),
        first * right.sin() + second * right.cos(),
    ]
    return {
        "You turn the other way round: in the first number of a pair the sine has a minus sign, in the "
        "second a plus. Check with the example, where (1, 0) becomes (0.540, 0.841).": turned(
            -right
        ),
        "The place does not enter your angle: every token would be turned alike, and no distance could "
        "be read. The angle of pair i is position * base^(-2i/dim).": turned(speeds),
        "You turn by the number of the pair. A pair's number sets its speed only; how far it turns also "
        "depends on the place.": turned(pairs),
        "All pairs are turned by the same angle. Each pair has its own speed, as the hands of the clock "
        "do: base^(-2i/dim) for pair i.": turned(torch.full_like(pairs, position)),
        "You paired number i with number i + dim/2, the convention of Llama in the Hugging Face format. "
        "Here neighbors make a pair: (0, 1), (2, 3), ...": torch.cat(halves),
        "The first number of a pair was overwritten before the second was computed from it. Keep the "
        "old values of both until both new ones are there.": (
            torch.stack([a, a * right.sin() + odd * right.cos()], dim=-1).flatten()
        ),
        "The exponent is -i/dim in your code. It is -2i/dim, as for the hands of the clock: each pair "
        "takes two of the dim numbers.": turned(position * base ** (-pairs / dim)),
        "Your i steps over numbers, 0, 2, 4, ..., and is doubled once more: pair 1 gets the speed of "
        "pair 2. Either count pairs and use -2i/dim, or step by 2 and use "
        "-i/dim.": turned(position * base ** (-4 * pairs / dim)),
        "Sine and cosine are swapped. The first number of a pair becomes a cos t - b sin t: at place 0 "
        "the cosine is 1, and the vector stays as it is.": swapped,
        "Both of your signs are plus. The first number of a pair has a minus: a cos t - b sin t; "
        "without it, the length of the vector is not kept.": both_plus,
        "All pairs but the first stand still in your code. Is every pair turned, and is the exponent "
        "-2i divided by dim?": turned(position * base ** (-2 * pairs)),
        "Your places are counted from 1: place 0 leaves a vector as it is.": (
            turned((position + 1) * speeds)
        ),
        "You make the place a whole number. A place may be a fraction: section 12 "
        "squeezes a long text into fewer places.": turned(int(position) * speeds),
        "You divided with //, which drops what stands after the point. Use /: a slow pair turns by a "
        "fraction.": turned(right.floor()),
        "The exponent is positive in your code: later pairs turn faster and faster. The sign is minus, "
        "so that later pairs are slower.": turned(position / speeds),
        "Your angles are taken for degrees; the formula gives radians already.": (
            turned(torch.deg2rad(right))
        ),
        "The base is fixed at 10000 in your code. It is an argument of the function: use "
        "`base`.": turned(position * 10000.0 ** (-2 * pairs / dim)),
        "The vector comes back as it was: nothing was turned. Only place 0 leaves a vector "
        "alone.": vector,
        "You added the clock's sine and cosine to the vector. Rotary positions add nothing: they turn, "
        "and the length of the vector is kept.": (
            vector.double() + torch.stack([right.sin(), right.cos()], dim=-1).flatten()
        ),
        "You multiplied each number by its own sine or cosine. A turn mixes the two numbers of a pair: "
        "each new number is made of both old ones.": (
            torch.stack([even * right.cos(), odd * right.sin()], dim=-1).flatten()
        ),
    }


@exercise("2.4", "a penalty that grows with the distance, with a slope for each head")
def penalty(answer: Callable[[int, int, int], Any]) -> None:
    for heads, queries, keys in ((4, 3, 5), (8, 4, 4), (2, 1, 6), (16, 2, 3), (1, 1, 3)):
        got = answer(heads, queries, keys)
        expect_tensor(got)
        here = f"{heads} heads, {queries} queries and {keys} keys"
        expect_close(
            got,
            alibi_bias(heads, queries, keys),
            penalty_mistakes(heads, queries, keys),
            what=f"the bias for {here}",
        )


def penalty_mistakes(heads: int, queries: int, keys: int) -> dict[str, Tensor]:
    """What is said about a wrong penalty -> the numbers that this mistake gives."""
    head = torch.arange(heads, dtype=torch.float64)[:, None, None]
    slope = 2 ** (-8 * (head + 1) / heads)
    at = torch.arange(queries)[:, None] + keys - queries
    to_left = (at - torch.arange(keys)).double()
    distance = to_left.abs()
    from_end = to_left + queries - 1
    from_start = (torch.arange(queries)[:, None] - torch.arange(keys)).abs().double()
    return {
        "Your numbers are positive: far tokens would count more. A penalty is subtracted, so the bias "
        "is 0 or negative.": slope * distance,
        "Your queries start at the first key. There are fewer queries than keys, and the last query "
        "stands at the last key: query i stands at place i + keys - queries.": -slope * from_start,
        "Keys ahead of their query get no penalty in your bias. The distance counts to both sides: take "
        "the absolute value.": -slope * to_left.clamp(min=0),
        "All of your queries stand at the last key. Only the last one does: query i stands at place "
        "i + keys - queries.": -slope * (keys - 1 - torch.arange(keys)).expand(queries, -1),
        "Your query i stands at place i + keys - 1, beyond the last key. It stands at place "
        "i + keys - queries, so that the last one meets the last key.": -slope * from_end,
        "** comes before * and / in Python: 2 ** -8 * (h + 1) / H is no power of two any more. Put the "
        "whole exponent in brackets: 2 ** (-8 * (h + 1) / H).": (
            -distance * 2**-8 * (head + 1) / heads
        ),
        "Your exponent lacks brackets: -8 * h + 1 is not -8 * (h + 1).": (
            -distance * 2 ** ((-8 * head + 1) / heads)
        ),
        f"You divided with //, which rounds the exponent. With {heads} heads it is a fraction: use "
        "/.": -distance * 2 ** (-8 * (head + 1) / heads).floor(),
        f"You divided with //, which rounds the exponent. With {heads} heads the exponent is a "
        "fraction: use /.": -distance * 2 ** (-8 * (head + 1) / heads).ceil(),
        "Your queries stand one place too far right: query i stands at place i + keys - queries, and "
        "the last one at keys - 1.": -slope * (to_left + 1).abs(),
        "Your queries stand one place too far left: query i stands at place i + keys - queries, and "
        "the last one at keys - 1.": -slope * (to_left - 1).abs(),
        "Your distances are one too large: where a query meets the key of its own place, the distance "
        "is 0.": -slope * (distance + 1),
        "A key to the right of its query gets a bonus, because your distance has a sign. A distance is "
        "never negative: take the absolute value.": -slope * to_left,
        "A key to the right of its query gets a penalty and one to the left a bonus: your distance has "
        "a sign, and no absolute value is taken.": slope * to_left,
        "Your slopes fall in equal steps, (h + 1)/H. ALiBi's are in equal ratio: each is the one before "
        "times the same factor, 2^(-8/H).": -distance * (head + 1) / heads,
        "Your slopes fall as 1/(h + 1). ALiBi's are in equal ratio: each is the one before times the "
        "same factor, 2^(-8/H).": -distance / (head + 1),
        "Your first slope is 1: you left out the + 1 of the formula. Heads are counted from 0, and head "
        "0 has the slope 2^(-8/H).": -distance * 2 ** (-8 * head / heads),
        "Your slopes do not depend on the number of heads: 1/2, 1/4, ... is right for 8 heads only. "
        "The exponent is -8(h + 1)/H.": -distance * 2.0 ** -(head + 1),
        "All heads have the same slope. Each head has its own, so that some see near and some "
        "far.": -(slope[:1] * distance).expand(heads, -1, -1),
        "The axis of the heads is missing: every head has a table (queries, keys) of its own, because "
        "every head has a slope of its own.": -(slope * distance)[0],
        "You squared the distance. ALiBi is linear: twice as far, twice the penalty.": (
            -slope * distance**2
        ),
        "Your slopes are in the wrong order: head 0 has the largest one.": -slope.flip(0)
        * distance,
        "You applied exp: that is the factor on the weights, after the softmax. The bias is added to "
        "the scores, before it.": (-slope * distance).exp(),
        "Keys ahead of their query are blocked in your bias. That is the causal mask, a separate thing: "
        "ALiBi alone gives every key a finite penalty.": (
            (-slope * distance).masked_fill(to_left < 0, -math.inf)
        ),
    }
