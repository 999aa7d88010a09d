"""The merges of the lesson's tokenizer, and texts to begin with."""

from course_utils.experiments import course_tokenizer


def data() -> dict[str, object]:
    tokenizer = course_tokenizer(1024)
    ids = {token: id for id, token in tokenizer.vocab.items()}
    return {"merges": [[ids[first], ids[second]] for first, second in tokenizer.merges]}
