"""A tiny random model, a tokenizer of single bytes and a trainer that hand back a whole run within seconds.

    python tests/tiny_training.py FOLDER [--stay-after STEP] [--resume CHECKPOINT]

trains 8 steps with a checkpoint every 2 and prints one JSON line for each logged step. With ``--stay-after`` it stays
inside that step until it is killed (or its standard input ends). It is built as notebook 06 is: CompletionTrainer, the
settings file, LoRA+. Only the size differs, and a dropout that makes every step depend on the random state.
"""

import argparse
import json
import sys

import torch
from datasets import Dataset
from peft import LoraConfig
from peft.optimizers import create_loraplus_optimizer
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedTokenizerFast,
    PrinterCallback,
    TrainerCallback,
    set_seed,
)
from trl import SFTConfig

from finetune_course.completion_trainer import CompletionTrainer
from finetune_course.training import prompt_completion, triage_settings
from finetune_course.triage import load_split

START, END = "<|im_start|>", "<|im_end|>"
TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """One token for each byte; chat markers, and padding that is the end token, as SmolLM2's tokenizer has them."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    inner = Tokenizer(models.BPE({sign: place for place, sign in enumerate(alphabet)}, []))
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    inner.decoder = decoders.ByteLevel()
    inner.add_special_tokens([START, END])
    wrapped = PreTrainedTokenizerFast(tokenizer_object=inner, bos_token=START, eos_token=END, pad_token=END)
    wrapped.chat_template = TEMPLATE
    return wrapped


def tiny_model(seed: int = 0) -> LlamaForCausalLM:
    """A random Llama in float32: 258 tokens, 16 numbers each, two layers, input and output embeddings shared."""
    set_seed(seed)
    config = LlamaConfig(
        vocab_size=258,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        tie_word_embeddings=True,
        bos_token_id=256,
        eos_token_id=257,
        pad_token_id=257,
    )
    return LlamaForCausalLM(config)


def tiny_lora(**changes) -> LoraConfig:
    """The settings file's LoRA on the upper of the two layers."""
    return LoraConfig(**triage_settings()["lora"] | {"layers_to_transform": [1]} | changes)


def tiny_rows(count: int = 16) -> list[dict]:
    """Rows as notebook 06 makes them, no two of the same length."""
    label = load_split("validation")[0]["label"]
    return [prompt_completion({"message": "Where is it" + "?" * (3 * row), "label": label}) for row in range(count)]


def tiny_trainer(folder, kind=CompletionTrainer, rows=None, lora=None, model=None, **changes):
    """A trainer (the course's or ``kind``) on the CPU in float32 with the settings file's values and ``changes``."""
    set_seed(0)
    own = {"save_strategy": "no", "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "seed": 0}
    return kind(
        model=model or tiny_model(),
        args=SFTConfig(output_dir=str(folder), **triage_settings()["trainer"] | own | changes),
        train_dataset=Dataset.from_list(rows or tiny_rows()),
        processing_class=tiny_tokenizer(),
        peft_config=lora,
    )


class Reporter(TrainerCallback):
    """Prints every logged step at once, and may stay in one for good."""

    def __init__(self, stay_after: int | None):
        self.stay_after = stay_after

    def on_log(self, args, state, control, logs=None, **kwargs):
        if "loss" in logs:
            print(json.dumps({"step": state.global_step, "loss": logs["loss"]}), flush=True)

    def on_step_begin(self, args, state, control, **kwargs):
        if self.stay_after is not None and state.global_step == self.stay_after:
            sys.stdin.read()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--stay-after", type=int)
    parser.add_argument("--resume")
    options = parser.parse_args()
    torch.set_num_threads(1)
    lora = tiny_lora(lora_dropout=0.2)
    # save_total_limit=None: what a run was resumed from must still be there to be looked at
    saving = {"save_strategy": "steps", "save_steps": 2, "save_total_limit": None}
    trainer = tiny_trainer(options.folder, lora=lora, num_train_epochs=2, **saving)
    ratio = triage_settings()["loraplus_lr_ratio"]
    trainer.optimizer = create_loraplus_optimizer(
        trainer.model, torch.optim.AdamW, lr=trainer.args.learning_rate, loraplus_lr_ratio=ratio
    )
    trainer.remove_callback(PrinterCallback)
    trainer.add_callback(Reporter(options.stay_after))
    trainer.train(resume_from_checkpoint=options.resume)


if __name__ == "__main__":
    main()
