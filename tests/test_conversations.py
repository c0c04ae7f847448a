"""Conversations held all at once, with kept keys and values: the replies of asking each one alone, anew every turn."""

import pytest
import torch
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course.conversations import hold_conversations

PREFIX = [{"role": "system", "content": "Be kind."}]
TALKS = [["Hi", "And then?", "Ok"], ["A much longer first turn", "No", "What a story that was"], ["x", "y", "z"]]


@pytest.fixture(scope="module")
def model():
    return tiny_model(3).eval()


def one_by_one(model, tokenizer, prefix, turns, room):
    """The plain way: the whole chat through the template, once for every turn."""
    text, replies = tokenizer.apply_chat_template(prefix, tokenize=False), []
    for turn in turns:
        user = tokenizer.apply_chat_template([{"role": "user", "content": turn}], tokenize=False)
        text += user + "<|im_start|>assistant\n"
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
        new = model.generate(ids, attention_mask=torch.ones_like(ids), max_new_tokens=room, do_sample=False)
        new = new[0, ids.shape[1] :]
        replies.append(tokenizer.decode(new, skip_special_tokens=True).strip())
        text += tokenizer.decode(new) + ("" if tokenizer.eos_token_id in new else tokenizer.eos_token) + "\n"
    return replies


@pytest.mark.parametrize("room", [1, 6])
def test_the_replies_are_those_of_asking_one_by_one(model, room):
    tokenizer = tiny_tokenizer()
    together = hold_conversations(model, tokenizer, PREFIX, TALKS, max_new_tokens=room)
    assert together == [one_by_one(model, tokenizer, PREFIX, turns, room) for turns in TALKS]
    assert [len(replies) for replies in together] == [3, 3, 3]


def test_an_earlier_turn_is_remembered(model):
    """The second reply depends on the first turn: a random model shows it in its keys, so compare two pasts."""
    tokenizer = tiny_tokenizer()
    seen = []
    hook = model.model.layers[-1].register_forward_hook(lambda _, __, output: seen.append(_last(output)))
    for first in ("Hi", "Ho"):
        hold_conversations(model, tokenizer, PREFIX, [[first, "Same"]], max_new_tokens=1)
    hook.remove()
    assert len(seen) == 4 and not torch.allclose(seen[1], seen[3])


def _last(output):
    states = output[0] if isinstance(output, tuple) else output
    return states[..., -1, :].flatten()


@pytest.mark.parametrize(
    ("prefix", "talks", "words"),
    [
        (PREFIX, [], "at least one conversation"),
        (PREFIX, [["a"], ["b", "c"]], "same number of turns"),
        ([], [["a"]], "must begin with a system message"),
    ],
)
def test_what_cannot_be_held_is_refused(model, prefix, talks, words):
    with pytest.raises(ValueError, match=words):
        hold_conversations(model, tiny_tokenizer(), prefix, talks)


def test_the_model_stays_in_its_mode(model):
    model.train()
    hold_conversations(model, tiny_tokenizer(), PREFIX, [["a"]], max_new_tokens=1)
    assert model.training
    model.eval()
