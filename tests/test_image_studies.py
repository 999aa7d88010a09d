"""The studies on images, tiny: what they train, what they measure, what they keep."""

import io
import json
import os
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from course_utils.data import cifar10
from course_utils.data.normalized import CIFAR10_MEAN, CIFAR10_STD, NormalizedImages
from course_utils.evaluation import evaluate
from course_utils.experiments import (
    cifar10_models,
    find_study,
    model_claims,
    run_study,
    texture_or_shape,
    training_set_size,
    transfer,
)
from course_utils.experiments.images import LEARNING_RATES, MODELS, build_model, cifar
from course_utils.lesson import recorded
from course_utils.measures import linear_cka
from course_utils.training import STATE

SMALL = {
    "resnet_small32": {"depths": [1, 1], "widths": [4, 8]},
    "vit_small32": {"dim": 8, "heads": 2, "depth": 2},
    "cvt_small32": {"dims": [4, 8, 8], "depths": [1, 1, 1], "heads": [1, 2, 2]},
}
TRAINING = {
    **find_study("training_set_size").recipe["training"],
    "batch_size": 16,
    "precision": "float32",
}
PAIR = ("resnet_small32", "vit_small32")
RECORDED = (
    "learning_rates",
    "cifar10_models",
    "vit_ablations",
    "training_set_size",
    "model_claims",
    "texture_or_shape",
    "explanations",
    "transfer",
)


@pytest.fixture
def tiny_cifar(tmp_path, monkeypatch):
    """A data set in CIFAR-10's own layout: 100 images to train on and 20 to test on."""
    from datasets import ClassLabel, Dataset, Features
    from datasets import Image as ImageFeature

    folder = tmp_path / "data" / "cifar10" / "plain_text"
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    names = [f"class {i}" for i in range(10)]
    features = Features({"img": ImageFeature(), "label": ClassLabel(names=names)})
    for split, items in (("train", 100), ("test", 20)):
        pixels = torch.randint(256, (items, 32, 32, 3), generator=generator, dtype=torch.uint8)
        rows = {"img": [], "label": [i % 10 for i in range(items)]}
        for image in pixels.numpy():
            content = io.BytesIO()
            Image.fromarray(image).save(content, "PNG")
            rows["img"].append({"bytes": content.getvalue(), "path": None})
        made = Dataset.from_dict(rows, features=features)
        made.to_parquet(folder / f"{split}-00000-of-00001.parquet")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "data"))
    cifar.cache_clear()
    yield
    cifar.cache_clear()


def models(names=MODELS):
    return {name: {"arguments": SMALL[name], "learning_rate": 0.01} for name in names}


def numbers(result):
    """Without what a clock tells."""
    clocks = ("seconds", "test_images_per_second")
    return [{k: v for k, v in run.items() if k not in clocks} for run in result["runs"]]


# --- What they share ---


def test_a_seed_decides_the_first_weights_as_a_seed_set_by_hand_does():
    from course_utils.vit import PRESETS, VisionTransformer

    torch.manual_seed(3)
    expected = VisionTransformer(**{**PRESETS["vit_small32"], "depth": 1})
    torch.manual_seed(5)
    before = torch.get_rng_state()
    ours = build_model("vit_small32", 3, depth=1)
    assert torch.equal(torch.get_rng_state(), before)
    for name, value in expected.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value)


def test_the_three_models_are_of_one_size():
    sizes = [sum(p.numel() for p in build_model(name, 0).parameters()) for name in MODELS]
    assert max(sizes) / min(sizes) < 1.1
    assert set(LEARNING_RATES) == set(MODELS)


@pytest.mark.parametrize("name", RECORDED)
def test_a_recipe_survives_a_file(name):
    study = find_study(name)
    assert json.loads(json.dumps(study.recipe)) == study.recipe
    assert json.loads(json.dumps(study.trial)) == study.trial


# --- The course's own checkpoints ---

OWN = {
    **find_study("cifar10_models").recipe,
    "models": {
        "vit_small32": {
            **TRAINING,
            "epochs": 2,
            "learning_rate": 0.01,
            "arguments": {**SMALL["vit_small32"], "stem": "conv"},
        },
        "resnet_small32": {
            **TRAINING,
            "epochs": 1,
            "learning_rate": 0.01,
            "arguments": SMALL["resnet_small32"],
        },
    },
}


def test_checkpoints_are_tested_as_they_are_shipped(tiny_cifar, tmp_path, monkeypatch):
    from course_utils.weights import load_pretrained

    monkeypatch.setattr(cifar10_models, "FOLDER", tmp_path / "checkpoints")
    measured = []

    def noting(model, data):
        measured.append({k: v.clone() for k, v in model.state_dict().items()})
        return evaluate(model, data)

    monkeypatch.setattr(cifar10_models, "evaluate", noting)
    result = run_study("cifar10_models", OWN, tmp_path / "cache")
    assert not (tmp_path / "checkpoints").exists()
    find_study("cifar10_models").keep(result, tmp_path / "cache")
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    test = cifar10("test")
    for run in result["runs"]:
        path = tmp_path / "checkpoints" / f"{run['model']}_cifar10.safetensors"
        model = load_pretrained(path)
        data = NormalizedImages(test.images, test.labels, CIFAR10_MEAN, CIFAR10_STD)
        again = evaluate(model, data)
        shipped = model.state_dict()
        assert any(  # bit for bit, on the validation and on the test images
            all(torch.equal(weights[k], shipped[k]) for k in shipped)
            for weights in measured
            if weights.keys() == shipped.keys()
        )
        assert run["test"]["accuracy"] == round(again.accuracy, 4)
        low, high = run["test"]["interval"]
        assert low < again.accuracy < high
        assert run["parameters"] == sum(p.numel() for p in model.parameters())
        curve = run["validation_accuracy"]
        assert run["best_epoch"] == curve.index(max(curve))


def test_a_finished_run_of_the_same_recipe_is_taken(tiny_cifar, tmp_path, monkeypatch):
    first = run_study("cifar10_models", OWN, tmp_path / "cache")
    for name in OWN["models"]:
        there = cifar10_models.state_folder(OWN, name, tmp_path / "cache") / STATE
        elsewhere = cifar10_models.state_folder(OWN, name, tmp_path / "other") / STATE
        elsewhere.parent.mkdir(parents=True)
        elsewhere.write_bytes(there.read_bytes())
    from course_utils import training

    def no_step(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training.Run, "train_step", no_step)
    assert numbers(run_study("cifar10_models", OWN, tmp_path / "other")) == numbers(first)
    # Another epoch for one model leaves the other's run where it is.
    changed = {**OWN, "models": {**OWN["models"], "resnet_small32": {"epochs": 9}}}
    folders = [cifar10_models.state_folder(r, "vit_small32", tmp_path) for r in (OWN, changed)]
    assert folders[0] == folders[1]
    folders = [cifar10_models.state_folder(r, "resnet_small32", tmp_path) for r in (OWN, changed)]
    assert folders[0] != folders[1]


# --- Choices in a ViT ---


def test_every_variant_differs_from_the_base_in_what_its_name_says():
    recipe = find_study("vit_ablations").recipe
    sizes = {
        name: sum(p.numel() for p in build_model("vit_small32", 0, **arguments).parameters())
        for name, arguments in recipe["variants"].items()
    }
    d, block = 96, 12 * 96**2 + 13 * 96
    base = sizes["base"]
    assert sizes["mean pooling"] == base - 2 * d  # no class token, no place for it
    assert sizes["no positions"] == sizes["sinusoidal positions"] == base - 65 * d
    assert sizes["post-norm"] == base - 2 * d  # no final norm
    assert sizes["depth 1"] == base - 5 * block
    assert sizes["depth 3"] == base - 3 * block
    assert sizes["patch 8"] == base + (64 - 16) * 3 * d - (64 - 16) * d
    assert sizes["patch 16"] == base + (256 - 16) * 3 * d - (64 - 4) * d


def test_variants_are_trained_and_their_tokens_counted(tiny_cifar, tmp_path):
    chosen = ("base", "mean pooling", "patch 8", "convolutional stem")
    study = find_study("vit_ablations")
    recipe = {
        **study.recipe,
        "variants": {k: {**SMALL["vit_small32"], **study.recipe["variants"][k]} for k in chosen},
        "items": 40,
        "validation_items": None,
        "seeds": 1,
        "training": {**TRAINING, "epochs": 1, "learning_rate": 0.01},
    }
    runs = run_study("vit_ablations", recipe, tmp_path)["runs"]
    assert [run["variant"] for run in runs] == list(chosen)
    assert [run["tokens"] for run in runs] == [65, 64, 17, 65]
    for run in runs:
        assert run["accuracy"] == pytest.approx(max(run["validation_accuracy"]), abs=0.2)
        assert len(run["train_loss"]) == 1


def test_every_model_is_searched_on_the_same_grid(tiny_cifar, tmp_path):
    recipe = {
        **find_study("learning_rates").recipe,
        "models": {name: SMALL[name] for name in PAIR},
        "learning_rates": [0.0, 0.03],
        "weight_decays": [0.0, 40.0],
        "items": 40,
        "validation_items": None,
        "training": {**TRAINING, "epochs": 4},
    }
    runs = run_study("learning_rates", recipe, tmp_path)["runs"]
    grid = [
        [(run["learning_rate"], run["weight_decay"]) for run in runs if run["model"] == name]
        for name in PAIR
    ]
    assert grid[0] == grid[1] == [(0.0, 0.0), (0.0, 40.0), (0.03, 0.0), (0.03, 40.0)]
    for name in PAIR:
        still, held, learned, decayed = (r["train_loss"] for r in runs if r["model"] == name)
        # Weight decay acts through the learning rate: at zero it changes nothing.
        assert still == held
        assert len({tuple(losses) for losses in (still, learned, decayed)}) == 3


# --- Few and many images, and what the models of the largest size do ---

SIZES = {
    **find_study("training_set_size").recipe,
    "models": models(PAIR),
    "epochs": {"20": 2, "40": 1},
    "validation_items": 10,
    "seeds": 1,
    "training": TRAINING,
}


def test_every_model_is_trained_on_every_size_and_goes_on(tiny_cifar, tmp_path, monkeypatch):
    done, real = [], training_set_size.train_job

    def dies_at_the_third(recipe, job, cache):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(tuple(job.values()))
        return real(recipe, job, cache)

    monkeypatch.setattr(training_set_size, "train_job", dies_at_the_third)
    with pytest.raises(KeyboardInterrupt):
        run_study("training_set_size", SIZES, tmp_path)
    monkeypatch.setattr(
        training_set_size,
        "train_job",
        lambda recipe, job, cache: done.append(tuple(job.values())) or real(recipe, job, cache),
    )
    result = run_study("training_set_size", SIZES, tmp_path)
    assert len(done) == len(set(done)) == len(result["runs"]) == 4
    assert {len(run["train_loss"]) for run in result["runs"] if run["items"] == 20} == {2}
    assert {len(run["train_loss"]) for run in result["runs"] if run["items"] == 40} == {1}


CLAIMS = {
    **find_study("model_claims").recipe,
    "training": {**SIZES, "epochs": {"20": 1}, "seeds": 2},
    "items": 20,
    "shifts": [0, 3],
    "patches": [1, 2],
    "sides": [24, 32],
    "noise": [0.0, 0.2],
    "blur": [1.0],
    "similarity_items": 20,
}


def test_claims_are_measured_on_the_models_of_the_largest_size(tiny_cifar, tmp_path, monkeypatch):
    run_study("training_set_size", CLAIMS["training"], tmp_path)
    from course_utils import training

    def no_step(*_):
        raise AssertionError("trained again")

    monkeypatch.setattr(training.Run, "train_step", no_step)
    runs = run_study("model_claims", CLAIMS, tmp_path)["runs"]
    answers = [run for run in runs if run["measure"] == "answers"]
    assert len(answers) == 4
    for run in answers:
        plain = {"accuracy": run["accuracy"], "same": 1.0}
        assert run["shifted"][0] == run["wrapped"][0] == run["patches"][0] == plain
        assert run["sides"][1] == run["noise"][0] == plain  # 32 pixels stay as they are
        assert len(run["blur"]) == 1
        assert sum(run["calibration"]["share"]) == pytest.approx(1, abs=1e-3)
    pairs = [run for run in runs if run["measure"] == "similarity"]
    assert len(pairs) == 2 * 2 + 1
    for run in pairs:
        assert len(run["cka"]) == len(run["layers"])
        assert {len(row) for row in run["cka"]} == {len(run["other_layers"])}
        if run["model"] == run["other"] and run["other_seed"] == 0:
            assert [run["cka"][i][i] for i in range(len(run["layers"]))] == [1.0] * len(
                run["layers"]
            )


def test_moved_images_are_filled_with_what_training_fills_in(tiny_cifar):
    data = cifar("test")
    rows = torch.arange(3)
    still, _ = data[rows]
    gray = torch.tensor(CIFAR10_MEAN)[:, None, None]
    moved, labels = model_claims.Changed(data, model_claims._mover(2, -1, False, gray))[rows]
    assert torch.equal(labels, data.labels[rows])
    expected = F.pad(still, (0, 1, 2, 0))[..., :32, 1:]
    torch.testing.assert_close(moved, expected, rtol=0, atol=1e-5)  # there and back in float32


def test_changes_depend_on_the_image_and_not_on_its_batch(tiny_cifar):
    data = cifar("test")
    for name, make in model_claims.CHANGES.items():
        changed = model_claims.Changed(data, make({"patches": 4, "sides": 24}.get(name, 0.5)))
        together, _ = changed[torch.tensor([4, 1, 9])]
        alone, _ = changed[torch.tensor([9])]
        torch.testing.assert_close(together[2:], alone, rtol=0, atol=1e-5)  # float32, other kernels
        plain, _ = data[torch.tensor([9])]
        assert name == "sides" or not torch.allclose(alone, plain, atol=0.1)


def test_resized_images_are_torchvisions():
    from torchvision.transforms.v2.functional import InterpolationMode, resize

    pixels = torch.rand(2, 3, 32, 32)
    for side in (24, 48):
        expected = resize(pixels, [side, side], InterpolationMode.BICUBIC, antialias=True)
        got = model_claims.resized(side)(pixels, torch.arange(2))
        torch.testing.assert_close(got, expected.clamp(0, 1))


def test_noise_has_the_deviation_it_is_asked_for():
    gray = torch.full((50, 3, 32, 32), 0.5)
    noise = model_claims.noisy(0.1)(gray, torch.arange(50)) - gray
    assert noise.std() == pytest.approx(0.1, rel=0.02)
    assert abs(noise.mean()) < 0.002
    assert not torch.allclose(noise[0], noise[1])


def test_the_models_are_those_of_the_most_images(monkeypatch, tmp_path):
    monkeypatch.setattr(training_set_size, "train_job", lambda recipe, job, cache: (job, None))
    recipe = {"training": {"epochs": {"500": 1, "2000": 1}}}
    taken = model_claims._model(recipe, "vit_small32", 1, tmp_path)
    assert taken == {"model": "vit_small32", "items": 2000, "seed": 1}


@pytest.mark.parametrize("name", MODELS)
def test_layers_are_the_means_over_places_after_every_block(name):
    model = build_model(name, 0, **SMALL[name]).eval()
    images = torch.randn(5, 3, 32, 32)
    features = model_claims.layer_features(model, images)
    last = model.forward_features(images)
    blocks = {"resnet_small32": 2, "vit_small32": 3, "cvt_small32": 6}[name]
    assert len(features) == blocks
    if name == "resnet_small32":
        torch.testing.assert_close(list(features.values())[-1], last.mean(dim=(2, 3)))
    else:
        before_norm = []
        model.norm.register_forward_hook(lambda m, inputs, out: before_norm.append(inputs[0]))
        model(images)
        torch.testing.assert_close(list(features.values())[-1], before_norm[0].mean(dim=1))
    assert not any(m._forward_hooks for n, m in model.named_modules() if n in features)


def test_similarities_are_cka_of_every_pair():
    one = {"a": torch.randn(11, 3), "b": torch.randn(11, 5)}
    other = {"c": torch.randn(11, 2)}
    expected = [[round(linear_cka(one[n].double(), other["c"].double()), 4)] for n in "ab"]
    assert model_claims.similarities(one, other) == expected


# --- Texture or shape ---

CUES = {
    **find_study("texture_or_shape").recipe,
    "models": models(PAIR[:1]),
    "items": 24,
    "test_items": 12,
    "seeds": 1,
    "training": {**TRAINING, "epochs": 2},
}


def test_in_the_conflict_no_texture_tells_the_shape():
    items = 600
    torn = texture_or_shape.draw(CUES, "test", items, "conflict", 0)
    textures = texture_or_shape.texture_labels(CUES, torn)
    counts = torch.zeros(6, 6)
    for shape, texture in zip(torn.labels.tolist(), textures.tolist(), strict=True):
        counts[shape, texture] += 1
    assert counts.diagonal().sum() == 0
    assert counts[~torch.eye(6, dtype=torch.bool)].min() >= 18  # 20 of each, but for a rest


def test_in_training_texture_and_shape_are_one_or_unrelated():
    tied = texture_or_shape.draw(CUES, "train", 100, "agree", 0)
    assert torch.equal(texture_or_shape.texture_labels(CUES, tied), tied.labels)
    free = texture_or_shape.draw(CUES, "train", 600, "shape only", 0)
    textures = texture_or_shape.texture_labels(CUES, free)
    assert textures.min() == 0  # none is foreign
    assert 0.08 < (textures == free.labels).double().mean() < 0.25


def test_answers_by_shape_and_by_texture_are_counted(tmp_path, monkeypatch):
    real = texture_or_shape.evaluate
    torn = texture_or_shape.draw(CUES, "test", 12, "conflict", 0)
    cues = {"shape": torn.labels, "texture": texture_or_shape.texture_labels(CUES, torn)}

    def answers_by(cue):
        logits = F.one_hot(cues[cue], 6).float()
        return lambda model, data: replace(real(model, data), logits=logits)

    for cue, other in (("shape", "texture"), ("texture", "shape")):
        monkeypatch.setattr(texture_or_shape, "evaluate", answers_by(cue))
        runs = run_study("texture_or_shape", CUES, tmp_path / cue)["runs"]
        assert len(runs) == 2
        assert {(run["conflict"][cue], run["conflict"][other]) for run in runs} == {(1.0, 0.0)}


# --- Transfer ---

MOVED = {
    **find_study("transfer").recipe,
    "checkpoint": "cvt_small32_cifar10",
    "epochs": {"2": 1, "3": 1},
    "neighbors": [1, 3],
    "validation_items": 8,
    "test_items": 8,
    "seeds": 1,
    "training": TRAINING,
}


def test_fine_tuning_starts_from_the_checkpoint_with_a_new_head():
    from course_utils.weights import load_pretrained

    for checkpoint, head in (("resnet_small32_cifar10", "fc"), ("vit_small32_cifar10", "head")):
        recipe = {**MOVED, "checkpoint": checkpoint}
        trained = load_pretrained(checkpoint).state_dict()
        known, new = (
            transfer.first_weights(recipe, method, 0).state_dict()
            for method in ("fine-tuning", "from scratch")
        )
        assert known[f"{head}.weight"].shape[0] == new[f"{head}.weight"].shape[0] == 4
        body = [name for name in trained if not name.startswith(head)]
        assert all(torch.equal(known[name], trained[name]) for name in body)
        kernels = [name for name in body if trained[name].dim() > 1]
        assert not any(torch.equal(new[name], trained[name]) for name in kernels)


def test_options_of_the_probes_are_those_that_are_right_most_often_on_validation():
    """Points on a line: one wrong label among the neighbors, so that only three neighbors are right."""
    points = torch.tensor([[1.0, 0.0], [1.0, 0.1], [1.0, 0.2], [0.0, 1.0], [0.1, 1.0], [0.2, 1.0]])
    labels = torch.tensor([0, 1, 0, 1, 1, 1])
    images = torch.zeros(6, 3, 8, 8)
    sets = {
        split: NormalizedImages(images[:n], answers)
        for split, n, answers in (
            ("train", 6, labels),
            ("validation", 2, torch.tensor([0, 1])),
            ("test", 2, torch.tensor([1, 1])),
        )
    }
    where = torch.tensor([[1.0, 0.1], [0.1, 1.0]])
    vectors = {"train": points.numpy(), "validation": where.numpy(), "test": where.numpy()}
    recipe = {**MOVED, "neighbors": [1, 2, 3], "regularization": [1.0], "classes": ["a", "b"]}
    found = transfer.probe_scores(sets, vectors, recipe)
    neighbors, probe = found["nearest neighbors"], found["linear probe"]
    # Two of a class: no more than two neighbors are tried, and two tie for the first class.
    assert (neighbors["option"], neighbors["validation_accuracy"]) == (2, 1.0)
    assert neighbors["accuracy"] == 0.5  # where the test differs, the choice does not see it
    assert probe["validation_accuracy"] == 1.0
    assert (probe["trainable"], neighbors["trainable"]) == (3 * 2, 0)


def test_the_learning_rate_is_chosen_on_validation_and_tested_once(tmp_path, monkeypatch):
    from course_utils.training import History

    rates, tested = iter([0.4, 0.7, 0.6]), []
    monkeypatch.setattr(
        transfer, "train_model", lambda *a, **k: History(validation_accuracy=[0.1, next(rates)])
    )
    monkeypatch.setattr(
        transfer, "evaluate", lambda *a: tested.append(a) or replace(evaluate(*a), accuracy=0.5)
    )
    recipe = {**MOVED, "learning_rates": [0.1, 0.2, 0.3]}
    sets = {split: transfer.draw(recipe, split, 8, 0) for split in ("train", "validation", "test")}
    job = {"examples": 2, "seed": 0}
    result = transfer.trained_score(recipe, sets, "from scratch", job, tmp_path)
    assert (result["option"], result["validation_accuracy"]) == (0.2, 0.7)
    assert len(tested) == 1
    assert tested[0][1] is sets["test"]


def test_all_methods_get_the_same_images_and_small_sets_are_parts_of_large(tmp_path, monkeypatch):
    given = []
    real = transfer.probe_scores
    monkeypatch.setattr(
        transfer, "probe_scores", lambda sets, *rest: given.append(sets) or real(sets, *rest)
    )
    runs = run_study("transfer", MOVED, tmp_path)["runs"]
    for run in runs:
        assert list(run["methods"]) == [
            "nearest neighbors", "linear probe", "fine-tuning", "from scratch",
        ]  # fmt: skip
        assert all(0 <= method["accuracy"] <= 1 for method in run["methods"].values())
    small, large = given
    assert torch.bincount(small["train"].labels).tolist() == [2] * 4
    assert torch.bincount(large["train"].labels).tolist() == [3] * 4
    assert torch.equal(large["train"].images[:8], small["train"].images)
    assert torch.equal(large["test"].images, small["test"].images)
    assert not torch.equal(large["test"].images[:8], large["validation"].images[:8])


# --- What is recorded ---


def result_of(name):
    try:
        return recorded(name)
    except FileNotFoundError:
        pytest.skip(f"{name} is not recorded: python -m course_utils.experiments {name} --full")


@pytest.mark.parametrize("name", RECORDED)
def test_a_recorded_study_is_whole_and_of_the_recipe_in_the_code(name):
    study, result = find_study(name), result_of(name)
    assert result["recipe"] == study.recipe
    jobs = study.jobs(study.recipe)
    runs = [{key: run[key] for key in job} for job, run in zip(jobs, result["runs"], strict=True)]
    assert runs == jobs


def test_each_model_has_the_learning_rate_that_won_its_search():
    runs = result_of("learning_rates")["runs"]
    for model in MODELS:
        mine = [run for run in runs if run["model"] == model]
        best = max(mine, key=lambda run: run["accuracy"])["learning_rate"]
        assert LEARNING_RATES[model] == best
        rates = sorted({run["learning_rate"] for run in mine})
        assert rates[0] < best < rates[-1]  # a winner at the rim of the grid has not been found


def test_the_courses_checkpoints_are_those_of_the_record():
    from course_utils.weights import CHECKPOINTS

    for run in result_of("cifar10_models")["runs"]:
        checkpoint = CHECKPOINTS[f"{run['model']}_cifar10"]
        assert checkpoint.accuracy == run["test"]["accuracy"]
        options = find_study("cifar10_models").recipe["models"][run["model"]]
        assert {key: checkpoint.recipe[key] for key in options} == options


@pytest.mark.skipif(
    not os.environ.get("COURSE_DATA"), reason="needs CIFAR-10: set COURSE_DATA to a copy of it"
)
@pytest.mark.parametrize("name", MODELS)
def test_a_checkpoint_is_as_good_as_it_is_said_to_be(name):
    from course_utils.weights import load_pretrained

    result_of("cifar10_models")
    model, data = load_pretrained(f"{name}_cifar10"), cifar("test", 500)
    accuracy = evaluate(model, data).accuracy
    (run,) = (r for r in result_of("cifar10_models")["runs"] if r["model"] == name)
    deviation = (run["test"]["accuracy"] * (1 - run["test"]["accuracy"]) / 500) ** 0.5
    assert abs(accuracy - run["test"]["accuracy"]) < 4 * deviation


# --- Explanations ---


def test_the_first_models_whose_explanations_were_measured_are_kept(tmp_path, monkeypatch):
    from course_utils.experiments import explanations
    from course_utils.weights import load_pretrained

    study = find_study("explanations")
    recipe = {**study.recipe, **study.trial, "items": 12, "test_items": 12, "seeds": 2}
    recipe["models"] = {
        name: {**recipe["models"][name], "epochs": 1, "methods": ["center"]} for name in PAIR
    }
    monkeypatch.setattr(explanations, "FOLDER", tmp_path / "checkpoints")
    result = run_study("explanations", recipe, tmp_path / "cache")
    study.keep(result, tmp_path / "cache")
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2
    drawn = explanations.draw(recipe, "test", 12, 0)
    for run in result["runs"][:2]:
        model = load_pretrained(tmp_path / "checkpoints" / f"{run['model']}_shapes.safetensors")
        data = NormalizedImages(drawn.images, drawn.labels, (0.5,), (0.25,))
        assert run["accuracy"] == round(evaluate(model, data).accuracy, 4)
