"""How fast is the course's byte pair encoding? Measured against Hugging Face's, written in Rust.

    .venv/bin/python tools/bench_tokenizers.py

Every row is one alternating run (ours, theirs, ours, theirs, ...) in one process; its ratio is the
median over the pairs of our time divided by theirs, so below 1 means that ours is faster. The
threads of the Rust library are as it sets them by itself.
"""

import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from importlib.metadata import version
from itertools import pairwise
from pydoc_data.topics import topics
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from course_utils.tokenizers import BPETokenizer, split_words

VOCAB_SIZE = 1024
TEXT = "\n".join(topics.values())  # from Python's standard library: some 465,000 characters


def measure(pairs: int = 9) -> list[dict[str, Any]]:
    """All rows, for `course_utils/results/benchmarks.json`. Takes some twenty seconds."""
    tokenizer = BPETokenizer.train(TEXT, VOCAB_SIZE)
    size = f"{round(len(TEXT) / 1000)}k characters, vocabulary {VOCAB_SIZE}"
    rust = f"Hugging Face tokenizers (Rust) {version('tokenizers')}"

    def fresh_pair() -> tuple[BPETokenizer, Tokenizer]:
        return BPETokenizer(tokenizer.merges), tokenizer.to_huggingface()

    def warm_pair() -> tuple[BPETokenizer, Tokenizer]:
        ours, theirs = fresh_pair()
        assert ours.encode(TEXT) == theirs.encode(TEXT).ids
        return ours, theirs

    warm = warm_pair()
    training = alternate(
        pairs,
        lambda: (None, None),
        lambda _: BPETokenizer.train(TEXT, VOCAB_SIZE),
        lambda _: train_rust(TEXT, VOCAB_SIZE),
    )
    cold = alternate(pairs, fresh_pair, lambda t: t.encode(TEXT), lambda t: t.encode(TEXT).ids)
    again = alternate(pairs, lambda: warm, lambda t: t.encode(TEXT), lambda t: t.encode(TEXT).ids)
    rows = [
        ("BPE training", training, 1.0),
        ("BPE encoding, first call of a fresh tokenizer", cold, 0.6),
        ("BPE encoding, the same text again", again, 0.6),
    ]
    return [
        {"name": f"{name}, {size}", "against": rust, "target": target, **times}
        for name, times, target in rows
    ] + [recount_row(len(tokenizer.merges), training["ours_s"], size)]


def alternate(
    pairs: int,
    prepare: Callable[[], tuple[Any, Any]],
    ours: Callable[[Any], object],
    theirs: Callable[[Any], object],
) -> dict[str, Any]:
    """Ours and theirs in turn, after one unmeasured turn; `prepare` is not in the time."""
    times = []
    for _ in range(pairs + 1):
        our_argument, their_argument = prepare()
        times.append((seconds(ours, our_argument), seconds(theirs, their_argument)))
    del times[0]
    return {
        "ratio": round(statistics.median(a / b for a, b in times), 3),
        "ours_s": round(statistics.median(a for a, _ in times), 4),
        "theirs_s": round(statistics.median(b for _, b in times), 4),
        "pairs": pairs,
    }


def seconds(function: Callable[[Any], object], argument: Any) -> float:
    start = time.perf_counter()
    function(argument)
    return time.perf_counter() - start


def train_rust(text: str, vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator([text], trainer)
    return tokenizer


def recount_row(merges: int, ours_s: float, size: str) -> dict[str, Any]:
    """Against the algorithm of the paper as one first writes it; it already counts words once."""
    start = time.perf_counter()
    assert train_by_recounting(TEXT, VOCAB_SIZE) == merges
    theirs_s = time.perf_counter() - start
    return {
        "name": f"BPE training with counts kept up to date, {size}",
        "against": "plain Python that recounts the pairs of all distinct words at every merge",
        "target": 0.05,
        "ratio": round(ours_s / theirs_s, 4),
        "ours_s": ours_s,
        "theirs_s": round(theirs_s, 2),
        "speed_up": round(theirs_s / ours_s),
        "pairs": 1,
    }


def train_by_recounting(text: str, vocab_size: int) -> int:
    """The number of merges. (Another pair may win a tie than with ours: the work is the same.)"""
    words = [(list(word.encode()), count) for word, count in Counter(split_words(text)).items()]
    for new in range(256, vocab_size):
        pair_counts: dict[tuple[int, int], int] = defaultdict(int)
        for word, count in words:
            for pair in pairwise(word):
                pair_counts[pair] += count
        if not pair_counts:
            return new - 256
        best = max(pair_counts, key=pair_counts.__getitem__)
        words = [(merge(word, best, new), count) for word, count in words]
    return vocab_size - 256


def merge(word: list[int], pair: tuple[int, int], new: int) -> list[int]:
    merged = []
    place = 0
    while place < len(word):
        if tuple(word[place : place + 2]) == pair:
            merged.append(new)
            place += 2
        else:
            merged.append(word[place])
            place += 1
    return merged


if __name__ == "__main__":
    for row in measure():
        print(json.dumps(row))
