"""From text to numbers: characters, then words, then byte-level byte pair encoding (BPE).

`BPETokenizer` learns the same merges in the same order as Hugging Face's `tokenizers` and cuts
every text alike. Two ideas make it fast in plain Python: a word that occurs a thousand times is
handled once, and a merge touches only the words that contain the pair.

Sources: Sennrich et al. 2016, "Neural Machine Translation of Rare Words with Subword Units",
section 3.2 (the algorithm); Radford et al. 2019, "Language Models are Unsupervised Multitask
Learners", section 2.2 (on bytes, inside words). Built in lesson 1.
"""

import heapq
import json
import os
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain, pairwise
from operator import add
from pathlib import Path
from typing import Any, Self

import regex

Pair = tuple[bytes, bytes]

# GPT-2's rule: a word is a contraction's tail, letters, digits or signs, each with the one space
# before it, or white space. Every character of a text lands in exactly one word.
WORD = regex.compile(r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+")

_CACHE_LIMIT = 500_000  # words whose ids a BPETokenizer remembers


def split_words(text: str) -> list[str]:
    """The words of a text by GPT-2's rule; `"".join` of them is the text."""
    return WORD.findall(_checked(text))


class CharTokenizer:
    """One token for each character: a small vocabulary, long sequences, and no unseen character."""

    def __init__(self, characters: Iterable[str]):
        self.vocab = dict(enumerate(characters))
        self._ids = {character: id for id, character in self.vocab.items()}

    @classmethod
    def train(cls, text: str | Iterable[str]) -> Self:
        """The vocabulary is every character of `text`, sorted. ValueError if there is none."""
        return cls(sorted(_count(text, list)))

    @property
    def vocab_size(self) -> int:
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        """One id for each character. ValueError for a character that was not in training."""
        for position, character in enumerate(_checked(text)):
            if character not in self._ids:
                raise ValueError(
                    f"a CharTokenizer knows only the {self.vocab_size} characters of its training "
                    f"text, and {character!r} at position {position} is not one of them; train on "
                    "a text that has it, or use a BPETokenizer, which takes every character"
                )
        return [self._ids[character] for character in text]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(_look_up(self.vocab, ids))


class WordTokenizer:
    """One token for each word: short sequences, but every unseen word becomes `unknown`, id 0."""

    def __init__(self, words: Iterable[str], unknown: str = "<unk>"):
        self.unknown = unknown
        self.vocab = dict(enumerate([unknown, *words]))
        self._ids = {word: id for id, word in self.vocab.items()}

    @classmethod
    def train(cls, text: str | Iterable[str], vocab_size: int = 1024) -> Self:
        """The vocabulary is `unknown` and the most frequent words, at most `vocab_size` in all."""
        _check_vocab_size(vocab_size, 2, "the unknown word and one more")
        return cls(word for word, _ in _count(text, WORD.findall).most_common(vocab_size - 1))

    @property
    def vocab_size(self) -> int:
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        return [self._ids.get(word, 0) for word in split_words(text)]

    def decode(self, ids: Iterable[int]) -> str:
        return "".join(_look_up(self.vocab, ids))


class BPETokenizer:
    """Byte pair encoding: every text can be encoded, and a frequent word is one token.

    `vocab` maps ids to bytes: 0 to 255 are the bytes themselves, then comes one token for each of
    the `merges` in order, then the special tokens.
    """

    def __init__(self, merges: Iterable[Pair], special_tokens: Iterable[str] = ()):
        self.merges = list(merges)
        ids = {bytes([byte]): byte for byte in range(256)}
        # In here a token is the character chr(id): then merging a pair is replacing in a string.
        self._merged: dict[str, str] = {}  # pair: new token
        self._parts: dict[str, str] = {}  # new token: pair
        for number, (first, second) in enumerate(self.merges):
            if first not in ids or second not in ids or first + second in ids:
                raise ValueError(
                    "a merge makes a new token of two tokens that exist before it, but merge "
                    f"{number} is {first!r} + {second!r}; keep all merges in the order of training"
                )
            pair, new = chr(ids[first]) + chr(ids[second]), chr(len(ids))
            self._merged[pair], self._parts[new] = new, pair
            ids[first + second] = len(ids)
        self.special_tokens = _check_special_tokens(special_tokens, ids)
        self._special_ids = {token: len(ids) + n for n, token in enumerate(self.special_tokens)}
        self.vocab = {id: token for token, id in ids.items()}
        self.vocab |= {id: token.encode() for token, id in self._special_ids.items()}
        self._cache: dict[str, list[int]] = {}  # the ids of every word met so far

    @classmethod
    def train(
        cls, text: str | Iterable[str], vocab_size: int = 1024, special_tokens: Iterable[str] = ()
    ) -> Self:
        """Merge the most frequent pair of neighbors, and again, until there are `vocab_size` tokens.

        Ends earlier when every word is one token. Of equally frequent pairs the one made of older
        tokens comes first, where bytes count as in GPT-2: printable ones first, see `SPELLING`.
        A special token inside `text` is text like any other: leave it out of the training text.
        """
        special_tokens = _check_special_tokens(special_tokens, ())
        smallest = 256 + len(special_tokens)
        _check_vocab_size(vocab_size, smallest, "256 bytes and the special tokens")
        merges = _learn_merges(_count(text, WORD.findall), vocab_size - smallest)
        return cls(merges, special_tokens)

    @property
    def vocab_size(self) -> int:
        return len(self.vocab)

    def encode(self, text: str) -> list[int]:
        """The ids of a text. A special token in it becomes its own id, the longest one first."""
        text = _checked(text)
        if not self.special_tokens:
            return self._encode_ordinary(text)
        longest_first = map(regex.escape, sorted(self.special_tokens, key=len, reverse=True))
        ids: list[int] = []
        for part in regex.split(f"({'|'.join(longest_first)})", text):
            special = self._special_ids.get(part)
            ids += self._encode_ordinary(part) if special is None else [special]
        return ids

    def _encode_ordinary(self, text: str) -> list[int]:
        words = WORD.findall(text)
        if len(self._cache) > _CACHE_LIMIT:
            self._cache.clear()
        for word in set(words).difference(self._cache):
            self._cache[word] = self._encode_word(word)
        return list(chain.from_iterable(map(self._cache.__getitem__, words)))

    def _encode_word(self, word: str) -> list[int]:
        """Start from the bytes; do the earliest of the merges that fit, until none fits."""
        merged = self._merged
        tokens = word.encode().decode("latin-1")
        fitting = {merged[pair] for pair in map(add, tokens, tokens[1:]) if pair in merged}
        while fitting:
            new = min(fitting)
            fitting.remove(new)
            parts = tokens.split(self._parts[new])
            tokens = new.join(parts)
            for left, right in pairwise(parts):  # new pairs arise only beside the new token
                for pair in ((left[-1:] or new) + new, new + (right[:1] or new)):
                    if pair in merged:
                        fitting.add(merged[pair])
        return list(map(ord, tokens))

    def decode(self, ids: Iterable[int], skip_special_tokens: bool = False) -> str:
        """The text of some ids: `decode(encode(text)) == text`.

        Ids that begin or end inside a character give U+FFFD there, the replacement character.
        """
        if skip_special_tokens:
            ids = [id for id in ids if id not in self._special_ids.values()]
        return b"".join(_look_up(self.vocab, ids)).decode("utf-8", errors="replace")

    def pieces(self, text: str) -> list[bytes]:
        """The bytes of each token of a text, for display; `b"".join` of them is the text."""
        return [self.vocab[id] for id in self.encode(text)]

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the tokenizer as JSON, whole or not at all: a crash leaves an old file as it was."""
        content = {
            "format": _FORMAT,
            "vocab_size": self.vocab_size,
            "special_tokens": self.special_tokens,
            "merges": [[_spell(first), _spell(second)] for first, second in self.merges],
        }
        path = Path(path)
        unfinished = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            unfinished.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Read what `save` wrote. ValueError saying what is wrong with a damaged file."""
        try:
            content = json.loads(Path(path).read_bytes())
            tokenizer = cls(*_read_content(content))
            if tokenizer.vocab_size != content["vocab_size"]:
                raise ValueError(
                    f"it promises vocab_size {content['vocab_size']!r}, but its merges and special "
                    f"tokens make {tokenizer.vocab_size}"
                )
        except (ValueError, TypeError) as error:
            what = (
                "not JSON, " if isinstance(error, json.JSONDecodeError | UnicodeDecodeError) else ""
            )
            raise ValueError(
                f"{os.fspath(path)!r} must be a file that BPETokenizer.save wrote, but: {what}{error}"
                "; save it again, or train again"
            ) from error
        return tokenizer

    def to_huggingface(self) -> Any:
        """The `tokenizers.Tokenizer` of Hugging Face that gives the same ids."""
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers

        ordinary = self.vocab_size - len(self.special_tokens)
        vocab = {_spell(self.vocab[id]): id for id in range(ordinary)}
        merges = [(_spell(first), _spell(second)) for first, second in self.merges]
        tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        tokenizer.add_special_tokens(self.special_tokens)
        return tokenizer


# --- Training: the words as strings of tokens, the pairs in a queue ---------------------------


def _learn_merges(word_counts: Mapping[str, int], how_many: int) -> list[Pair]:
    """The first merges, in order, for words that occur so often.

    A token is one character and a word a string of them, so that merging is replacing text. The
    characters are numbered so that comparing two pairs as strings decides a tie.
    """
    words = [word.encode().translate(_TIE_ORDER).decode("latin-1") for word in word_counts]
    counts = list(word_counts.values())
    pair_counts, places = _count_pairs(words, counts)
    queue = [(-pair_counts[pair], pair) for pair in pair_counts]  # smallest first: most frequent
    heapq.heapify(queue)
    meaning = {chr(place): bytes([byte]) for byte, place in enumerate(_TIE_ORDER)}
    merges: list[Pair] = []
    while queue and len(merges) < how_many:
        minus_count, pair = heapq.heappop(queue)
        if -minus_count != pair_counts[pair]:  # out of date: put it back where it belongs now
            if pair_counts[pair]:
                heapq.heappush(queue, (-pair_counts[pair], pair))
            continue
        first, second = meaning[pair[0]], meaning[pair[1]]
        merges.append((first, second))
        new = chr(len(meaning))
        meaning[new] = first + second
        new_places = _merge_everywhere(pair, new, places.pop(pair), words, counts, pair_counts)
        places |= new_places
        for new_pair in new_places:
            if pair_counts[new_pair]:
                heapq.heappush(queue, (-pair_counts[new_pair], new_pair))
    return merges


def _count_pairs(
    words: Sequence[str], counts: Sequence[int]
) -> tuple[dict[str, int], dict[str, list[int]]]:
    """How often each pair of neighbors occurs, and the numbers of the words that hold it."""
    pair_counts: dict[str, int] = defaultdict(int)
    places: dict[str, list[int]] = defaultdict(list)
    for number, word in enumerate(words):
        for pair in map(add, word, word[1:]):
            pair_counts[pair] += counts[number]
            places[pair].append(number)
    return pair_counts, places


def _merge_everywhere(
    pair: str,
    new: str,
    numbers: Iterable[int],
    words: list[str],
    counts: Sequence[int],
    pair_counts: dict[str, int],
) -> dict[str, list[int]]:
    """Merge `pair` in the words of these numbers; returns where new pairs came to be.

    In `left first second right` two pairs of neighbors vanish and two appear: no other count moves.
    """
    first, second = pair[0], pair[1]
    places: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        count = counts[number]
        done, found, rest = words[number].partition(pair)
        while found:
            if done:
                left = done[-1]
                pair_counts[left + first] -= count
                pair_counts[left + new] += count
                places[left + new].append(number)
            if rest:
                right = rest[0]
                pair_counts[second + right] -= count
                pair_counts[new + right] += count
                places[new + right].append(number)
            head, found, rest = rest.partition(pair)
            done += new + head
        words[number] = done
    return places


def _spelling() -> dict[int, str]:
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return {b: chr(256 + others.index(b)) if b in others else chr(b) for b in range(256)}


# GPT-2 writes each byte as a visible character: itself if printable, else one from U+0100 on ("Ġ"
# for a space). The order of these characters is the order of the bytes in its vocabulary.
SPELLING = _spelling()
_BYTES = {character: bytes([byte]) for byte, character in SPELLING.items()}
_TIE_ORDER = bytes(sorted(_BYTES).index(SPELLING[byte]) for byte in range(256))


def _spell(token: bytes) -> str:
    return "".join(SPELLING[byte] for byte in token)


# --- Checks: each says the rule, the value and the way out -------------------------------------

_FORMAT = "course_utils.BPETokenizer, version 1"


def _checked(text: str) -> str:
    """The text, if it is one that UTF-8 can hold."""
    if not isinstance(text, str):
        raise TypeError(
            f"a text must be a str, not {type(text).__name__}; decode bytes first, and encode "
            "several texts one by one: [tokenizer.encode(text) for text in texts]"
        )
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"a text must be valid Unicode, but at position {error.start} it has "
            f"{text[error.start]!r}, half a character (a lone surrogate); mend it with "
            'text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")'
        ) from error
    return text


def _count(text: str | Iterable[str], split: Callable[[str], list[str]]) -> Counter[str]:
    """How often each part of the training text occurs."""
    if isinstance(text, bytes) or not isinstance(text, Iterable):
        raise TypeError(
            f"the training text must be a str or an iterable of str, not {type(text).__name__}; "
            "decode bytes and read files first"
        )
    counts: Counter[str] = Counter()
    for one in [text] if isinstance(text, str) else text:
        counts.update(split(_checked(one)))
    if not counts:
        raise ValueError(
            "the training text must not be empty, but has no character; give some text"
        )
    return counts


def _look_up(vocab: Mapping[int, Any], ids: Iterable[int]) -> list[Any]:
    ids = list(ids)
    try:
        return [vocab[id] for id in ids]
    except (KeyError, TypeError):
        position = next(n for n, id in enumerate(ids) if id not in range(len(vocab)))
        raise ValueError(
            f"an id must be an int from 0 to {len(vocab) - 1}, but at position {position} is "
            f"{ids[position]!r}; decode with the tokenizer that encoded, and turn a tensor into a "
            "list first: ids.tolist()"
        ) from None


def _check_vocab_size(vocab_size: int, smallest: int, why: str) -> None:
    if not isinstance(vocab_size, int):
        raise TypeError(f"vocab_size must be an int, not {vocab_size!r}; try vocab_size=1024")
    if not smallest <= vocab_size <= sys.maxunicode:
        raise ValueError(
            f"vocab_size must be at least {smallest} ({why}) and at most {sys.maxunicode}, not "
            f"{vocab_size}; try vocab_size={smallest + 768}"
        )


def _check_special_tokens(tokens: Iterable[str], vocab: Collection[bytes]) -> list[str]:
    if isinstance(tokens, str):
        raise TypeError(f"special_tokens must be a list, not the str {tokens!r}; try [{tokens!r}]")
    tokens = [_checked(token) for token in tokens]
    spelled = {_spell(token) for token in vocab}
    for n, token in enumerate(tokens):
        if not token or token in tokens[:n] or token in spelled:
            problem = "is spelled like an ordinary token" if token in spelled else "occurs before"
            raise ValueError(
                f"special tokens must be different from each other and from ordinary text, but "
                f"number {n} of {tokens} {problem if token else 'is empty'}; try '<mask>' or the like"
            )
    return tokens


def _read_content(content: Any) -> tuple[list[Pair], list[str]]:
    """Merges and special tokens out of what a saved file holds."""
    keys = {"format": str, "vocab_size": int, "special_tokens": list, "merges": list}
    for key, kind in keys.items():
        if not isinstance(content, dict) or not isinstance(content.get(key), kind):
            raise ValueError(f"it must be a JSON object that has {key!r}, a {kind.__name__}")
    if content["format"] != _FORMAT:
        raise ValueError(f"its format must be {_FORMAT!r}, not {content['format']!r}")
    merges = []
    for number, merge in enumerate(content["merges"]):
        try:
            first, second = (b"".join(_BYTES[character] for character in part) for part in merge)
        except (KeyError, TypeError, ValueError):
            raise ValueError(f"its merge {number} must be two tokens, not {merge!r}") from None
        merges.append((first, second))
    return merges, content["special_tokens"]
