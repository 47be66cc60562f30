import pytest

from avsync.tasks.lipreading.vocabulary import Vocabulary


def test_texts_are_decoded_as_encoded():
    words = Vocabulary("words", ("bin", "blue", "now"))
    assert words.encode("BIN  now") == [1, 3] and words.decode([1, 3, 0, 2]) == "bin now"
    letters = Vocabulary()
    assert letters.decode(letters.encode(" It's  nine ")) == "it's nine"
    assert len(words) == 4 and len(letters) == 1 + 38


def test_a_batch_has_inputs_and_the_symbols_after_them():
    batch = Vocabulary("words", ("a", "b")).batch(["a b", "b"])
    assert batch.inputs.tolist() == [[0, 1, 2], [0, 2, 0]]
    assert batch.targets.tolist() == [[1, 2, 0], [2, 0, -100]]


def test_unknown_symbols_and_wrong_vocabularies_are_named():
    with pytest.raises(ValueError, match=r"made of the words known, got \['red'\] as well"):
        Vocabulary("words", ("a",)).encode("a red")
    with pytest.raises(ValueError, match=r"characters known, got \['\?'\]"):
        Vocabulary().encode("what?")
    with pytest.raises(ValueError, match="unit must be characters or words, got 'bytes'"):
        Vocabulary("bytes")
    with pytest.raises(ValueError, match="symbols must list the words"):
        Vocabulary("words")
    with pytest.raises(ValueError, match="symbols must differ"):
        Vocabulary("words", ("a", "a"))
