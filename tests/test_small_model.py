"""The small model's helpers, the baselines, the by-hand decoder of notebook 01 and the model that is shipped."""

import ast
import json
import math
import re

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, set_seed

from finetune_course import baselines, probes, small_model
from finetune_course.attention import causal_attention
from finetune_course.paths import course_root, data_path

SMALL = {**small_model.TINY, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "vocab_size": 64}
SMALL["max_position_embeddings"] = 16


@pytest.fixture(scope="module")
def model():
    set_seed(5)
    return LlamaForCausalLM(LlamaConfig(**SMALL, initializer_range=0.2))


@pytest.fixture(scope="module")
def tokenizer():
    return trained_tokenizer(small_model.documents("train"))


def trained_tokenizer(texts):
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=small_model.TINY["vocab_size"],
        special_tokens=list(small_model.SPECIAL_TOKENS),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=bpe, eos_token=small_model.END, pad_token=small_model.SPECIAL_TOKENS[1]
    )


# Tokens and batches


def test_the_tokenizer_is_the_same_each_time_and_loses_nothing(tokenizer):
    again = trained_tokenizer(small_model.documents("train"))
    assert again.get_vocab() == tokenizer.get_vocab() and len(again) == 2048
    for text in [*small_model.documents("test")[:20], "Zwölf naïve “quotes” – 42 €"]:
        assert tokenizer.decode(tokenizer(text)["input_ids"], clean_up_tokenization_spaces=False) == text


def test_special_tokens_have_the_first_ids(tokenizer):
    assert tokenizer.convert_tokens_to_ids(list(small_model.SPECIAL_TOKENS)) == [0, 1, 2, 3]
    assert small_model.TINY["eos_token_id"] == 0 and small_model.TINY["pad_token_id"] == 1


def test_the_stream_holds_every_document_between_ends(tokenizer):
    stream = small_model.corpus_tokens("validation", tokenizer)
    texts = small_model.documents("validation")
    assert int((stream == 0).sum()) == len(texts) + 1
    assert stream[0] == 0 and stream[-1] == 0
    assert tokenizer.decode(stream[1 : int((stream[1:] == 0).nonzero()[0]) + 1]) == texts[0]


def test_a_batch_is_the_stream_and_the_stream_moved_by_one():
    stream = torch.arange(1000)
    seen = {}
    for inputs, targets in small_model.batches(stream, steps=20, batch=4, context=16, seed=3):
        assert inputs.shape == targets.shape == (4, 16)
        assert torch.equal(targets, inputs + 1)
        for start in inputs[:, 0].tolist():
            seen[start] = seen.get(start, 0) + 1
    assert len(seen) > 60
    first, again = (list(small_model.batches(stream, 3, 4, 16, seed=1)) for _ in range(2))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(first, again, strict=True))


def test_every_window_comes_once_before_any_comes_again():
    stream = torch.arange(16 * 20 + 1 + 15)
    starts = [s for x, _ in small_model.batches(stream, 5, 4, 16) for s in x[:, 0].tolist()]
    assert len(set(starts)) == 20 and len({start % 16 for start in starts}) == 1


def test_a_short_stream_is_refused():
    with pytest.raises(ValueError, match="at least 257"):
        next(small_model.batches(torch.arange(100), 1))


def test_missing_files_and_splits_are_told():
    with pytest.raises(ValueError, match="no split 'training'"):
        small_model.documents("training")
    with pytest.raises(FileNotFoundError, match="build_corpus.py"):
        small_model.documents("train", "nothing")


# Losses


def by_hand_loss(model, ids, context):
    losses = []
    for start in range(0, len(ids) - 1, context):
        window = torch.tensor([ids[start : start + context]])
        targets = torch.tensor(ids[start + 1 : start + 1 + context])
        with torch.no_grad():
            logits = model(input_ids=window).logits[0, : len(targets)]
        losses += cross_entropy(logits, targets, reduction="none").tolist()
    assert len(losses) == len(ids) - 1
    return np.mean(losses)


def test_token_loss_is_the_loss_of_each_document(model):
    generator = torch.Generator().manual_seed(0)
    encoded = [torch.randint(4, 64, (size,), generator=generator).tolist() for size in (2, 9, 16, 17, 33, 50)]
    found = small_model.token_loss(model, encoded, batch=3)
    assert np.allclose(found, [by_hand_loss(model, ids, 16) for ids in encoded], atol=1e-5)
    assert model.training


def test_masked_loss_scores_the_labels_alone(model):
    ids = [0, 7, 8, 9, 10, 0]
    whole = small_model.masked_loss(model, [(ids, [-100, -100, -100, 9, 10, -100])])[0]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    assert whole == pytest.approx(float(cross_entropy(logits[2:4], torch.tensor([9, 10]))), abs=1e-5)
    with pytest.raises(ValueError, match="Row 1 has no token to score"):
        small_model.masked_loss(model, [(ids, ids), (ids, [-100] * 6)])


def test_unigram_and_bigram_are_distributions_and_count():
    tokens = torch.tensor([0, 1, 0, 2, 0, 1, 0])
    alone = baselines.unigram(tokens, 4)
    assert torch.allclose(alone, torch.tensor([5, 3, 2, 1]).double() / 11)
    table = baselines.bigram(tokens, 4, 0.75)
    assert torch.allclose(table.sum(1), torch.ones(4).double())
    assert torch.allclose(table[3], alone)
    assert torch.allclose(table[0], 0.75 * torch.tensor([0, 2 / 3, 1 / 3, 0]).double() + 0.25 * alone)


def test_table_loss_by_hand():
    table = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).double()
    assert baselines.table_loss(table, [[0, 1, 1], [1, 0]]) == pytest.approx(
        [-(math.log(0.5) + math.log(0.75)) / 2, -math.log(0.25)]
    )
    assert baselines.table_loss(torch.tensor([0.5, 0.5]).double(), [[0, 1, 1]]) == pytest.approx([math.log(2)])


def test_trigram_by_hand():
    """0 1 was seen twice, followed by 0 and by 2; 2 2 never, so the bigram alone speaks; every context sums to 1."""
    tokens = torch.tensor([0, 1, 0, 1, 2])
    table = baselines.bigram(tokens, 3, 0.8)
    guess = baselines.trigram(tokens, table, prior=2.0)
    assert guess([0, 1, 2]) == pytest.approx([float(table[0, 1]), (1 + 2 * float(table[1, 2])) / 4])
    assert guess([2, 2, 1])[1] == pytest.approx(float(table[2, 1]))
    for context in ([0, 1], [1, 0], [2, 2]):
        assert sum(guess([*context, token])[1] for token in range(3)) == pytest.approx(1)
    assert baselines.run_loss(guess, [[0, 1, 2]]) == pytest.approx([-np.log(guess([0, 1, 2])).mean()])
    with pytest.raises(ValueError, match="above 0"):
        baselines.trigram(tokens, table, 0)


def test_attention_is_the_libraries(model):
    q, k, v = (torch.randn(2, 3, 7, 8, generator=torch.Generator().manual_seed(n)) for n in range(3))
    theirs = torch.nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(causal_attention(q, k, v), theirs, atol=1e-5)


# The decoder that notebook 01 builds by hand


def decoder_classes():
    """The classes and functions of the notebook's own cells, by name: nothing else in those cells is run."""
    source = (course_root() / "solutions" / "01_pretraining.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    wanted = {"Norm", "rotate", "Attention", "FeedForward", "Block", "Decoder"}
    parts = [node for node in tree.body if getattr(node, "name", None) in wanted]
    assert {node.name for node in parts} == wanted
    space = {"torch": torch, "nn": torch.nn, "math": math, "attend": causal_attention}
    exec(compile(ast.Module(parts, []), "01_pretraining", "exec"), space)
    return space


def test_the_decoder_by_hand_gives_the_librarys_logits_and_gradients(model):
    made = decoder_classes()["Decoder"](vocabulary=64, width=32, layers=2, heads=4, inner=48)
    state = {key.removeprefix("model."): value for key, value in model.state_dict().items() if key != "lm_head.weight"}
    made.load_state_dict(state)
    ids = torch.randint(64, (3, 16), generator=torch.Generator().manual_seed(1))
    ours, theirs = made(ids), model(input_ids=ids).logits
    assert torch.allclose(ours, theirs, atol=1e-4)
    ours.square().mean().backward()
    model.zero_grad()
    theirs.square().mean().backward()
    named = dict(model.model.named_parameters())
    made.embed_tokens.weight.grad[1] = 0  # the library never trains the padding token's own row
    named["embed_tokens.weight"].grad[1] = 0
    for name, parameter in made.named_parameters():
        assert torch.allclose(parameter.grad, named[name].grad, atol=1e-4), name
    model.zero_grad()


def test_the_decoder_by_hand_does_not_see_the_future():
    set_seed(0)
    made = decoder_classes()["Decoder"](vocabulary=64, width=32, layers=2, heads=4, inner=48)
    ids = torch.randint(64, (1, 12), generator=torch.Generator().manual_seed(2))
    changed = ids.clone()
    changed[0, 7] = (changed[0, 7] + 1) % 64
    before, after = made(ids), made(changed)
    assert torch.allclose(before[0, :7], after[0, :7], atol=1e-6)
    assert not torch.allclose(before[0, 7:], after[0, 7:], atol=1e-3)


# Samples, saving, loading


def test_samples_repeat_with_their_seed(tokenizer):
    set_seed(0)
    fresh = LlamaForCausalLM(LlamaConfig(**small_model.TINY))
    one, two = (small_model.continue_text(fresh, tokenizer, "The gulls", 8, seed=seed) for seed in (1, 2))
    assert one == small_model.continue_text(fresh, tokenizer, "The gulls", 8, seed=1) != two
    assert one.startswith("The gulls")
    cold = [small_model.continue_text(fresh, tokenizer, "", 5, temperature=0, seed=seed) for seed in (1, 2)]
    assert cold[0] == cold[1]


def test_a_saved_model_comes_back(tokenizer, tmp_path, monkeypatch):
    set_seed(0)
    fresh = LlamaForCausalLM(LlamaConfig(**small_model.TINY))
    monkeypatch.setenv("FINETUNE_COURSE_CACHE", str(tmp_path))
    small_model.save_small_model(fresh, tokenizer, small_model.own_small_model(), {"seed": 0})
    loaded, loaded_tokenizer = small_model.load_small_model(small_model.own_small_model())
    assert loaded.dtype == torch.float32 and next(fresh.parameters()).dtype == torch.float32
    assert loaded_tokenizer.get_vocab() == tokenizer.get_vocab()
    for (name, ours), theirs in zip(fresh.state_dict().items(), loaded.state_dict().values(), strict=True):
        assert torch.equal(ours.to(torch.bfloat16).float(), theirs), name


def test_the_learners_own_model_wins_unless_its_tokenizer_is_another(tmp_path, monkeypatch):
    own, shipped = tmp_path / "own", tmp_path / "shipped"
    monkeypatch.setattr(small_model, "own_small_model", lambda: own)
    monkeypatch.setattr(small_model, "shipped_small_model", lambda: shipped)
    with pytest.raises(FileNotFoundError, match="record_small_model.py"):
        small_model.small_model_folder()
    for folder in (own, shipped):
        folder.mkdir()
        (folder / "model.safetensors").write_text("weights")
        (folder / "tokenizer.json").write_text("one")
    assert small_model.small_model_folder()[0] == own
    (own / "tokenizer.json").write_text("an older one")
    folder, sentence = small_model.small_model_folder()
    assert folder == shipped and "comes with the course" in sentence


# The shipped model


@pytest.fixture(scope="module")
def shipped():
    return small_model.load_small_model(small_model.shipped_small_model())


@pytest.fixture(scope="module")
def encoded(shipped):
    return small_model.encode(small_model.documents("test"), shipped[1])


@pytest.fixture(scope="module")
def losses(shipped, encoded):
    """The shipped model's loss on each test document."""
    return small_model.token_loss(shipped[0], encoded)


def test_the_shipped_model_is_small_and_of_this_corpus(shipped, tokenizer):
    folder = small_model.shipped_small_model()
    assert sum(path.stat().st_size for path in folder.iterdir()) < 6e6
    record = json.loads((folder / "run.json").read_text())
    from hashlib import sha256

    digest = sha256(data_path("corpus", "general_train.txt").read_bytes()).hexdigest()
    assert record["data_sha256"] == digest, f"The corpus changed since: run '{record['command']}' again."
    assert re.fullmatch(r"python benchmarks/record_small_model\.py( --\w+ [\d.e-]+)*", record["command"])
    assert shipped[1].get_vocab() == tokenizer.get_vocab()
    assert {key: getattr(shipped[0].config, key) for key in small_model.TINY} == small_model.TINY


@pytest.mark.slow
def test_the_shipped_model_scores_what_its_record_says(shipped, losses):
    """On other machines the last digits differ: half a hundredth of a nat is far inside the interval."""
    model, tokenizer = shipped
    record = json.loads((small_model.shipped_small_model() / "run.json").read_text())
    assert losses.mean() == pytest.approx(record["scores"]["test loss"][0], abs=0.01)
    for kind, name in (("agreement", "agreement"), ("fact", "facts")):
        right = probes.answers(probes.load_probes(kind), tokenizer, probes.model_nats(model)).mean()
        assert right == pytest.approx(record["scores"][name][0], abs=0.02), name


@pytest.mark.slow
def test_the_shipped_model_beats_the_bigram(shipped, encoded, losses):
    table = baselines.bigram(small_model.corpus_tokens("train", shipped[1]), 2048, 0.8)
    assert losses.mean() < baselines.table_loss(table, encoded).mean() - 0.3
