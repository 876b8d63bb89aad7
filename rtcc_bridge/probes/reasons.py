"""What a person has to state in words: the reason for an act, above all."""

from rtcc_bridge.errors import InvalidInputError
from rtcc_bridge.probes.faces import MAX_REASON_CHARACTERS


def stated(reason: str, act: str) -> str:
    """The reason without surrounding space. act: what needs one, as the begin of a sentence.

    Raises InvalidInputError when there is none, or more than can be kept.
    """
    text = reason.strip()
    if not 0 < len(text) <= MAX_REASON_CHARACTERS:
        raise InvalidInputError(
            f"{act} needs a reason of at most {MAX_REASON_CHARACTERS} characters: state it.", "fields"
        )
    return text


def stated_words(text: str, what: str, most: int = MAX_REASON_CHARACTERS) -> str:
    """The text without surrounding space. what: has to be stated, as in "State ...".

    Raises InvalidInputError when nothing is stated, or more than `most` characters.
    """
    words = text.strip()
    if not 0 < len(words) <= most:
        raise InvalidInputError(f"State {what} in at most {most} characters.", "fields")
    return words
