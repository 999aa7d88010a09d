"""The study of search on CIFAR-10: its measure by an independent count, and what was recorded."""

import json
from itertools import pairwise

import numpy as np
import pytest
import torch
from nbtools import ROOT
from sklearn.metrics.pairwise import cosine_similarity

from course_utils.experiments import search_by_class as study
from course_utils.experiments.study import find_study

RECORDED = ROOT / "course_utils/results/search_by_class.json"


@pytest.mark.parametrize("k", [1, 4])
def test_precision_is_counted_without_the_query_itself(k: int) -> None:
    generator = torch.Generator().manual_seed(0)
    vectors = torch.randn(53, 7, generator=generator, dtype=torch.float64)
    labels = torch.randint(0, 3, (53,), generator=generator)
    cosines = cosine_similarity(vectors.numpy())
    np.fill_diagonal(cosines, -np.inf)
    expected = [
        np.mean([labels[other] == labels[row] for other in np.argsort(-cosines[row])[:k]])
        for row in range(53)
    ]
    found = study.precision_at_k(vectors, labels, k)
    assert found.tolist() == pytest.approx(expected)


def test_equal_pictures_do_not_push_the_query_out_of_its_own_list() -> None:
    vectors, labels = torch.ones(9, 2), torch.tensor([0] * 8 + [1])
    shares = study.precision_at_k(vectors, labels, 2)  # the first two or three rows for everybody
    assert shares.tolist() == [1.0] * 8 + [0.0]


def test_baselines_are_the_mean_pixels_around_middle_gray() -> None:
    images = torch.randint(0, 256, (5, 3, 32, 32), generator=torch.Generator().manual_seed(0))
    mean = images.double().mean(dim=(2, 3)) / 255 - 0.5
    torch.testing.assert_close(
        study.vectors_of("mean color", images).double(), mean, atol=1e-6, rtol=0
    )
    corner = images[..., :4, :4].double().mean(dim=(2, 3)) / 255 - 0.5
    raw = study.vectors_of("raw pixels", images).view(5, 3, 8, 8)
    torch.testing.assert_close(raw[..., 0, 0].double(), corner, atol=1e-6, rtol=0)


def test_the_record_is_complete_and_says_what_lesson_10_says() -> None:
    record, recipe = json.loads(RECORDED.read_text()), find_study("search_by_class").recipe
    assert record["recipe"] == recipe
    runs = {run["vectors"]: run for run in record["runs"]}
    assert list(runs) == recipe["vectors"]
    order = ["resnet_small32_cifar10", "cvt_small32_cifar10", "vit_small32_cifar10"]
    order += ["raw pixels", "mean color"]
    for better, worse in pairwise(order):
        assert runs[better]["low"] > runs[worse]["high"]
    assert runs["mean color"]["low"] > 0.1  # chance
