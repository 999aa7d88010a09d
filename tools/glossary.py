"""Write docs/glossary.md from docs/glossary.yaml: every term in five languages.

One block a term, not a table of ten columns, so that a phone needs no scrolling sideways. Each text
that is not English carries its language, Arabic its direction too.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import groupby
from pathlib import Path
from typing import Any

import yaml
from nbtools import ROOT

from course_utils.lesson import LESSONS, Lesson

SOURCE, PAGE = ROOT / "docs/glossary.yaml", ROOT / "docs/glossary.md"
# Key in the file -> language tag, the language's own name, direction where it is not left to right.
LANGUAGES = {
    "hi": ("hi", "हिन्दी", ""),
    "zh": ("zh-Hans", "简体中文", ""),
    "ja": ("ja", "日本語", ""),
    "ar": ("ar", "العربية", "rtl"),
}
INTRODUCTION = """\
# Glossary in five languages

<!-- Written by `make glossary` from docs/glossary.yaml: change that file, not this page. -->

{count} terms, each with its meaning in this course in English, Hindi, Chinese, Japanese and Arabic,
and the lesson that builds it. Where a language keeps the English word, it stands beside the local one.
"""


@dataclass(frozen=True)
class Entry:
    """One term: `texts` maps a language's key to (term, meaning); `wording` is the lesson's own word."""

    lesson: Lesson
    texts: dict[str, tuple[str, str]]
    wording: str = ""

    @property
    def term(self) -> str:
        return self.texts["en"][0]

    @property
    def anchor(self) -> str:
        letters = "".join(c if c.isalnum() else " " for c in self.term.lower())
        return "term-" + "-".join(letters.split())

    @property
    def letter(self) -> str:
        return self.term[0].upper()


def load(path: Path = SOURCE) -> list[Entry]:
    """The entries of the file, in its order. Raises `ValueError`, naming a field that is missing."""
    return [as_entry(item) for item in yaml.safe_load(path.read_text(encoding="utf-8"))]


def as_entry(item: dict[str, Any]) -> Entry:
    lessons = {lesson.number: lesson for lesson in LESSONS}
    try:
        texts = {key: (item[key]["term"], item[key]["meaning"]) for key in ("en", *LANGUAGES)}
        return Entry(lessons[item["lesson"]], texts, item.get("wording", ""))
    except KeyError as missing:
        raise ValueError(
            f"every term has a lesson ('00' to '13'), and a term and a meaning in each of "
            f"en, {', '.join(LANGUAGES)}; {missing} is missing or wrong in {item}"
        ) from None


def link(lesson: Lesson, words: str) -> str:
    return f"[{words}](../notebooks/{lesson.file})"


def jump(entry: Entry) -> str:
    return f'<a href="#{entry.anchor}">{escape(entry.term)}</a>'


def block(entry: Entry) -> str:
    """One term: heading, meaning, lesson, and a list of its translations."""
    number, wording = int(entry.lesson.number), f" as *{entry.wording}*" if entry.wording else ""
    built = f"Built in {link(entry.lesson, f'lesson {number}, {entry.lesson.title}')}{wording}."
    lines = [f'<div id="{entry.anchor}"></div>', "", f"### {entry.term}", ""]
    lines += [f"{entry.texts['en'][1]}. {built}", "", "<dl>"]
    for key in LANGUAGES:
        lines += translation(key, *entry.texts[key])
    return "\n".join([*lines, "</dl>"])


def translation(key: str, term: str, meaning: str) -> list[str]:
    tag, name, direction = LANGUAGES[key]
    marks = f' lang="{tag}"' + (f' dir="{direction}"' if direction else "")
    return [
        f"<dt{marks}>{name}: <strong>{escape(term)}</strong></dt>",
        f"<dd{marks}>{escape(meaning)}</dd>",
    ]


def by_letter(entries: list[Entry]) -> Iterable[tuple[str, list[Entry]]]:
    return ((letter, list(group)) for letter, group in groupby(entries, lambda e: e.letter))


def page(entries: list[Entry]) -> str:
    """The whole page: jump lists by letter and by lesson, then the terms."""
    letters = [letter for letter, _ in by_letter(entries)]
    jumps = "&emsp;".join(f'<a href="#letter-{c.lower()}">{c}</a>' for c in letters)
    parts = [INTRODUCTION.format(count=len(entries)), f"By letter: {jumps}\n", "## By lesson\n"]
    for lesson in LESSONS:
        terms = ", ".join(jump(entry) for entry in entries if entry.lesson == lesson)
        parts.append(f"- {link(lesson, f'{int(lesson.number)} {lesson.title}')}: {terms}")
    for letter, group in by_letter(entries):
        parts.append(f'\n<div id="letter-{letter.lower()}"></div>\n\n## {letter}\n')
        parts.append("\n\n".join(block(entry) for entry in group))
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(load()), encoding="utf-8")
