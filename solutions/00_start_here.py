# %% [markdown]
# # 00 · Start here
#
# "Fine-tune or not?" That is: shall we go on training a language model on examples of our own, or is it enough to tell
# it what to do? The question is asked every week, and mostly answered from memory: *you need thousands of examples*,
# *a good prompt covers most of it*. In this course you **measure** the answers, on a real language model that fits on
# your machine, and every number comes with an interval that says how far to trust it.
#
# All of it happens in one small world: **Wattle & Wave**, an outdoor-gear shop in Australia that exists only here.
# Its support desk gets messages, and each has to become a record with five fields. One world, so that at the end the
# methods can be compared fairly.

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - know what your machine can do, and why the course computes in the number format that it does;
# - have loaded a real pre-trained model, and seen it guess the next **token** (a word, or a piece of one);
# - be able to work out how much memory a model's weights take, before you load it;
# - have written down **predictions** for the claims that the other notebooks will test;
# - have given the model its first work for the shop, and an honest interval to the result.
#
# It takes about 1 minute of computing and 40 minutes of your time, and 1 to 2 GB of memory. In the small profile, on
# one core as on Binder, it took 1 minute and 1.0 GB.

# %% [markdown]
# ## Before you start
#
# You need some Python: functions, lists, dictionaries, a little NumPy. You need no machine learning. Run the cells
# from top to bottom (Shift-Enter). A cell that is not yet done with its work shows `[*]` beside it.
#
# First the versions. A result that nobody can reproduce usually fails here, so they stand at the top of every
# notebook.

# %%
from importlib.metadata import version

import pandas as pd

pd.set_option("display.max_colwidth", None)
libraries = ["torch", "transformers", "peft", "trl", "numpy", "ipywidgets"]
pd.DataFrame({"version": {name: version(name) for name in libraries}})

# %% [markdown]
# ## Your machine
#
# `inspect_hardware` looks for a GPU, asks how much memory this process may use, and **measures** how fast the machine
# multiplies matrices, because that is nearly all that a language model does. A GFLOP/s is a billion multiplications
# or additions a second.

# %%
from finetune_course.hardware import inspect_hardware

hw = inspect_hardware()
hw.table()

# %% [markdown]
# A number can be stored in 32 bits (`float32`) or in 16 (`bfloat16`, `float16`). Sixteen bits take half the memory.
# Are they also faster? People read that off a data sheet; here are the measured rates of *your* machine.

# %%
from finetune_course import plots

figure = plots.value_bars(hw.rates, "measured rate of a matrix product (GFLOP/s)")
spoken = ", ".join(f"{rate:.0f} in {name}" for name, rate in hw.rates.items())
plots.show(figure, alt=f"Bars of the measured rate of a matrix product in GFLOP/s, one a number format: {spoken}.")

# %% [markdown]
# From these rates and the memory follow the choices that all notebooks use. Each comes with its reason, so that you
# can disagree with it. Two words in advance. Messages that go through the model together are a **batch**. And
# **gradient checkpointing** is a bargain made in training: to save memory, results halfway through the model are
# thrown away and computed again when they are needed.

# %%
for reason in hw.reasons:
    print("•", reason)

# %% [markdown]
# ## How the exercises work
#
# An exercise is a text, a cell for your code and a cell that checks it. In your edition the code cell holds one line,
# `raise NotImplementedError(…)`: put your own code in its place, run the cell, then run the check.
#
# The next cell brings what the exercises of this notebook need. Every check answers in one sentence. This is what it
# says while the placeholder is still there, and when a common mistake is made:

# %% tags=["exercise-setup", "nbval-check-output"]
import numpy as np
from scipy import stats

from finetune_course import checks_00
from finetune_course.checking import CheckProblem

for attempt in (..., lambda parameters, bits: parameters * bits / 1e9):
    try:
        checks_00.weights_gb(attempt)
    except CheckProblem as problem:
        print(problem)

# %% [markdown]
# Three hints fold open under every exercise, each saying more than the one before. The circles say how difficult and
# how important it is. Nothing later in a notebook needs your answer. (A check that is not done yet stops *Run All* on
# purpose: click the cell after it and choose *Run → Run Selected Cell and All Below*.)

# %% [markdown]
# ## The model
#
# **SmolLM2-135M-Instruct** is a real language model, trained by Hugging Face on two trillion tokens and then taught
# to follow instructions. It is small enough for a laptop and works like its big relatives. `weights(…)` keeps it in a
# folder on your disk.
#
# Before the model itself, its plan. A model is a stack of layers that multiply and add, and the numbers they do it with
# are its **parameters**, also called weights: training is nothing but setting them. On torch's **meta** device a model
# has all its layers and no numbers in them. So it takes no memory, and you can count the parameters of any model
# before you load it, or even download it.

# %% tags=["nbval-check-output"]
import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from finetune_course.weights import weights

config = AutoConfig.from_pretrained(weights())
with torch.device("meta"):
    plan = AutoModelForCausalLM.from_config(config)
print(f"{config.num_hidden_layers} layers, {plan.num_parameters():,} parameters, and none of them in memory yet")

# %% [markdown]
# ### Memory is arithmetic
#
# A model's weights are a heap of numbers, so their size is *how many* times *how large is one*. Now we load the
# weights, with the field's own call: the same call loads a larger model, if the memory is there. The arithmetic for your
# number format stands beside what the system says this process has grown by. (The model is used once before we look:
# a file's pages come into memory only when somebody reads them.)

# %%
import os

from finetune_course import memory
from finetune_course.keynumbers import publish

tokenizer = AutoTokenizer.from_pretrained(weights(), padding_side="left")
before = memory.pss([os.getpid()])
model = AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device).eval()
with torch.inference_mode():
    model(**tokenizer("G'day", return_tensors="pt").to(hw.device))
grown = (memory.pss([os.getpid()]) - before) / 1e9
computed = model.num_parameters() * hw.dtype.itemsize / 1e9
print(f"{model.num_parameters():,} × {hw.dtype.itemsize} bytes = {computed:.3f} GB")
publish("weights, computed", computed, unit="GB")
publish("growth of this process, measured", grown, unit="GB")

# %% [markdown]
# On a CPU the two lie close together: loading a model costs its weights and little else. (With a GPU the weights are
# on the card, and this process grows by the card's driver.) *Training* costs several times more, and by how much is a
# question for notebook 06.

# %% [markdown]
# ### Exercise 0.1 — how large are the weights?
#
# Difficulty ●○○ · importance ●●● · about 5 minutes
#
# Somebody proposes a model with 7 billion parameters "in 4 bits" for a laptop with 8 GB. Before downloading it you
# want to know whether it can fit. Write `weights_gb(parameters, bits)`: the size of the weights in GB.
#
# A GB is 1,000,000,000 bytes. (A GiB is 2³⁰ bytes, 7% more; tools that say GB and mean GiB are a common source of
# surprise.)
#
# **Expected output**
#
# ```
# weights_gb(134_515_008, 32)  →  0.538…
# weights_gb(7e9, 4)           →  3.5
# ```
#
# <details><summary>Hint 1</summary>
#
# First find the size in bits, then in bytes, then in GB.
#
# </details>
# <details><summary>Hint 2</summary>
#
# A byte has 8 bits. Four bits are half a byte, so whole-number division would lose them.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `parameters * bits` is the size in bits. Divide it by 8 and by `1e9`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-0-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def weights_gb(parameters, bits):
    """Size of a model's weights in GB (1e9 bytes)."""
    ### BEGIN SOLUTION
    return parameters * bits / 8 / 1e9
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-0-1-test", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks_00.weights_gb(weights_gb)
### BEGIN HIDDEN TESTS
assert abs(weights_gb(70e9, 16) - 140) < 1e-6
assert abs(weights_gb(1_000, 3) - 3.75e-7) < 1e-12
### END HIDDEN TESTS

# %% [markdown]
# ## One token ahead
#
# A language model does one thing: given a text, it says for each of the 49,152 **tokens** (words and pieces of words)
# in its vocabulary how likely it is to come next. It gives a score to each, the **logit**, and `softmax` turns the
# scores into probabilities that sum to 1. Let us see what it expects after a text that you know how to end.

# %%
inputs = tokenizer("The capital of Australia is", return_tensors="pt").to(hw.device)
with torch.inference_mode():
    logits = model(**inputs).logits[0, -1].float().cpu()
likely = logits.softmax(dim=-1).topk(8)
words = [repr(tokenizer.decode([token])) for token in likely.indices]
print(f"{len(logits):,} logits; their probabilities sum to {logits.softmax(dim=-1).sum():.3f}")

# %% [markdown]
# And the eight most likely ones as bars. The blank inside the quotation marks belongs to the token.

# %%
per_cent = dict(zip(words, (100 * likely.values).tolist(), strict=True))
figure = plots.value_bars(per_cent, "probability of being the next token (%)", title="The capital of Australia is …")
spoken = ", ".join(f"{word} {value:.0f}%" for word, value in per_cent.items())
plots.show(figure, alt=f"Bars of the probabilities of the eight likeliest next tokens: {spoken}.")

# %% [markdown]
# Two cities, almost level, and the wrong one is a little ahead: a model keeps what texts tend to say. Whether it can be
# taught facts all the same, the shop's prices for instance, is claim C09, and notebook 10 measures it.

# %% [markdown]
# ### Exercise 0.2 — softmax with a temperature
#
# Difficulty ●●○ · importance ●●○ · about 10 minutes
#
# When a text is generated, the logits are often divided by a **temperature** $T$ first: $p_i = e^{z_i/T} / \sum_j
# e^{z_j/T}$. Write `softmax(logits, temperature)` with NumPy. Real logits can be large, and no float holds
# $e^{1000}$, so see to it that your function survives them.
#
# **Expected output**
#
# ```
# softmax([2, 1, 0], 1.0)       →  [0.665 0.245 0.09 ]
# softmax([2, 1, 0], 0.5)       →  [0.867 0.117 0.016]
# softmax([1000, 999, 0], 1.0)  →  [0.731 0.269 0.   ]
# ```
#
# <details><summary>Hint 1</summary>
#
# Divide by the temperature before anything else: it acts on the logits, not on the probabilities.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Taking the same number away from all logits changes nothing, as numerator and denominator shrink alike. Which number
# makes the largest of them 0?
#
# </details>
# <details><summary>Hint 3</summary>
#
# `scaled = np.asarray(logits) / temperature`, then `np.exp(scaled - scaled.max())`, then divide by the sum.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-0-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def softmax(logits, temperature=1.0):
    """Probabilities of the logits at a temperature: a NumPy array of the same length that sums to 1."""
    ### BEGIN SOLUTION
    scaled = np.asarray(logits, dtype=float) / temperature
    exponentials = np.exp(scaled - scaled.max())
    return exponentials / exponentials.sum()
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-0-2-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_00.softmax(softmax)
### BEGIN HIDDEN TESTS
hidden = np.asarray(softmax([-1000.0, -1000.0, -1001.0, 3.0], 2.0), dtype=float)
assert hidden.shape == (4,) and abs(hidden.sum() - 1) < 1e-9 and hidden.argmax() == 3
hidden_logits = [1500.0, 2.0, 1500.0]
assert np.allclose(np.asarray(softmax(hidden_logits, 2.0), dtype=float), [0.5, 0, 0.5])
assert hidden_logits == [1500.0, 2.0, 1500.0]
assert np.allclose(np.asarray(softmax([-1500.0, 2.0, 2.0], 1.0), dtype=float), [0, 0.5, 0.5])
assert np.allclose(np.asarray(softmax([0.0, 0.0], 5.0), dtype=float), [0.5, 0.5])
assert np.allclose(np.asarray(softmax([3.0, 1.0], 4.0), dtype=float), [0.62246, 0.37754], atol=1e-4)
### END HIDDEN TESTS

# %% [markdown]
# What the temperature does to the capital: at 0.5 the model almost always takes one of the two cities, at 2 it
# wanders off to tokens that fit badly. This course always takes the likeliest token (*greedy* decoding), so that an
# answer is the same on every run of the same machine.

# %%
temperatures = [0.5, 1.0, 2.0]
table = {f"T = {t:g}": [float(p) for p in (logits / t).softmax(-1)[likely.indices]] for t in temperatures}
table = pd.DataFrame(table, index=words)
table.loc["all other tokens"] = 1 - table.sum()
table.map("{:.1%}".format)

# %% [markdown]
# ## The work: the support desk
#
# Messages to the shop have to become records that a program can sort: category, product, urgency, order id, mood. The
# program is strict. Three answers, written by hand, show what it takes; `parse_label` returns None for what it cannot
# use.

# %% tags=["nbval-check-output"]
from finetune_course import triage

record = '{"category":"faulty","product":"tent","urgency":"high","order_id":"WW-40718","mood":"upset"}'
for text in (record, "Sure! Here is the record: " + record, record.replace('"high"', '"very high"')):
    print("valid  " if triage.parse_label(text) else "no good", text)

# %% [markdown]
# The second is right and friendly, and a program stumbles over its first word. The third invents an urgency.
#
# And this is what customers write. (They are imagined. These messages were written by hand for this course, with no
# template, as the more telling half of its test messages were. A record is **exact** when all five fields are right.)

# %% tags=["nbval-check-output"]
messages = triage.load_split("validation_handwritten")[:10]
for row in messages[:3]:
    print(row["message"], "→", triage.label_text(row["label"]), sep="\n", end="\n\n")

# %% [markdown]
# ## The route
#
# Eleven notebooks; those that are here run in minutes each. Their order is the one in which a careful person would decide: understand the
# model, try the cheap levers, and only then train. *Coming* means not yet written.

# %% tags=["nbval-check-output"]
from finetune_course.claims import load_claims
from finetune_course.route import route_table

claims = load_claims()
route_table(claims)

# %% [markdown]
# ### What you have passed
#
# Every check that you pass, in any notebook, is noted in a small file of your own, outside the course folder. This panel
# shows what is done and which exercise comes next. Come back and run it again whenever you want to know.

# %%
from finetune_course.progress_panel import course_progress

course_progress()

# %% [markdown]
# ## Your predictions
#
# The course tests 42 claims about fine-tuning. **Predict before you look**: whoever sees a result first finds that
# they knew it all along. For each claim you say how sure you are that it will hold, from 0% (it will surely fail)
# over 50% (a coin toss) to 100%.
#
# You have seen the model and the work, but not yet the two together: that comes after the predictions, and on purpose.
# What you need in advance is the words:
#
# - A **prompt** is what the model is given to read. **Zero-shot**: the rules of a task, and no example. **Few-shot**: a
#   handful of worked examples as well. With **constrained decoding** the model is kept from writing anything but a
#   valid record.
# - **Fine-tuning** goes on training a pre-trained model, on rows of question and wanted answer. **Full** fine-tuning
#   trains all its parameters. **LoRA** adds some and trains those; what it adds is called the **adapter**, and the
#   **rank** says how large it is. **QLoRA** is LoRA on a model squeezed into about 4 bits a parameter. To **merge** an
#   adapter is to add it into the model's own weights. An **epoch** is one pass over the training examples.
# - Instructions are **baked in** when the model learned them from examples, so that no prompt has to say them.
# - **RAG**, retrieval-augmented generation, looks up pages in an **index** and puts them into the prompt; the model
#   answers from what it reads there.
#
# Each claim has been made into a statement that can come out true or false, with numbers in it. Three of them as a
# taste:

# %% tags=["nbval-check-output"]
taste = [(claim.id, claim.text, claim.question, ", ".join(claim.notebooks)) for claim in claims[3:12:4]]
pd.DataFrame(taste, columns=["id", "claim", "holds if", "notebook"]).set_index("id")

# %% [markdown]
# Notebook 10 scores your predictions with the **Brier score**: the mean squared distance between your confidence and
# what happened (1 or 0). Three imagined claims, two of which held, show what it rewards. Lower is better.

# %% tags=["nbval-check-output"]
from finetune_course.predictions import brier_score

held = {"C91": 1, "C92": 0, "C93": 1}
people = {"careful": [80, 30, 60], "always 50": [50, 50, 50], "bold": [100, 100, 100], "bold and wrong": [0, 100, 0]}
for name, sure in people.items():
    print(f"{name:>14}  {sure}  Brier score {brier_score(dict(zip(held, sure, strict=True)), held):.2f}")

# %% [markdown]
# Now yours. A guess is good enough. Twelve claims stand open below and thirty more are folded up by topic; predict as
# many as you like. Eight of them also ask for a number. A slider that you never move counts as no prediction (to say
# 50%, move it away and back). Each move is saved at once, beside the list of passed exercises, and the sliders find it
# again after a restart. On Colab or Binder both files go with the session, unless the variable
# `FINETUNE_COURSE_PROGRESS` names a folder that stays.

# %%
from IPython.display import display

from finetune_course.predictions_widget import PredictionPanel, predictions_figure

panel = PredictionPanel(claims)
display(panel)
print(f"{len(panel.confidence)} claims to predict, {len(panel.numbers)} of them with a number too.")

# %% [markdown]
# And what is saved, as a figure. Run this cell again after you moved some sliders.

# %%
from finetune_course.predictions import load_predictions

mine = load_predictions()
figure = predictions_figure([claim for claim in claims if claim.first], mine)
spoken = "; ".join(f"{name} {sure:.0f}%" for name, sure in mine.confidence.items()) or "none yet"
plots.show(
    figure, alt=f"Twelve claims, one a line, and how sure you are of each in per cent; predicted so far: {spoken}."
)

# %% [markdown]
# ### Exercise 0.3 — score predictions
#
# Difficulty ●○○ · importance ●●○ · about 5 minutes
#
# Write `brier(confidence, held)`: the Brier score of predictions in per cent, where `held` says for each claim
# whether it held (True) or failed (False).
#
# **Expected output**
#
# ```
# brier([90, 60, 20], [True, False, True])  →  0.336…
# brier([50, 50], [True, False])            →  0.25
# ```
#
# <details><summary>Hint 1</summary>
#
# Bring both to one scale first: a confidence of 90% is 0.9, a claim that held is 1 and one that failed is 0.
#
# </details>
# <details><summary>Hint 2</summary>
#
# For the first row the distances are 0.1, 0.6 and 0.8. Square them, then take the mean.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With NumPy: `np.mean((np.array(confidence) / 100 - np.array(held)) ** 2)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-0-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def brier(confidence, held):
    """Mean squared distance of predictions (per cent) from outcomes (True or False); 0 is perfect, 1 the worst."""
    ### BEGIN SOLUTION
    return float(np.mean((np.array(confidence) / 100 - np.array(held)) ** 2))
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-0-3-test", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks_00.brier(brier)
### BEGIN HIDDEN TESTS
assert abs(brier([0, 100, 70, 40], [False, True, True, True]) - (0.09 + 0.36) / 4) < 1e-9
assert abs(brier([25], [True]) - 0.5625) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# ## A first try
#
# Your predictions are made; now the model. It gets the rules of the task as its **system** message, which says how to
# behave, and a customer's words as the **user** message.

# %%
rules = {"role": "system", "content": triage.instructions()}
chat = [rules, {"role": "user", "content": messages[0]["message"]}]
prompt = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=True, return_tensors="pt")
with torch.inference_mode():
    output = model.generate(**prompt.to(hw.device), max_new_tokens=64, do_sample=False)
print("Customer:", messages[0]["message"])
print("Wanted:  ", triage.label_text(messages[0]["label"]))
print("Model:   ", tokenizer.decode(output[0, prompt["input_ids"].shape[1] :]), "…")

# %% [markdown]
# It apologises. (We cut it off after 64 tokens, which is room for every record of our data, even one written with
# spaces and line breaks.) It was taught to be polite in conversations, and so it is polite to somebody who wanted JSON.
# One failure proves little, so the same for ten messages. `answer_all` asks each of them on its own, as above, but
# computes the long rules that they share only once; notebook 03 shows how.

# %%
from finetune_course.generation import answer_all

texts = [row["message"] for row in messages]
answers = answer_all(model, tokenizer, [rules], texts, batch_size=hw.eval_batch, max_new_tokens=64).texts
valid = [triage.parse_label(answer) is not None for answer in answers]
rows = [{"message": text[:50] + "…", "answer": answer[:80] + "…"} for text, answer in zip(texts, answers, strict=True)]
pd.DataFrame(rows).assign(valid=valid)

# %% [markdown]
# How many of the ten can the program use, and how sure is that? `interval` gives the share and a 95% interval (Wilson's
# score interval): the range of true shares that these ten messages are compatible with.

# %%
from finetune_course import evaluate

share = evaluate.interval(valid)
print(f"{sum(valid)} of {len(valid)} answers are valid records: {evaluate.percent(*share)}")
publish("valid records, zero-shot, 10 messages", share.mean, interval=(share.low, share.high))

# %% [markdown]
# The interval is wide: ten messages cannot tell "never" from "every fifth time". The figure shows how fast that
# improves, for three imagined models that are right 80% of the time and differ only in how often they were asked.

# %%
totals = [10, 100, 1000]
shares = [evaluate.interval([1] * (8 * total // 10) + [0] * (2 * total // 10)) for total in totals]
figure, axes = plots.figure(height=2.3)
for row, found in enumerate(shares):
    axes.plot([100 * found.low, 100 * found.high], [row, row], color=plots.COLOURS[row], linewidth=3)
    axes.plot(100 * found.mean, row, plots.MARKERS[row], color=plots.COLOURS[row], markersize=9)
axes.set_yticks(range(3), [f"{total * 8 // 10} of {total}" for total in totals])
axes.set(xlim=(40, 102), ylim=(2.5, -0.5), xlabel="share of right answers, with its 95% interval (%)", ylabel="right")
spoken = "; ".join(f"{total} messages {evaluate.percent(*found)}" for total, found in zip(totals, shares, strict=True))
plots.show(figure, alt=f"Three dots at 80% with their 95% intervals, narrower the more messages: {spoken}.")

# %% [markdown]
# ### Exercise 0.4 — an interval for a share
#
# Difficulty ●●○ · importance ●●● · about 10 minutes
#
# A colleague's slide says "accuracy 80%", and the small table under it says 8 of 10, the uppermost line of the figure.
# Write `accuracy_interval(right, total)`, which returns the share and the two ends of its 95% **Wilson score interval**.
# SciPy has it: look for `binomtest` and its `proportion_ci`.
#
# The formula of many textbooks, $p \pm 1.96\sqrt{p(1-p)/n}$, fails just where you need it: for 0 of 10 it says "0%,
# exactly".
#
# **Expected output**
#
# ```
# accuracy_interval(8, 10)  →  (0.8, 0.490…, 0.943…)
# accuracy_interval(0, 10)  →  (0.0, 0.0, 0.277…)
# ```
#
# <details><summary>Hint 1</summary>
#
# `stats.binomtest(right, total)` is an object about "this many of that many". Ask it for a confidence interval of the
# proportion.
#
# </details>
# <details><summary>Hint 2</summary>
#
# Its default is another interval, called exact. The argument `method` chooses.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `ends = stats.binomtest(right, total).proportion_ci(method="wilson")`; the ends are `ends.low` and `ends.high`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-0-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def accuracy_interval(right, total):
    """(share, low, high) of ``right`` answers out of ``total``, with the 95% Wilson score interval."""
    ### BEGIN SOLUTION
    ends = stats.binomtest(right, total).proportion_ci(confidence_level=0.95, method="wilson")
    return right / total, ends.low, ends.high
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-0-4-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_00.accuracy_interval(accuracy_interval)
### BEGIN HIDDEN TESTS
assert np.allclose(accuracy_interval(170, 200), [0.85, 0.7939, 0.8930], atol=1e-3)
assert np.allclose(accuracy_interval(5, 5), [1.0, 0.5655, 1.0], atol=1e-3)
### END HIDDEN TESTS

# %% [markdown]
# ## In a nutshell
#
# - The weights of a model take *parameters × bytes*; the process that loads them grows by that and little more.
# - Which number format is fast is a property of your machine. It was measured here, and the notebooks follow it.
# - A language model gives every token a probability. It knows what texts tend to say; facts are another matter.
# - Asked with the rules alone, a 135M model answers the shop's mail in prose instead of sorting it. Whether a better
#   prompt, retrieval or training mends that is what the course is about.
# - A share without an interval is half a number, above all when it is 0 of 10.
# - Your predictions are saved. The claims will be measured one by one, and notebook 10 scores you against them.

# %% [markdown]
# ## What to read next
#
# - Next in the course: [**01 Pre-training**](01_pretraining.ipynb) builds a small model from nothing. In a hurry, go
#   to [**03 Prompting first**](03_prompting_first.ipynb), which needs only this notebook, and then to [**06 The TRL
#   run**](06_trl_run.ipynb).
# - On the model: Ben Allal and others (2025), *SmolLM2: When Smol Goes Big*. On the score: Glenn Brier (1950),
#   *Verification of forecasts expressed in terms of probability*. On intervals for a share: Brown, Cai and DasGupta
#   (2001), *Interval estimation for a binomial proportion*.
# - To see the whole ledger of claims, open `data/claims.csv`.
