"""What each kind of tokenizer does that the others do not."""

from __future__ import annotations

import pytest

from hfrecipes.tokenizers.bpe import BYTES, Bpe
from hfrecipes.tokenizers.character import Character
from hfrecipes.tokenizers.unigram import Unigram, pieces, settle
from hfrecipes.tokenizers.word import Word
from hfrecipes.tokenizers.wordpiece import Wordpiece
from tests.tokenizers import TEXTS

EXACT = ["  two  spaces \n\ttab\r\n", "Привет 😀👨‍👩‍👧", "a\0b\x07", "ﬁne e\u0301 ²", " the film", "'s .,;", "مرحبا\u200f"]


@pytest.mark.parametrize("text", EXACT)
def test_bpe_gives_back_any_text_exactly_also_one_it_never_saw(text: str) -> None:
    trained = Bpe(vocab_size=400).train(TEXTS)
    tokenizer = Bpe().wrap(trained, "encoder", 64)
    assert tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert trained.token_to_id("[UNK]") not in trained.encode(text).ids


def test_bpe_merges_what_is_often_together_and_nothing_rarer_than_asked() -> None:
    texts = ["low lower lowest"] * 3 + ["unique"]
    tokens = set(Bpe(vocab_size=300).train(texts).get_vocab())
    assert {"low", "Ġlow"} <= tokens and "unique" not in tokens
    assert "unique" in set(Bpe(vocab_size=300, min_frequency=1).train(texts).get_vocab())
    assert "low" not in set(Bpe(vocab_size=300, min_frequency=10).train(texts).get_vocab())


def test_bpe_has_the_256_bytes_and_spells_its_tokens() -> None:
    from tokenizers import pre_tokenizers

    assert sorted(BYTES) == sorted(pre_tokenizers.ByteLevel.alphabet())
    assert sorted(BYTES.values()) == list(range(256))
    trained = Bpe(vocab_size=261).train(TEXTS)
    spelled = [Bpe().spell(token) for token in trained.encode("a é\n").tokens]
    assert spelled == ["a", "▁", "\\xc3", "\\xa9", "\n"]
    assert (Bpe().spell("Ã©"), Bpe().spell("[UNK]"), Bpe().spell("привет")) == ("é", "[UNK]", "привет")


def test_bpe_offsets_leave_out_the_space_before_a_word() -> None:
    tokenizer = Bpe(vocab_size=400).wrap(Bpe(vocab_size=400).train(TEXTS), "encoder", 64)
    found = tokenizer("the film", return_offsets_mapping=True)["offset_mapping"]
    assert "the film"[found[-2][0] : found[-2][1]] == "film"


@pytest.mark.parametrize("part", [Bpe(vocab_size=400), Unigram(vocab_size=400)], ids=["bpe", "unigram"])
def test_the_mask_takes_the_space_before_it_where_tokens_hold_spaces(part: Bpe | Unigram) -> None:
    tokenizer = part.wrap(part.train(TEXTS), "encoder", 64)
    [before, after] = (tokenizer.tokenize(text) for text in ("the", "the was good"))
    tokens = tokenizer.convert_ids_to_tokens(tokenizer("the [MASK] was good")["input_ids"])
    assert ["[MASK]" if "[MASK]" in token else token for token in tokens] == [
        "[CLS]",
        *before,
        "[MASK]",
        *after[len(before) :],
        "[SEP]",
    ]


def test_wordpiece_cuts_words_and_marks_what_is_inside() -> None:
    trained = Wordpiece(vocab_size=60).train(["play plays played player", "work works worked worker"] * 5)
    assert trained.encode("plays").tokens[0].startswith("p")
    assert all(token.startswith("##") for token in trained.encode("plays").tokens[1:])
    assert trained.encode("worker play").tokens[-1] in ("play", "##play", "##lay", "##y")
    assert trained.decode(trained.encode("worker played").ids) == "worker played"
    assert trained.encode("кот").tokens == ["[UNK]"]


def test_wordpiece_in_lower_case_takes_accents_off_and_in_mixed_case_keeps_them() -> None:
    lower, mixed = (Wordpiece(vocab_size=300, lowercase=choice).train([*TEXTS, *TEXTS]) for choice in (True, False))
    assert lower.decode(lower.encode("Naïve Cafés").ids) == "naive cafes"
    assert mixed.decode(mixed.encode("naïve cafés").ids) == "naïve cafés"


def test_wordpiece_numbers_the_letters_inside_words_by_the_alphabet() -> None:
    vocabulary = Wordpiece(vocab_size=300).train(["cab", "abc", "bac"]).get_vocab()
    assert [vocabulary[token] for token in ("##a", "##b", "##c")] == [5, 6, 7]


def test_wordpiece_is_the_library_s_own_up_to_the_numbers() -> None:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

    theirs = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    theirs.normalizer, theirs.pre_tokenizer = normalizers.BertNormalizer(), pre_tokenizers.BertPreTokenizer()
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    theirs.train_from_iterator(
        TEXTS, trainers.WordPieceTrainer(vocab_size=3_000, min_frequency=1, special_tokens=special, show_progress=False)
    )
    ours = Wordpiece(vocab_size=3_000, min_frequency=1).train(TEXTS)
    whole = {token for token in theirs.get_vocab() if len(token.removeprefix("##")) == 1 or token in " ".join(TEXTS).split()}
    assert len(whole) > 60
    assert whole <= set(ours.get_vocab())


def test_unigram_scores_are_log_probabilities_in_order_and_the_pieces_are_the_trainer_s() -> None:
    trained = Unigram(vocab_size=150).train(TEXTS)
    learned = {piece: score for piece, score in pieces(trained).items() if not piece.startswith("[")}
    assert list(learned.values()) == sorted(learned.values(), reverse=True)
    assert all(score < 0 and score == round(score, 6) for score in learned.values())
    assert set("abcdefghi") <= set(learned) and "▁fi" in learned


def test_unigram_settles_what_the_trainer_leaves_to_chance() -> None:
    one = {"ab": -1.0, "c": -2.0, "q": -5.0, "x": -4.9998, "z": -4.9999, "cd": -4.99985}
    other = {"ab": -1.0 - 1e-12, "c": -2.0, "z": -5.0, "q": -4.9999, "x": -4.9998, "cd": -4.99985}
    assert settle(one) == settle(other)
    assert settle(one) == [("ab", -1.0), ("c", -2.0), ("cd", -4.99985), ("q", -5.0), ("x", -5.0), ("z", -5.0)]
    assert settle({}) == []


def test_unigram_gives_normalised_text_back() -> None:
    trained = Unigram(vocab_size=400).train([*TEXTS, "fine ² 2"])
    assert trained.decode(trained.encode("  the   ﬁlm\nwas  good ").ids) == "the film was good"
    assert trained.encode("the ξ").tokens[-1] == "ξ"
    assert trained.encode("the ξ").ids[-1] == trained.token_to_id("[UNK]")


def test_word_keeps_the_most_frequent_words_and_the_rest_is_unknown() -> None:
    trained = Word(vocab_size=7).train(["a a a b b c", "don't"])
    assert sorted(trained.get_vocab(), key=trained.get_vocab().__getitem__)[5:] == ["a", "b"]
    assert trained.encode("a b c").tokens == ["a", "b", "[UNK]"]
    rare = Word(min_frequency=2).train(["a a a b b c", "don't"])
    assert set(rare.get_vocab()) - {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"} == {"a", "b"}


def test_word_splits_marks_off() -> None:
    trained = Word().train(TEXTS)
    assert trained.encode("The new actor's plot: 3").tokens == ["The", "new", "actor", "'", "s", "plot", ":", "3"]


def test_character_gives_back_exactly_what_it_has_the_characters_of() -> None:
    trained = Character().train([*TEXTS, *EXACT])
    for architecture in ("encoder", "decoder", "encoder-decoder"):
        tokenizer = Character().wrap(Character().train([*TEXTS, *EXACT], architecture), architecture, 64)
        back = [tokenizer.decode(tokenizer(text)["input_ids"], skip_special_tokens=True) for text in EXACT]
        assert back == EXACT
    assert trained.encode("a  b\n").tokens == ["a", " ", " ", "b", "\n"]
    assert trained.get_vocab_size() == 5 + len(set("".join([*TEXTS, *EXACT])))


def test_character_keeps_the_most_frequent_characters() -> None:
    assert Character(vocab_size=7).train(["aaabbc"]).encode("abc").tokens == ["a", "b", "[UNK]"]
    assert Character(min_frequency=3).train(["aaabbc"]).encode("abc").tokens == ["a", "[UNK]", "[UNK]"]


def test_the_sentinels_are_special_and_stay_whole() -> None:
    for part in (Bpe(), Unigram(), Word(), Character(), Wordpiece()):
        tokenizer = part.wrap(part.train(TEXTS, "encoder-decoder"), "encoder-decoder", 64)
        ids = tokenizer("the<extra_id_0>good<extra_id_99>")["input_ids"]
        assert tokenizer.convert_tokens_to_ids(["<extra_id_0>", "<extra_id_99>"]) == [i for i in ids if i >= len(tokenizer) - 100]
        assert len(tokenizer.extra_special_tokens) == 100
