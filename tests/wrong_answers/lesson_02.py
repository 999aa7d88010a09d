"""Wrong answers that learners plausibly write for lesson 2, and what the check must say."""

import math

import torch

# --- 2.1: squeeze the places into 0 ... 1 ---


def as_many_gaps_as_tokens(length):
    codes = torch.tensor([i / length for i in range(length)])
    return codes, 1 / length


def counted_from_one(length):
    codes = torch.arange(1, length + 1) / length
    return codes, (codes[1] - codes[0]).item()


def not_squeezed(length):
    return torch.arange(length).float(), 1.0


def one_code_too_many(length):
    codes = torch.linspace(0, 1, length + 1)
    return codes, 1 / length


def right_codes_but_step_from_tokens(length):
    return torch.linspace(0, 1, length), 1 / length


def right_codes_but_step_unsqueezed(length):
    places = torch.arange(length)
    step = places[1] - places[0]
    return places / places.max(), step


def right_codes_but_step_from_the_example(length):
    return torch.linspace(0, 1, length), 0.5


def step_forgotten(length):
    return torch.linspace(0, 1, length)


def centered(length):
    codes = torch.linspace(-1, 1, length)
    return codes, codes[1] - codes[0]


def last_token_is_zero(length):
    codes = torch.linspace(0, 1, length).flip(0)
    return codes, 1 / (length - 1)


def step_before_codes(length):
    return 1 / (length - 1), torch.linspace(0, 1, length)


def whole_division(length):
    return torch.arange(length) // (length - 1), 1 / (length - 1)


def constant_step(length):
    return torch.arange(length) * 0.25, 0.25


def rounded_codes(length):
    step = 1 / (length - 1)
    return torch.tensor([round(i * step, 3) for i in range(length)]), step


def rounded_step(length):
    return torch.linspace(0, 1, length), round(1 / (length - 1), 3)


def gaps_as_a_power_of_two(length):
    gaps = 2 ** round(math.log2(length - 1))
    return torch.arange(length) / gaps, 1 / gaps


# --- 2.2: the clock of one place ---


def by_angle(angle):
    return lambda position, dim, base=10000.0: torch.tensor(
        [f(angle(position, dim, base, i)) for i in range(dim // 2) for f in (math.sin, math.cos)]
    )


floored = by_angle(lambda p, d, b, i: p // b ** (2 * i / d))
only_the_first_hand = by_angle(lambda p, d, b, i: p if i == 0 else 0.0)
begins_again = by_angle(lambda p, d, b, i: (p % 1000) / b ** (2 * i / d))
no_brackets_at_all = by_angle(lambda p, d, b, i: p / (b**2 * i / d))
full_turns = by_angle(lambda p, d, b, i: 2 * math.pi * p / b ** (2 * i / d))
slow_hands_first = by_angle(lambda p, d, b, i: p / b ** (2 * (d // 2 - 1 - i) / d))


def no_brackets_in_torch(position, dim, base=10000.0):
    angle = position / (base**2 * torch.arange(dim // 2) / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten()


def exponent_is_the_hand(position, dim, base=10000.0):
    out = []
    for i in range(dim // 2):
        out.append(math.sin(position / base**i))
        out.append(math.cos(position / base**i))
    return torch.tensor(out)


def exponent_not_divided(position, dim, base=10000.0):
    out = torch.zeros(dim)
    for i in range(dim // 2):
        out[2 * i] = math.sin(position / base ** (2 * i))
        out[2 * i + 1] = math.cos(position / base ** (2 * i))
    return out


def exponent_without_the_two(position, dim, base=10000.0):
    i = torch.arange(dim // 2)
    angle = position / base ** (i / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten()


def base_multiplies(position, dim, base=10000.0):
    i = torch.arange(dim // 2, dtype=torch.float64)
    angle = position * base ** (2 * i / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten()


def sines_then_cosines(position, dim, base=10000.0):
    angles = [position / base ** (2 * i / dim) for i in range(dim // 2)]
    return torch.tensor([math.sin(a) for a in angles] + [math.cos(a) for a in angles])


def cosine_first(position, dim, base=10000.0):
    out = torch.zeros(dim)
    for i in range(0, dim, 2):
        angle = position / base ** (i / dim)
        out[i], out[i + 1] = math.cos(angle), math.sin(angle)
    return out


def in_degrees(position, dim, base=10000.0):
    out = []
    for i in range(dim // 2):
        angle = math.radians(position / base ** (2 * i / dim))
        out += [math.sin(angle), math.cos(angle)]
    return torch.tensor(out)


def places_from_one(position, dim, base=10000.0):
    out = []
    for i in range(dim // 2):
        angle = (position + 1) / base ** (2 * i / dim)
        out += [math.sin(angle), math.cos(angle)]
    return torch.tensor(out)


def an_angle_for_each_column(position, dim, base=10000.0):
    out = []
    for column in range(dim):
        angle = position / base ** (column / dim)
        out.append(math.sin(angle) if column % 2 == 0 else math.cos(angle))
    return torch.tensor(out)


def column_for_hand(position, dim, base=10000.0):
    out = torch.zeros(dim)
    for column in range(dim):
        angle = position / base ** (2 * column / dim)
        out[column] = math.sin(angle) if column % 2 == 0 else math.cos(angle)
    return out


def one_speed(position, dim, base=10000.0):
    return torch.tensor([math.sin(position), math.cos(position)] * (dim // 2))


def a_list(position, dim, base=10000.0):
    angles = [position / base ** (2 * i / dim) for i in range(dim // 2)]
    return [number for a in angles for number in (math.sin(a), math.cos(a))]


def a_row_for_each_hand(position, dim, base=10000.0):
    angle = position / base ** (torch.arange(0, dim, 2) / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=1)


def doubled_twice(position, dim, base=10000.0):
    out = torch.zeros(dim)
    for i in range(0, dim, 2):
        angle = position / base ** (2 * i / dim)
        out[i], out[i + 1] = math.sin(angle), math.cos(angle)
    return out


def power_before_division(position, dim, base=10000.0):
    angles = [position / (base ** (2 * i) / dim) for i in range(dim // 2)]
    return torch.tensor([number for a in angles for number in (math.sin(a), math.cos(a))])


def divided_outside_the_exponent(position, dim, base=10000.0):
    angles = [position / base ** (2 * i) / dim for i in range(dim // 2)]
    return torch.tensor([number for a in angles for number in (math.sin(a), math.cos(a))])


def as_in_tensor2tensor(position, dim, base=10000.0):
    angle = position / base ** (torch.arange(dim // 2) / (dim / 2 - 1))
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten()


def hands_from_one(position, dim, base=10000.0):
    angle = position / base ** (2 * torch.arange(1, dim // 2 + 1) / dim)
    return torch.stack([angle.sin(), angle.cos()], dim=1).flatten()


# --- 2.3: turn a vector ---


def turned(vector, angles, sign=1):
    out = torch.zeros(len(vector))
    for i, t in enumerate(angles):
        a, b = vector[2 * i], vector[2 * i + 1]
        out[2 * i] = a * math.cos(t) - sign * b * math.sin(t)
        out[2 * i + 1] = sign * a * math.sin(t) + b * math.cos(t)
    return out


def other_way_round(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [position * base ** (-2 * i / d) for i in range(d // 2)], sign=-1)


def by_the_number_of_the_pair(vector, position, base=10000.0):
    return turned(vector, range(len(vector) // 2))


def position_forgotten(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [base ** (-2 * i / d) for i in range(d // 2)])


def same_angle_for_all(vector, position, base=10000.0):
    return turned(vector, [position] * (len(vector) // 2))


def halves_as_pairs(vector, position, base=10000.0):
    d = len(vector)
    t = position * base ** (-2 * torch.arange(d // 2) / d)
    a, b = vector[: d // 2], vector[d // 2 :]
    return torch.cat([a * t.cos() - b * t.sin(), a * t.sin() + b * t.cos()])


def partner_overwritten(vector, position, base=10000.0):
    out, d = vector.clone(), len(vector)
    for i in range(d // 2):
        t = position * base ** (-2 * i / d)
        out[2 * i] = out[2 * i] * math.cos(t) - out[2 * i + 1] * math.sin(t)
        out[2 * i + 1] = out[2 * i] * math.sin(t) + out[2 * i + 1] * math.cos(t)
    return out


def given_vector_changed(vector, position, base=10000.0):
    d = len(vector)
    for i in range(d // 2):
        t = position * base ** (-2 * i / d)
        a, b = vector[2 * i].item(), vector[2 * i + 1].item()
        vector[2 * i] = a * math.cos(t) - b * math.sin(t)
        vector[2 * i + 1] = a * math.sin(t) + b * math.cos(t)
    return vector


def exponent_halved(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [position / base ** (i / d) for i in range(d // 2)])


def faster_and_faster(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [position * base ** (2 * i / d) for i in range(d // 2)])


def clock_added(vector, position, base=10000.0):
    d = len(vector)
    code = []
    for i in range(d // 2):
        t = position * base ** (-2 * i / d)
        code += [math.sin(t), math.cos(t)]
    return vector + torch.tensor(code)


def doubled_twice_in_a_turn(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [position * base ** (-2 * i / d) for i in range(0, d, 2)])


def sine_and_cosine_swapped(vector, position, base=10000.0):
    t = position * base ** (-torch.arange(0, len(vector), 2) / len(vector))
    a, b = vector[0::2], vector[1::2]
    return torch.stack([a * t.sin() - b * t.cos(), a * t.cos() + b * t.sin()], dim=1).flatten()


def both_signs_plus(vector, position, base=10000.0):
    t = position * base ** (-torch.arange(0, len(vector), 2) / len(vector))
    a, b = vector[0::2], vector[1::2]
    return torch.stack([a * t.cos() + b * t.sin(), a * t.sin() + b * t.cos()], dim=1).flatten()


def first_pair_only(vector, position, base=10000.0):
    return turned(vector, [position] + [0.0] * (len(vector) // 2 - 1))


def whole_places(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [int(position) * base ** (-2 * i / d) for i in range(d // 2)])


def places_from_one_in_a_turn(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [(position + 1) * base ** (-2 * i / d) for i in range(d // 2)])


def floored_in_a_turn(vector, position, base=10000.0):
    d = len(vector)
    return turned(vector, [position // base ** (2 * i / d) for i in range(d // 2)])


# --- 2.4: ALiBi's penalty ---


def bias(heads, queries, keys, slope, distance):
    out = torch.zeros(heads, queries, keys)
    for h in range(heads):
        for i in range(queries):
            for j in range(keys):
                out[h, i, j] = -slope(h) * distance(i, j)
    return out


def bonus(heads, queries, keys):
    return -bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: abs(i + keys - queries - j),
    )


def queries_from_the_start(heads, queries, keys):
    return bias(
        heads, queries, keys, lambda h: 2 ** (-8 * (h + 1) / heads), lambda i, j: abs(i - j)
    )


def without_abs(heads, queries, keys):
    slopes = 2 ** (-8 * torch.arange(1, heads + 1) / heads)
    at = torch.arange(keys - queries, keys)
    return -slopes[:, None, None] * (at[:, None] - torch.arange(keys))


def equal_steps(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: (h + 1) / heads,
        lambda i, j: abs(i + keys - queries - j),
    )


def first_slope_is_one(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * h / heads),
        lambda i, j: abs(i + keys - queries - j),
    )


def slopes_of_eight_heads(heads, queries, keys):
    return bias(
        heads, queries, keys, lambda h: 0.5 ** (h + 1), lambda i, j: abs(i + keys - queries - j)
    )


def one_slope(heads, queries, keys):
    return bias(
        heads, queries, keys, lambda h: 2 ** (-8 / heads), lambda i, j: abs(i + keys - queries - j)
    )


def squared_distance(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: (i + keys - queries - j) ** 2,
    )


def causal_as_well(heads, queries, keys):
    out = bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: abs(i + keys - queries - j),
    )
    ahead = torch.ones(queries, keys, dtype=torch.bool).triu(keys - queries + 1)
    return out.masked_fill(ahead, -math.inf)


def nothing_ahead(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: max(0, i + keys - queries - j),
    )


def all_at_the_last_key(heads, queries, keys):
    return bias(
        heads, queries, keys, lambda h: 2 ** (-8 * (h + 1) / heads), lambda i, j: keys - 1 - j
    )


def beyond_the_last_key(heads, queries, keys):
    return bias(
        heads, queries, keys, lambda h: 2 ** (-8 * (h + 1) / heads), lambda i, j: i + keys - 1 - j
    )


def exponent_without_brackets(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2**-8 * (h + 1) / heads,
        lambda i, j: abs(i + keys - queries - j),
    )


def whole_exponents(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2.0 ** (-8 * (h + 1) // heads),
        lambda i, j: abs(i + keys - queries - j),
    )


def whole_positive_exponents(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 1 / 2 ** (8 * (h + 1) // heads),
        lambda i, j: abs(i + keys - queries - j),
    )


def plus_one_outside(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** ((-8 * h + 1) / heads),
        lambda i, j: abs(i + keys - queries - j),
    )


def one_too_far_right(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: abs(i + keys - queries + 1 - j),
    )


def one_too_far_left(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: abs(i + keys - queries - 1 - j),
    )


def distance_from_one(heads, queries, keys):
    return bias(
        heads,
        queries,
        keys,
        lambda h: 2 ** (-8 * (h + 1) / heads),
        lambda i, j: abs(i + keys - queries - j) + 1,
    )


def makes_fractional_steps(length):
    step = 1 / (length - 1)
    return torch.arange(0, 1 + step, step), step


def asks_the_vector_for_its_angle(vector, position, base=10000.0):
    pairs = vector.unflatten(0, (-1, 2))
    speeds = base ** (-2 * torch.arange(len(pairs)) / len(vector))
    angle = (pairs[:, 1] / pairs[:, 0]).atan() + torch.pi * (pairs[:, 0] < 0)
    angle = angle + position * speeds
    return (pairs.norm(dim=1)[:, None] * torch.stack([angle.cos(), angle.sin()], 1)).flatten()


BANK = {
    "2.1": [
        (as_many_gaps_as_tokens, "one gap fewer than tokens"),
        (counted_from_one, "you count places from 1"),
        (not_squeezed, "not squeezed"),
        (one_code_too_many, "one code too many"),
        (right_codes_but_step_from_tokens, "the step is not the gap"),
        (right_codes_but_step_unsqueezed, "before squeezing"),
        (right_codes_but_step_from_the_example, "another length"),
        (step_forgotten, "Return two things"),
        (centered, "from -1 to 1"),
        (last_token_is_zero, "backwards"),
        (step_before_codes, "codes come first"),
        (whole_division, "divided with //"),
        (constant_step, "0.25 for every length"),
        (rounded_codes, "codes are rounded"),
        (rounded_step, "step is rounded"),
        (gaps_as_a_power_of_two, "for 12 tokens"),
        (makes_fractional_steps, "one code too late"),
    ],
    "2.2": [
        (exponent_is_the_hand, "the number of the hand in your code"),
        (exponent_not_divided, "2i divided by dim"),
        (exponent_without_the_two, "i/dim in your code"),
        (base_multiplies, "the base multiplies the place"),
        (sines_then_cosines, "all sines stand first"),
        (cosine_first, "swapped"),
        (in_degrees, "degrees"),
        (places_from_one, "counted from 1"),
        (an_angle_for_each_column, "share one angle"),
        (column_for_hand, "number of the column"),
        (one_speed, "same speed"),
        (a_list, "goes on with tensors"),
        (a_row_for_each_hand, "row of its own"),
        (doubled_twice, "doubled once more"),
        (power_before_division, "divides the power by dim"),
        (divided_outside_the_exponent, "outside the exponent"),
        (as_in_tensor2tensor, "tensor2tensor"),
        (hands_from_one, "counted from 1, so the fastest"),
        (floored, "divided with //"),
        (only_the_first_hand, "all hands but the first stand still"),
        (begins_again, "place 1234"),
        (no_brackets_at_all, "divide by 0"),
        (no_brackets_in_torch, "is 0 for hand 0"),
        (full_turns, "no pi in the formula"),
        (slow_hands_first, "slow hands come first"),
    ],
    "2.3": [
        (other_way_round, "other way round"),
        (by_the_number_of_the_pair, "by the number of the pair"),
        (position_forgotten, "the place does not enter"),
        (same_angle_for_all, "same angle"),
        (halves_as_pairs, "i + dim/2"),
        (partner_overwritten, "overwritten"),
        (given_vector_changed, "changes the vector it was given"),
        (exponent_halved, "-i/dim in your code"),
        (faster_and_faster, "faster and faster"),
        (clock_added, "add nothing"),
        (doubled_twice_in_a_turn, "doubled once more"),
        (sine_and_cosine_swapped, "swapped"),
        (both_signs_plus, "both of your signs are plus"),
        (first_pair_only, "all pairs but the first stand still"),
        (whole_places, "a whole number"),
        (places_from_one_in_a_turn, "counted from 1"),
        (floored_in_a_turn, "divided with //"),
        (asks_the_vector_for_its_angle, "has no angle of its own"),
    ],
    "2.4": [
        (bonus, "your numbers are positive"),
        (queries_from_the_start, "the last query stands at the last key"),
        (without_abs, "absolute value"),
        (equal_steps, "equal ratio"),
        (first_slope_is_one, "your first slope is 1"),
        (slopes_of_eight_heads, "do not depend on the number of heads"),
        (one_slope, "same slope"),
        (squared_distance, "squared"),
        (causal_as_well, "causal mask"),
        (nothing_ahead, "no penalty"),
        (all_at_the_last_key, "all of your queries stand"),
        (beyond_the_last_key, "beyond the last key"),
        (exponent_without_brackets, "whole exponent in brackets"),
        (whole_exponents, "rounds the exponent"),
        (whole_positive_exponents, "rounds the exponent"),
        (plus_one_outside, "lacks brackets"),
        (one_too_far_right, "too far right"),
        (one_too_far_left, "too far left"),
        (distance_from_one, "one too large"),
    ],
}
