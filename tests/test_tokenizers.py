"""Tokenizers against Hugging Face's and against the textbook's recount; their laws and errors."""

import functools
import json
import random
import subprocess
import sys
import unicodedata
from collections import Counter
from itertools import pairwise
from pydoc_data.topics import topics

import pytest
import tokenizers as huggingface
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import decoders, models, pre_tokenizers, trainers

from course_utils import tokenizers
from course_utils.tokenizers import (
    SPELLING,
    BPETokenizer,
    CharTokenizer,
    WordTokenizer,
    split_words,
)

ENGLISH = "\n".join(topics.values())[:60_000]
SCRIPTS = """Les élèves ont déjà mangé; naïve cafe\u0301, Zu\u0308rich, STRASSE straße ŒUVRE.
नमस्ते दुनिया, यह एक वाक्य है। मशीन सीखती है और सीखती रहती है।
机器学习是人工智能的一个分支。机器从数据中学习，学习，再学习。
機械は画像を見て学びます。トークンに分けてから、ベクトルにします。
تتعلم الآلة من البيانات، ثم تتعلم مرة أخرى.  שלום עולם  สวัสดีชาวโลก  한국어 문장입니다
👩‍👩‍👧‍👦 👍🏽👍🏽 🇨🇭🇯🇵 🏳️‍🌈 ☕️ e\u0301\u0323 ẹ\u0301 \u200b\u200d\ufeff½ ² ٣٤ Ⅷ 三 १२३
"""
SPACES = "a  b   c    d\n\n\ne \n f\t\tg \t\n  \r\n\r\nh\u00a0\u00a0i\u3000j\u2028k\x1cl\x85m   "
DIGITS = "1 22 333 4444 55555 3.14159 2,718,281 1e-10 0x1f 10:30 2024-12-31 1/2 x1 y22z 7th " * 3
CONTRACTIONS = (
    "it's don't we're I've I'm they'll he'd IT'S DON'T 's ''s ' s 'tis rock'n'roll o'dde "
)
TEXTS = {
    "english": ENGLISH,
    "scripts": SCRIPTS,
    "spaces": SPACES * 3,
    "digits": DIGITS,
    "contractions": CONTRACTIONS * 4,
    "one character": "a",
    "one word": "a" * 37,
}
SPECIALS = ("<mask>", "<m", "<|end|>", "[a+b]?", "été", "<mask><mask>")


# --- Oracles ------------------------------------------------------------------------------------


def train_rust(texts, vocab_size, special_tokens=()):
    tokenizer = huggingface.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
        special_tokens=list(special_tokens),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer


def spell(token):
    return "".join(SPELLING[byte] for byte in token)


def assert_same_training(ours, theirs):
    """Merges in the same order, and the same vocabulary with its ids in the same order."""
    model = json.loads(theirs.to_str())["model"]
    merges = [merge.split(" ") if isinstance(merge, str) else merge for merge in model["merges"]]
    assert [[spell(first), spell(second)] for first, second in ours.merges] == merges
    specials = len(ours.special_tokens)
    their_order = sorted(model["vocab"], key=model["vocab"].get)
    assert their_order[:specials] == ours.special_tokens
    learned = [spell(ours.vocab[id]) for id in range(256, ours.vocab_size - specials)]
    assert their_order[specials + 256 :] == learned
    assert set(their_order[specials : specials + 256]) == set(SPELLING.values())


def assert_same_ids(ours, theirs, text):
    """The same pieces as the tokenizer that Rust trained, the same ids as the converted one."""
    ids = ours.encode(text)
    ordinary = ours.vocab_size - len(ours.special_tokens)
    names = [spell(ours.vocab[id]) if id < ordinary else ours.vocab[id].decode() for id in ids]
    assert names == theirs.encode(text).tokens
    assert ours.to_huggingface().encode(text).ids == ids


def train_by_recounting(texts, vocab_size):
    """The textbook: count every pair of every word, merge the most frequent, start again.

    Of equally frequent pairs the one with the oldest first token wins, then the oldest second;
    of bytes the printable ones are the oldest.
    """
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    bytes_in_order = sorted(range(256), key=lambda byte: (byte not in printable, byte))
    age = {bytes([byte]): place for place, byte in enumerate(bytes_in_order)}
    words = [[bytes([b]) for b in word.encode()] for text in texts for word in split_words(text)]
    merges = []
    while len(age) < vocab_size:
        counts = Counter(pair for word in words for pair in pairwise(word))
        if not counts:
            break
        pair = min(counts, key=lambda pair: (-counts[pair], age[pair[0]], age[pair[1]]))
        merges.append(pair)
        age[pair[0] + pair[1]] = len(age)
        for word in words:
            for place in range(len(word) - 1):
                if tuple(word[place : place + 2]) == pair:
                    word[place : place + 2] = [pair[0] + pair[1]]
    return merges


@functools.cache
def characters_too_new():
    """Characters that `regex` and Rust's library read differently: one knows a newer Unicode."""
    rust = pre_tokenizers.ByteLevel(add_prefix_space=False)
    different = set()
    for start in range(0, 0x40000, 0x800):
        block = [chr(code) for code in range(start, start + 0x800)]
        lines = [f"a{c}1{c}" for c in block if not 0xD800 <= ord(c) < 0xE000]
        text = "\n".join(lines)
        if split_words(text) != [text[a:b] for _, (a, b) in rust.pre_tokenize_str(text)]:
            for line in lines:
                if split_words(line) != [line[a:b] for _, (a, b) in rust.pre_tokenize_str(line)]:
                    different.add(line[1])
    return different


ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
MIXED_TEXT = st.lists(
    st.one_of(
        ANY_TEXT,
        st.sampled_from([*SCRIPTS.split(), *CONTRACTIONS.split(), " ", "\n", "  ", *SPECIALS]),
    ),
    max_size=12,
).map("".join)


@functools.cache
def trained(name):
    special_tokens = SPECIALS if name == "scripts" else ()
    return (
        BPETokenizer.train(TEXTS[name], 700, special_tokens),
        train_rust([TEXTS[name]], 700, special_tokens),
    )


# --- The same as Hugging Face -------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
@pytest.mark.parametrize("vocab_size", [256, 257, 301, 1024])
def test_training_gives_the_merges_of_hugging_face(name, vocab_size):
    ours = BPETokenizer.train(TEXTS[name], vocab_size)
    theirs = train_rust([TEXTS[name]], vocab_size)
    assert_same_training(ours, theirs)
    for text in TEXTS.values():
        assert_same_ids(ours, theirs, text[:2000])


def test_several_texts_are_counted_one_by_one():
    texts = ["ab ", " ab", "ab\n", "", "\nab", "it", "'s", "  ", " x"] * 2
    ours = BPETokenizer.train(iter(texts), 300)
    assert_same_training(ours, train_rust(texts, 300))
    joined = BPETokenizer.train("".join(texts), 300)
    assert joined.merges != ours.merges


SMALL_ALPHABETS = st.sampled_from(
    ["ab", "abc", "a b", "aé\n", "日本a", "a'st 1", "\x00\x7f ", "b\xad\xa0"]
)


@st.composite
def texts_full_of_ties(draw):
    letters = draw(SMALL_ALPHABETS)
    texts = draw(st.lists(st.text(letters, max_size=60), min_size=1, max_size=4))
    return [*texts, letters]


@given(texts_full_of_ties(), st.integers(256, 330), st.sampled_from([(), SPECIALS]))
@settings(max_examples=300, deadline=None)
def test_ties_are_broken_as_in_hugging_face(texts, vocab_size, special_tokens):
    vocab_size += len(special_tokens)
    ours = BPETokenizer.train(texts, vocab_size, special_tokens)
    theirs = train_rust(texts, vocab_size, special_tokens)
    assert_same_training(ours, theirs)
    for text in [*texts, "".join(reversed(texts))]:
        assert ours.to_huggingface().encode(text).ids == ours.encode(text)


@given(texts_full_of_ties(), st.integers(256, 300))
@settings(max_examples=200, deadline=None)
def test_ties_are_broken_as_in_the_textbook(texts, vocab_size):
    assert BPETokenizer.train(texts, vocab_size).merges == train_by_recounting(texts, vocab_size)


@pytest.mark.parametrize("name", ["english", "scripts", "spaces", "digits"])
def test_training_gives_the_merges_of_the_textbook(name):
    text = TEXTS[name][:6000]
    ours = BPETokenizer.train(text, 400).merges
    assert len(ours) >= 20
    assert ours == train_by_recounting([text], 400)


@pytest.mark.parametrize("name", ["english", "scripts", "spaces"])
@given(text=MIXED_TEXT)
@settings(max_examples=150, deadline=None)
def test_any_text_gets_the_ids_of_hugging_face(name, text):
    text = "".join(character for character in text if character not in characters_too_new())
    assert_same_ids(*trained(name), text)


def test_the_only_characters_read_differently_are_newer_than_unicode_15():
    different = characters_too_new()
    assert all(unicodedata.ucd_3_2_0.category(character) == "Cn" for character in different)
    if unicodedata.unidata_version < "16":
        assert {unicodedata.category(character) for character in different} <= {"Cn"}


def test_long_words_get_the_ids_of_hugging_face():
    ours, theirs = trained("english")
    random.seed(0)
    letters = "".join(random.choices("etaoin", k=5000))
    for text in ["a" * 20_001, " " * 20_001 + "x", "-" * 5003, letters, "学习" * 2000]:
        assert_same_ids(ours, theirs, text)


def test_hugging_face_decodes_alike():
    ours, _ = trained("scripts")
    ids = ours.encode(SCRIPTS + "<mask> <|end|>")
    assert ours.to_huggingface().decode(ids, skip_special_tokens=False) == ours.decode(ids)
    skipped = ours.to_huggingface().decode(ids, skip_special_tokens=True)
    assert skipped == ours.decode(ids, skip_special_tokens=True)


# --- Words, ids and pieces ----------------------------------------------------------------------


def test_words_by_hand():
    words = ["It", "'s", " 2", " o", "'", "clock", "  ", " now", "...", "\n", "Go", "!", " "]
    assert split_words("".join(words)) == words


@given(ANY_TEXT)
@settings(max_examples=200, deadline=None)
def test_every_character_is_in_one_word(text):
    assert "".join(split_words(text)) == text


def test_ids_are_bytes_then_merges_then_special_tokens():
    ours = BPETokenizer.train("low lower lowest", 261, special_tokens=["<mask>", "<pad>"])
    assert ours.merges == [(b"l", b"o"), (b"lo", b"w"), (b" ", b"low")]
    assert ours.vocab == {byte: bytes([byte]) for byte in range(256)} | {
        256: b"lo",
        257: b"low",
        258: b" low",
        259: b"<mask>",
        260: b"<pad>",
    }
    assert ours.vocab_size == 261
    assert ours.encode("low low<pad>é") == [257, 258, 260, 0xC3, 0xA9]
    assert ours.pieces("slow low<pad>") == [b"s", b"low", b" low", b"<pad>"]


def test_training_ends_when_nothing_is_left_to_merge():
    ours = BPETokenizer.train("abc abc", 1000, special_tokens=["<mask>"])
    assert ours.merges == [(b"a", b"b"), (b"ab", b"c"), (b" ", b"abc")]
    assert ours.vocab_size == 256 + 3 + 1
    assert ours.encode("<mask>") == [259]


@pytest.mark.parametrize("name", ["english", "scripts"])
def test_a_token_that_is_a_word_is_encoded_as_itself(name):
    ours, _ = trained(name)
    words = {id: token.decode(errors="ignore") for id, token in ours.vocab.items()}
    words = {
        id: w for id, w in words.items() if w.encode() == ours.vocab[id] and w in split_words(w)
    }
    assert len(words) > 200
    assert {id: ours.encode(word) for id, word in words.items()} == {id: [id] for id in words}


def test_an_empty_text_has_no_ids():
    for ours in (CharTokenizer.train("ab"), WordTokenizer.train("ab"), *trained("scripts")[:1]):
        assert ours.encode("") == []
        assert ours.decode([]) == ""


def test_a_full_cache_is_emptied(monkeypatch):
    ours = BPETokenizer.train(ENGLISH, 400)
    expected = ours.encode(ENGLISH)
    monkeypatch.setattr(tokenizers, "_CACHE_LIMIT", 10)
    assert ours.encode("once upon") == [*ours.encode("once"), *ours.encode(" upon")]
    assert len(ours._cache) < 10
    assert ours.encode(ENGLISH) == expected


# --- Decoding -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["english", "scripts", "one character"])
@given(text=MIXED_TEXT)
@settings(max_examples=200, deadline=None)
def test_decoding_undoes_encoding(name, text):
    ours, _ = trained(name)
    ids = ours.encode(text)
    assert ours.decode(ids) == text
    assert b"".join(ours.pieces(text)) == text.encode()
    assert all(type(id) is int and 0 <= id < ours.vocab_size for id in ids)


def test_a_character_that_is_cut_becomes_the_replacement_character():
    ours = BPETokenizer.train("plain", 256)
    ids = ours.encode("a日b")
    assert ours.decode(ids[:2]) == "a\ufffd"
    assert ours.decode(ids[2:]) == "\ufffd\ufffdb"


@pytest.mark.parametrize(
    ("ids", "position", "wrong"),
    [([97, 259], 1, "259"), ([-1], 0, "-1"), ([97, 97, 2.5], 2, "2.5"), ([97, [98]], 1, r"\[98\]")],
)
def test_an_id_that_does_not_exist_is_refused(ids, position, wrong):
    text = rf"int from 0 to 258, but at position {position} is {wrong}; .*tolist"
    with pytest.raises(ValueError, match=text):
        BPETokenizer.train("low low low", 259).decode(ids)
    with pytest.raises(ValueError, match=r"int from 0 to 1, but at position 0 is 2"):
        CharTokenizer.train("ab").decode([2])
    with pytest.raises(ValueError, match=r"int from 0 to 2, but at position 0 is 3"):
        WordTokenizer.train("ab cd").decode([3])


# --- Special tokens -----------------------------------------------------------------------------


def test_special_tokens_in_a_text():
    ours, theirs = trained("scripts")
    mask, shorter, end, signs, accents, double = range(ours.vocab_size - 6, ours.vocab_size)
    text = "a<mask>b<m<mas[a+b]? étéété<|end|><mask><mask><mask>"
    ids = ours.encode(text)
    assert ids[:5] == [97, mask, 98, shorter, shorter]
    assert ids[-5:] == [accents, accents, end, double, mask]
    assert signs in ids
    assert ours.decode(ids) == text
    assert ours.decode(ids, skip_special_tokens=True) == "abas "
    assert_same_ids(ours, theirs, text)


def test_special_tokens_do_not_change_the_merges_and_are_text_in_training():
    text = "<mask> and <mask> or <mask>"
    plain, special = BPETokenizer.train(text, 262), BPETokenizer.train(text, 263, ["<mask>"])
    assert plain.merges == special.merges
    assert b"mask" in plain.vocab.values()
    assert_same_training(special, train_rust([text], 263, ["<mask>"]))


@pytest.mark.parametrize(
    ("special_tokens", "problem"),
    [
        (["<a>", ""], "number 1 of .* is empty; try '<mask>'"),
        (["<a>", "<b>", "<a>"], "number 2 of .* occurs before; try '<mask>'"),
        (["a"], "number 0 of .* is spelled like an ordinary token; try '<mask>'"),
        (["low"], "number 0 of .* is spelled like an ordinary token; try '<mask>'"),
        (["Ġlow"], "number 0 of .* is spelled like an ordinary token; try '<mask>'"),
        (["<\ud800>"], "valid Unicode, but at position 1"),
    ],
)
def test_special_tokens_that_are_refused(special_tokens, problem):
    with pytest.raises(ValueError, match=problem):
        BPETokenizer.train("low low low", 300, special_tokens)


def test_special_tokens_of_the_wrong_type_are_refused():
    with pytest.raises(TypeError, match=r"must be a list, not the str '<mask>'; try \['<mask>'\]"):
        BPETokenizer.train("low", 300, "<mask>")
    with pytest.raises(TypeError, match="must be a str, not int"):
        BPETokenizer.train("low", 300, [5])


# --- Saving -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["english", "scripts", "one character"])
def test_a_saved_tokenizer_comes_back(name, tmp_path):
    ours, _ = trained(name)
    ours.save(tmp_path / "tokenizer.json")
    loaded = BPETokenizer.load(str(tmp_path / "tokenizer.json"))
    assert loaded.merges == ours.merges
    assert loaded.vocab == ours.vocab
    assert loaded.special_tokens == ours.special_tokens
    assert loaded.encode(SCRIPTS + "<mask>") == ours.encode(SCRIPTS + "<mask>")
    assert [path.name for path in tmp_path.iterdir()] == ["tokenizer.json"]


def test_a_save_that_fails_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "tokenizer.json"
    BPETokenizer.train("old old", 258).save(path)
    before = path.read_bytes()

    def full_disk(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        BPETokenizer.train("new new", 258).save(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


GOOD = {
    "format": "course_utils.BPETokenizer, version 1",
    "vocab_size": 259,
    "special_tokens": ["<mask>"],
    "merges": [["l", "o"], ["lo", "w"]],
}
DAMAGED = {
    "empty": (b"", "not JSON, Expecting value"),
    "cut off": (json.dumps(GOOD).encode()[:-9], "not JSON, .* line 1"),
    "not text": (b"\x81\x82", "not JSON"),
    "a list": ([], "must be a JSON object that has 'format'"),
    "no format": ({**GOOD, "format": None}, "that has 'format', a str"),
    "other version": (
        {**GOOD, "format": "course_utils.BPETokenizer, version 2"},
        "version 1', not",
    ),
    "no merges": ({k: v for k, v in GOOD.items() if k != "merges"}, "that has 'merges', a list"),
    "merges of another kind": ({**GOOD, "merges": {}}, "that has 'merges', a list"),
    "size of another kind": ({**GOOD, "vocab_size": "259"}, "that has 'vocab_size', a int"),
    "a merge is missing": ({**GOOD, "merges": [["l", "o"]]}, "promises vocab_size 259, .* 258"),
    "merges out of order": (
        {**GOOD, "merges": [["lo", "w"], ["l", "o"]]},
        "exist before it, but merge 0 is b'lo'",
    ),
    "a merge twice": (
        {**GOOD, "merges": [["l", "o"], ["l", "o"]]},
        r"a new token .* but merge 1 is b'l' \+ b'o'",
    ),
    "a merge of three": ({**GOOD, "merges": [["l", "o", "w"]]}, "merge 0 must be two tokens, not"),
    "a merge of numbers": ({**GOOD, "merges": [[1, 2]]}, "merge 0 must be two tokens, not"),
    "a foreign character": ({**GOOD, "merges": [["l", "日"]]}, "merge 0 must be two tokens, not"),
    "specials of another kind": ({**GOOD, "special_tokens": [7]}, "must be a str, not int"),
    "a special twice": ({**GOOD, "special_tokens": ["<a>", "<a>"]}, "number 1 .* occurs before"),
}


def test_the_undamaged_file_loads(tmp_path):
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(GOOD), encoding="utf-8")
    assert BPETokenizer.load(path).encode("low<mask>") == [257, 258]


@pytest.mark.parametrize("damage", DAMAGED)
def test_a_damaged_file_is_refused(damage, tmp_path):
    content, problem = DAMAGED[damage]
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    text = rf"(?s)tokenizer.json' must be a file that BPETokenizer.save wrote, but: .*{problem}"
    with pytest.raises(ValueError, match=text + ".*; save it again, or train again"):
        BPETokenizer.load(path)


def test_merges_given_by_hand():
    ours = BPETokenizer([(b"a", b"b"), (b"c", b"ab")], ["<end>"])
    assert ours.pieces("cabab<end>") == [b"cab", b"ab", b"<end>"]
    with pytest.raises(
        ValueError, match=r"merge 1 is b'ab' \+ b'cd'; keep all merges in the order"
    ):
        BPETokenizer([(b"a", b"b"), (b"ab", b"cd")])


# --- Errors -------------------------------------------------------------------------------------


def train_with_specials(text):
    return BPETokenizer.train(text, 300, ["<mask>"])


TRAINERS = [CharTokenizer.train, WordTokenizer.train, BPETokenizer.train, train_with_specials]


@pytest.mark.parametrize("train", TRAINERS)
@pytest.mark.parametrize("text", ["", [], ["", ""]])
def test_an_empty_training_text_is_refused(train, text):
    with pytest.raises(
        ValueError, match=r"must not be empty, but has no character; give some text"
    ):
        train(text)


@pytest.mark.parametrize("train", TRAINERS)
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"low", "a str or an iterable of str, not bytes; decode bytes"),
        (5, "a str or an iterable of str, not int"),
        (["low", 5], "must be a str, not int"),
        ([b"low"], "must be a str, not bytes; decode bytes first"),
    ],
)
def test_a_training_text_of_the_wrong_type_is_refused(train, text, problem):
    with pytest.raises(TypeError, match=problem):
        train(text)


@pytest.mark.parametrize("train", TRAINERS)
@pytest.mark.parametrize("text", [b"low", 5, ["low"], None])
def test_encoding_takes_one_str(train, text):
    with pytest.raises(TypeError, match=rf"must be a str, not {type(text).__name__}; .*one by one"):
        train("low").encode(text)


@pytest.mark.parametrize("train", TRAINERS)
def test_half_a_character_is_refused_and_the_way_out_works(train):
    broken = "ab\ud83d\ude00 c\udc80d"
    text = r"valid Unicode, but at position 2 it has '\\ud83d', half a character .*\"utf-16\""
    with pytest.raises(ValueError, match=text):
        train("abcd").encode(broken)
    with pytest.raises(ValueError, match=text):
        train(["abcd", broken])
    mended = broken.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert mended == "ab😀 c\ufffdd"
    assert train(mended).decode(train(mended).encode(mended)) == mended


@pytest.mark.parametrize(
    ("vocab_size", "specials"), [(255, ()), (257, ("<a>", "<b>")), (2**21, ())]
)
def test_a_vocabulary_that_is_too_small_or_too_large_is_refused(vocab_size, specials):
    smallest = 256 + len(specials)
    text = rf"at least {smallest} \(256 bytes .* not {vocab_size}; try vocab_size={smallest + 768}"
    with pytest.raises(ValueError, match=text):
        BPETokenizer.train("low", vocab_size, specials)
    with pytest.raises(ValueError, match=r"at least 2 \(the unknown word and one more\)"):
        WordTokenizer.train("low", 1)


@pytest.mark.parametrize("train", TRAINERS[1:3])
@pytest.mark.parametrize("vocab_size", [1024.0, "1024", None])
def test_a_vocabulary_size_that_is_no_int_is_refused(train, vocab_size):
    with pytest.raises(
        TypeError, match=rf"must be an int, not {vocab_size!r}; try vocab_size=1024"
    ):
        train("low", vocab_size)


# --- Characters and words -----------------------------------------------------------------------


def test_characters():
    ours = CharTokenizer.train(["banana", "band"])
    assert ours.vocab == {0: "a", 1: "b", 2: "d", 3: "n"}
    assert ours.vocab_size == 4
    assert ours.encode("band") == [1, 0, 3, 2]
    assert ours.decode([1, 0, 3, 2]) == "band"
    text = r"only the 4 characters .* 'é' at position 1 is not one of them; .* BPETokenizer"
    with pytest.raises(ValueError, match=text):
        ours.encode("bénd")


def test_words():
    ours = WordTokenizer.train("the cat and the dog and the end", vocab_size=4)
    assert ours.vocab == {0: "<unk>", 1: " and", 2: " the", 3: "the"}
    assert ours.vocab_size == 4
    assert ours.encode("the cat and the") == [3, 0, 1, 2]
    assert ours.decode([3, 0, 1, 2]) == "the<unk> and the"
    assert WordTokenizer(["a"], unknown="?").decode([0, 1]) == "?a"


@given(ANY_TEXT.filter(bool))
@settings(max_examples=100, deadline=None)
def test_characters_and_words_of_the_training_text_come_back(text):
    for ours in (CharTokenizer.train(text), WordTokenizer.train(text)):
        assert ours.decode(ours.encode(text)) == text


def test_importing_the_module_imports_nothing_heavy():
    code = """
import sys
import course_utils.tokenizers as t
tokenizer = t.BPETokenizer.train("low low", 258)
tokenizer.decode(tokenizer.encode("low"))
print(sorted({"torch", "numpy", "tokenizers", "transformers"} & set(sys.modules)))
print(sorted(name for name in sys.modules if name.startswith("course_utils")))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["[]", "['course_utils', 'course_utils.tokenizers']"]
