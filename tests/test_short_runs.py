"""The short runs: upper blocks fed with kept states give what the whole model gives; one pass says what is written."""

import pytest
import torch
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course.lora_layer import add_lora, fingerprint, remove_lora
from finetune_course.short_runs import UpperBlocks, category_batches
from finetune_course.triage import load_split


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_tokenizer()


@pytest.fixture(scope="module")
def records():
    return sorted(load_split("train"), key=lambda row: len(row["message"]))[:12]


@pytest.fixture
def stage(tokenizer, records):
    some = category_batches(tokenizer, records, 3, by_length=False)
    return UpperBlocks(tiny_model(), 1, train=some, held_out=some)


def test_labels_are_the_category_and_its_end_and_nothing_else(tokenizer, records):
    batches = category_batches(tokenizer, records, 5)
    assert [len(batch.ids) for batch in batches] == [5, 5, 2]
    taught = [
        tokenizer.decode(ids[labels != -100])
        for batch in batches
        for ids, labels in zip(batch.ids, batch.labels, strict=True)
    ]
    assert sorted(taught) == sorted(row["label"]["category"] + tokenizer.eos_token for row in records)
    for batch in batches:
        assert torch.equal(batch.ids[batch.labels != -100], batch.labels[batch.labels != -100])
        assert (batch.labels[batch.mask == 0] == -100).all()


def test_sorting_by_length_pads_less_and_unsorted_keeps_the_order(tokenizer, records):
    mixed = records[::2] + records[1::2]
    padding = {
        s: sum(int((b.mask == 0).sum()) for b in category_batches(tokenizer, mixed, 3, s)) for s in (True, False)
    }
    assert padding[True] < padding[False]
    first = category_batches(tokenizer, mixed, 3, by_length=False)[0]
    assert mixed[0]["message"] in tokenizer.decode(first.ids[0])


def test_the_upper_blocks_give_what_the_whole_model_gives(tokenizer, records):
    batch = category_batches(tokenizer, records, 12)[0]
    whole = tiny_model().eval()
    with torch.no_grad():
        logits = whole(batch.ids, attention_mask=batch.mask).logits[:, :-1][batch.labels[:, 1:] != -100]
        stage = UpperBlocks(tiny_model(), 1, some=[batch])
        scores, right, counts = stage.logits(*stage.sets["some"][0])
    assert torch.allclose(scores, logits, atol=1e-5)
    assert right.tolist() == batch.labels[batch.labels != -100].tolist() and sum(counts) == len(right)
    assert len(stage.model.model.layers) == 1 and len(stage.weights()) == 7


def test_right_in_one_pass_means_right_when_written(tokenizer, records):
    """A model that has learnt three answers by heart: generate writes exactly those that ``held_out`` counts."""
    model = tiny_model()
    batches = category_batches(tokenizer, records, 3, by_length=False)
    model.requires_grad_(True)
    adam = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(60):
        adam.zero_grad()
        model(batches[0].ids, attention_mask=batches[0].mask, labels=batches[0].labels).loss.backward()
        adam.step()
    written = []
    for batch in batches:
        for ids, labels in zip(batch.ids, batch.labels, strict=True):
            begin = int((labels != -100).nonzero()[0])
            answer = model.generate(ids[None, :begin], max_new_tokens=20, do_sample=False, pad_token_id=0)[0, begin:]
            truth = ids[labels != -100]
            written.append(int(torch.equal(answer[: len(truth)], truth)))
    hits = UpperBlocks(model, 1, held_out=batches).held_out()[1]
    assert hits == written
    assert sum(hits[:3]) == 3 and 0 in hits


def test_a_run_lowers_the_loss_is_repeatable_and_leaves_the_base_alone(stage):
    base = list(stage.model.parameters())
    before, start = fingerprint(base), stage.held_out()
    found = []
    for seed in (0, 0, 1):
        torch.manual_seed(0)
        add_lora(stage.model, r=2, alpha=4)
        losses = stage.train(1e-2, seed=seed)
        found.append((losses, stage.held_out()))
        remove_lora(stage.model)
    assert found[0] == found[1] and found[0][0] != found[2][0]
    assert sum(found[0][1][0]) < sum(start[0]) and len(found[0][0]) == 4
    assert fingerprint(base) == before and stage.held_out() == start


def test_chosen_batches_are_trained_on_alone(stage):
    torch.manual_seed(0)
    add_lora(stage.model, r=2, alpha=4)
    assert len(stage.train(1e-2, only=[2])) == 1
    assert all(weight.grad is None for weight in stage.weights())
