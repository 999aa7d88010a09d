"""The glossary: complete in five languages, each in its own script, and true to the lessons."""

import re
import unicodedata
from html.parser import HTMLParser

import glossary
import nbtools
import pytest

ENTRIES = glossary.load()
ENGLISH_AND_OTHERS = ("en", *glossary.LANGUAGES)
# What a learner must find, whatever else is there: the words on which each lesson stands.
KEY_TERMS = {
    "00": "tensor, shape, matrix product",
    "01": "token, tokenizer, vocabulary, byte pair encoding (BPE), merge, unknown word, special token, "
    "premium, embedding, one-hot, vector, weights, gradient",
    "02": "positional encoding, sinusoidal positions, learned positions, rotary positions, ALiBi, "
    "dot product, permutation equivariant",
    "03": "attention, query, key, value, score, weight, softmax, self-attention, cross-attention, "
    "head, head dim, multi-head attention, mask, causal mask, entropy, temperature, fused kernel",
    "04": "residual connection, layer normalization, feed-forward network, GELU, encoder, pre-norm, "
    "post-norm, dropout, warm-up, loss, cross-entropy, nat, batch, tied embeddings, parameter",
    "05": "patch, patch embedding, class token, mean pooling",
    "06": "Vision Transformer (ViT), logits, multiply-add (MAC), epoch, augmentation, ablation",
    "07": "convolution, kernel, stride, padding, channel, feature map, receptive field, invariance, "
    "equivariance, inductive bias, weight sharing, batch normalization, running statistics, "
    "residual block, global average pooling, overfitting",
    "08": "Convolutional vision Transformer (CvT), depthwise convolution, strided keys and values, "
    "convolutional token embedding, convolutional projection, stage",
    "09": "calibration, expected calibration error (ECE), confidence, confounded, seed, shape bias, "
    "standard error, centered kernel alignment (CKA), weight decay",
    "10": "feature vector, cosine similarity, precision@k, recall@k, shortcut, t-SNE, "
    "principal component analysis (PCA), approximate search, baseline",
    "11": "fine-tuning, linear probe, frozen, transfer, region of interest (RoI), recall, precision, "
    "intersection over union (IoU), non-maximum suppression (NMS), average precision (AP)",
    "12": "rollout, Grad-CAM, faithfulness, deletion, insertion, pointing game, hook",
    "13": "checkpoint, mixed precision, bfloat16, loss scale, data parallel, gradient accumulation, "
    "stochastic weight averaging (SWA), fully sharded data parallel (FSDP)",
}
DEVANAGARI = r"[\u0900-\u097f]"
HAN, KANA, HIRAGANA = r"[\u4e00-\u9fff]", r"[\u3041-\u30ff]", r"[\u3041-\u309f]"
ARABIC = r"[\u0600-\u06ff]"
# Character sets made for one language each: a word in the wrong field, or a character of the wrong
# variant (traditional Chinese, Persian letters), is not in them.
CHARACTER_SETS = {"zh": "gb2312", "ja": "shift_jis", "ar": "iso8859_6"}


def of(key):
    return [pytest.param(*entry.texts[key], id=entry.term) for entry in ENTRIES]


def words_of(entry):
    """The texts of the entry's lesson as one line, in lower case."""
    notebook = nbtools.read(nbtools.ROOT / "notebooks" / entry.lesson.file)
    text = " ".join(cell.source for cell in notebook.cells)
    return " ".join(text.lower().split())


def latin_share(text):
    """How much of the letters is Latin: abbreviations may be, sentences may not."""
    letters = [c for c in text if c.isalpha()]
    return sum("LATIN" in unicodedata.name(c) for c in letters) / len(letters)


class Page(HTMLParser):
    """What the page's HTML says: ids, links within the page, and (language, direction, text)."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.texts, self.open = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [found["href"].removeprefix("#")] if "href" in found else []
        self.open.append((tag, found))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag, f"{tag} closes what is not open"

    def handle_data(self, text):
        marks = {key: value for _, found in self.open for key, value in found.items()}
        if text.strip():
            self.texts.append((marks.get("lang"), marks.get("dir"), text))


@pytest.fixture(scope="module")
def parsed():
    return Page(glossary.PAGE.read_text(encoding="utf-8"))


def test_the_page_is_the_one_that_the_file_gives():
    written = glossary.PAGE.read_text(encoding="utf-8")
    assert written == glossary.page(ENTRIES), "docs/glossary.md is old: run `make glossary`"


@pytest.mark.parametrize("number", KEY_TERMS)
def test_every_key_term_of_a_lesson_is_there_and_names_that_lesson(number):
    there = {entry.term for entry in ENTRIES if entry.lesson.number == number}
    assert there >= set(KEY_TERMS[number].split(", "))


def test_a_missing_field_is_named_with_its_entry():
    fields = {"term": "token", "meaning": "A piece"}
    item = {"lesson": "01", "en": fields, "hi": fields, "zh": fields, "ja": {"term": "token"}}
    with pytest.raises(ValueError, match=r"a term and a meaning .*'meaning' is missing .*token"):
        glossary.as_entry(item)


def test_terms_are_sorted_and_none_is_there_twice():
    terms = [entry.term.casefold() for entry in ENTRIES]
    assert terms == sorted(set(terms))
    anchors = [entry.anchor for entry in ENTRIES]
    assert len(anchors) == len(set(anchors))


@pytest.mark.parametrize("key", ENGLISH_AND_OTHERS)
def test_no_two_terms_of_a_language_have_the_same_name_or_meaning(key):
    for part in (0, 1):
        texts = [entry.texts[key][part] for entry in ENTRIES]
        assert sorted(texts) == sorted(set(texts))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.term)
def test_the_lesson_uses_the_term(entry):
    name, _, short = entry.term.rstrip(")").partition(" (")
    text = words_of(entry)
    for word in filter(None, (entry.wording or name, short)):
        assert re.search(rf"(?<![a-z]){re.escape(word.lower())}(?![a-z])", text), word


@pytest.mark.parametrize("key", ENGLISH_AND_OTHERS)
def test_every_text_is_one_short_line_without_a_stop(key):
    for entry in ENTRIES:
        term, meaning = entry.texts[key]
        for text in (term, meaning):
            assert text == " ".join(text.split()) == unicodedata.normalize("NFC", text)
            assert not text.endswith((".", "。", "।", "；", "؛")), text
        assert 0 < len(term) <= 60
        assert len(meaning) <= 135, meaning


@pytest.mark.parametrize(("term", "meaning"), of("en"))
def test_english_is_ascii(term, meaning):
    assert (term + meaning).isascii()


@pytest.mark.parametrize(("term", "meaning"), of("hi"))
def test_hindi_is_in_devanagari(term, meaning):
    assert re.search(DEVANAGARI, term)
    assert latin_share(meaning) < 0.4  # vowel signs are marks, not letters
    others = re.sub(rf"{DEVANAGARI}|[\x20-\x7e]", "", term + meaning)
    assert not others, others


@pytest.mark.parametrize(("term", "meaning"), of("zh"))
def test_chinese_is_in_simplified_characters(term, meaning):
    assert re.search(HAN, term)
    assert re.search(HAN, meaning)
    assert not re.search(KANA, term + meaning)
    assert latin_share(meaning) < 0.55


@pytest.mark.parametrize(("term", "meaning"), of("ja"))
def test_japanese_is_in_kana_and_kanji(term, meaning):
    assert re.search(f"{HAN}|{KANA}", term)
    assert len(re.findall(HIRAGANA, meaning)) >= 2  # particles and endings: no phrase is without
    assert latin_share(meaning) < 0.3


@pytest.mark.parametrize(("term", "meaning"), of("ar"))
def test_arabic_is_in_arabic_letters(term, meaning):
    assert re.search(ARABIC, term)
    assert latin_share(meaning) < 0.3


@pytest.mark.parametrize("key", CHARACTER_SETS)
def test_each_language_stays_within_the_character_set_made_for_it(key):
    for entry in ENTRIES:
        text = " ".join(entry.texts[key]).replace("«", "").replace("»", "")
        assert text.encode(CHARACTER_SETS[key], errors="ignore").decode(CHARACTER_SETS[key]) == text


def test_every_link_within_the_page_leads_to_one_place(parsed):
    assert sorted(parsed.ids) == sorted(set(parsed.ids))
    assert set(parsed.links) == set(parsed.ids)
    assert not parsed.open


def test_each_text_of_the_page_is_marked_with_its_language_and_arabic_with_its_direction(parsed):
    marked = dict.fromkeys(("hi", "zh-Hans", "ja", "ar"), 0)
    for language, direction, text in parsed.texts:
        assert text.isascii() or language in marked, text
        if language:
            marked[language] += 1
            assert direction == ("rtl" if language == "ar" else None)
    assert set(marked.values()) == {3 * len(ENTRIES)}  # term, language's name, meaning


def test_the_page_has_nothing_that_a_narrow_screen_cannot_wrap():
    text = glossary.PAGE.read_text(encoding="utf-8")
    assert "<table" not in text
    assert not re.search(r"^\|", text, re.M)
    shown = re.sub(r"<[^>]*>|\([^)]*ipynb\)|&emsp;|^<!--.*", " ", text, flags=re.M)
    assert max(map(len, re.findall(r"[\x21-\x7e]+", shown))) <= 24


def test_every_lesson_has_its_terms_in_the_list_by_lesson(parsed):
    lines = [line for line in glossary.PAGE.read_text("utf-8").splitlines() if line[:3] == "- ["]
    assert len(lines) == 14
    for line in lines:
        file = re.search(r"\(\.\./notebooks/(\S+)\)", line)[1]
        assert (nbtools.ROOT / "notebooks" / file).is_file()
        linked = re.findall(r'href="#([^"]+)"', line)
        assert linked == [entry.anchor for entry in ENTRIES if entry.lesson.file == file]
