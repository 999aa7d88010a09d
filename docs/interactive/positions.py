"""How many places and dimensions the picture has, as in the lesson."""


def data() -> dict[str, int]:
    return {"places": 64, "dim": 32}
