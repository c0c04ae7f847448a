"""The traps of a first fine-tuning run, each shown and each excluded for the course's triage data.

A run trained on the wrong tokens has a loss curve like any other. So TRL's own SFTTrainer prepares real triage rows
here, with the real tokenizer and notebook 06's settings, and what reaches the model is looked at token by token. The
model is a random one with 16 numbers a token: it only has to exist. The tokenizer comes from the weights' cache, hence
the mark.
"""

import logging
import warnings

import pytest

from finetune_course import triage
from finetune_course.training import prompt_completion, triage_settings

pytestmark = pytest.mark.slow

END, IGNORED = "<|im_end|>", -100
SYSTEM = triage_settings()["system_prompt"]
DEFAULT_SYSTEM = "You are a helpful AI assistant named SmolLM"


@pytest.fixture(scope="module")
def tokenizer():
    from transformers import AutoTokenizer

    from finetune_course.weights import weights

    return AutoTokenizer.from_pretrained(weights())


@pytest.fixture(scope="module")
def records():
    """Twelve messages, the shortest and the longest of the training data among them, so that a batch needs padding."""
    by_length = sorted(triage.load_split("train"), key=lambda record: len(record["message"]))
    return by_length[:6] + by_length[-6:]


def with_system(record, system):
    """The course's row with another system message, or with none."""
    row = prompt_completion(record)
    return {
        **row,
        "prompt": [*([{"role": "system", "content": system}] if system is not None else []), row["prompt"][-1]],
    }


@pytest.fixture(scope="module")
def trainer_for(tokenizer, tmp_path_factory):
    """Make an SFTTrainer (TRL's or a subclass) for rows; nothing is trained."""
    from datasets import Dataset
    from transformers import LlamaConfig, LlamaForCausalLM, set_seed
    from trl import SFTConfig, SFTTrainer

    def make(rows, kind=SFTTrainer, **settings):
        set_seed(0)
        config = LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=1,
            num_attention_heads=2,
            num_key_value_heads=1,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
        ours = triage_settings()["trainer"] | {"use_cpu": True, "bf16": False, "activation_checkpointing": False}
        arguments = SFTConfig(output_dir=tmp_path_factory.mktemp("run"), **ours | settings)
        return kind(
            LlamaForCausalLM(config), arguments, train_dataset=Dataset.from_list(rows), processing_class=tokenizer
        )

    return make


@pytest.fixture(scope="module")
def trainer(trainer_for, records):
    return trainer_for([prompt_completion(record) for record in records])


@pytest.fixture(scope="module")
def prepared(trainer):
    """Rows as the trainer prepared them: dictionaries with input_ids and labels."""
    return list(trainer.train_dataset)


@pytest.fixture(scope="module")
def batch(trainer):
    """All rows as one padded batch, in their order, from the trainer's own collator."""
    return trainer.data_collator([{key: row[key] for key in ("input_ids", "labels")} for row in trainer.train_dataset])


def learned(tokens):
    return [token for token in tokens if token != IGNORED]


# The chat template


def test_the_chat_template_is_applied(tokenizer, prepared, records):
    start, end = tokenizer.convert_tokens_to_ids(["<|im_start|>", END])
    for row, record in zip(prepared, records, strict=True):
        chat = prompt_completion(record)
        text = tokenizer.apply_chat_template(chat["prompt"] + chat["completion"], tokenize=False)
        assert tokenizer.decode(row["input_ids"]) == text
        # Three turns, and their marks are single tokens, not text that only looks like them
        assert row["input_ids"].count(start) == row["input_ids"].count(end) == 3
        assert text.startswith(f"<|im_start|>system\n{SYSTEM}{END}\n<|im_start|>user\n{record['message']}{END}\n")


def test_plain_text_rows_get_no_template_and_no_warning(tokenizer, trainer_for, caplog):
    """The trap itself: strings in place of messages train just as well, on a text the chat model was not made for.

    TRL warns of something else, and only where the message's last sign and the record's brace become one token ('?{'),
    so the rows here end with a word.
    """
    records = [record for record in triage.load_split("train") if record["message"][-1].isalpha()][:12]
    assert len(records) == 12
    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        plain = trainer_for([{"prompt": r["message"], "completion": triage.label_text(r["label"])} for r in records])
    assert not caplog.records
    start = tokenizer.convert_tokens_to_ids("<|im_start|>")
    assert all(start not in row["input_ids"] for row in plain.train_dataset)


def test_training_reads_exactly_the_prompt_that_generation_will_give(tokenizer, prepared, records):
    for row, record in zip(prepared, records, strict=True):
        prompt = tokenizer.apply_chat_template(
            prompt_completion(record)["prompt"], add_generation_prompt=True, return_dict=False
        )
        assert row["input_ids"][: len(prompt)] == prompt
        assert row["labels"][: len(prompt)] == [IGNORED] * len(prompt)
        assert IGNORED not in row["labels"][len(prompt) :]


def test_a_prompt_without_its_generation_prompt_stops_before_the_assistant_s_turn(tokenizer, records):
    """Asked in that way the model would have to write the assistant's mark first, which it was never taught."""
    prompt = prompt_completion(records[0])["prompt"]
    open_end = tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=False)
    closed = tokenizer.apply_chat_template(prompt, tokenize=False)
    assert open_end == closed + "<|im_start|>assistant\n"


# The system message


def test_a_missing_system_message_silently_brings_the_template_s_own_one(tokenizer, records):
    chat = with_system(records[0], None)["prompt"]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        text = tokenizer.apply_chat_template(chat, tokenize=False)
    assert [message["role"] for message in chat] == ["user"]
    assert text.startswith(f"<|im_start|>system\n{DEFAULT_SYSTEM}")


def test_only_a_given_system_message_keeps_the_default_away(tokenizer, records):
    for system in (SYSTEM, "", "system"):
        text = tokenizer.apply_chat_template(with_system(records[0], system)["prompt"], tokenize=False)
        assert DEFAULT_SYSTEM not in text
        assert text.startswith(f"<|im_start|>system\n{system}{END}\n")


def test_the_trainer_s_rows_hold_the_short_system_message_and_not_the_default(
    tokenizer, prepared, trainer_for, records
):
    assert not any(DEFAULT_SYSTEM in tokenizer.decode(row["input_ids"]) for row in prepared)
    without = trainer_for([with_system(record, None) for record in records]).train_dataset
    assert all(DEFAULT_SYSTEM in tokenizer.decode(row["input_ids"]) for row in without)


# What is learned


def test_the_record_and_its_end_token_are_learned_and_nothing_else(tokenizer, prepared, records):
    for row, record in zip(prepared, records, strict=True):
        assert len(row["labels"]) == len(row["input_ids"])
        assert tokenizer.decode(learned(row["labels"])) == f"{triage.label_text(record['label'])}{END}\n"


def test_the_labels_are_the_inputs_unshifted(prepared):
    for row in prepared:
        pairs = zip(row["input_ids"], row["labels"], strict=True)
        assert all(label in (token, IGNORED) for token, label in pairs)


def test_without_completions_every_token_is_learned(trainer_for, records):
    """The trap: the same chat under `messages` has no mask, and the model learns to write customers' messages."""
    chats = [prompt_completion(record) for record in records]
    whole = trainer_for([{"messages": chat["prompt"] + chat["completion"]} for chat in chats])
    assert all(row["labels"] == row["input_ids"] for row in whole.train_dataset)


@pytest.mark.filterwarnings("ignore")
def test_the_template_has_no_assistant_mask_and_trl_refuses_to_train_on_nothing(tokenizer, trainer_for, records):
    chat = prompt_completion(records[0])
    messages = chat["prompt"] + chat["completion"]
    marked = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=True)
    assert "{% generation %}" not in tokenizer.chat_template
    assert not any(marked["assistant_masks"])  # training on nothing, were nobody to look
    with pytest.raises((ValueError, RuntimeError), match="(?i)template|assistant"):
        trainer_for([{"messages": messages}], assistant_only_loss=True)


# Padding and the end token


def test_padding_is_the_end_token(tokenizer):
    assert tokenizer.pad_token == tokenizer.eos_token == END
    assert tokenizer.pad_token_id == tokenizer.eos_token_id


def test_padding_is_masked_and_the_answer_s_end_token_is_not(tokenizer, batch, prepared):
    end = tokenizer.eos_token_id
    width = max(len(row["input_ids"]) for row in prepared)
    assert batch["input_ids"].shape == batch["labels"].shape == (len(prepared), width)
    assert len({len(row["input_ids"]) for row in prepared}) > 1, "no row needs padding, so nothing is shown"
    for row, ids, labels, seen in zip(
        prepared, batch["input_ids"], batch["labels"], batch["attention_mask"], strict=True
    ):
        length = len(row["input_ids"])
        assert ids[length:].eq(end).all() and labels[length:].eq(IGNORED).all() and seen[length:].eq(0).all()
        assert seen[:length].eq(1).all() and labels[:length].tolist() == row["labels"]
        # Of all the end tokens in the row (two turns, the answer's own, the padding) one is learned: the answer's.
        assert ids.eq(end).sum() == 3 + width - length and labels.eq(end).sum() == 1
        assert tokenizer.decode(ids[: int(labels.eq(end).nonzero())]).endswith("}")


def test_the_older_collator_masks_the_end_token_too(tokenizer, prepared):
    """The trap: transformers' language-modelling collator masks whatever equals the padding token."""
    from transformers import DataCollatorForLanguageModeling

    collate = DataCollatorForLanguageModeling(tokenizer, mlm=False)
    labels = collate([{"input_ids": row["input_ids"]} for row in prepared])["labels"]
    assert labels.ne(IGNORED).any() and not labels.eq(tokenizer.eos_token_id).any()


def test_a_short_max_length_cuts_the_end_token_off(tokenizer, trainer_for, records):
    rows = [prompt_completion(record) for record in records[-2:]]
    whole = trainer_for(rows).train_dataset
    shortest = min(len(row["input_ids"]) for row in whole)
    cut = trainer_for(rows, max_length=shortest - 2).train_dataset  # the end token and the line break after it
    assert all(tokenizer.eos_token_id in learned(row["labels"]) for row in whole)
    assert len(cut) == 2 and not any(tokenizer.eos_token_id in learned(row["labels"]) for row in cut)


def test_a_prompt_longer_than_max_length_drops_the_row_without_a_word(trainer_for, records, caplog):
    rows = [prompt_completion(record) for record in (records[0], records[-1])]
    short, long = (len(row["input_ids"]) for row in trainer_for(rows).train_dataset)
    assert long > short + 60
    with caplog.at_level(logging.WARNING):
        assert len(trainer_for(rows, max_length=short).train_dataset) == 1
    assert not caplog.records


def test_no_training_message_is_cut_by_notebook_06(tokenizer):
    rows = [prompt_completion(record) for record in triage.load_split("train")]
    texts = [tokenizer.apply_chat_template(row["prompt"] + row["completion"], tokenize=False) for row in rows]
    longest = max(len(ids) for ids in tokenizer(texts, add_special_tokens=False)["input_ids"])
    assert longest <= triage_settings()["trainer"]["max_length"]


# The loss


def test_the_loss_is_the_mean_over_learned_tokens_shifted_by_one(trainer, batch):
    """TRL's loss of a padded batch, computed by hand from the logits as exercise 6.2 does."""
    import torch

    model = trainer.model.eval()
    with torch.no_grad():
        theirs = trainer.compute_loss(model, dict(batch))
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    pairs = [
        (-row[t].log_softmax(-1)[label]).item()
        for row, labels in zip(logits, batch["labels"], strict=True)
        for t, label in enumerate(labels[1:].tolist())
        if label != IGNORED
    ]
    assert len(pairs) == batch["labels"].ne(IGNORED).sum()
    assert float(theirs) == pytest.approx(sum(pairs) / len(pairs), rel=1e-4)
    unshifted = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten())
    assert abs(float(theirs) - float(unshifted)) > 1e-3, "shifted or not makes no difference here: nothing is shown"


def test_the_course_s_trainer_computes_trl_s_loss_and_gradients(trainer_for, records):
    """CompletionTrainer scores the learned positions alone; the result must not differ, padded rows included."""
    from finetune_course.completion_trainer import CompletionTrainer

    rows = [prompt_completion(record) for record in (records[0], records[6], records[-1])]

    def loss_and_gradients(number_of_items, **kind):
        trainer = trainer_for(rows, **kind)
        batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(rows))])
        assert batch["attention_mask"].eq(0).any(), "no row needs padding"
        loss = trainer.compute_loss(trainer.model.eval(), batch, num_items_in_batch=number_of_items)
        loss.backward()
        return float(loss.detach()), {name: weight.grad for name, weight in trainer.model.named_parameters()}

    for number_of_items in (None, 1000):  # the second is what gradient accumulation divides by
        stock, expected = loss_and_gradients(number_of_items)
        ours, found = loss_and_gradients(number_of_items, kind=CompletionTrainer)
        assert ours == pytest.approx(stock, rel=1e-5)
        for name, gradient in expected.items():
            assert found[name].sub(gradient).abs().max() <= 1e-4 * gradient.abs().max(), name


# TRL's defaults


def test_defaults_that_the_text_speaks_of():
    """A release that changes one of them must change the text of notebook 06."""
    from trl import SFTConfig

    defaults = {name: field.default for name, field in SFTConfig.__dataclass_fields__.items()}
    assert defaults["learning_rate"] == 2e-5  # meant for full fine-tuning
    assert defaults["max_length"] == 1024
    assert defaults["gradient_checkpointing"] is True
    assert defaults["completion_only_loss"] is None and defaults["assistant_only_loss"] is False


def test_the_new_name_of_gradient_checkpointing_gives_no_warning(tmp_path):
    from trl import SFTConfig

    common = {"output_dir": tmp_path, "use_cpu": True, "bf16": False, "report_to": []}
    for old in ({}, {"gradient_checkpointing": False}, {"gradient_checkpointing": True}):
        with pytest.warns(FutureWarning, match="activation_checkpointing"):
            SFTConfig(**common, **old)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for wanted in (False, True):
            arguments = SFTConfig(**common, activation_checkpointing=wanted)
            assert arguments.gradient_checkpointing is arguments.activation_checkpointing is wanted
