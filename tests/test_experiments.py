"""The recorded studies: fair starts, honest measurement, and files that survive an interruption."""

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
import torch.nn.functional as F

from course_utils.experiments import (
    STUDIES,
    PositionModel,
    course_ids,
    course_tokenizer,
    find_study,
    language,
    loss_by_position,
    position_lengths,
    run_study,
    save_result,
    train_position_model,
)
from course_utils.experiments import study as study_module
from course_utils.experiments.__main__ import main
from course_utils.experiments.attention_cost import measure_attention
from course_utils.experiments.encoder_parts import Part, TokenModel, learning_rate, token_batch
from course_utils.lesson import recorded

FAMILIES = ("none", "sinusoidal", "learned", "rotary", "alibi")
SHAPE = {"vocab": 31, "dim": 24, "depth": 2, "heads": 3, "length": 11}
# The study's own recipe, made tiny.
TINY = {
    **find_study("position_lengths").recipe,
    "seeds": 2,
    "vocab": 300,
    "dim": 8,
    "depth": 1,
    "heads": 2,
    "length": 7,
    "batch": 3,
    "steps": 2,
    "lengths": [7, 14],
    "windows": 5,
    "targets": 3,
    "bucket": 7,
}


def model(family, seed=0, dtype=torch.float64):
    torch.manual_seed(seed)
    made = PositionModel(family=family, **SHAPE).to(dtype)
    if family == "learned":
        torch.nn.init.normal_(made.positions.table)
    return made.eval()


def ids(*shape, seed=0):
    return torch.randint(SHAPE["vocab"], shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(autouse=True)
def in_float64():
    """Sinusoidal tables and ALiBi come in the default type; the models here are float64."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# --- The model ---


@pytest.mark.parametrize("family", FAMILIES)
def test_no_family_looks_ahead(family):
    text = ids(2, 11)
    changed = text.clone()
    changed[:, 7:] = (changed[:, 7:] + 1) % SHAPE["vocab"]
    before, after = model(family)(text), model(family)(changed)
    torch.testing.assert_close(before[:, :7], after[:, :7])
    assert not torch.allclose(before[:, 7:], after[:, 7:])


def by_hand(made, text):
    """One text (tokens,) through the model with explicit loops over heads, queries and keys."""
    from course_utils.positions import alibi_bias, apply_rotary, sinusoidal_positions

    x = made.embed(text)
    n, dim = x.shape
    if made.family == "sinusoidal":
        x = x + sinusoidal_positions(n, dim)
    if made.family == "learned":
        x = x + made.positions.table[:n]
    for block in made.blocks:
        q, k, v = block.qkv(block.norm1(x)).view(n, 3, block.heads, -1).permute(1, 2, 0, 3)
        if made.family == "rotary":
            q, k = apply_rotary(q), apply_rotary(k)
        heads = []
        for h in range(block.heads):
            rows = []
            for i in range(n):
                scores = k[h, : i + 1] @ q[h, i] / q.shape[-1] ** 0.5
                if made.family == "alibi":
                    scores = scores + alibi_bias(block.heads, n, n)[h, i, : i + 1]
                rows.append(scores.softmax(0) @ v[h, : i + 1])
            heads.append(torch.stack(rows))
        x = x + block.proj(torch.cat(heads, dim=-1))
        x = x + block.mlp(block.norm2(x))
    return made.head(made.norm(x))


@pytest.mark.parametrize("family", FAMILIES)
def test_the_model_equals_a_loop(family):
    made, text = model(family), ids(7)
    torch.testing.assert_close(made(text[None])[0], by_hand(made, text))


def test_all_families_start_from_the_same_weights():
    starts = {family: model(family).state_dict() for family in FAMILIES}
    shared = set(starts["none"])
    for family in FAMILIES:
        extra = set(starts[family]) - shared
        assert extra == ({"positions.table"} if family == "learned" else set())
        for name in shared:
            assert torch.equal(starts[family][name], starts["none"][name])


def test_a_learned_table_ends_and_its_makeshift_repeats_the_last_row():
    made, text = model("learned"), ids(1, 13)
    with pytest.raises(ValueError, match="learned positions exist for 11 tokens; got 13"):
        made(text)
    made.beyond = "last row repeated"
    with torch.no_grad():
        longer = PositionModel(family="learned", **{**SHAPE, "length": 13}).eval()
        table = made.positions.table
        state = made.state_dict() | {"positions.table": torch.cat([table, table[-1:], table[-1:]])}
        longer.load_state_dict(state)
    torch.testing.assert_close(made(text), longer(text))
    torch.testing.assert_close(made(text[:, :5]), longer(text[:, :5]))


def test_squeezed_rotary_positions_stay_in_the_trained_range():
    made = model("rotary")
    assert made.inside_attention(22)[0][-1] == 21
    made.beyond = "positions squeezed"
    torch.testing.assert_close(made.inside_attention(22)[0], torch.arange(22) / 2)
    torch.testing.assert_close(made.inside_attention(11)[0], torch.arange(11.0))


def test_unknown_family_and_study_are_named_with_those_there_are():
    with pytest.raises(ValueError, match=r"none, sinusoidal, learned, rotary, alibi; got 'rope'"):
        PositionModel(family="rope", **SHAPE)
    with pytest.raises(ValueError, match="no study 'lengths'; there are: position_lengths"):
        find_study("lengths")


# --- Training and measuring ---


@pytest.fixture
def tiny_text(monkeypatch):
    """A short text instead of the course's, in float32."""
    torch.set_default_dtype(torch.float32)
    text = ["the cat sat on the mat. " * 20, "a dog ran to the cat and the mat. " * 10]
    monkeypatch.setattr(language, "course_text", lambda split: text)
    course_ids.cache_clear()
    course_tokenizer.cache_clear()
    yield
    course_ids.cache_clear()
    course_tokenizer.cache_clear()


def test_training_lowers_the_loss_and_leaves_the_random_numbers_alone(tiny_text):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    wrapped = []
    recipe = {**TINY, "steps": 60}
    made = train_position_model("rotary", 0, recipe, steps=lambda s: wrapped.append(s) or s)
    assert torch.equal(torch.rand(3), expected)
    assert wrapped == [range(60)]
    start = train_position_model("rotary", 0, {**recipe, "steps": 1})
    assert not made.training
    better = loss_by_position(made, 7, recipe).mean()
    assert better < loss_by_position(start, 7, recipe).mean() - 0.5


def test_the_same_seed_gives_the_same_model_and_another_seed_another(tiny_text):
    first, again, other = (train_position_model("alibi", seed, TINY) for seed in (0, 0, 1))
    assert torch.equal(first.head.weight, again.head.weight)
    assert not torch.equal(first.head.weight, other.head.weight)


def test_losses_are_those_of_the_same_targets_at_every_length(tiny_text):
    made = train_position_model("none", 0, TINY)
    row = course_ids("validation", TINY["vocab"])
    ends = torch.linspace(15, len(row), 5, dtype=torch.float64).long()
    for length in TINY["lengths"]:
        losses = loss_by_position(made, length, TINY)
        assert losses.shape == (5, length)
        for window, end in enumerate(ends.tolist()):
            text = row[end - length - 1 : end]
            scores = made(text[None, :-1])[0]
            expected = F.cross_entropy(scores, text[1:], reduction="none")
            torch.testing.assert_close(losses[window], expected.detach())


# --- Studies and their files ---


def test_a_study_has_a_run_for_every_family_and_seed(tiny_text, tmp_path):
    result = run_study("position_lengths", TINY, tmp_path)
    assert [(r["family"], r["seed"]) for r in result["runs"]] == [
        (family, seed) for seed in range(2) for family in FAMILIES
    ]
    learned = result["runs"][2]
    assert learned["as trained"]["same_targets"][1] is None
    assert len(learned["as trained"]["by_position"]) == 1
    assert (
        learned["last row repeated"]["same_targets"][0]
        == (learned["as trained"]["same_targets"][0])
    )
    assert len(learned["last row repeated"]["by_position"]) == 2
    assert "positions squeezed" in result["runs"][3]


def test_an_interrupted_study_goes_on_where_it_was(tiny_text, tmp_path, monkeypatch):
    done = []
    real = position_lengths.train_position_model

    def dies_at_the_fourth(family, seed, recipe):
        if len(done) == 3:
            raise KeyboardInterrupt
        done.append((family, seed))
        return real(family, seed, recipe)

    monkeypatch.setattr(position_lengths, "train_position_model", dies_at_the_fourth)
    with pytest.raises(KeyboardInterrupt):
        run_study("position_lengths", TINY, tmp_path)
    monkeypatch.setattr(
        position_lengths,
        "train_position_model",
        lambda f, s, r: done.append((f, s)) or real(f, s, r),
    )
    resumed = run_study("position_lengths", TINY, tmp_path)
    assert len(done) == len(set(done)) == 10
    whole = run_study("position_lengths", TINY, tmp_path / "afresh")
    strip = [{k: v for k, v in run.items() if k != "seconds"} for run in resumed["runs"]]
    assert strip == [{k: v for k, v in run.items() if k != "seconds"} for run in whole["runs"]]


def test_numbers_of_another_recipe_are_not_taken(tiny_text, tmp_path):
    run_study("position_lengths", {**TINY, "seeds": 1}, tmp_path)
    run_study("position_lengths", {**TINY, "seeds": 1, "lr": 0.1}, tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_saved_result_says_where_it_comes_from(tmp_path):
    runs = [{"family": "none", "seed": 0, "loss": [1.5, None]}, {"family": "alibi", "seed": 0}]
    path = tmp_path / "r.json"
    save_result({"study": "s", "recipe": {"seeds": 1}, "runs": runs}, path)
    text = path.read_text(encoding="utf-8")
    saved = json.loads(text)
    assert saved["runs"] == runs
    assert {"python", "numpy", "scikit-learn", "torch"} == set(saved["versions"])
    assert "CPU" in saved["hardware"]
    assert '  {"family": "none", "seed": 0, "loss": [1.5, null]},\n' in text


def test_the_command_records_only_the_full_study(tiny_text, tmp_path, monkeypatch, caplog):
    threads = torch.get_num_threads()
    kept = []
    tiny = replace(
        find_study("position_lengths"),
        recipe=TINY,
        trial={"seeds": 1},
        keep=lambda result, cache: kept.append((len(result["runs"]), cache)),
    )
    monkeypatch.setattr(position_lengths, "STUDY", tiny)
    folders = ["--cache", str(tmp_path / "cache"), "--results", str(tmp_path)]
    with caplog.at_level(logging.INFO, logger="course_utils.experiments"):
        main(["position_lengths", *folders])
        assert not (tmp_path / "position_lengths.json").exists()
        assert '"runs": [' in caplog.text
        assert kept == []
        main(["position_lengths", "--full", *folders])
    torch.set_num_threads(threads)
    assert len(json.loads((tmp_path / "position_lengths.json").read_bytes())["runs"]) == 10
    assert kept == [(10, tmp_path / "cache")]


# --- What is recorded ---


def test_the_recorded_study_is_complete_and_of_the_recipe_in_the_code():
    study = recorded("position_lengths")
    recipe = find_study("position_lengths").recipe
    assert study["recipe"] == recipe
    assert recipe["seeds"] >= 3
    assert len(study["runs"]) == recipe["seeds"] * len(FAMILIES)
    for run in study["runs"]:
        lengths = run["as trained"]["same_targets"]
        assert len(lengths) == len(recipe["lengths"])
        assert all((loss is None) == (run["family"] == "learned") for loss in lengths[1:])
        assert run["parameters"] == 166144 + (64 * 64 if run["family"] == "learned" else 0)


# --- What attention costs ---

SMALL = {**find_study("attention_cost").recipe, "calls": 1, "heads": 2, "head_dim": 8}


@pytest.mark.skipif(
    not Path("/proc/self/clear_refs").exists(), reason="memory is measured on Linux only"
)
def test_attention_is_measured_in_a_process_of_its_own(tmp_path):
    threads = torch.get_num_threads()
    job = {"round": 0, "tokens": 1024, "version": "explicit"}
    explicit = find_study("attention_cost").run(SMALL, job, tmp_path)
    fused = find_study("attention_cost").run(SMALL, {**job, "version": "fused"}, tmp_path)
    scores = 2 * 1024**2 * 4 / 1e6
    assert 1.9 * scores < explicit["megabytes"] < 3 * scores  # the scores and the weights
    assert fused["megabytes"] < scores
    assert explicit["milliseconds"] > 0
    assert torch.get_num_threads() == threads


def test_an_unknown_version_of_attention_is_named_with_those_there_are():
    with pytest.raises(ValueError, match="explicit, fused; got 'flash'"):
        measure_attention(SMALL, "flash", 16)


def test_the_recorded_costs_are_complete_and_say_what_lesson_3_says():
    study = recorded("attention_cost")
    recipe = find_study("attention_cost").recipe
    assert study["recipe"] == recipe
    cost = {(run["round"], run["tokens"], run["version"]): run for run in study["runs"]}
    assert len(cost) == recipe["rounds"] * len(recipe["tokens"]) * 2
    for turn in range(recipe["rounds"]):
        for version, growth in (("explicit", 16), ("fused", 4)):
            short, long = (cost[turn, tokens, version] for tokens in (1024, 4096))
            assert 0.8 * growth < long["megabytes"] / short["megabytes"] < 1.2 * growth
            assert 10 < long["milliseconds"] / short["milliseconds"] < 26  # the square: 16


# --- The encoder's parts and the order of its norms ---

TOKEN_SHAPE = {"vocab": 31, "dim": 24, "depth": 2, "heads": 3, "length": 11}


def token_model(without="nothing"):
    torch.manual_seed(0)
    return TokenModel(**TOKEN_SHAPE, without=without).eval()


@pytest.mark.parametrize("without", get_args(Part))
def test_only_attention_moves_something_between_tokens(without):
    text, asked = ids(2, 11), torch.zeros(2, 11, dtype=torch.bool)
    asked[:, 4] = True
    changed = text.clone()
    changed[:, 7] = (changed[:, 7] + 1) % TOKEN_SHAPE["vocab"]
    with torch.no_grad():
        before, after = (token_model(without)(t, asked) for t in (text, changed))
    assert before.shape == (2, TOKEN_SHAPE["vocab"])
    assert torch.allclose(before, after, rtol=0, atol=1e-12) == (without == "attention")


def test_without_positions_the_order_of_the_others_is_unseen():
    text, asked = ids(1, 11), torch.zeros(1, 11, dtype=torch.bool)
    asked[0, 0] = True
    shuffled = text[:, [0, *range(10, 0, -1)]]
    for without, same in (("positions", True), ("nothing", False)):
        model = token_model(without)
        assert torch.allclose(model(text, asked), model(shuffled, asked)) == same


def test_an_unknown_part_is_refused(without_shape_types):
    with pytest.raises(ValueError, match=r"without must be one of nothing, positions, .*'heads'"):
        token_model("heads")


def test_a_masked_batch_hides_its_targets_and_nothing_else():
    recipe = {"task": "masked", "length": 11, "masked": 3, "vocab": 31}
    row = ids(100) % 30
    inputs, asked, targets, mask = token_batch(row, 5, recipe, torch.Generator().manual_seed(0))
    assert mask is None
    assert asked.sum(dim=1).tolist() == [3] * 5
    assert ((inputs == 30) == asked).all()
    windows = inputs.masked_scatter(asked, targets)
    assert all(any(torch.equal(window, row[i : i + 11]) for i in range(90)) for window in windows)


def test_next_token_batches_ask_for_every_following_token():
    recipe = {"task": "next", "length": 7, "vocab": 31}
    row = torch.arange(50) % 31
    inputs, asked, targets, mask = token_batch(row, 5, recipe, torch.Generator().manual_seed(0))
    assert asked.all()
    assert torch.equal(targets.view(5, 7), (inputs + 1) % 31)
    assert torch.equal(mask, torch.ones(7, 7, dtype=torch.bool).tril())


def test_the_learning_rate_rises_then_falls_to_nothing():
    shares = [learning_rate(step, steps=100, warm_up=20) for step in range(100)]
    assert shares[0] == pytest.approx(1 / 20)
    assert max(range(100), key=shares.__getitem__) == 19
    assert shares[-1] < 0.001
    assert learning_rate(0, steps=100, warm_up=0) == 1.0


@pytest.mark.parametrize("name", ["encoder_parts", "norm_order"])
def test_recorded_encoder_studies_are_whole(name):
    study, result = find_study(name), recorded(name)
    assert result["recipe"] == json.loads(json.dumps(dict(study.recipe)))
    jobs = study.jobs(study.recipe)
    assert [{key: run[key] for key in jobs[0]} for run in result["runs"]] == jobs


def test_every_study_in_the_folder_is_listed_and_its_jobs_have_names_of_their_own(tmp_path):
    folder = Path(study_module.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "STUDY = " in path.read_text()}
    assert files == set(STUDIES)
    for name in STUDIES:
        made = find_study(name)
        assert set(made.trial) <= set(made.recipe)
        jobs = made.jobs(made.recipe)
        assert len(
            {study_module.job_folder(name, made.recipe, job, tmp_path) for job in jobs}
        ) == len(jobs)


def test_the_studies_are_run_from_the_command_line():
    command = [sys.executable, "-m", "course_utils.experiments", "--help"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "--full" in said
    assert ",".join(STUDIES) in said.replace("\n", "").replace(" ", "")
