"""Wrong answers to lesson 1 as learners write them, each with what its message must say."""

import itertools
from collections import Counter

import torch
import torch.nn.functional as F


def forgets_how_often_a_word_occurs(words):
    counts = {}
    for word in words:
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] = counts.get((word[i], word[i + 1]), 0) + 1
    return counts


def joins_all_words_first(words):
    tokens = []
    for word, count in words.items():
        tokens.extend(list(word) * count)
    return Counter(itertools.pairwise(tokens))


def collects_a_set_of_pairs(words):
    counts = Counter()
    for word, count in words.items():
        for pair in {(word[i], word[i + 1]) for i in range(len(word) - 1)}:
            counts[pair] += count
    return counts


def counts_with_str_count(words):
    counts = Counter()
    for word, count in words.items():
        text = "".join(word) if isinstance(word[0], str) else word
        for pair in set(itertools.pairwise(word)):
            counts[pair] += (text.count(pair[0] + pair[1]) if isinstance(text, str) else 1) * count
    return counts


def steps_by_two(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(0, len(word) - 1, 2):
            counts[word[i], word[i + 1]] += count
    return counts


def sorts_each_pair(words):
    counts = Counter()
    for word, count in words.items():
        for a, b in itertools.pairwise(word):
            counts[min(a, b), max(a, b)] += count
    return counts


def glues_the_keys(words):
    counts = Counter()
    for word, count in words.items():
        for a, b in itertools.pairwise(word):
            counts[a + b] += count
    return counts


def pairs_everything_with_everything(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(len(word)):
            for j in range(i + 1, len(word)):
                counts[word[i], word[j]] += count
    return counts


def returns_the_best_pair(words):
    counts = Counter()
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            counts[pair] += count
    return max(counts, key=counts.get)


def empties_the_dictionary(words):
    counts = Counter()
    while words:
        word, count = words.popitem()
        for pair in itertools.pairwise(word):
            counts[pair] += count
    return counts


def replaces_the_count(words):
    counts = {}
    for word, count in words.items():
        for i in range(len(word) - 1):
            counts[word[i], word[i + 1]] = count
    return counts


def misses_the_last_pair(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(len(word) - 2):
            counts[word[i], word[i + 1]] += count
    return counts


def slices_over_the_end(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(len(word)):
            counts[word[i : i + 2]] += count
    return counts


def looks_past_the_end(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(len(word)):
            counts[word[i], word[i + 1]] += count
    return counts


def returns_after_the_first_word(words):
    counts = Counter()
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            counts[pair] += count
        return counts
    return counts


def counts_anew_for_each_word(words):
    for word, count in words.items():
        counts = Counter()
        for pair in itertools.pairwise(word):
            counts[pair] += count
    return counts


def puts_the_right_token_first(words):
    counts = Counter()
    for word, count in words.items():
        for i in range(1, len(word)):
            counts[word[i], word[i - 1]] += count
    return counts


def begins_with_one(words):
    counts = {}
    for word, count in words.items():
        for pair in itertools.pairwise(word):
            if pair in counts:
                counts[pair] += count
            else:
                counts[pair] = 1
    return counts


def merges_the_first_only(word, pair):
    for i in range(len(word) - 1):
        if (word[i], word[i + 1]) == pair:
            return (*word[:i], pair[0] + pair[1], *word[i + 2 :])
    return word


def merges_either_order(word, pair):
    out, i = [], 0
    while i < len(word):
        if i + 1 < len(word) and {word[i], word[i + 1]} == set(pair):
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def does_not_skip_after_a_merge(word, pair):
    out = []
    for i in range(len(word)):
        if i + 1 < len(word) and (word[i], word[i + 1]) == pair:
            out.append(word[i] + word[i + 1])
        else:
            out.append(word[i])
    return tuple(out)


def loses_the_last_token(word, pair):
    out, i = [], 0
    while i < len(word) - 1:
        if (word[i], word[i + 1]) == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def merges_from_the_right(word, pair):
    out, i = [], len(word) - 1
    while i >= 0:
        if i > 0 and (word[i - 1], word[i]) == pair:
            out.insert(0, word[i - 1] + word[i])
            i -= 2
        else:
            out.insert(0, word[i])
            i -= 1
    return tuple(out)


def replaces_in_the_glued_word(word, pair):
    if not isinstance(word[0], str):
        return word
    new = pair[0] + pair[1]
    pieces = "".join(word).split(new)
    out = list(pieces[0])
    for piece in pieces[1:]:
        out += [new, *piece]
    return tuple(out)


def returns_a_list(word, pair):
    return list(does_not_skip_after_a_merge(word, pair))


def nests_the_pair(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(pair)
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def compares_with_a_list(word, pair):
    out, i = [], 0
    while i < len(word):
        if list(word[i : i + 2]) == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def shortens_the_list_that_it_walks_over(word, pair):
    word = list(word)
    for i in range(len(word) - 1):
        if (word[i], word[i + 1]) == pair:
            word[i : i + 2] = [word[i] + word[i + 1]]
    return tuple(word)


def joins_as_text(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append("".join(pair))
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def formats_as_text(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(f"{pair[0]}{pair[1]}")
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def always_appends_the_last(word, pair):
    out, i = [], 0
    while i < len(word) - 1:
        if (word[i], word[i + 1]) == pair:
            out.append(word[i] + word[i + 1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    out.append(word[-1])
    return tuple(out)


def adds_strings_to_a_list(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out += pair[0] + pair[1]
            i += 2
        else:
            out += word[i]
            i += 1
    return tuple(out)


def glues_backwards(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(pair[1] + pair[0])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def merge(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] == pair:
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def merges_either_order_under_one_name(word, pair):
    out, i = [], 0
    while i < len(word):
        if word[i : i + 2] in (pair, pair[::-1]):
            out.append(pair[0] + pair[1])
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def compares_joined_text(word, pair):
    out, i = [], 0
    while i < len(word):
        if "".join(word[i : i + 2]) == "".join(pair):
            out.append("".join(pair))
            i += 2
        else:
            out.append(word[i])
            i += 1
    return tuple(out)


def uses_tokens_twice(word, pair):
    out = []
    for i in range(len(word)):
        if word[i : i + 2] == pair:
            out.append(pair[0] + pair[1])
        elif i == 0 or word[i - 1 : i + 1] != pair:
            out.append(word[i])
    return tuple(out)


def takes_the_longest_token(word, merges):
    known = set(word) | {a + b for a, b in merges}
    text = "".join(word)
    out, start = [], 0
    while start < len(text):
        for end in range(len(text), start, -1):
            if text[start:end] in known:
                out.append(text[start:end])
                start = end
                break
    return tuple(out)


def takes_the_leftmost_pair(word, merges):
    changed = True
    while changed:
        changed = False
        for i in range(len(word) - 1):
            if (word[i], word[i + 1]) in merges:
                word = (*word[:i], word[i] + word[i + 1], *word[i + 2 :])
                changed = True
                break
    return word


def goes_backwards(word, merges):
    for pair in reversed(merges):
        word = merge(word, pair)
    return word


def stops_when_one_does_not_fit(word, merges):
    for pair in merges:
        new = merge(word, pair)
        if new == word:
            break
        word = new
    return word


def returns_inside_the_loop(word, merges):
    for pair in merges:
        if pair in itertools.pairwise(word):
            return merge(word, pair)
    return word


def filters_the_merges_first(word, merges):
    present = set(itertools.pairwise(word))
    for pair in merges:
        if pair in present:
            word = merge(word, pair)
    return word


def counts_the_pairs_of_the_word(word, merges):
    while len(word) > 1:
        counts = Counter((word[i], word[i + 1]) for i in range(len(word) - 1))
        best = max(counts, key=counts.get)
        if best not in merges:
            break
        word = merge(word, best)
    return word


def counts_the_known_pairs_of_the_word(word, merges):
    while True:
        counts = Counter(pair for pair in itertools.pairwise(word) if pair in merges)
        if not counts:
            return word
        word = merge(word, max(counts, key=counts.get))


def takes_the_first_learned_of_the_most_frequent(word, merges):
    while True:
        counts = Counter(itertools.pairwise(word))
        known = [pair for pair in merges if counts[pair]]
        if not known:
            return word
        word = merge(word, max(known, key=lambda pair: counts[pair]))


def keeps_the_last_change_of_the_given_word(word, merges):
    result = word
    for pair in merges:
        changed = merge(word, pair)
        if changed != word:
            result = changed
    return result


def forgets_to_keep_the_result(word, merges):
    for pair in merges:
        merge(word, pair)
    return word


def begins_again_with_the_word(word, merges):
    for pair in merges:
        result = merge(word, pair)
    return result


def returns_after_the_first_merge(word, merges):
    for pair in merges:
        return merge(word, pair)
    return word


def walks_along_the_word(word, merges):
    for pair in itertools.pairwise(word):
        if pair in merges:
            word = merge(word, pair)
    return word


def uses_the_merges_up(word, merges):
    while merges:
        word = merge(word, merges.pop(0))
    return word


def works_for_letters_only(word, merges):
    for pair in merges:
        word = joins_as_text(word, pair)
    return word


def total(encode, sentences, language):
    return sum(len(encode(s[language])) for s in sentences)


def english_on_top(encode, sentences, language):
    return total(encode, sentences, "en") / total(encode, sentences, language)


def counts_characters(encode, sentences, language):
    return sum(len(s[language]) for s in sentences) / sum(len(s["en"]) for s in sentences)


def tokens_per_character(encode, sentences, language):
    def rate(code):
        return total(encode, sentences, code) / sum(len(s[code]) for s in sentences)

    return rate(language) / rate("en")


def mean_of_ratios(encode, sentences, language):
    ratios = [len(encode(s[language])) / len(encode(s["en"])) for s in sentences]
    return sum(ratios) / len(ratios)


def sums_the_ids(encode, sentences, language):
    return sum(sum(encode(s[language])) for s in sentences) / sum(
        sum(encode(s["en"])) for s in sentences
    )


def returns_in_the_loop(encode, sentences, language):
    for s in sentences:
        ratio = len(encode(s[language])) / len(encode(s["en"]))
        break
    return ratio


def not_relative(encode, sentences, language):
    return total(encode, sentences, language)


def difference(encode, sentences, language):
    return total(encode, sentences, language) - total(encode, sentences, "en")


def joins_the_sentences(encode, sentences, language):
    texts = {code: " ".join(s[code] for s in sentences) for code in ("en", language)}
    return len(encode(texts[language])) / len(encode(texts["en"]))


def glues_the_sentences(encode, sentences, language):
    texts = {code: "".join(s[code] for s in sentences) for code in ("en", language)}
    return len(encode(texts[language])) / len(encode(texts["en"]))


def sums_the_ratios(encode, sentences, language):
    return sum(len(encode(s[language])) / len(encode(s["en"])) for s in sentences)


def tokens_of_a_sentence(encode, sentences, language):
    return total(encode, sentences, language) / len(sentences)


def keeps_the_last_ratio(encode, sentences, language):
    for s in sentences:
        ratio = len(encode(s[language])) / len(encode(s["en"]))
    return ratio


def takes_one_off(encode, sentences, language):
    return total(encode, sentences, language) / total(encode, sentences, "en") - 1


def rounds(encode, sentences, language):
    return round(total(encode, sentences, language) / total(encode, sentences, "en"), 2)


def divides_to_a_whole_number(encode, sentences, language):
    return total(encode, sentences, language) // total(encode, sentences, "en")


def replaces_the_sentences_by_their_lengths(encode, sentences, language):
    for s in sentences:
        s |= {code: len(encode(text)) for code, text in s.items()}
    return sum(s[language] for s in sentences) / sum(s["en"] for s in sentences)


def rows_for_the_vocabulary(ids, vocab_size):
    out = torch.zeros(vocab_size, len(ids))
    for t, id in enumerate(ids):
        out[id, t] = 1.0
    return out


def keeps_integers(ids, vocab_size):
    return F.one_hot(ids, vocab_size)


def forgets_the_vocabulary(ids, vocab_size):
    return F.one_hot(ids).float()


def counts_from_one(ids, vocab_size):
    return F.one_hot(ids - 1, vocab_size + 1)[:, :vocab_size].float()


def shifts_to_the_left(ids, vocab_size):
    out = torch.zeros(len(ids), vocab_size)
    for t, id in enumerate(ids):
        out[t, id - 1] = 1.0
    return out


def bag_of_words(ids, vocab_size):
    out = torch.zeros(vocab_size)
    out[ids] = 1.0
    return out


def histogram(ids, vocab_size):
    return torch.bincount(ids, minlength=vocab_size).float()


def marks_all_ids_in_each_row(ids, vocab_size):
    out = torch.zeros(len(ids), vocab_size)
    out[:, ids] = 1.0
    return out


def writes_the_id(ids, vocab_size):
    out = torch.zeros(len(ids), vocab_size)
    for t, id in enumerate(ids):
        out[t, id] = id
    return out


def booleans(ids, vocab_size):
    return ids[:, None] == torch.arange(vocab_size)


def double_precision(ids, vocab_size):
    return torch.eye(vocab_size, dtype=torch.float64)[ids]


def nested_lists(ids, vocab_size):
    return [[float(v == id) for v in range(vocab_size)] for id in ids.tolist()]


def takes_the_id_for_the_row(ids, vocab_size):
    out = torch.zeros(len(ids), vocab_size)
    for id in ids:
        out[id] = 1.0
    return out


def looks_up_the_first_place(words):
    counts = {}
    for word, times in words.items():
        for token in word[:-1]:
            i = word.index(token)
            counts[word[i], word[i + 1]] = counts.get((word[i], word[i + 1]), 0) + times
    return counts


def adds_up_lists(encode, sentences, language):
    tokens = {language: [], "en": []}
    for sentence in sentences:
        for code in {language, "en"}:
            tokens[code] = tokens[code] + encode(sentence[code])
    return len(tokens[language]) / len(tokens["en"])


def adds_up_a_set_of_lengths(encode, sentences, language):
    there = sum({len(encode(s[language])) for s in sentences})
    return there / sum({len(encode(s["en"])) for s in sentences})


BANK = {
    "1.1": [
        (forgets_how_often_a_word_occurs, "counted each word once"),
        (joins_all_words_first, "across the border between two words"),
        (collects_a_set_of_pairs, "at most once in each word"),
        (counts_with_str_count, "runs without overlap"),
        (steps_by_two, "two steps at a time"),
        (sorts_each_pair, "The order inside a pair counts"),
        (glues_the_keys, "tuple of two tokens"),
        (pairs_everything_with_everything, "Only neighbors can be merged"),
        (returns_the_best_pair, "a dictionary is needed"),
        (replaces_the_count, "Add to the count"),
        (misses_the_last_pair, "last pair of each word is missing"),
        (slices_over_the_end, "ran over the end"),
        (empties_the_dictionary, "changed the dictionary"),
        (looks_past_the_end, "looked past the end"),
        (returns_after_the_first_word, "first word only"),
        (counts_anew_for_each_word, "last word only"),
        (puts_the_right_token_first, "wrong way round"),
        (begins_with_one, "begin with 0"),
        (looks_up_the_first_place, "first place only"),
    ],
    "1.2": [
        (merges_the_first_only, "first occurrence only"),
        (merges_either_order, "reversed pair too"),
        (does_not_skip_after_a_merge, "A merge uses up two tokens"),
        (loses_the_last_token, "at the end of the word are missing"),
        (merges_from_the_right, "from left to right"),
        (replaces_in_the_glued_word, "forgets where its tokens end"),
        (returns_a_list, "a list cannot be the key"),
        (nests_the_pair, "Glue the two together"),
        (shortens_the_list_that_it_walks_over, "gets shorter with every merge"),
        (compares_with_a_list, "Nothing was merged"),
        (joins_as_text, "tokens are bytes"),
        (formats_as_text, "tokens are bytes"),
        (always_appends_the_last, "The last token is there twice"),
        (adds_strings_to_a_list, "fell apart"),
        (glues_backwards, "wrong order"),
        (merges_either_order_under_one_name, "reversed pair too"),
        (compares_joined_text, "compared the two tokens glued together"),
        (uses_tokens_twice, "used a token twice"),
    ],
    "1.3": [
        (takes_the_longest_token, "longest token of the vocabulary"),
        (takes_the_leftmost_pair, "leftmost pair"),
        (goes_backwards, "from the last to the first"),
        (stops_when_one_does_not_fit, "stopped at the first merge that did not fit"),
        (returns_inside_the_loop, "one merge only"),
        (filters_the_merges_first, "as it was at the start"),
        (counts_the_pairs_of_the_word, "Counting belongs to training"),
        (counts_the_known_pairs_of_the_word, "Counting belongs to training"),
        (takes_the_first_learned_of_the_most_frequent, "Counting belongs to training"),
        (keeps_the_last_change_of_the_given_word, "Only the last merge is left"),
        (forgets_to_keep_the_result, "Nothing was merged"),
        (begins_again_with_the_word, "Only the last merge is left"),
        (returns_after_the_first_merge, "after the first merge of the list"),
        (walks_along_the_word, "walked over the pairs of the word"),
        (uses_the_merges_up, "changed the list of merges"),
        (works_for_letters_only, "tokens are bytes"),
    ],
    "1.4": [
        (english_on_top, "stands on its head"),
        (counts_characters, "You counted characters"),
        (tokens_per_character, "by its own characters first"),
        (mean_of_ratios, "averaged one ratio for each sentence"),
        (sums_the_ids, "An id is a name"),
        (returns_in_the_loop, "first sentence only"),
        (difference, "You subtracted"),
        (joins_the_sentences, "joined the sentences"),
        (glues_the_sentences, "glued the sentences"),
        (sums_the_ratios, "added up one ratio"),
        (tokens_of_a_sentence, "average sentence"),
        (keeps_the_last_ratio, "last sentence only"),
        (takes_one_off, "subtracted 1"),
        (rounds, "rounded the ratio"),
        (divides_to_a_whole_number, "divided with //"),
        (replaces_the_sentences_by_their_lengths, "changed the sentences"),
        (not_relative, "How much more is that than in English"),
        (adds_up_lists, "returns bytes"),
        (adds_up_a_set_of_lengths, "occurs twice counts twice"),
    ],
    "1.5": [
        (rows_for_the_vocabulary, "transposed"),
        (keeps_integers, "floating point"),
        (forgets_the_vocabulary, "as wide as the largest id"),
        (counts_from_one, "too far to the left"),
        (shifts_to_the_left, "too far to the left"),
        (bag_of_words, "one row for the whole text"),
        (histogram, "one row that counts"),
        (marks_all_ids_in_each_row, "marks all ids"),
        (writes_the_id, "wrote the id itself"),
        (booleans, "floating point"),
        (double_precision, "torch.float64"),
        (nested_lists, "in a list"),
        (takes_the_id_for_the_row, "The first place in X[t, id]"),
    ],
}
