"""The plumbing of the notebooks."""

import json

import pytest
import torch

from course_utils import attention, lesson


def test_start_gives_everyone_the_same_random_numbers(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads = torch.get_num_threads()
    try:
        lesson.start(seed=3)
        first = torch.rand(2)
        lesson.start(seed=3)
        assert torch.equal(torch.rand(2), first)
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(threads)
        torch.set_printoptions(profile="default")


def test_show_source_shows_the_live_source(monkeypatch):
    import IPython.display

    shown = []
    monkeypatch.setattr(IPython.display, "display", shown.append)
    lesson.show_source(attention.causal_mask, attention.MultiHeadAttention)
    assert shown[0].data.startswith("# course_utils.attention.causal_mask\ndef causal_mask(")
    assert "def project(" in shown[1].data


def test_the_progress_bar_is_silent_when_outputs_are_compared(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_QUIET", "1")
    assert list(lesson.progress_bar(range(3), "x")) == [0, 1, 2]
    assert capsys.readouterr() == ("", "")
    monkeypatch.delenv("COURSE_QUIET")
    assert not lesson.quiet()


def test_recorded_reads_a_result_and_lists_them_for_an_unknown_name(tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    (tmp_path / "results/one.json").write_text(json.dumps({"a": 1}))
    monkeypatch.setattr(lesson, "files", lambda _: tmp_path)
    assert lesson.recorded("one") == {"a": 1}
    with pytest.raises(FileNotFoundError, match=r"no recorded result 'two'; there are: one"):
        lesson.recorded("two")


def test_lessons_are_numbered_in_order():
    assert [int(entry.number) for entry in lesson.LESSONS] == list(range(len(lesson.LESSONS)))
    assert lesson.LESSONS[3].file == "03_attention.ipynb"


def test_every_recorded_result_says_how_it_was_made():
    from importlib.resources import files

    for path in (files("course_utils") / "results").iterdir():
        result = json.loads(path.read_text())
        assert {"recipe", "hardware", "versions"} <= set(result), path.name
