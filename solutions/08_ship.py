# %% [markdown]
# # 08 · Ship
#
# Notebook 06 ended with an adapter and a score. Nobody can use either. Between a score and a service lie a few
# questions that no loss curve answers: merge the adapter or keep it apart? Who decides that a new one may replace the
# old one? How does a program ask it, how long does it wait, and what does all of it cost, compared with calling
# somebody else's larger model?

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - merge an adapter, and hold several of them on one base model, swapped from request to request;
# - refuse a worse adapter by a rule that was fixed before anybody looked at the numbers;
# - serve the model behind the interface that OpenAI's client speaks, and measure what 1, 4 and 16 clients wait;
# - write a model card with the adapter's scores, and start the same training on several processes or machines;
# - work out dollars per run, per thousand calls, and the number of calls from which tuning pays.
#
# It takes about 5 minutes of computing on 2 CPU cores, an hour of your time, and up to 5 GB of memory (the small
# profile takes fewer messages and leaves one comparison out). In the small profile, on one core as on Binder, it took
# 5 minutes and 1.6 GB.

# %% [markdown]
# ## Before you start
#
# You should have seen notebook 05 (what merging is) and notebook 06 (the run that made the triage adapter). First the
# versions.

# %% tags=["exercise-setup"]
import json
import math
from importlib.metadata import version

import pandas as pd

from finetune_course import checks_08

pd.set_option("display.max_colwidth", None)  # messages and sources should not be cut off in tables

# %% [markdown]
# Beside the libraries of the other notebooks this one uses the official `openai` client, and `fastapi` and `uvicorn`,
# with which transformers serves models.

# %%
libraries = ["torch", "transformers", "peft", "trl", "accelerate", "fastapi", "uvicorn", "openai"]
pd.DataFrame({"version": {name: version(name) for name in libraries}})

# %% [markdown]
# The machine decides the number format. This notebook has one more reason to care. It compares answers letter for
# letter, and notebook 05 showed how few digits bfloat16 keeps: in it a merge, or merely another batch, can turn an
# answer. So outside the small profile the weights are float32 here.

# %%
import torch

from finetune_course.allocator import keep_freed_memory
from finetune_course.hardware import inspect_hardware
from finetune_course.training import quiet_libraries

quiet_libraries()
keep_freed_memory()
hw = inspect_hardware()
small = hw.profile == "small"
dtype = hw.dtype if small else torch.float32
print(f"{hw.name}, {hw.profile} profile, weights in {dtype}")

# %% [markdown]
# ## Merge or keep
#
# An adapter adds $\frac{\alpha}{r} B A$ to some of the base model's matrices. You can keep the two apart and add at
# every call, or add once and for all: then the model is an ordinary one, without extra multiplications, as large as the
# base, and fixed on one task. Load the base and the adapter that is shipped with the course:

# %%
from finetune_course.adapters import shipped_adapter
from finetune_course.training import triage_settings
from finetune_course.weights import weights
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer


def fresh_base(kind=dtype):
    """The untouched base model."""
    return AutoModelForCausalLM.from_pretrained(weights(), dtype=kind).to(hw.device)


settings = triage_settings()
system = {"role": "system", "content": settings["system_prompt"]}
tokenizer = AutoTokenizer.from_pretrained(weights())
tuned = PeftModel.from_pretrained(fresh_base(), shipped_adapter("triage"), adapter_name="triage").eval()
print("adapter:", list(tuned.peft_config), "of rank", tuned.peft_config["triage"].r)

# %% [markdown]
# One message first, the toy case: what goes in, what comes out.

# %%
from finetune_course.triage import load_split

messages = load_split("validation_handwritten")[: 30 if small else 100]


def one_answer(model, text, prompt=system, room=48):
    """The model's greedy answer to one message, by the library's own generate."""
    chat = [prompt, {"role": "user", "content": text}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    written = model.generate(**ids.to(hw.device), max_new_tokens=room, do_sample=False)
    return tokenizer.decode(written[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


print(messages[0]["message"], "\n→", one_answer(tuned, messages[0]["message"]))

# %% [markdown]
# Then the hand-written **validation** messages, with the adapter beside the weights. (The test messages were scored in
# notebook 06. Whoever decides about releases with them turns them into training data by hand. The settings were picked
# on the validation messages, so a score on these flatters a little. Here it serves to compare adapters, not to boast.)

# %%
from finetune_course.evaluate import interval, percent, score
from finetune_course.generation import answer_all


def answers_of(model, records, prompt=system):
    """The model's answers to the messages of some records, in batches."""
    texts = [record["message"] for record in records]
    return answer_all(model, tokenizer, [prompt], texts, batch_size=hw.eval_batch).texts


beside = answers_of(tuned, messages)
shipped = score(beside, messages)
print("shipped adapter, exact:", percent(*interval(shipped["exact"])))

# %% [markdown]
# Now merged. `merge_and_unload` changes the base model in place, so it gets one of its own.

# %%
merged = PeftModel.from_pretrained(fresh_base(), shipped_adapter("triage")).merge_and_unload().eval()
compared = messages[: 10 if small else 40]
merged_answers = answers_of(merged, compared)
same = sum(first == second for first, second in zip(merged_answers, beside))
print(f"{same} of {len(compared)} answers are the same, letter for letter")

# %% [markdown]
# These messages are few. The record of all test messages, made once by `benchmarks/record_merge.py`, says it for both
# number formats:

# %%
from finetune_course.paths import course_root

record = json.loads((course_root() / "benchmarks" / "results" / "merge.json").read_text(encoding="utf-8"))
merging = pd.DataFrame(
    [
        (run["format"], name, part["messages"], part["messages"] - len(part["another answer"]))
        for run in record["runs"]
        for name, part in run["sets"].items()
    ],
    columns=["weights in", "set", "messages", "same answer"],
)
merging

# %% [markdown]
# In a format in which all answers are the same, the choice is one of convenience. Where some differ, these are two
# models that differ in a few answers (and, as notebook 05 found, in bfloat16 the batch alone can do that): measure the
# one that you ship. What each of them weighs on the disk:

# %%
import tempfile
from pathlib import Path

kept = tempfile.TemporaryDirectory(prefix="finetune-course-", ignore_cleanup_errors=True)  # goes when the kernel does
work = Path(kept.name)
served_folder = work / "wattle-triage"
merged.save_pretrained(served_folder)
tokenizer.save_pretrained(served_folder)
merged_bytes = merged.get_memory_footprint()
del merged
sizes = {}
for what, folder in (("adapter", shipped_adapter("triage")), ("merged model", served_folder)):
    sizes[what] = sum(path.stat().st_size for path in Path(folder).iterdir() if path.suffix == ".safetensors")
    print(f"{what:13} {sizes[what] / 1e6:6.1f} MB")
print(f"the merged model is {sizes['merged model'] / sizes['adapter']:.0f} times as large")

# %% [markdown]
# So many times the size, for each task that you merge (half as many in the same format: the adapter's file has 16 bits a
# number, and the merged model 32 in the standard profile). That is the case for keeping adapters.
#
# ## Several adapters on one base
#
# The shop also wants its replies rewritten in its own voice, a job of its own with data of its own. If you trained a
# voice adapter, or one is shipped, it is used; if not, the next cells train a small one. Its purpose here is to be
# *another* adapter, not a good one: a few dozen pairs do not make a writer.
#
# While we are at it, we train a second triage adapter, on few rows, as somebody might on a Friday afternoon. Further
# down it will ask to be released. One function serves both; everything in it is known from notebook 06.

# %%
import time

from datasets import Dataset
from finetune_course.adapters import own_adapter_folder
from finetune_course.completion_trainer import CompletionTrainer
from peft import LoraConfig
from peft.optimizers import create_loraplus_optimizer
from transformers import PrinterCallback, set_seed
from trl import SFTConfig


def short_run(rows, folder):
    """Train a LoRA once over some prompt-completion rows, save it in a folder, return the seconds."""
    set_seed(0)
    changed = {"save_strategy": "no", "logging_strategy": "no", "output_dir": str(work / "runs"), "seed": 0}
    arguments = SFTConfig(**settings["trainer"] | hw.precision | changed, activation_checkpointing=hw.gradient_checkpointing)
    trainer = CompletionTrainer(
        model=fresh_base(hw.dtype), args=arguments, train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer, peft_config=LoraConfig(**settings["lora"]),
    )
    trainer.optimizer = create_loraplus_optimizer(
        trainer.model, torch.optim.AdamW, lr=arguments.learning_rate, loraplus_lr_ratio=settings["loraplus_lr_ratio"]
    )
    trainer.remove_callback(PrinterCallback)
    start = time.perf_counter()
    trainer.train()
    seconds = time.perf_counter() - start
    trainer.model.save_pretrained(folder)
    return seconds

# %% [markdown]
# The voice adapter: yours, else the course's, else a short run on the first voice pairs.

# %%
from finetune_course import voice
from finetune_course.paths import data_path

few = 24 if small else 64
own, ready_made = own_adapter_folder("voice"), data_path("adapters", "voice")
found = [folder for folder in (own, ready_made) if (folder / "adapter_model.safetensors").is_file()]
if found:
    voice_folder = found[0]
    print("voice adapter:", "your own" if voice_folder == own else "shipped with the course")
else:
    voice_folder = work / "voice"
    seconds = short_run([voice.prompt_completion(pair) for pair in voice.load_split("train")[:few]], voice_folder)
    print(f"voice adapter: trained here on {few} pairs in {seconds:.0f} s")

# %% [markdown]
# And the triage adapter of a Friday afternoon, the release **candidate**:

# %%
from finetune_course.training import prompt_completion

candidate_folder = work / "candidate"
seconds = short_run([prompt_completion(row) for row in load_split("train")[:few]], candidate_folder)
print(f"candidate: trained on {few} messages in {seconds:.0f} s")

# %% [markdown]
# `load_adapter` puts further adapters beside the same base weights. Nothing of the base is copied: count the bytes.

# %%
before = sum(weight.nbytes for weight in tuned.parameters())
tuned.load_adapter(voice_folder, adapter_name="voice")
tuned.load_adapter(candidate_folder, adapter_name="candidate")
after = sum(weight.nbytes for weight in tuned.parameters())
print(list(tuned.peft_config))
print(f"one adapter: {before / 1e6:.0f} MB in memory; three: {after / 1e6:.0f} MB; three merged models: {3 * merged_bytes / 1e6:.0f} MB")

# %% [markdown]
# A swap is one call. The same sentence, asked three ways (the untouched base answers too, when all adapters are off):

# %%
sentence = voice.load_split("validation")[0]["neutral"]
rewrite = {"role": "system", "content": voice.trained_prompt("rewrite")}
print("asked :", sentence)
tuned.set_adapter("voice")
print("voice :", one_answer(tuned, sentence, rewrite, 60))
tuned.set_adapter("triage")
print("triage:", one_answer(tuned, sentence))
with tuned.disable_adapter():
    print("base  :", one_answer(tuned, sentence, rewrite, 60))

# %% [markdown]
# How long does a swap take? A request that must wait for it would notice a second.

# %%
swaps = []
for name in ["voice", "candidate", "triage"] * 4:
    start = time.perf_counter()
    tuned.set_adapter(name)
    swaps.append(time.perf_counter() - start)
print(f"{len(swaps)} swaps, the slowest {1000 * max(swaps):.0f} ms")

# %% [markdown]
# A server does not want to swap at all: it has requests for all of them at once. PEFT can mix adapters **within one
# batch**, a name for each row. Three rows, three adapters, one call of `generate`:

# %%
names = ["triage", "voice", "candidate"]
chats = [
    [system, {"role": "user", "content": messages[1]["message"]}],
    [rewrite, {"role": "user", "content": sentence}],
    [system, {"role": "user", "content": messages[1]["message"]}],
]
tokenizer.padding_side = "left"  # answers are written on the right, so shorter prompts are filled up on the left
batch = tokenizer.apply_chat_template(
    chats, add_generation_prompt=True, padding=True, return_tensors="pt", return_dict=True
).to(hw.device)
rows = tuned.generate(**batch, max_new_tokens=40, do_sample=False, adapter_names=names)
mixed = [tokenizer.decode(row, skip_special_tokens=True) for row in rows[:, batch["input_ids"].shape[1] :]]
for name, text in zip(names, mixed):
    print(f"{name:9}:", text)

# %% [markdown]
# A row in mixed company should be answered as the same adapter answers it alone, after a swap. (In bfloat16 the padding
# of a batch may turn an answer by itself.)

# %%
single = []
for name, (prompt, turn) in zip(names, chats):
    tuned.set_adapter(name)
    single.append(one_answer(tuned, turn["content"], prompt, 40))
print(f"{sum(first == second for first, second in zip(mixed, single))} of {len(names)} rows are the same as when asked alone")

# %% [markdown]
# Does the company of others change what an adapter says? Claim C15 wants each to score what it scores alone. The same
# answers, letter for letter, are more than the same score, so that is what we ask. Every adapter is also loaded onto a
# base of its own, and answers the same messages there.

# %%
import gc

sample = messages[: 6 if small else 10]
folders = {"triage": shipped_adapter("triage"), "voice": voice_folder, "candidate": candidate_folder}
neutral = [{"message": pair["neutral"]} for pair in voice.load_split("validation")[: len(sample)]]
agreeing = {}
for name, folder in folders.items():
    task = (neutral, rewrite) if name == "voice" else (sample, system)
    tuned.set_adapter(name)
    together = answers_of(tuned, *task)
    alone_model = PeftModel.from_pretrained(fresh_base(), folder).eval()
    agreeing[name] = [first == second for first, second in zip(together, answers_of(alone_model, *task))]
    del alone_model
    gc.collect()
pd.DataFrame({"same answers": {name: f"{sum(equal)} of {len(equal)}" for name, equal in agreeing.items()}})

# %% [markdown]
# ## A gate before the door
#
# The candidate wants to replace the shipped adapter. "It looked fine when I tried it" is how products get worse. The
# rule of this gate, fixed *before* the scores are seen:
#
# - both adapters answer the same validation messages, and the **difference** message by message gets a 95% interval
#   (the paired bootstrap of notebook 03);
# - the candidate ships only if the interval's lower end lies above **-5 points**.
#
# Why not above 0? Look at what happens when the shipped adapter asks to replace *itself*:

# %%
from finetune_course.release_gate import NotShipped, decide, require_shippable

itself = decide(shipped["exact"], shipped["exact"], margin=0.05)
print(itself.reason)
print(f"the interval goes from {100 * itself.difference.low:.1f} to {100 * itself.difference.high:.1f} points")

# %% [markdown]
# Not one answer differs, and still the interval has a width. (A bootstrap of nothing but zeros would be a point,
# which claims too much: messages on which the two differ may only be rare. `paired_difference` takes Wilson's
# interval for 0 of n instead.) No finite number of messages rules out *every* loss, so here a gate with the margin 0
# refuses even an equal. Five points are what this shop can live with. (Medicine calls such a rule a test of
# *non-inferiority*.) More messages allow a finer margin; fewer need a coarser one: with the 30 messages of the small
# profile not even the shipped adapter itself gets through.
#
# Now the candidate. Its answer in the mixed batch above was a proper record and looked fine:

# %%
tuned.set_adapter("candidate")
candidate = score(answers_of(tuned, messages), messages)
decision = decide(candidate["exact"], shipped["exact"], margin=0.05)
differing = (candidate["exact"] != shipped["exact"]).mean()
print(f"one of the two is right and the other wrong on {differing:.0%} of {len(messages)} messages")
try:
    require_shippable(decision)
    print(decision.reason)
except NotShipped as refused:
    print("NotShipped:", refused)

# %% [markdown]
# `require_shippable` stops a release script with that sentence. This candidate fails without doubt; what follows is about
# closer cases.
#
# A gate errs in two ways: it may let a worse adapter through, and it may stop a good one. How often? Take a candidate
# that is *exactly as good* in the long run, and one that is worse by just the margin, which must not pass. On some
# messages either of them is right where the shipped one is wrong, or the other way round, and the more there are, the
# wider the interval. A simulation with the gate's own intervals, for three sizes of the message set and three shares of
# messages on which the two differ:

# %% tags=["nbval-check-output"]
import numpy as np

draw = np.random.default_rng(0)


def lower_end(better, worse, asked):
    """The lower end of the gate's interval, from the numbers of messages won and lost against the shipped adapter."""
    if better == worse == 0:
        return -3.84 / (asked + 3.84)  # Wilson's interval for 0 of n
    again = draw.multinomial(asked, [better / asked, worse / asked, 1 - (better + worse) / asked], size=2000)
    return np.percentile(again[:, 0] - again[:, 1], 2.5) / asked


def let_through(asked, differ, loss, margin=0.05, candidates=2000):
    """How often a candidate passes that loses this share of the messages in the long run."""
    chances = [(differ - loss) / 2, (differ + loss) / 2, 1 - differ]
    results, times = np.unique(draw.multinomial(asked, chances, size=candidates)[:, :2], axis=0, return_counts=True)
    return sum(times[[lower_end(*pair, asked) > -margin for pair in results]]) / candidates


kinds = {("as good", asked): (asked, 0) for asked in (100, 400, 1600)} | {("5 points worse", 100): (100, 0.05), ("5 points worse", 400): (400, 0.05)}
passes = {f"{differ:.0%} differ": {kind: let_through(asked, differ, loss) for kind, (asked, loss) in kinds.items()} for differ in (0.05, 0.1, 0.2)}
pd.DataFrame(passes).rename_axis(["candidate", "messages"]).map("{:.0%}".format)

# %% [markdown]
# Of the candidates that must not pass, a few in a hundred do: the interval's lower end is meant to be wrong in 2.5% of
# cases, and with few differing messages the bootstrap is a little too sure of itself.
#
# With a hundred messages this gate stops many a good adapter. That is the price of its caution, and the reason to
# collect more validation messages *before* the release day.

# %% [markdown]
# ### Exercise 8.1 — may it ship?
#
# Difficulty ●●○ · importance ●●● · about 7 minutes
#
# Write the gate's rule yourself: `gate(low, high, margin)` gets both ends of the interval of *candidate minus shipped*
# (as shares: 0.05 is five points) and the loss that can be lived with, a number above 0. It returns one of three words:
#
# - `"ship"` where a loss of `margin` **or more** is ruled out;
# - otherwise `"worse"` where the whole interval lies below 0: the candidate has to be mended;
# - otherwise `"unsure"`: nobody knows yet, and more messages would tell.
#
# **Expected output**
#
# ```
# gate(-0.02, 0.06, margin=0.05)   →  'ship'     (perhaps a little worse, but not by five points)
# gate(-0.30, -0.10, margin=0.05)  →  'worse'
# gate(-0.12, 0.09, margin=0.05)   →  'unsure'   (perhaps twelve points worse, perhaps nine better)
# gate(-0.05, 0.01, margin=0.05)   →  'unsure'   (just five points worse is not ruled out)
# ```
#
# <details><summary>Hint 1</summary>
#
# Which end of the interval is the worst case that the data allow? That end alone decides whether it ships.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A loss is a negative difference: losing five points is -0.05. So compare the lower end with `-margin`, and ship above
# it, not at it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Ask in this order: `low > -margin`, then `high < 0`, then there is one word left.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-8-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def gate(low, high, margin):
    """The word "ship", "worse" or "unsure" for an interval of candidate minus shipped."""
    ### BEGIN SOLUTION
    if low > -margin:
        return "ship"
    return "worse" if high < 0 else "unsure"
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-8-1-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_08.gate(gate)
### BEGIN HIDDEN TESTS
assert gate(-0.049, 0.2, 0.05) == "ship"
assert gate(-0.051, 0.2, 0.05) == "unsure"
assert gate(0.1, 0.2, 0.01) == "ship"
assert gate(-0.03, -0.01, 0.02) == "worse"
assert gate(-0.03, -0.01, 0.04) == "ship"
### END HIDDEN TESTS

# %% [markdown]
# ## The model card
#
# An adapter without a card is a file that somebody will be afraid to delete in a year. The card says what to send, what
# it was trained on, what it scored *with intervals*, and what it was not tested on. Its head follows the form of the
# model hub, so that tools can read it (the first lines below; the scores stand there a second time and are cut off
# here). The numbers come from the run's own record, not from the keyboard.

# %%
import shutil

from finetune_course.adapters import recorded_runs
from finetune_course.evaluate import Interval
from finetune_course.model_card import write_model_card

run, made = recorded_runs("triage").runs[0], recorded_runs("triage").settings
release = work / "release"
shutil.copytree(shipped_adapter("triage"), release)
card = write_model_card(
    release,
    name="Triage of support messages, Wattle & Wave",
    base="HuggingFaceTB/SmolLM2-135M-Instruct",
    use=f"Send the system prompt `{settings['system_prompt']}` and the customer's message. A JSON record of five fields comes back.",
    training={"command": f"`{made['command']}`", "rows": made["examples"], "epochs": made["epochs"], "seed": run["seed"],
              "data (SHA-256)": made["data_sha256"][:16], "made on": made["date"], **made["versions"]},
    scores={f"{name}: {kind}": Interval(*value) for name, part in run["scores"].items() for kind, value in part.items()},
    limits="English messages to one fictional shop. The base weights are the course's (from a 4-bit file, see the course); "
    "on other copies of the base, score it again. The settings were chosen on the validation messages: go by the test scores. Not tested on messages that try to change its task.",
)
print(card.data.to_yaml().split("model-index")[0])
print(card.text)

# %% [markdown]
# ## Behind the interface that you already call
#
# Many programs that use a language model speak one dialect, that of OpenAI's chat completions. A model that answers in
# this dialect can take the place of a hosted one by two changed words: the address and the model's name (claim C41).
# `transformers serve` speaks it. The model leaves this process (its memory is wanted) and comes back in another one. Some
# answers are kept to compare: of the merged model, which is going to be served, and of the adapter beside its base, for a
# test further down.

# %%
asked = messages[: 4 if small else 8]
tuned.set_adapter("triage")
expected_beside = [one_answer(tuned, record["message"]) for record in asked[:4]]
del tuned
gc.collect()
merged = AutoModelForCausalLM.from_pretrained(served_folder, dtype=dtype).to(hw.device).eval()
expected = [one_answer(merged, record["message"]) for record in asked]
del merged
gc.collect()
print(len(expected), "answers of the merged model kept,", len(expected_beside), "of the adapter; both models let go")

# %% [markdown]
# `Server` starts `transformers serve` for a folder, on this computer alone, and waits until it is healthy. That is the
# whole command line:

# %%
from finetune_course.serving import Server, under_load

server = Server(served_folder).start()
print("transformers serve", server.model, "--host 127.0.0.1 --port …")
print(f"ready after {server.seconds_to_start:.0f} s")

# %% [markdown]
# And this is the program that asks, with the official client. `temperature=0` asks for the greedy answer. (Hosted
# models that think refuse it: leave it out there.)

# %%
from openai import OpenAI

client = OpenAI(base_url=server.address, api_key="not needed here")


def ask(record, prompt=system):
    """One call of the chat completions interface."""
    chat = [prompt, {"role": "user", "content": record["message"]}]
    return client.chat.completions.create(model=server.model, messages=chat, temperature=0, max_completion_tokens=48)


reply = ask(asked[0])
print(reply.choices[0].message.content)
print(reply.usage.prompt_tokens, "tokens in,", reply.usage.completion_tokens, "out, ended by:", reply.choices[0].finish_reason)

# %% [markdown]
# Is it the same model? Every answer of the server against the answer that the notebook kept, letter for letter:

# %%
alone = under_load(ask, asked, clients=1)
equal = [reply.choices[0].message.content == text for reply, text in zip(alone.answers, expected)]
print(f"{sum(equal)} of {len(equal)} answers are the same as in the notebook")
assert small or all(equal), "The server and the notebook disagree"

# %% [markdown]
# With `stream=True` the answer arrives piece by piece (**streaming**). A person who reads along sees the first word
# earlier, and the cell says by how much. A program that waits for the closing brace gains nothing.

# %%
start, pieces = time.perf_counter(), []
chat = [system, {"role": "user", "content": asked[0]["message"]}]
for chunk in client.chat.completions.create(model=server.model, messages=chat, temperature=0, max_completion_tokens=48, stream=True):
    if chunk.choices and chunk.choices[0].delta.content:
        pieces.append((time.perf_counter() - start, chunk.choices[0].delta.content))
print(f"first piece after {pieces[0][0]:.2f} s, the last of {len(pieces)} after {pieces[-1][0]:.2f} s")
print("the first pieces:", [piece for _, piece in pieces[:5]])
print("joined, the same answer:", "".join(piece for _, piece in pieces) == expected[0])

# %% [markdown]
# A wrong name is refused in a sentence, so a program that asks for a model that is not there will notice:

# %%
from openai import BadRequestError

try:
    client.chat.completions.create(model="another-model", messages=chat)
except BadRequestError as error:
    print(error.response.json()["detail"])

# %% [markdown]
# ## Many clients at once
#
# One client waits for one answer. What do sixteen wait? The server writes one answer after the other, so the others
# queue: expect about the same number of answers a second, and a **latency** (the time from a call to its answer) that
# grows with the queue. The sixteen ask once each, all at the same moment: the luckiest waits for one answer, the last
# for sixteen. If they went on asking, all of them would wait about as long as the last one here. The *95th
# percentile* is the wait that 95 of 100 calls keep to; of 8 or 16 calls it is nearly the slowest one.

# %%
loads = [alone]
for clients in (4, 16):
    questions = [messages[place % len(messages)] for place in range(max(clients, len(asked)))]
    loads.append(under_load(ask, questions, clients))
waiting = pd.DataFrame([load.row for load in loads]).set_index("clients")
waiting.round(2)

# %% [markdown]
# The waits of each call, one dot a call:

# %%
from finetune_course import plots

fig, ax = plots.figure()
for place, load in enumerate(loads):
    heights = [place + 0.3 * (index / len(load.latencies) - 0.5) for index in range(len(load.latencies))]
    ax.plot(load.latencies, heights, plots.MARKERS[place], color=plots.COLOURS[place], alpha=0.8)
ax.set(xlabel="seconds from the call to its answer", yticks=range(len(loads)),
       yticklabels=[f"{load.clients} at once" for load in loads], xlim=(0, None))
ax.invert_yaxis()
spoken = "; ".join(f"{load.clients} clients: median {load.row['median, s']:.1f} s" for load in loads)
plots.show(fig, alt=f"Seconds that each call waited, one dot a call, by the number of clients at once. {spoken}.")

# %% [markdown]
# ### Exercise 8.2 — what did most callers wait?
#
# Difficulty ●●○ · importance ●●○ · about 8 minutes
#
# A mean hides the one caller who waited ten times as long, so services promise percentiles: "95% of the calls are
# answered within two seconds". Write `percentile(seconds, share)`. `seconds` is a list of latencies in no order,
# `share` lies above 0 and is at most 1. Return the **smallest latency in the list** that at least this share of the
# calls kept to, that is, were not slower than. No interpolation: it is a latency that a call really had. (The table above
# interpolates between two calls, as NumPy does unless it is told otherwise.) Do not change the list.
#
# **Expected output**
#
# ```
# percentile([3.0, 1.0, 2.0], 0.5)   →  2.0   (1 s was enough for one of three, 2 s for two of three)
# percentile([5.0, 7.0], 1.0)        →  7.0
# percentile([1, 2, ..., 100], 0.07) →  7
# ```
#
# <details><summary>Hint 1</summary>
#
# Sort a copy. How many of the sorted calls are needed to make up the share?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `math.ceil(share * len(seconds))` calls are needed, rounded up. The last of them has this number minus 1 as its index.
#
# </details>
# <details><summary>Hint 3</summary>
#
# 0.07 × 100 is 7.000000000000001 in a computer, and rounding that up gives 8. `round(…, 9)` before `math.ceil` mends
# it; or walk through the sorted latencies and stop at the first that enough calls kept to.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-8-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def percentile(seconds, share):
    """The smallest of the latencies that at least ``share`` of the calls kept to."""
    ### BEGIN SOLUTION
    needed = math.ceil(round(share * len(seconds), 9))
    return sorted(seconds)[needed - 1]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-8-2-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_08.percentile(percentile)
### BEGIN HIDDEN TESTS
assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
assert percentile([3.0, 1.0, 2.0], 0.34) == 2.0
assert percentile([0.4] * 19 + [9.0], 0.95) == 0.4
assert percentile([0.4] * 18 + [9.0, 9.0], 0.95) == 9.0
assert percentile(list(range(200, 0, -1)), 0.07) == 14
### END HIDDEN TESTS

# %% [markdown]
# ## What a long prompt costs at every call
#
# The tuned model is told one word. An untuned one needs the page of rules of notebook 03. The server counts the tokens
# of both, and the clock says what they cost here. The messages and the model are the same, so only the prompt differs,
# and with it perhaps the length of the answer, which the clock counts too.

# %%
from finetune_course.triage import instructions

rules = {"role": "system", "content": instructions()}
prompts, waits = {}, {}
for name, prompt in (("one word", system), ("page of rules", rules)):
    load = under_load(lambda record, prompt=prompt: ask(record, prompt), asked[: 2 if small else 4], clients=1)
    usage, waits[name] = [reply.usage for reply in load.answers], load.latencies
    prompts[name] = {
        "tokens in": sum(each.prompt_tokens for each in usage) / len(usage),
        "tokens out": sum(each.completion_tokens for each in usage) / len(usage),
        "median, s": load.row["median, s"],
    }
calls = pd.DataFrame(prompts).T
more = np.subtract(waits["page of rules"], waits["one word"])
print(f"the page of rules takes {more.min():.2f} to {more.max():.2f} s more, on each of {len(more)} messages")
calls.round(2)

# %% [markdown]
# This server reads the page anew at every call. One that keeps what it computed for a common beginning, as notebook 03
# did, saves most of that reading: so the difference in *time* is at its largest here. The difference in *tokens* stays,
# and tokens are what hosted models charge for (some give a discount on a beginning that they have seen before). The
# server has done its work:

# %%
server.stop()
tokens_in, tokens_out = calls.loc["one word", ["tokens in", "tokens out"]]
tokens_in_rules = calls.loc["page of rules", "tokens in"]
print(f"{tokens_in_rules / tokens_in:.1f} times fewer tokens go in with the rules trained in")

# %% [markdown]
# ## Against a larger model that is prompted
#
# The usual alternative is a larger model and a page of rules (claim C23). No larger trained model comes with this
# course. Speed, however, does not depend on what the weights say: a model of the shape of SmolLM2-360M with *random*
# weights does the same multiplications as the real one. It says nothing about accuracy, so this is half a comparison,
# and called so. Both read their whole prompt anew. With the page kept in a cache, as in notebook 03, the larger model would
# gain most, and the factor would shrink. The table is in seconds.

# %%
from finetune_course.model_sizes import SIZES
from transformers import LlamaForCausalLM


def seconds_for(model, prompt, records):
    """Seconds to read a prompt and write 36 tokens, for each message by itself; a first short call does not count."""
    found = []
    for record, written in [(records[0], 1), *((record, 36) for record in records)]:
        chat = [prompt, {"role": "user", "content": record["message"]}]
        ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        start = time.perf_counter()
        model.generate(**ids.to(hw.device), min_new_tokens=written, max_new_tokens=written, do_sample=False)
        found.append(time.perf_counter() - start)
    return np.array(found[1:])


speeds = {"135M, one word": seconds_for(fresh_base(), system, asked[:4])}
if not small:
    torch.manual_seed(0)
    larger = LlamaForCausalLM(SIZES["SmolLM2-360M"].config()).to(dtype).to(hw.device).eval()
    speeds["360M, page of rules"] = seconds_for(larger, rules, asked[:4])
    del larger
    gc.collect()
pd.DataFrame(speeds, index=pd.RangeIndex(1, 5, name="message")).round(2)

# %% [markdown]
# ## Yours to keep
#
# A managed service trains for you, and with some of them the weights stay there for good (claim C42). This adapter is a
# file. The test of that: a new process, in which every connection to a network is refused and no account is known, loads
# base and adapter from their folders and answers. Its answers are held against those of the adapter in this notebook.

# %%
import os
import subprocess
import sys

script = """
import json, socket, sys
def refuse(*_): raise OSError("this process has no network")
socket.socket.connect = socket.create_connection = refuse
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer
base, adapter, kind, device, prompt, texts = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(base)
model = AutoModelForCausalLM.from_pretrained(base, dtype=getattr(torch, kind))
model = PeftModel.from_pretrained(model, adapter).to(device).eval()
for text in json.loads(texts):
    chat = [{"role": "system", "content": prompt}, {"role": "user", "content": text}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    out = model.generate(**ids.to(device), max_new_tokens=48, do_sample=False)
    print(json.dumps(tokenizer.decode(out[0, ids["input_ids"].shape[1]:], skip_special_tokens=True)))
"""
texts = [record["message"] for record in asked[: len(expected_beside)]]
arguments = [str(weights()), str(release), str(dtype).removeprefix("torch."), hw.device, system["content"], json.dumps(texts)]
alone_at_home = {name: value for name, value in os.environ.items() if "TOKEN" not in name and "KEY" not in name}
done = subprocess.run([sys.executable, "-c", script, *arguments], env=alone_at_home | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(work / "nobody")},
                      capture_output=True, text=True, check=True)
offline = [json.loads(line) for line in done.stdout.splitlines()]
print(f"{sum(a == b for a, b in zip(offline, expected_beside))} of {len(texts)} answers are the same without a network")

# %% [markdown]
# ## Past one machine: serving
#
# `transformers serve`, started as above, is simple: one answer after the other, and the one model that it was started
# with. When that is too slow, you want a server that answers many requests in one batch, which they join and leave from
# token to token (**continuous batching**; `transformers serve` has it too, behind `--continuous-batching`, not tried
# here), and that keeps several adapters on one base, chosen by the `model` field of the request. vLLM does both, and
# reads adapters in PEFT's form, which these are. What pip installs is made for NVIDIA cards (there are builds for others
# and for CPUs), and wants an environment of its own, since it brings its own torch. So the command was **not run here**,
# nor was it tried whether vLLM takes an adapter that sits in half of the layers alone:
#
# ```
# pip install vllm
# WEIGHTS=$(python -c "from finetune_course.weights import weights; print(weights())")
# vllm serve "$WEIGHTS" --served-model-name base --host 127.0.0.1 --dtype float32 --enable-lora --max-loras 2 \
#      --max-lora-rank 16 --lora-modules triage=data/adapters/triage voice=YOUR-VOICE-ADAPTER
# ```
#
# After `=` stands an adapter's folder: put in your own, and leave out what you do not have. `--max-lora-rank` must be at
# least the adapters' rank (16 here), `--max-loras` is how many may share one batch. Without `--dtype` vLLM takes the
# format from the weights' folder, bfloat16: then score the adapter again. Without `--host` anybody who reaches the port
# may ask; open it with `--api-key` only. The client's code above stays as it is, with the address
# `http://localhost:8000/v1` and `model="triage"` or `model="voice"`.
#
# ## Past one machine: training
#
# The settings file of notebook 06 is the only place where the run is described. For TRL's command line it is
# *translated*, not copied: each process takes its share of the batch, so that a step means the same. So the file is made
# for a number of processes (2 here), and for the number format of the machine that makes it.

# %%
from finetune_course.launch import launch_command, write_rows, write_trl_config

write_rows(work / "rows", [prompt_completion(row) for row in load_split("train")[:few]])
here = {"activation_checkpointing": hw.gradient_checkpointing, **hw.precision}  # as notebook 06 sets them
config = write_trl_config(work / "run.yaml", "MODEL", "ROWS", "OUTPUT", processes=2, **here)
print((work / "run.yaml").read_text(encoding="utf-8"))

# %% [markdown]
# MODEL, ROWS and OUTPUT stand for your folders, and only the first messages were written here: for a run take all of them.
#
# Two things do not travel: LoRA+, for which `trl sft` has no option, and this course's trainer, which computes the same
# loss faster. The learning rate is then the same for A and B, so choose it again on validation. And one thing changes its
# meaning: with `group_by_length` every process makes groups of its own, so the batches hold other rows than in one
# process. TRL's own parser is the judge of whether the file is understood:

# %% tags=["nbval-check-output"]
from trl.scripts.sft import make_parser

script_arguments, training, model_arguments, _ = make_parser().parse_args_and_config(["--config", str(work / "run.yaml")])
print("batch of each process:", training.per_device_train_batch_size, "| epochs:", training.num_train_epochs)
print("rank", model_arguments.lora_r, "| layers:", model_arguments.lora_target_modules)

# %% [markdown]
# How many processes, on which machines, is a second file, for `accelerate launch`. Four are ready in `data/accelerate/`
# (`trl sft --config run.yaml --accelerate_config data/accelerate/ddp.yaml` is the short way to the same):

# %% tags=["nbval-check-output"]
from accelerate.commands.config.config_args import load_config_from_file
from finetune_course.launch import LAUNCHERS, launcher

parsed = {name: load_config_from_file(str(launcher(name))) for name in LAUNCHERS}
pd.DataFrame({
    name: {"kind": config.distributed_type.value, "machines": config.num_machines, "processes": config.num_processes,
           "on the CPU": config.use_cpu}
    for name, config in parsed.items()
}).T

# %% [markdown]
# - `ddp`: one computer, several cards, a whole model on each. The first thing to try.
# - `fsdp`: the model's weights are cut up among the cards. For a model that does not fit onto one.
# - `several_nodes`: `ddp` over two computers. The same command on both, with another `machine_rank`.
# - `two_cpus`: two processes on any computer, to see that several do what one does. (MULTI_GPU is accelerate's word for
#   several processes, with or without cards.)
#
# All four were read by accelerate's own parser just now. The first three were never run for this course: they need the
# cards. The fourth is run by a test (`tests/test_launch.py`): two processes with half the batch each have, step for
# step, the losses of one process with the whole batch, on a toy model. There both draw their rows at random
# (`train_sampling_strategy: random`). The commands; the first wants a `run.yaml` made for four processes:

# %% tags=["nbval-check-output"]
for name in ("ddp", "two_cpus"):
    command = launch_command("run.yaml", name)
    print(*command[:3], f"data/accelerate/{name}.yaml", *command[4:])

# %% [markdown]
# Without cards the script is started through a module of this course, which trains with the same code. It tells each
# process that the run is on the CPU (otherwise each trains alone, on all rows, and nothing says so), and lets go of
# everything in another order (otherwise one of the two now and then stays for ever after its work is done).
#
# ## Where the time of a step goes
#
# Before more machines, look at what one of them does. `benchmarks/profile_step.py` took training steps apart on a
# CPU: TRL's own LoRA example with the page of rules in its prompt; TRL's trainer with the settings of notebook 06;
# and the course's trainer of ten lines with the same settings, rows and losses. Seconds are CPU time for each
# message, of both cores together: the clock shows about half. Shares say what kind of operation took it; *all else*
# is norms, activation functions, positions and copying. The share of the matrix-multiply rate is notebook 01's
# utilisation.

# %%
steps = json.loads((course_root() / "benchmarks" / "results" / "profile_step.json").read_text(encoding="utf-8"))
told = steps["settings"]
print(f"{told['machine']}, threads: {told['threads']}, {told['number format']}, {told['date']}, by '{told['command']}'")
pd.DataFrame({
    name: {"tokens a message": f"{one['tokens a row']:.0f}", "CPU seconds a message": f"{one['seconds a row']['whole step']:.2f}",
           "share of matrix-multiply rate": f"{one['share of matrix-multiply rate']:.0%}"}
    | {kind: f"{share:.0%}" for kind, share in one["shares"].items()}
    for name, one in steps["runs"].items()
})

# %% [markdown]
# Read it from the left. Shorter prompts make most of the first step; no recomputation (gradient checkpointing) and
# adapters in the upper half alone make the rest. The vocabulary head, which scores 49,152 tokens, makes the second, as
# soon as it runs only where there is something to learn. What is left is mostly matrix products in the blocks, at about
# half of the rate that this machine can reach. No setting tried here makes them cheaper: from here on, faster means
# another number format, more cores, or a card.
#
# ## On a graphics card
#
# Nothing above needs a graphics card, and most fine-tuning is done on one. `benchmarks/record_gpu.py` measures there what
# this course cannot measure without: LoRA, QLoRA and full fine-tuning of the 135M model; the trainer's defaults against
# packed rows, fused kernels and a compiled model; models with the shapes of 1B and 8B parameters, whose weights are
# random, since speed and memory do not depend on them. What it found is shown here, if it was run:

# %%
from IPython.display import display

gpu_file = course_root() / "benchmarks" / "results" / "gpu.json"
if gpu_file.is_file():
    gpu = json.loads(gpu_file.read_text(encoding="utf-8"))
    print(f"{gpu['settings']['device']}, {gpu['settings']['date']}, by '{gpu['settings']['command']}'")
    cases = {(part, name): case for part in ("weights", "engine", "shapes") for name, case in gpu["parts"][part].items()}
    shown = ["exact", "tokens a second", "peak_gb", "share of matrix-multiply rate", "validation loss", "failed"]
    display(pd.DataFrame(cases).T.reindex(columns=shown).fillna("–"))
    fitting = {name: [case for case in tried if "failed" not in case] for name, tried in gpu["parts"]["sweep"].items()}
    largest = {name: done[-1] for name, done in fitting.items() if done}  # the largest batch before memory ended
    display(pd.DataFrame(largest).T.reindex(columns=["batch", "length", "tokens a second", "peak_gb"]))
else:
    print("No graphics card was at hand for this course: nothing was recorded, and nothing is claimed.")

# %% [markdown]
# ## What it costs
#
# A cost is a measured throughput times a price. The throughput is yours. The prices are public, and they change: models
# are withdrawn, and successors cost something else. So each has its source, the day on which it was read, and the date
# that the source gives itself (some give none). They were read from stored copies of those pages, which may be older
# than the day of reading. *Second-hand* marks a figure that was not read at the seller's. The addresses stand in
# `data/prices/services.json`. Before you decide anything with them, read the pages themselves.

# %%
from finetune_course.costs import assumptions, service_prices

prices = service_prices()
prices[["what", "provider", "kind", "price", "unit", "as_of", "seen", "source", "note"]].fillna("–")

# %% [markdown]
# Then what no price list says. These are **the course's own assumptions** about a small shop. Replace them.

# %%
guesses = assumptions()
guesses

# %% [markdown]
# ### The run
#
# The record of the shipped adapter says how many tokens its run read (all epochs together) and how long that took on
# this course's machine. What would the same tokens cost elsewhere? On the rented graphics card a model of 8 billion
# parameters is trained, not 135 million, and its time is an *estimate* ($6 \cdot N \cdot D$ operations at 40% of the
# card's peak, as in notebook 01), without the minutes in which the card is paid and nothing trains yet.

# %%
from finetune_course.costs import electricity, managed_cost, run_cost
from finetune_course.prices import gpu_prices, training_cost

own_guess, tokens = guesses["value"], run["tokens"]
hour = prices.loc["machine-2-cpu", "price"]
hours, rented_cpu = run_cost(tokens, tokens / run["train_seconds"], hour)
gpu = gpu_prices().query("gpu == 'H100 80 GB'").nsmallest(1, "dollars_per_gpu_hour").iloc[0]
rented = (gpu["dense_bf16_tflops"], 0.4, gpu["dollars_per_gpu_hour"])
gpu_hours, rented_gpu = training_cost(8e9, tokens, *rented)
managed = service_prices("managed training")["price"]
bill = {
    f"own computer, electricity ({hours:.1f} h)": electricity(hours, own_guess["power draw"], own_guess["electricity"]),
    f"rented 2-CPU machine ({hours:.1f} h)": rented_cpu,
    f"8B model on a rented H100 ({60 * gpu_hours:.0f} min, estimated)": rented_gpu,
    "managed, cheapest rate": managed_cost(tokens, 1, managed.min()),
    "managed, dearest rate": managed_cost(tokens, 1, managed.max()),
}
print(f"{tokens / 1e6:.2f} million tokens in {hours:.1f} hours; machine: {made['machine']}; threads used: {made['threads']}")
plots.show(plots.value_bars(bill, f"US dollars for {tokens / 1e6:.1f} million training tokens", notes=[f"${value:.2f}" for value in bill.values()]),
           alt=f"Dollars for one training run of {tokens / 1e6:.1f} million tokens: " + "; ".join(f"{name} {value:.2f}" for name, value in bill.items()) + ".")

# %% [markdown]
# (The recorded run used one core. Two would need less time, so the rented 2-CPU machine's bar is an upper end.)
#
# Claim C34 speaks of 50 to 500 dollars on a rented card. From how many tokens on is a run in that range? And what is the
# bill once people are on it: those who labelled the messages, and those who did the work? (Many of this
# course's training messages were made from templates. Here we count as if people had labelled every one of them, and for
# comparison as if 500 had been enough; whether they would be is a question for notebook 07.)

# %%
per_token = rented_gpu / tokens
print(f"a rented card reaches 50 dollars at {50 / per_token / 1e6:,.0f} million tokens, and 500 at {500 / per_token / 1e6:,.0f} million")
people = own_guess["engineer hours"] * own_guess["engineer wage"]
by_person = own_guess["labelling wage"] / own_guess["labels an hour"]  # dollars for one message
once, once_few = (labelled * by_person + people + rented_cpu for labelled in (made["examples"], 500))
print(f"{made['examples']:,} labels {made['examples'] * by_person:,.0f} + work {people:,.0f} + run {rented_cpu:.2f} = {once:,.0f} dollars before the first call")
print(f"with 500 labels: {once_few:,.0f} dollars")

# %% [markdown]
# ### A thousand calls
#
# A machine of your own is paid for around the clock, whoever calls. So a call costs the day's price divided by the day's
# calls: the fewer calls, the dearer each. The *busy share* says how much of the paid time is used. A call to a hosted
# model costs its tokens, with the page of rules in each; a model that **thinks** before it answers is paid for those
# tokens too, and the second column has 200 of them a call, which is a guess. (The answers a second are this machine's.
# If it has a graphics card, the price of a 2-CPU machine is the wrong one: put in yours.)

# %%
from finetune_course.costs import break_even, hosted_call, own_call

answers_a_second = waiting["answers a second"].max()
calls_a_day = own_guess["calls a day"]
busy = min(1, calls_a_day / 86_400 / answers_a_second)
own_price = own_call(answers_a_second, hour, busy)
print(f"{calls_a_day:,.0f} calls a day keep the machine busy for {busy:.0%} of its hours")
models = [name.removesuffix("-input") for name in prices.index[prices["kind"] == "hosted input"]]
rates = {prices.loc[f"{name}-input", "what"]: prices.loc[[f"{name}-input", f"{name}-output"], "price"].tolist() for name in models}
hosted = {what: hosted_call(tokens_in_rules, tokens_out, *rate) for what, rate in rates.items()}
thinking = {what: hosted_call(tokens_in_rules, tokens_out + 200, *rate) for what, rate in rates.items()}
others = {"a person": by_person, **hosted}
crosses = {name: break_even(once, own_price, call) for name, call in others.items()}
table = pd.DataFrame({
    "dollars for 1,000 calls": {"tuned, own machine": 1000 * own_price} | {name: 1000 * call for name, call in others.items()},
    "if it thinks": {name: 1000 * call for name, call in thinking.items()},
    "tuned is cheaper after … calls": crosses,
    "with 500 labels": {name: break_even(once_few, own_price, call) for name, call in others.items()},
    "if it thinks, and 500 labels": {name: break_even(once_few, own_price, call) for name, call in thinking.items()},
})
table.loc[["tuned, own machine", *others]].map(
    lambda value: "–" if math.isnan(value) else "never" if math.isinf(value) else f"{float(f'{value:.2g}'):,.0f}" if value > 1000 else f"{value:.3g}"
)

# %% [markdown]
# ### Where the lines cross
#
# A cross is the **break-even**: the number of calls from which the tuned model is the cheaper way. Both axes are
# logarithmic: every line of the grid is ten times the last. The tuned model starts high, at the bill for people, and its
# calls show only after millions. The dotted line is a month of 10,000 messages a day, on which its price a call rests, too.

# %%
from finetune_course.cost_calculator import CostCalculator, cost_figure, describe_costs

month = 30 * calls_a_day
plots.show(cost_figure(once, own_price, others, mark=month), alt=describe_costs(once, own_price, others))

# %% [markdown]
# Compare the crosses for a *person* and for the *hosted models*. What decides is the price of the call that is replaced:
# a person's is counted in cents, a hosted model's in fractions of one. Where a cross lies right of the dotted line, cost
# alone is a poor reason to tune. Accuracy, waiting time, keeping data in the house and not depending on
# somebody's price list may be better ones. Time counts as well: divide a cross by your calls a year.
#
# What this bill leaves out, so that you can put it in:
#
# - What the hosted models would score on this task was not measured, nor how often a person is right.
# - Nothing is paid before the first prompted call, though a prompt wants writing and testing as well; and nobody is paid
#   to look after the machine of your own. The first leaves out a cost of prompting, the second one of tuning.
# - The tokens are those of *this* model's tokenizer. How much a hosted model thinks before it answers was not measured,
#   and the table shows that it may turn a "never" into a cross; a prompt beginning that it has seen before may cost less.
#
# Your numbers will differ. The calculator takes them (it needs a running kernel; it starts from the dearest hosted model
# of the table above):

# %%
dearest = max(hosted, key=hosted.get)
calculator = CostCalculator(
    prompt_tokens=tokens_in_rules, answer_tokens=tokens_out, input_price=rates[dearest][0], output_price=rates[dearest][1],
    once=once, calls_per_second=answers_a_second, dollars_per_hour=hour, busy=busy, calls_a_day=calls_a_day,
)
print(f"Against {dearest}. {calculator.sentence}")
calculator

# %% [markdown]
# ### Exercise 8.3 — when is it paid back?
#
# Difficulty ●●○ · importance ●●● · about 8 minutes
#
# `once` dollars are paid before the first call. After that, 1,000 tuned calls cost `tuned` dollars and 1,000 prompted
# calls cost `prompted` dollars. Write `calls_to_break_even(once, tuned, prompted)`: the number of **calls** after which
# both ways have cost the same in total. Do not round. Where a tuned call is as dear as a prompted one, or dearer, the
# day never comes: return `math.inf`.
#
# **Expected output**
#
# ```
# calls_to_break_even(600, tuned=0.10, prompted=0.70)  →  1000000.0
# calls_to_break_even(600, tuned=0.70, prompted=0.10)  →  inf
# calls_to_break_even(0, tuned=0.10, prompted=0.70)    →  0.0
# ```
#
# <details><summary>Hint 1</summary>
#
# What does the tuned model save with every 1,000 calls? How often must it save that to bring 600 dollars back?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Both prices are for 1,000 calls, and the answer is in calls: somewhere a factor of 1,000 comes in.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `1000 * once / (prompted - tuned)`. Ask first whether the difference is above 0.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-8-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def calls_to_break_even(once, tuned, prompted):
    """Calls after which ``once`` dollars are saved; the two prices are dollars for 1,000 calls."""
    ### BEGIN SOLUTION
    saved = prompted - tuned
    return 1000 * once / saved if saved > 0 else math.inf
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-8-3-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_08.calls_to_break_even(calls_to_break_even)
### BEGIN HIDDEN TESTS
assert math.isclose(calls_to_break_even(4000, 0.09, 1.09), 4_000_000)
assert math.isclose(calls_to_break_even(1, 0.5, 0.75), 4000)
assert calls_to_break_even(4000, 1.0, 1.0) == math.inf
assert calls_to_break_even(4000, 2.0, 1.0) == math.inf
### END HIDDEN TESTS

# %% [markdown]
# ## A managed service instead
#
# Services that train for you take a file, one example a line, in the chat form. First a toy file of three messages,
# checked against what the services document: the smallest number of examples is the first thing that a first try meets.

# %%
from finetune_course.costs import upload_limits
from finetune_course.managed_export import check_chat_file, write_chat_file
from finetune_course.records import DataError


def checked_for(service, path, count_tokens):
    """The checked file, or the sentence that says why the service would not take it."""
    try:
        return check_chat_file(path, service, count_tokens)
    except DataError as fault:
        return str(fault)


write_chat_file(work / "toy.jsonl", map(prompt_completion, load_split("train")[:3]))
print((work / "toy.jsonl").read_text(encoding="utf-8").splitlines()[0], "\n")
for service in upload_limits().index:
    print(f"{service:10}", checked_for(service, work / "toy.jsonl", len))

# %% [markdown]
# (The tokens were not counted yet: `len` counts turns.) Now the whole training set, with its tokens, beside the limits:

# %%
from functools import cache


@cache
def tokens_of(text):
    """Tokens of a text, by this model's tokenizer."""
    return len(tokenizer(text, add_special_tokens=False).input_ids)


count = write_chat_file(work / "train.jsonl", map(prompt_completion, load_split("train")))
checked = {
    service: check_chat_file(work / "train.jsonl", service, lambda chat: tokens_of(tokenizer.apply_chat_template(chat, tokenize=False)))
    for service in upload_limits().index
}
limits = upload_limits()[["min_examples", "max_examples", "max_megabytes", "max_tokens_per_example"]]
pd.DataFrame({name: vars(file) for name, file in checked.items()}).T.join(limits.map("{:,.0f}".format).replace("nan", "–")).T

# %% [markdown]
# A dash is a limit that is not documented. The tokens are counted by *this* model's tokenizer, with its chat
# template; each service counts with its own, so the price is an estimate. What training on the file for two epochs
# would cost:

# %%
size = next(iter(checked.values())).tokens
quotes = service_prices("managed training").assign(dollars=lambda rows: [managed_cost(size, 2, rate) for rate in rows["price"]])
quotes[["what", "provider", "price", "dollars", "as_of", "note"]].round(2).fillna("–")

# %% [markdown]
# What comes back from some services is not a file but the name of a model, which answers as long as the service keeps it,
# at its price a call. A withdrawn base model takes its fine-tunes with it; the last column above tells of one that goes,
# and of a service that closes to new files. Others train open models and let you take the adapter home; some charge by
# the hour for a machine that serves it. Read their terms: that side of claim C42 is a matter of contracts, not of
# measurement.

# %% [markdown]
# ### Exercise 8.4 — a line for the service
#
# Difficulty ●●○ · importance ●●○ · about 8 minutes
#
# Write `chat_line(system, message, record)`: one line of such a file, as a **string without a line break**. The line is
# a JSON object with one key, `messages`: a list of three, the system prompt, the customer's message and the assistant's
# answer. Each has the keys `role` (`system`, `user`, `assistant`) and `content`. A content is always text, and the
# assistant's text is the record, written as compact JSON without spaces.
#
# **Expected output**
#
# ```
# chat_line("Triage.", "Where is it?", {"category": "delivery", "product": None})  →
# {"messages": [{"role": "system", "content": "Triage."}, {"role": "user", "content": "Where is it?"},
#  {"role": "assistant", "content": "{\"category\":\"delivery\",\"product\":null}"}]}     (in one line)
# ```
#
# <details><summary>Hint 1</summary>
#
# There is JSON inside JSON. Which of the two must be text before the other is made?
#
# </details>
# <details><summary>Hint 2</summary>
#
# `json.dumps(record, separators=(",", ":"))` is the record's text. Never put quotes together by hand: customers write
# quotes and line breaks too, and `json.dumps` takes care of them.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Build the dictionary `{"messages": [...]}` with that text as the last content, and return `json.dumps` of it.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-8-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def chat_line(system, message, record):
    """One line of a chat training file: system prompt, customer's message, and the record as the assistant's text."""
    ### BEGIN SOLUTION
    said = json.dumps(record, separators=(",", ":"))
    turns = [("system", system), ("user", message), ("assistant", said)]
    return json.dumps({"messages": [{"role": role, "content": content} for role, content in turns]})
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-8-4-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_08.chat_line(chat_line)
### BEGIN HIDDEN TESTS
hidden = json.loads(chat_line("S", 'a "b"\nc', {"x": None, "y": "z"}))
assert [turn["role"] for turn in hidden["messages"]] == ["system", "user", "assistant"]
assert [turn["content"] for turn in hidden["messages"]] == ["S", 'a "b"\nc', '{"x":null,"y":"z"}']
assert "\n" not in chat_line("S", "a\nb", {})
### END HIDDEN TESTS

# %% [markdown]
# ## What we measured
#
# The key numbers first.

# %%
from finetune_course.keynumbers import publish

publish("slowest swap", 1000 * max(swaps), unit="ms")
publish("candidate minus shipped", decision.difference.mean, interval=decision.difference[1:])
publish("wait, 1 client", waiting.loc[1, "median, s"], unit="s")
publish("longest wait, 16 calls at once", max(loads[-1].latencies), unit="s")
publish("prompt tokens saved a call", tokens_in_rules - tokens_in, unit="tokens")

# %% [markdown]
# Then the claims of the ledger, by the rules that `data/claims.csv` fixed. First those about models and serving. For C23,
# speed and accuracy are two halves, and only one of them was measured.

# %%
def said(yes, no=None, what="messages"):
    """A verdict; without a condition for failing, what does not hold fails."""
    no = not yes if no is None else no
    return "holds" if yes else "fails here" if no else f"not decided by this many {what}"


recorded = merging.groupby("weights in")[["messages", "same answer"]].sum()
whole = (recorded["messages"] == recorded["same answer"]).sum()
told = "; ".join(f"{kind} {row['same answer']} of {row['messages']}" for kind, row in recorded.iterrows())
agree, slowest = all(all(equal) for equal in agreeing.values()), max(swaps)
back = sum(a == b for a, b in zip(offline, expected_beside))
verdicts = {
    "C14": (f"same answers (recorded): {told}", "holds" if whole == len(recorded) else "holds in part" if whole else "fails here"),
    "C15": (f"same answers alone and together: {agree}; slowest swap {1000 * slowest:.0f} ms", said(agree and slowest < 1)),
    "C23": ("the larger model was not run in the small profile", "not measured here"),
    "C41": (f"{sum(equal)} of {len(equal)} answers of the client equal the notebook's", said(all(equal))),
    "C42": (f"{back} of {len(offline)} answers the same in a new process without a network", said(offline == expected_beside)),
}
if not small:
    times = speeds["360M, page of rules"] / speeds["135M, one word"]
    quick = said(times.min() >= 2, times.max() < 2)
    verdicts["C23"] = (f"{times.min():.1f} to {times.max():.1f} times as fast as the shape of 360M with the page of rules, read anew at every call",
                       quick if quick == "fails here" else f"speed: {quick}; accuracy: not measured here")

# %% [markdown]
# C11 has two halves as well, fewer tokens and records that are no worse. The tokens were counted by the server. The
# records are those of the hand-written test messages: the recorded run against the prompt that notebook 03 named, as in
# notebook 06. (That prompt is longer than the page counted here and has a grammar as well, so both halves are hard on the
# tuned model. Of notebook 03 only the shares were kept, so the interval is that of two separate samples, a little wider
# than a paired one would be.)

# %%
from finetune_course.evaluate import points, separate_difference
from finetune_course.keynumbers import saved

theirs = next(number for number in saved("03_prompting_first") if number.name == "exact, few-shot, constrained")
ours = run["scores"]["test, hand-written"]["exact"]
gap, low, high = separate_difference(ours, (theirs.value, theirs.low, theirs.high))
fewer = tokens_in <= tokens_in_rules / 5
verdicts["C11"] = (f"{tokens_in_rules:.0f} to {tokens_in:.0f} tokens a call, counted by the server; records: {points(gap, low, high)} points",
                   said(fewer and low >= 0, not fewer or high < 0))
print(f"tuned − prompted, exact: {points(gap, low, high)} points")

# %% [markdown]
# Then those about money. They stand on the price table and on the assumptions, and fall with them. For C40 a month is
# 300,000 messages, and the machine of your own is paid for the whole month, busy or not.

# %%
from finetune_course.prices import published_models

frontier = published_models().set_index("model").loc["Llama 3.1 405B"]
pretraining = training_cost(frontier["active_parameters"], frontier["tokens"], *rented)[1]
fine_tune = training_cost(7e9, tokens, *rented)[1]
inside = {"managed": managed.between(1, 10).all(), "rented card": 50 <= rented_gpu <= 500}
against = [crosses[name] < 100_000 for name in hosted]
own_month = max(month * own_price, 720 * hour)
paid = {name: month * others[name] - own_month > once for name in ("a person", dearest)}
verdicts |= {
    "C02": (f"at the lowest rent: frontier {pretraining / 1e6:,.0f} million dollars; 7B on these messages {fine_tune:.2f} for the card, {fine_tune + once - rented_cpu:,.0f} with people",
            f"frontier: {said(pretraining > 1e6)}; this fine-tune: {said(10 <= fine_tune <= 5000)}"),
    "C34": (f"managed {managed.min():.2f} to {managed.max():.2f} dollars a million tokens, {managed.between(1, 10).sum()} of {len(managed)} rates inside 1 to 10; rented card {rented_gpu:.2f}; electricity {bill[next(iter(bill))]:.2f}",
            "holds" if all(inside.values()) else "holds in part" if any(inside.values()) else "fails here"),
    "C39": (f"break-even after {min(crosses[name] for name in hosted):,.0f} calls at the earliest ({dearest}), with 500 labels after {break_even(once_few, own_price, hosted[dearest]):,.0f}; {sum(map(math.isinf, (crosses[name] for name in hosted)))} of {len(hosted)} never cross; asked for: before 100,000",
            "holds" if all(against) else "holds in part" if any(against) else "fails here"),
    "C40": (f"a month of 10,000 messages a day, {own_month:,.0f} dollars for the machine, {once:,.0f} before",
            "; ".join(f"against {name}: {said(yes)}" for name, yes in paid.items())),
}

# %% [markdown]
# All of them, in the words of the ledger. Failing can mean cheaper: the 7B run and the rented card cost less than the
# claims C02 and C34 say, as this training set is small. Both are about the machine's bill; people are shown beside it and
# do not count in the verdict.

# %%
from finetune_course.claims import load_claims

claims = {claim.id: claim.text for claim in load_claims()}
ledger = [(name, claims[name], *verdicts[name]) for name in sorted(verdicts)]
pd.DataFrame(ledger, columns=["id", "claim", "measured", "verdict"]).set_index("id")

# %% [markdown]
# ## In a nutshell
#
# - Merge when one task gets one server. Keep adapters apart when several tasks share a base: they cost megabytes, one
#   call swaps them, and they mix within a batch.
# - A release rule is fixed before the scores are seen, compares message by message, and names the loss that you can
#   live with. Few messages make it stop good adapters, too.
# - Behind OpenAI's interface your model is two changed words away: an address and a name. Check that its answers are
#   the same.
# - A server that answers one after the other makes clients wait in line. Report percentiles, not means.
# - Put people on the bill. Under this course's assumptions the run is its smallest part, and the break-even depends on
#   what a replaced call costs.

# %% [markdown]
# ## What to read next
#
# - Notebook 09: facts belong in retrieval. Notebook 10 puts all of it side by side.
# - Kwon and others (2023), *Efficient Memory Management for Large Language Model Serving with PagedAttention*: vLLM.
#   Sheng and others (2023), *S-LoRA*: thousands of adapters on one base.
# - Mitchell and others (2019), *Model Cards for Model Reporting*.
# - The documentation of `transformers serve`, of PEFT's mixed adapter batches, and of `accelerate launch`.
