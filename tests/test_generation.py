"""``answer_all`` writes what ``model.generate`` writes, and constrained decoding nothing but records.

The model is a tiny untrained one: what is tested is how tokens, masks and caches are handled. Its weights are drawn
large, so that its answers differ from message to message.
"""

import copy
import gc
import json
import weakref

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from finetune_course.constrained import Constraint, schema_grammar
from finetune_course.generation import answer_all, split_prompts
from finetune_course.shared_prefix import SharedPrefix
from finetune_course.triage import SPLITS, instructions, label_schema, label_text, load_split, parse_label
from finetune_course.weights import weights

CHAT = [
    {"role": "system", "content": "Sort the messages of the shop."},
    {"role": "user", "content": "My tent leaks."},
    {"role": "assistant", "content": '{"category":"faulty"}'},
]
MESSAGES = [
    "Hi",
    "Where is my order WW-12345? It was due on Monday.",
    "Are you open on Sunday?\n\n  Thanks",
    "ünïcode 🙂",
    "x" * 90,
]


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(weights(), padding_side="left")


@pytest.fixture(scope="module")
def model(tokenizer):
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=48,
        intermediate_size=96,
        num_hidden_layers=3,
        num_attention_heads=6,
        num_key_value_heads=2,
        initializer_range=0.3,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=1,
    )
    return LlamaForCausalLM(config).eval()


def one_by_one(model, tokenizer, chat, messages, new_tokens=12):
    answers = []
    for message in messages:
        ids = tokenizer.apply_chat_template(
            [*chat, {"role": "user", "content": message}],
            add_generation_prompt=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            output = model.generate(**ids, max_new_tokens=new_tokens, do_sample=False)
        answers.append(tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
    return answers


@pytest.mark.parametrize("batch_size", [1, 2])
def test_the_watched_token_has_the_probability_that_the_model_gives_it(model, tokenizer, batch_size):
    watched = answer_all(model, tokenizer, CHAT, MESSAGES, batch_size=batch_size, max_new_tokens=3, watch="Not there")
    plain = answer_all(model, tokenizer, CHAT, MESSAGES, batch_size=batch_size, max_new_tokens=3)
    assert watched.texts == plain.texts and plain.watched == []
    token = tokenizer("Not there", add_special_tokens=False).input_ids[0]
    for message, chance in zip(MESSAGES, watched.watched, strict=True):
        chat = [*CHAT, {"role": "user", "content": message}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)[
            "input_ids"
        ]
        with torch.inference_mode():
            expected = model(ids).logits[0, -1].softmax(-1)[token].item()
        assert chance == pytest.approx(expected, rel=1e-3)
    assert len(set(watched.watched)) == len(MESSAGES)


@pytest.mark.parametrize("batch_size", [1, 2, 5])
def test_answers_are_those_of_generate(model, tokenizer, batch_size):
    expected = one_by_one(model, tokenizer, CHAT, MESSAGES)
    found = answer_all(model, tokenizer, CHAT, MESSAGES, batch_size=batch_size, max_new_tokens=12)
    assert found.texts == expected
    assert len(set(expected)) == len(expected)  # a model that always says the same would prove nothing


def test_tokens_are_counted_as_the_chat_template_makes_them(model, tokenizer):
    found = answer_all(model, tokenizer, CHAT, MESSAGES, max_new_tokens=5)
    for message, count in zip(MESSAGES, found.prompt_tokens, strict=True):
        chat = [*CHAT, {"role": "user", "content": message}]
        whole = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        assert count == len(whole)
    assert all(0 < count <= 5 for count in found.new_tokens) and found.seconds > 0


def test_shared_and_own_part_are_the_whole_prompt(tokenizer):
    shared, rests = split_prompts(tokenizer, CHAT, MESSAGES)
    for message, rest in zip(MESSAGES, rests, strict=True):
        chat = [*CHAT, {"role": "user", "content": message}]
        assert (
            shared + rest
            == tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True)["input_ids"]
        )


def test_shared_attention_gives_the_scores_of_the_whole_prompt(model):
    tokens = torch.arange(100, 140).tolist()
    with torch.inference_mode():
        expected = model(torch.tensor([tokens])).logits[0, 30:]
        shared = SharedPrefix(model, tokens[:30])
        with shared.attention():
            mask = torch.ones(1, 40, dtype=torch.long)
            positions = torch.arange(30, 40)[None]
            found = model(
                torch.tensor([tokens[30:]]),
                attention_mask=mask,
                position_ids=positions,
                past_key_values=shared.new_cache(),
            ).logits[0]
    assert torch.allclose(found, expected, atol=1e-3 * expected.abs().max().item())


def test_the_model_is_left_as_it_was_even_after_an_error(model, tokenizer):
    before = model.config._attn_implementation
    model.train()
    answer_all(model, tokenizer, CHAT, MESSAGES[:1], max_new_tokens=2)
    assert model.training and model.config._attn_implementation == before
    model.eval()

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        answer_all(model, tokenizer, CHAT, MESSAGES[:1], max_new_tokens=2, report=stop)
    assert model.config._attn_implementation == before


def test_a_model_that_was_asked_can_be_let_go(model, tokenizer):
    """Something global that keeps the last model alive would cost 2 GB machines a whole model."""
    asked = copy.deepcopy(model)
    answer_all(asked, tokenizer, CHAT, MESSAGES[:2], max_new_tokens=2)
    alive = weakref.ref(asked)
    del asked
    gc.collect()
    assert alive() is None


def test_a_lora_model_is_answered_like_any_other(model, tokenizer):

    from peft import LoraConfig, get_peft_model

    torch.manual_seed(1)
    tuned = get_peft_model(
        copy.deepcopy(model), LoraConfig(r=4, target_modules="all-linear", init_lora_weights=False)
    ).eval()
    found = answer_all(tuned, tokenizer, CHAT, MESSAGES, max_new_tokens=8).texts
    assert found == one_by_one(tuned, tokenizer, CHAT, MESSAGES, 8)
    assert found != answer_all(model, tokenizer, CHAT, MESSAGES, max_new_tokens=8).texts


def test_the_head_gets_states_that_lie_side_by_side(model, tokenizer):
    """In bfloat16 PyTorch would otherwise copy the vocabulary's matrix once a row: gigabytes, and seconds a batch."""
    seen = []
    hook = model.lm_head.register_forward_pre_hook(lambda module, given: seen.append(given[0]))
    answer_all(model, tokenizer, CHAT, MESSAGES, batch_size=3, max_new_tokens=2)
    hook.remove()
    assert len(seen) > 2 and {states.shape[1] for states in seen} == {1} and max(len(states) for states in seen) == 3
    assert all(states.is_contiguous() for states in seen)


def test_progress_is_reported_message_by_message(model, tokenizer):
    reported = []
    answer_all(model, tokenizer, CHAT, MESSAGES, batch_size=2, max_new_tokens=2, report=reported.append)
    assert sum(reported) == len(MESSAGES)


@pytest.mark.slow
def test_an_untrained_model_writes_valid_records_under_the_constraint(model, tokenizer):
    constraint = Constraint(tokenizer, schema_grammar(label_schema()))
    found = answer_all(model, tokenizer, CHAT, MESSAGES, batch_size=3, constraint=constraint)
    labels = [parse_label(text) for text in found.texts]
    assert None not in labels
    assert [label_text(label) for label in labels] == found.texts  # compact, fields in the schema's order
    alone = answer_all(model, tokenizer, CHAT, MESSAGES[2:3], constraint=constraint)
    assert alone.texts[0] == found.texts[2]


def test_a_hopeless_answer_is_given_up_at_once(model, tokenizer):
    whole = answer_all(model, tokenizer, CHAT, MESSAGES, max_new_tokens=12)
    cut = answer_all(model, tokenizer, CHAT, MESSAGES, max_new_tokens=12, must_begin="{")
    assert not any(text.lstrip().startswith("{") for text in whole.texts)
    for text, before in zip(cut.texts, whole.texts, strict=True):
        assert before.startswith(text) and text.strip()  # white space alone may still become a record
    assert max(cut.new_tokens) < 12


@pytest.mark.slow
def test_an_answer_that_begins_well_is_written_to_its_end(model, tokenizer):
    whole = answer_all(model, tokenizer, CHAT, MESSAGES, max_new_tokens=12)
    for place, text in enumerate(whole.texts):
        begin = text.lstrip()[:9]  # longer than a token: half of it is not yet hopeless
        kept = answer_all(model, tokenizer, CHAT, MESSAGES, max_new_tokens=12, must_begin=begin)
        assert kept.texts[place] == text


@pytest.mark.parametrize(("layout", "longest"), [({"separators": (",", ":")}, 38), ({}, 55), ({"indent": 2}, 55)])
@pytest.mark.parametrize("name", SPLITS)
@pytest.mark.slow
def test_every_record_of_the_data_fits_into_the_room_for_an_answer(tokenizer, name, layout, longest):
    texts = list({json.dumps(record["label"], **layout) + tokenizer.eos_token for record in load_split(name)})
    assert max(map(len, tokenizer(texts, add_special_tokens=False).input_ids)) <= longest


@pytest.mark.slow
def test_every_record_of_the_data_can_be_written_under_the_constraint(tokenizer):
    from llguidance import LLMatcher

    constraint = Constraint(tokenizer, schema_grammar(label_schema()))
    for record in load_split("test_handwritten"):
        matcher = LLMatcher(constraint.tokens, constraint.grammar)
        assert matcher.consume_tokens(tokenizer(label_text(record["label"])).input_ids) and matcher.is_accepting()


@pytest.mark.parametrize(
    ("chat", "messages", "words"),
    [
        (CHAT, [], "no messages"),
        ([], MESSAGES, "must begin with a system message"),
        (CHAT[1:], MESSAGES, "must begin with a system message"),
    ],
)
def test_bad_input_is_told_in_one_sentence(model, tokenizer, chat, messages, words):
    with pytest.raises(ValueError, match=words):
        answer_all(model, tokenizer, chat, messages)


def test_a_schema_that_cannot_be_enforced_is_named():
    with pytest.raises(ValueError, match="cannot be enforced"):
        schema_grammar({"type": "nonsense"})


def test_the_instructions_name_every_value_that_the_schema_allows():
    text = instructions()
    for field in ("category", "product", "urgency", "mood"):
        for value in label_schema()["properties"][field]["enum"]:
            assert (value or "null") in text, (field, value)
