"""Lesson 1: counting and merging pairs, encoding, what a language pays, one-hot products."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from itertools import combinations, pairwise
from typing import Any

from course_utils.checks.engine import exercise, expect_also, expect_close, expect_equal, refuse

Words = dict[tuple[str, ...], int]
Way = Callable[..., Any]
Mistakes = Mapping[str, Way | Sequence[Way]]  # message -> what a learner with it would return

BYTES_TOO = (
    "Your new token is right for letters only, and on real text the tokens are bytes. "
    "first + second glues both."
)


def _diagnose(
    answer: Callable[..., Any],
    cases: Sequence[tuple],
    right: Callable[..., Any],
    mistakes: Mistakes,
    *,
    tidy: Callable[[Any], Any] = lambda got: got,
    changed: str = "",
) -> None:
    """Refuse unless `answer` does on every case what `right` does, and leaves the case as it was.

    The mistake named is one that explains all results; failing that, one that explains all wrong
    ones. A message may have several functions: ways to make the same mistake.
    """
    results: list[tuple[tuple, Any]] = []
    for case in cases:
        given = deepcopy(case)
        try:
            got = tidy(answer(*given))
        except Exception as error:
            if any(got != right(*case) for case, got in results):
                break  # what it returned before says more
            if isinstance(error, IndexError):
                refuse(
                    "Your code looked past the end of a word (IndexError). A word of n tokens has "
                    "n - 1 pairs of neighbors, and it gets shorter with every merge."
                )
            if isinstance(error, TypeError) and "bytes" in str(error):
                refuse(BYTES_TOO)
            raise
        if given != case:
            refuse(changed)
        results.append((case, got))
    wrong = [(case, got) for case, got in results if got != right(*case)]
    if not wrong:
        return
    for explained in (results, wrong):
        for message, ways in mistakes.items():
            for mistake in [ways] if callable(ways) else ways:
                if all(got == mistake(*case) for case, got in explained):
                    refuse(message)
    case, got = wrong[0]
    expect_equal(got, right(*case), what=f"for {', '.join(map(repr, case))}, your result")


@exercise("1.1", "you count neighbors, inside words, once for each time a word occurs")
def counts_pairs(answer: Any) -> None:
    low: Words = {tuple("low"): 5, tuple("lower"): 2, tuple("bee"): 1}
    cases = [
        (low,),
        ({tuple("abab"): 1, tuple("ba"): 4},),
        ({tuple("aaaa"): 3},),
        ({("lo", "w", "lo", "w"): 2, ("w",): 7},),
        ({tuple("ab"): 1, tuple("ba"): 2},),
        ({(b"\xe6", b"\xb0"): 3},),
        ({tuple("newest"): 6},),
    ]
    mistakes: Mistakes = {
        "You counted each word once, but a word comes with the number of times that it occurs in "
        "the text. ('l', 'o') is in a word that occurs 5 times: it occurs 5 times there.": (
            _with_multiplicity_one
        ),
        "You counted pairs across the border between two words. The last token of one word and the "
        "first of the next are no neighbors: the dictionary has no order of words at all.": _across,
        "You counted a pair at most once in each word. In 'abab' the pair ('a', 'b') occurs twice, "
        "at two places.": _once_a_word,
        "You counted runs without overlap. Slide a window of two tokens one step at a time: in "
        "'aaa' it sees ('a', 'a') twice.": _without_overlap,
        "You moved two steps at a time, so every second pair is missing: in 'low' there is "
        "('l', 'o') and also ('o', 'w').": _steps_of_two,
        "The order inside a pair counts: ('a', 'b') and ('b', 'a') are different pairs.": _unordered,
        "You counted all pairs of tokens in a word. Only neighbors can be merged: the two tokens "
        "must stand side by side.": _all_pairs,
        "A second word with the same pair replaced what the first one had counted. Add to the count "
        "that is there already.": _overwritten,
        "The first time that you met a pair you counted 1. Its word occurs several times there "
        "too: begin with 0 and add.": _begun_with_one,
        "You counted the first word only: `return` belongs after the loop, not inside it.": (
            lambda words: _count(dict(list(words.items())[:1]))
        ),
        "You counted the last word only: the counts begin anew with each word. Make them once, "
        "before the loop.": lambda words: _count(dict(list(words.items())[-1:])),
        "Your pairs are the wrong way round: the left token comes first.": lambda words: {
            pair[::-1]: count for pair, count in _count(words).items()
        },
        "A token that stands twice in a word can have two different neighbors, as e in 'newest'. Walk "
        "over places, not over tokens: `index` finds the first place only.": (
            _first_place,
            _one_successor,
        ),
        "The last pair of each word is missing: a word of n tokens has n - 1 pairs.": _without_end,
        "Your last pair of each word has one token only: the window ran over the end of the word. A "
        "word of n tokens has n - 1 pairs.": _over_the_end,
        "You counted single tokens. A pair is two tokens that stand side by side.": _singles,
    }
    _diagnose(
        answer,
        cases,
        _count,
        mistakes,
        tidy=_tidy_counts,
        changed="Your function changed the dictionary that it was given. Counting only looks: the "
        "same words are needed again for the merge.",
    )


def _tidy_counts(got: Any) -> Any:
    """A plain dictionary without zeros, if it is one whose keys are pairs."""
    if isinstance(got, list | tuple | set):
        refuse(
            f"You returned a {type(got).__name__}, but a dictionary is needed: each pair of tokens, "
            "and how often it occurs."
        )
    if not isinstance(got, dict):
        return got
    for pair in got:
        if not isinstance(pair, tuple):
            refuse(
                f"A pair must be a tuple of two tokens, and one of yours is {pair!r}. Glued "
                "together, 'lo' + 'w' and 'l' + 'ow' would be the same key, but they are "
                "different pairs."
            )
    return {pair: count for pair, count in got.items() if count}


def _count(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for pair in pairwise(word):
            counts[pair] += times
    return dict(counts)


def _with_multiplicity_one(words: Words) -> dict[Any, int]:
    return dict(Counter(pair for word in words for pair in pairwise(word)))


def _across(words: Words) -> dict[Any, int]:
    return dict(Counter(pairwise(token for word, n in words.items() for token in word * n)))


def _once_a_word(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for pair in set(pairwise(word)):
            counts[pair] += times
    return dict(counts)


def _without_overlap(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for pair in set(pairwise(word)):
            place = 0
            while place < len(word) - 1:
                found = word[place : place + 2] == pair
                counts[pair] += times * found
                place += 1 + found
    return dict(counts)


def _steps_of_two(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for pair in zip(word[::2], word[1::2], strict=False):
            counts[pair] += times
    return dict(counts)


def _unordered(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for pair, times in _count(words).items():
        counts[tuple(sorted(pair))] += times
    return dict(counts)


def _all_pairs(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for pair in combinations(word, 2):
            counts[pair] += times
    return dict(counts)


def _singles(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for token in word:
            counts[(token,)] += times
    return dict(counts)


def _overwritten(words: Words) -> dict[Any, int]:
    return {pair: times for word, times in words.items() for pair in pairwise(word)}


def _begun_with_one(words: Words) -> dict[Any, int]:
    counts: dict[Any, int] = {}
    for word, times in words.items():
        for pair in pairwise(word):
            counts[pair] = counts[pair] + times if pair in counts else 1
    return counts


def _without_end(words: Words) -> dict[Any, int]:
    return _count({word[:-1]: times for word, times in words.items()})


def _first_place(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        for token in word[:-1]:
            place = word.index(token)
            counts[word[place : place + 2]] += times
    return dict(counts)


def _one_successor(words: Words) -> dict[Any, int]:
    counts: Counter[Any] = Counter()
    for word, times in words.items():
        after = dict(pairwise(word))
        for token in word[:-1]:
            counts[token, after[token]] += times
    return dict(counts)


def _over_the_end(words: Words) -> dict[Any, int]:
    ends: Counter[Any] = Counter()
    for word, times in words.items():
        ends[word[-1:]] += times
    return _count(words) | dict(ends)


@exercise("1.2", "you merge every occurrence, from left to right, and nothing else")
def merges_pair(answer: Any) -> None:
    cases = [
        (tuple("newest"), ("e", "s")),
        (tuple("abcab"), ("a", "b")),
        (tuple("baab"), ("a", "b")),
        (tuple("aaaaa"), ("a", "a")),
        (("xa", "b", "a", "b"), ("a", "b")),  # glued together, "xab" hides where its tokens end
        (("a", "bc", "ab", "c"), ("ab", "c")),
        (tuple("xyz"), ("a", "b")),
        (("b",), ("a", "b")),
        (tuple("ab"), ("a", "b")),
        ((b" ", b"t", b"h", b"e"), (b"t", b"h")),
        ((b"\xe6", b"\xb0", b"\xb4"), (b"\xe6", b"\xb0")),
    ]
    mistakes: Mistakes = {
        "Nothing was merged. In 'newest' with the pair ('e', 's'), the two neighbors become the one "
        "token 'es'.": lambda word, pair: word,
        "You merged the first occurrence only. Go on to the end of the word: every occurrence of "
        "the pair becomes one token.": lambda word, pair: _merge(word, pair, at_most=1),
        "You merged the reversed pair too. The order counts: only the first token followed by the "
        "second is the pair.": (
            _either_order,
            partial(_either_order, one_name=True),
        ),
        "You compared the two tokens glued together. 'a', 'bc' and 'ab', 'c' read the same, but only "
        "one of them is the pair: compare the first token, then the second.": _same_text,
        "In a run like 'aaaaa' you used a token twice: it became the end of one new token and the "
        "start of the next. After a merge, go on behind both tokens.": _used_twice,
        "After a merge you went on by one token only, so the second half of the pair is there "
        "twice: inside the new token and once alone. A merge uses up two tokens.": _step_of_one,
        "In a run like 'aaaaa' you merged from the right. The rule is from left to right: the first "
        "two, the next two, and the last one stays alone.": _from_the_right,
        "Tokens at the end of the word are missing. The last token has no right neighbor, but it "
        "still belongs to the word.": _without_last,
        "The last token is there twice when it belongs to a pair: inside the new token and once "
        "more alone. Add it only if it was not merged.": _last_again,
        "Your tokens fell apart into single letters: adding a string to a list adds its letters "
        "one by one. Append the token instead.": lambda word, pair: tuple(
            letter for token in _merge(word, pair) for letter in token
        ),
        "You glued the new token in the wrong order: first + second.": lambda word, pair: tuple(
            pair[1] + pair[0] if token == pair[0] + pair[1] else token
            for token in _merge(word, pair)
        ),
        BYTES_TOO: lambda word, pair: tuple(
            f"{pair[0]}{pair[1]}" if token == pair[0] + pair[1] else token
            for token in _merge(word, pair)
        ),
        "You removed the pair but put no new token in its place.": lambda word, pair: tuple(
            token for token in _merge(word, pair) if token != pair[0] + pair[1]
        ),
        "You merged inside a token. Glued together, a word forgets where its tokens end: 'xa' "
        "followed by 'b' holds the letters a, b, but not the tokens 'a', 'b'.": _ignoring_borders,
        "The new token is a tuple of two tokens. Glue the two together: first + second.": (
            lambda word, pair: tuple(
                pair if token == pair[0] + pair[1] else token for token in _merge(word, pair)
            )
        ),
    }
    _diagnose(answer, cases, _merge, mistakes, tidy=_tidy_word)


def _tidy_word(got: Any) -> Any:
    if isinstance(got, list | str | bytes):
        refuse(
            f"You returned a {type(got).__name__}, but a word is a tuple of tokens: a list cannot be "
            "the key of a dictionary, and a string forgets where its tokens end."
        )
    return got


def _merge(word: tuple, pair: tuple, at_most: int = 1_000) -> tuple:
    merged: list[Any] = []
    place = 0
    while place < len(word):
        if word[place : place + 2] == pair and at_most:
            merged.append(pair[0] + pair[1])
            place, at_most = place + 2, at_most - 1
        else:
            merged.append(word[place])
            place += 1
    return tuple(merged)


def _either_order(word: tuple, pair: tuple, one_name: bool = False) -> tuple:
    merged: list[Any] = []
    place = 0
    while place < len(word):
        two = word[place : place + 2]
        found = two in (pair, pair[::-1])
        first, second = pair if one_name or not found else two
        merged.append(first + second if found else word[place])
        place += 1 + found
    return tuple(merged)


def _same_text(word: tuple, pair: tuple) -> tuple:
    merged: list[Any] = []
    place = 0
    while place < len(word):
        two = word[place : place + 2]
        found = len(two) == 2 and two[0] + two[1] == pair[0] + pair[1]
        merged.append(pair[0] + pair[1] if found else word[place])
        place += 1 + found
    return tuple(merged)


def _used_twice(word: tuple, pair: tuple) -> tuple:
    merged: list[Any] = []
    for place, token in enumerate(word):
        if word[place : place + 2] == pair:
            merged.append(pair[0] + pair[1])
        elif not place or word[place - 1 : place + 1] != pair:
            merged.append(token)
    return tuple(merged)


def _from_the_right(word: tuple, pair: tuple) -> tuple:
    new = pair[0] + pair[1]
    backwards = _merge(tuple(reversed(word)), pair[::-1])
    return tuple(new if token == pair[1] + pair[0] else token for token in reversed(backwards))


def _step_of_one(word: tuple, pair: tuple) -> tuple:
    return tuple(
        pair[0] + pair[1] if word[place : place + 2] == pair else token
        for place, token in enumerate(word)
    )


def _without_last(word: tuple, pair: tuple) -> tuple:
    merged: list[Any] = []
    place = 0
    while place < len(word) - 1:
        found = word[place : place + 2] == pair
        merged.append(pair[0] + pair[1] if found else word[place])
        place += 1 + found
    return tuple(merged)


def _last_again(word: tuple, pair: tuple) -> tuple:
    merged = _merge(word, pair)
    return merged if merged[-1] == word[-1] else (*merged, word[-1])


def _ignoring_borders(word: tuple, pair: tuple) -> tuple:
    if not isinstance(word[0], str):
        return word
    new = pair[0] + pair[1]
    text = "".join(word).replace(new, "\n")
    return tuple(new if sign == "\n" else sign for sign in text)


MERGES = [("b", "c"), ("a", "b"), ("d", "e"), ("ab", "c"), ("a", "bc"), ("de", "de")]


@exercise("1.3", "you replay the merges in the order in which they were learned")
def encodes_word(answer: Any) -> None:
    cases = [
        (tuple("newest"), [("s", "t"), ("e", "st"), ("w", "est"), ("n", "e")]),
        (tuple("xabxdex"), MERGES),
        (tuple("abc"), [("b", "c"), ("a", "b"), ("ab", "c")]),
        (tuple("abc"), [("b", "c"), ("a", "bc"), ("a", "b")]),
        (tuple("abc"), [("a", "b"), ("b", "c")]),
        (tuple("abcd"), [("b", "c"), ("c", "d"), ("a", "b"), ("ab", "cd")]),
        (tuple("abcx"), [("b", "c"), ("a", "b"), ("c", "x")]),
        (tuple("abcxbc"), [("a", "b"), ("b", "c")]),
        (tuple("ababde"), MERGES),
        (("a", "b", "d"), [("a", "b"), ("b", "c"), ("ab", "c"), ("c", "d")]),
        (tuple("dedede"), MERGES),
        (tuple("bcab"), [("a", "b"), ("b", "c"), ("ab", "c")]),
        (tuple("xyz"), MERGES),
        (("q",), MERGES),
        ((b"\xe6", b"\xb0", b"\xb4"), [(b"\xe6", b"\xb0"), (b"\xe6\xb0", b"\xb4")]),
    ]
    mistakes: Mistakes = {
        "Nothing was merged: the tokens are those that came in. Keep the result of each merge.": (
            lambda word, merges: word
        ),
        "Only the last merge is left: each of yours began again from the word as it was given. Give "
        "every merge the result of the one before.": (
            lambda word, merges: _merge(word, merges[-1]),
            _last_that_fits,
        ),
        "You took the longest token of the vocabulary that fits, from the left. BPE does not look "
        "for long tokens: it replays the merges in the order of training, the oldest one first.": (
            _longest_first
        ),
        "You merged the leftmost pair that is in the list. Among all pairs that fit, the one that "
        "was learned first goes first, wherever in the word it stands.": _leftmost,
        "You walked over the pairs of the word. Walk over the list of merges: its order decides, "
        "not the order in the word.": _along_the_word,
        "You replayed the merges from the last to the first. A late merge is made of tokens that "
        "earlier merges make: begin with the first.": lambda word, merges: _encode(
            word, merges[::-1]
        ),
        "You stopped at the first merge that did not fit. Pass over it and go on: later merges may "
        "fit.": _stopped,
        "You returned after the first merge of the list: `return` belongs after the loop, not "
        "inside it.": lambda word, merges: _merge(word, merges[0]),
        "You did one merge only. Go on with the next merge in the list, on the result of the one "
        "before.": _one_merge,
        "You merged the pair that is most frequent in this word. Counting belongs to training and "
        "is over: encoding takes the merges as they are, the one learned first goes first.": (
            _recount,
            partial(_recount, known_only=True),
            partial(_recount, known_only=True, ties="learned"),
        ),
        "You looked for every merge in the word as it was at the start. Each merge works on the "
        "result of those before it: ('e', 'st') can fit only after ('s', 't') made 'st'.": (
            _on_the_start
        ),
    }
    _diagnose(
        answer,
        cases,
        _encode,
        mistakes,
        tidy=lambda got: tuple(got) if isinstance(got, list) else got,
        changed="Your function changed the list of merges that it was given. The next word needs "
        "all of them again: only look.",
    )


def _encode(word: tuple, merges: list) -> tuple:
    for pair in merges:
        word = _merge(word, pair)
    return word


def _longest_first(word: tuple, merges: list) -> tuple:
    vocab = {*word, *(first + second for first, second in merges)}
    text, tokens = word[0][:0].join(word), []
    while text:
        size = next(n for n in range(len(text), 0, -1) if text[:n] in vocab)
        tokens.append(text[:size])
        text = text[size:]
    return tuple(tokens)


def _leftmost(word: tuple, merges: list) -> tuple:
    place = 0
    while place < len(word) - 1:
        if word[place : place + 2] in merges:
            word = (*word[:place], word[place] + word[place + 1], *word[place + 2 :])
            place = 0
        else:
            place += 1
    return word


def _along_the_word(word: tuple, merges: list) -> tuple:
    return _encode(word, [pair for pair in pairwise(word) if pair in merges])


def _stopped(word: tuple, merges: list) -> tuple:
    for pair in merges:
        if pair not in pairwise(word):
            break
        word = _merge(word, pair)
    return word


def _one_merge(word: tuple, merges: list) -> tuple:
    return _merge(word, next((pair for pair in merges if pair in pairwise(word)), ("", "")))


def _last_that_fits(word: tuple, merges: list) -> tuple:
    fitting = [pair for pair in merges if pair in pairwise(word)]
    return _merge(word, fitting[-1]) if fitting else word


def _on_the_start(word: tuple, merges: list) -> tuple:
    return _encode(word, [pair for pair in merges if pair in pairwise(word)])


def _recount(word: tuple, merges: list, known_only: bool = False, ties: str = "leftmost") -> tuple:
    while True:
        counts = Counter(pairwise(word))
        if known_only:
            order = merges if ties == "learned" else list(counts)
            counts = Counter({pair: counts[pair] for pair in order if pair in merges})
        pair = max(counts, key=counts.__getitem__, default=("", ""))
        if not counts[pair] or pair not in merges:
            return word
        word = _merge(word, pair)


PARALLEL = [
    {"en": "Good tools, and good words.", "hi": "अच्छे उपकरण और शब्द।", "zh": "好工具，好词。"},
    {"en": "Water is life.", "hi": "जल ही जीवन है।", "zh": "水就是生命。"},
    {"en": "Come in.", "hi": "अंदर आओ।", "zh": "进来吧。"},
    {"en": "Go.", "hi": "जाओ।", "zh": "去吧。"},
]


def _toy_encode(text: str) -> list[int]:
    """One token for the start, one for each ASCII word, one for each byte of the other words.

    With the start, sentences that are joined before encoding need fewer tokens.
    """
    return [0, *(n for word in text.split() for n in ([1] if word.isascii() else word.encode()))]


@exercise("1.4", "you compare the cost of the same content in two languages")
def measures_premium(answer: Any) -> None:
    for language in ("hi", "zh"):
        tokens = {code: [len(_toy_encode(s[code])) for s in PARALLEL] for code in ("en", language)}
        there, english = sum(tokens[language]), sum(tokens["en"])
        texts = {code: "".join(s[code] for s in PARALLEL) for code in ("en", language)}
        ratios = [a / b for a, b in zip(tokens[language], tokens["en"], strict=True)]
        characters = len(texts[language]) / len(texts["en"])
        given = deepcopy(PARALLEL)
        got = answer(_toy_encode, given, language)
        if given != PARALLEL:
            refuse(
                "Your function changed the sentences that it was given. The next language needs "
                "them again: only look."
            )
        joined, glued = (
            {code: len(_toy_encode(sep.join(s[code] for s in PARALLEL))) for code in tokens}
            for sep in (" ", "")
        )
        expect_close(
            got,
            there / english,
            {
                "Your ratio stands on its head: English is what one compares with, so its number "
                "of tokens is below the line.": english / there,
                "You counted characters, which no tokenizer is needed for. The cost is the number "
                "of tokens: the length of what encode returns.": characters,
                "You counted bytes. The cost is the number of tokens: the length of what encode "
                "returns.": len(texts[language].encode()) / len(texts["en"].encode()),
                "You divided each language's tokens by its own characters first. The sentences say "
                "the same: compare whole sentences, however many characters they take.": (
                    there / english / characters
                ),
                "You averaged one ratio for each sentence, so a sentence of one word weighs as "
                "much as a long one. Add up the tokens first, then divide once.": (
                    sum(ratios) / len(ratios)
                ),
                "You added up one ratio for each sentence, so more sentences make a larger premium. "
                "Add up the tokens first, then divide once.": sum(ratios),
                "You returned the tokens of an average sentence. How much more is that than in "
                "English?": there / len(PARALLEL),
                "You added up the ids. An id is a name, not an amount: count how many there are.": (
                    sum(sum(_toy_encode(s[language])) for s in PARALLEL)
                    / sum(sum(_toy_encode(s["en"])) for s in PARALLEL)
                ),
                "You counted different tokens. A token that occurs twice costs twice.": (
                    len({n for s in PARALLEL for n in _toy_encode(s[language])})
                    / len({n for s in PARALLEL for n in _toy_encode(s["en"])})
                ),
                "You looked at the first sentence only. Add up over all sentences.": ratios[0],
                "You kept the last sentence only. Add up over all sentences.": ratios[-1],
                "You subtracted 1. A premium of 2 means twice the tokens, and English has 1.": (
                    there / english - 1
                ),
                "You joined the sentences and encoded one long text. Encode each sentence as it "
                "is, then add up.": joined[language] / joined["en"],
                "You glued the sentences into one text, so the last word of one grew together with "
                "the first of the next. Encode each sentence as it is, then add up.": (
                    glued[language] / glued["en"]
                ),
                "You rounded the ratio. Return it as it is; rounding belongs to the printing.": (
                    round(there / english, 2)
                ),
                "You divided with //, which throws away what is behind the point. Use /.": (
                    there // english
                ),
                "You subtracted. A premium is a ratio, so that long and short texts can be "
                "compared: tokens in the language divided by tokens in English.": there - english,
                "You returned the number of tokens. How much more is that than in English?": there,
            },
            what=f"the premium of {language!r}",
        )
    expect_close(
        answer(_toy_encode, deepcopy(PARALLEL), "en"),
        1.0,
        what="the premium of English over itself",
    )
    expect_also(
        answer,
        (str.encode, deepcopy(PARALLEL), "hi"),
        sum(len(s["hi"].encode()) for s in PARALLEL) / sum(len(s["en"].encode()) for s in PARALLEL),
        "Right for an `encode` that returns a list, but not for one that returns bytes, as the lesson's "
        "next cell uses: take `len` of each result, and add up the lengths.",
    )
    again = [*PARALLEL, PARALLEL[-1]]
    there, english = (sum(len(_toy_encode(s[code])) for s in again) for code in ("hi", "en"))
    expect_also(
        answer,
        (_toy_encode, again, "hi"),
        there / english,
        "A sentence, or a number of tokens, that occurs twice counts twice: a set or a dictionary keeps "
        "one of them. And there can be any number of sentences.",
    )


@exercise("1.5", "your product with the table picks rows, as a look-up does")
def makes_one_hot(answer: Any) -> None:
    import torch

    for ids, size in (([2, 5, 2], 7), ([0], 3), ([4, 0, 3, 1], 5), ([1, 0, 1, 1], 2)):
        right = torch.eye(size)[ids]
        try:
            got = answer(torch.tensor(ids), size)
        except IndexError as error:
            refuse(
                f"Your code stopped with IndexError: {error}. The first place in X[t, id] is the "
                "number of the token in the text, the second one is its id."
            )
        expect_close(
            got,
            right,
            {
                "Your matrix is transposed: it has a row for each entry of the vocabulary. It needs "
                "a row for each token, so that row times table is the vector of that token.": right.T,
                "Your ones stand one place too far to the right: ids count from 0, so id 0 belongs "
                "to the first column.": torch.roll(right, 1, dims=1),
                "Your ones stand one place too far to the left: ids count from 0, so id 0 belongs "
                "to the first column.": torch.roll(right, -1, dims=1),
                "You made one row for the whole text. It tells which ids occur, but not where or in "
                "what order: every token needs a row of its own.": right.amax(dim=0),
                "You made one row that counts the ids. It does not tell in what order they came: "
                "every token needs a row of its own.": right.sum(dim=0),
                "Every row marks all ids of the text. Row number t needs a single one, in the "
                "column of token t.": right.amax(dim=0).expand(len(ids), size),
                "You wrote the id itself into the row. The id tells where the 1 stands; with another "
                "number there the product would stretch the vector.": (
                    right * torch.tensor(ids)[:, None]
                ),
                "Your matrix is as wide as the largest id needs. Its width is the size of the "
                "vocabulary, whatever ids a text happens to have: the table has that many rows.": (
                    right[:, : max(ids) + 1]
                ),
                "You returned the identity matrix: one row for each entry of the vocabulary. Pick "
                "its rows in the order of the ids.": torch.eye(size),
            },
            what=f"For the ids {ids} and {size} entries, your matrix",
        )
        if not isinstance(got, torch.Tensor):
            refuse(
                f"Your numbers are right, but in a {type(got).__name__}. The table is a tensor, and "
                "its product needs a tensor on both sides."
            )
        if got.dtype != torch.float32:
            refuse(
                f"Your matrix holds {got.dtype}, and a table of vectors holds torch.float32. A "
                "matrix product needs the same kind of floating point numbers on both sides: add "
                ".float()."
            )
