# %% [markdown]
# # 03 · Prompting first
#
# Before anybody trains a model, somebody should ask: *what if we just tell it what to do?* A prompt costs nothing to
# make, can be changed in a minute, and on a large model it is often enough. This notebook takes the question
# seriously: the best of six prompts, examples in the prompt, and a decoder that cannot write anything but a
# valid record. All of it is measured on messages that nobody looked at while choosing.

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - have an **evaluation harness**: exact match, F1 for each field, valid JSON, tokens and seconds per call, and an
#   interval for each number;
# - know what zero-shot and few-shot prompts do for a 135M model on a real task, and what they cost per call;
# - have **constrained decoding** at hand, which makes every answer parse, and know what it does not do;
# - be able to say whether one method beats another, from a paired comparison.
#
# It takes about 5 minutes of computing on two CPU cores and 60 minutes of your time, and 2 to 3 GB of memory (the
# small profile is set by `COURSE_PROFILE=small`). In the small profile, on one core as on Binder, it took 10 minutes
# and 1.3 GB.

# %% [markdown]
# ## Before you start
#
# You need [notebook 00](00_start_here.ipynb), or the same knowledge: what a token is, and what an interval says. From
# here on we need a model, some messages with known answers, and honest counting. First the versions.

# %%
from importlib.metadata import version

import pandas as pd

libraries = ["torch", "transformers", "llguidance", "scikit-learn", "scipy"]
pd.set_option("display.max_colwidth", 160)  # messages and answers should not be cut off in tables
pd.DataFrame({"version": {name: version(name) for name in libraries}})

# %% [markdown]
# The hardware decides the number format and how many messages go through the model at once.

# %%
from finetune_course.hardware import inspect_hardware

hw = inspect_hardware()
hw.table()

# %% [markdown]
# ## The work
#
# Every message to the support desk of Wattle & Wave becomes a record with five fields. Here are three messages from
# the training set, with their records, labelled by the rules in `data/triage/labelling_guide.md`. The cell also
# brings what the exercises of this notebook need.

# %% tags=["exercise-setup", "nbval-check-output"]
import json

import numpy as np

from finetune_course import checks_03
from finetune_course.claims import load_claims
from finetune_course.triage import FIELDS, instructions, label_schema, label_text, load_split, parse_label

train = load_split("train")
for record in train[:3]:
    print(record["message"], "→", label_text(record["label"]), sep="\n", end="\n\n")

# %% [markdown]
# There are two sets to choose with (validation) and two to report on (test). One of each is made from templates, with
# sentence frames that no training message uses; the other was **written by hand**, message by message, with typos,
# sarcasm and two problems in one message. (The training messages are of both kinds too, by other authors.) The
# hand-written set is what counts: customers do not write from templates. The rule for both test sets: *choose on
# validation, look at test once.*

# %%
sets = {name: load_split(name) for name in ("validation", "validation_handwritten", "test", "test_handwritten")}
sets["test"] = sets["test"][:40]  # to keep to the time; the hand-written ones all count
pd.DataFrame({"messages": {name: len(records) for name, records in sets.items()}})

# %% [markdown]
# ## A harness, on three rows
#
# A harness is the code that turns answers into numbers. Build it on a case so small that you know the result: three
# messages and three answers. The first is right, the second has one wrong field, the third is polite prose.

# %%
three = train[:3]
almost = {**three[1]["label"], "mood": "happy"}
answers = [label_text(three[0]["label"]), label_text(almost), "Sure! I would say this is a complaint about boots."]
for answer in answers:
    print(parse_label(answer))

# %% [markdown]
# `parse_label` gives the record or, where the text is not exactly one valid record, None. No mercy for prose around
# it: the program that reads these answers would have none either. `score` then compares field by field. An answer
# that does not parse is wrong in **every** field.

# %% tags=["nbval-check-output"]
from finetune_course.evaluate import score

score(answers, three).drop(columns="id")

# %% [markdown]
# The mean of a column is the share of messages. One of three is right in every field: 33%. But how sure is that, from
# three messages? `interval` turns the question round: for which *true* shares would one of three be no surprise? It
# gives Wilson's 95% interval, the one of exercise 0.4.

# %% tags=["nbval-check-output"]
from finetune_course.evaluate import interval, percent

exact = score(answers, three)["exact"]
print("3 messages:  ", percent(*interval(exact)))
print("300 messages:", percent(*interval(list(exact) * 100)))

# %% [markdown]
# From three messages you know next to nothing. From 300 with the same share you know it to about five points. That is
# why each number below stands with its interval, a zero too: nothing right is no proof that nothing ever will be.

# %% tags=["nbval-check-output"]
print("0 of 20 right: ", percent(*interval([0] * 20)))
print("0 of 200 right:", percent(*interval([0] * 200)))

# %% [markdown]
# ### Exercise 3.1 — exact match, with nothing swept under the carpet
#
# Difficulty ●○○ · importance ●●● · about 5 minutes
#
# Write the most important number of this course yourself. `predicted` is a list of records, with None for an answer
# that did not parse; `truth` is the list of right records. Return the share of messages whose record is right in
# every field.
#
# **Expected output**
#
# ```
# exact_match([{"a": 1}, None], [{"a": 1}, {"a": 2}])  →  0.5
# ```
#
# <details><summary>Hint 1</summary>
#
# What must the share be divided by, so that a method cannot look better by failing to answer?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Two dictionaries are equal when they have the same keys and values, in any order. None equals no dictionary.
#
# </details>
# <details><summary>Hint 3</summary>
#
# Sum up `guess == label` over `zip(predicted, truth)` and divide by `len(truth)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-3-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def exact_match(predicted, truth):
    """Share of messages whose record is right in every field; None in ``predicted`` is an unparsable answer."""
    ### BEGIN SOLUTION
    return sum(guess == label for guess, label in zip(predicted, truth, strict=True)) / len(truth)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-3-1-test", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks_03.exact_match(exact_match)
### BEGIN HIDDEN TESTS
assert abs(exact_match([{"x": 1, "y": 2}, None, None], [{"y": 2, "x": 1}, {"x": 1}, {"x": 2}]) - 1 / 3) < 1e-9
assert exact_match([{"x": 1, "y": 3}], [{"x": 1, "y": 2}]) == 0
### END HIDDEN TESTS

# %% [markdown]
# ## Two opponents that need no language model
#
# A careful engineer asks what the work is worth without the expensive thing. First opponent: **no thought at all**.
# It finds five digits with a regular expression, and for the other fields always says what is most common in
# training.

# %%
import re
from collections import Counter

most_common = {field: Counter(row["label"][field] for row in train).most_common(1)[0][0] for field in FIELDS}


def messages_of(records):
    return [record["message"] for record in records]


def no_thought(message):
    digits = re.search(r"(?<!\d)\d{5}(?!\d)", message)
    return label_text({**most_common, "order_id": f"WW-{digits[0]}" if digits else None})


no_thought(sets["validation_handwritten"][0]["message"])

# %% [markdown]
# Second opponent: **a linear classifier**, the machine learning of twenty years ago. Each message becomes a long row
# of numbers, one for each word, pair of words and piece of a word. **TF-IDF** sets them: a number is high where the
# word stands often in this message and in few others. For each field a linear **support vector machine** then learns
# from the training messages. It gives every word a weight for and against each class, adds up, and picks the class
# with the highest sum; the weights are set so that the right class wins by a clear margin. No GPU is needed. Order
# ids again come from the regular expression. Mark the difference: this one is *trained*, a prompt is not.

# %%
import time

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_union
from sklearn.svm import LinearSVC

words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 5), sublinear_tf=True)
features, classifiers, start = make_union(words, pieces), {}, time.perf_counter()
table = features.fit_transform(messages_of(train))
for field in ("category", "product", "urgency", "mood"):
    classifiers[field] = LinearSVC(random_state=0).fit(table, [str(row["label"][field]) for row in train])

machine = classifiers["category"]
row = machine.coef_[list(machine.classes_).index("faulty")]
print(f"four fields learned from {len(train):,} messages in {time.perf_counter() - start:.0f} s")
heaviest = features.get_feature_names_out()[row.argsort()[::-1][:10]]
print("what speaks most for 'faulty':", *(repr(name.split("__")[1]) for name in heaviest))

# %% [markdown]
# It weighs words and reads no sentence. Put together into records, and the two opponents side by side on one message:


# %%
def linear_records(messages):
    table = features.transform(messages)
    columns = {field: machine.predict(table) for field, machine in classifiers.items()}
    for place, message in enumerate(messages):
        label = {field: None if column[place] == "None" else str(column[place]) for field, column in columns.items()}
        yield label_text({**parse_label(no_thought(message)), **label})


opponents = {
    "no thought": lambda records: [no_thought(message) for message in messages_of(records)],
    "linear classifier, trained": lambda records: list(linear_records(messages_of(records))),
}
for name, answer in opponents.items():
    print(f"{name}: {answer(sets['validation_handwritten'][:1])[0]}")

# %% [markdown]
# Both on the validation messages. A number between the two would be worth little: the sets differ in difficulty, so
# they are reported apart.

# %%
from finetune_course.evaluate import percent_table, summary

scored = {
    (method, name): score(answer(sets[name]), sets[name])
    for method, answer in opponents.items()
    for name in ("validation_handwritten", "validation")
}
percent_table(summary(scored, ["exact", "category", "product"]))

# %% [markdown]
# ### Why accuracy flatters
#
# "No thought" never finds an urgent message, and yet it is right about `urgency` more than half the time, because
# most messages are `normal`. **F1** of a class asks two things at once: of the messages called urgent, how many were
# (precision)? Of the urgent ones, how many were found (recall)? **Macro** F1 is the plain average over the classes.

# %%
from finetune_course.evaluate import field_f1

records = sets["validation_handwritten"]
field_f1(opponents["no thought"](records), records).round(2)

# %% [markdown]
# ### Exercise 3.2 — macro F1 against accuracy
#
# Difficulty ●●○ · importance ●●○ · about 10 minutes
#
# Write macro F1. `predicted` and `truth` are lists of class names; None in `predicted` is an unparsable answer. For a
# class, with `right` (called so, and so in truth), `called` (how often it was predicted) and `there` (how often it is
# in truth), F1 is `2 · right / (called + there)`. Average it over the classes **that occur in the truth**.
#
# **Expected output**
#
# ```
# macro_f1(["normal"] * 10, ["normal"] * 8 + ["high"] * 2)  →  0.444…   (its accuracy is 0.8)
# ```
#
# <details><summary>Hint 1</summary>
#
# The classes are `set(truth)`. Work out one number for each, then take the mean of those numbers.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `predicted.count(name)` and `truth.count(name)` are two of the three numbers. The third counts pairs in which both
# are `name`. None is never a class of the truth, so it can never be right.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `right = sum(p == t == name for p, t in zip(predicted, truth))`. Or let scikit-learn do it: `f1_score(truth, [...],
# labels=sorted(set(truth)), average="macro", zero_division=0)`, with a text in place of None.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-3-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def macro_f1(predicted, truth):
    """Plain average of F1 over the classes that occur in ``truth``; None in ``predicted`` belongs to no class."""
    ### BEGIN SOLUTION
    scores = []
    for name in set(truth):
        right = sum(p == t == name for p, t in zip(predicted, truth, strict=True))
        scores.append(2 * right / (predicted.count(name) + truth.count(name)))
    return sum(scores) / len(scores)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-3-2-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_03.macro_f1(macro_f1)
### BEGIN HIDDEN TESTS
assert abs(macro_f1(["a", "b", None, "b"], ["a", "a", "b", "b"]) - (2 / 3 + 2 / 4) / 2) < 1e-9
assert macro_f1([None, None], ["a", "b"]) == 0
### END HIDDEN TESTS

# %% [markdown]
# ## Asking the model
#
# Now the language model, with the field's own calls. The tokenizer pads on the left, since the model writes on the
# right.

# %%
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from finetune_course.weights import weights

tokenizer = AutoTokenizer.from_pretrained(weights(), padding_side="left")
model = AutoModelForCausalLM.from_pretrained(weights(), dtype=hw.dtype).to(hw.device).eval()
print(f"{model.num_parameters():,} parameters in {str(hw.dtype).removeprefix('torch.')} on {hw.device}")

# %% [markdown]
# A chat is a list of messages with roles. The model sees none of that: the **chat template** turns it into one text,
# with special tokens between the turns. `add_generation_prompt` writes the opening of the assistant's turn. There the
# model takes over.

# %% tags=["nbval-check-output"]
message = sets["validation_handwritten"][0]["message"]
chat = [{"role": "system", "content": "Sort the message."}, {"role": "user", "content": message}]
print(tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True))

# %% [markdown]
# In earnest the system message holds the rules of the task: every field, every allowed value, in the words of the
# labelling guide. This is **zero-shot** prompting: rules, and no example.

# %%
ROOM = 64  # tokens for an answer
rules = [{"role": "system", "content": instructions()}]
chat = rules + [{"role": "user", "content": message}]
ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
output = model.generate(**ids.to(hw.device), max_new_tokens=ROOM, do_sample=False, pad_token_id=tokenizer.pad_token_id)
print(f"{ids['input_ids'].shape[1]} tokens of prompt. The answer:\n")
print(tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))

# %% [markdown]
# No record, but an apology. A model of this size has learnt the *tone* of an assistant, and it does not follow a page
# of rules. `max_new_tokens` cuts the answer off, or it would ramble on. It must not cut off a record, though: how many
# tokens does the longest one take, as we write it, and as a model might write it that likes spaces and line breaks?

# %%
labels = [record["label"] for record in train + sets["validation"]]
layouts = {"as we write it": {"separators": (",", ":")}, "with spaces": {}, "with line breaks": {"indent": 2}}
for name, layout in layouts.items():
    texts = [json.dumps(label, **layout) + tokenizer.eos_token for label in labels]
    print(f"{name:16s} {max(map(len, tokenizer(texts)['input_ids']))} tokens, with the one that ends the answer")

# %% [markdown]
# `ROOM` is enough for all three layouts. A limit of 40, say, would have cut off right answers and blamed the model for
# it.

# %% [markdown]
# ### Examples in the prompt
#
# What if we show it, instead of telling? **Few-shot** prompting puts worked examples into the chat: the user asks,
# the assistant answers with a record, several times over. Then comes the real message. The examples come from the
# training set, never from validation or test.

# %% [markdown]
# ### Exercise 3.3 — a few-shot chat
#
# Difficulty ●○○ · importance ●●● · about 5 minutes
#
# Build the chat. `rules` is the text for the system message, `examples` a list of pairs (message, record text), and
# `message` the new question. Return a list of dictionaries with `role` and `content`.
#
# **Expected output**
#
# ```
# few_shot_chat("Sort.", [("My tent leaks.", "{…}")], "Are you open?")
#   →  roles: system, user, assistant, user
# ```
#
# <details><summary>Hint 1</summary>
#
# Who says what? The rules come from the system, once. A customer's message comes from the user. Who would have
# written the example's record?
#
# </details>
# <details><summary>Hint 2</summary>
#
# Start with a list that holds the system message. For each pair add two messages, then add the new question last.
#
# </details>
# <details><summary>Hint 3</summary>
#
# In the loop: `chat += [{"role": "user", "content": text}, {"role": "assistant", "content": record}]`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-3-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def few_shot_chat(rules, examples, message):
    """Chat messages: the rules, each example as two turns, and the new question, which is left open."""
    ### BEGIN SOLUTION
    chat = [{"role": "system", "content": rules}]
    for text, record in examples:
        chat += [{"role": "user", "content": text}, {"role": "assistant", "content": record}]
    return chat + [{"role": "user", "content": message}]
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-3-3-test", "locked": true, "points": 1, "schema_version": 3, "solution": false, "task": false}
checks_03.few_shot_chat(few_shot_chat)
### BEGIN HIDDEN TESTS
hidden = few_shot_chat("R", [("a", "1"), ("b", "2"), ("c", "3")], "q")
assert [turn["content"] for turn in hidden] == ["R", "a", "1", "b", "2", "c", "3", "q"]
assert [turn["role"] for turn in hidden] == ["system"] + ["user", "assistant"] * 3 + ["user"]
### END HIDDEN TESTS

# %% [markdown]
# Which examples? One short message from each of the first few categories that come up, so that the model sees several
# kinds and the prompt stays affordable, and every second one without an order id. Many sets of messages are like
# that, so we draw three. And because a page of rules leaves little room, there is also a short rule of one sentence.


# %%
def pick_examples(count, draw, longest=160):
    """The first short message of ``count`` categories from a place in the training set on, half without an order id."""
    chosen = {}
    for row in train[100 * draw :]:
        wanted = len(chosen) % 2 == 0
        if len(row["message"]) <= longest and (row["label"]["order_id"] is not None) == wanted:
            chosen.setdefault(row["label"]["category"], row)
    return list(chosen.values())[:count]


for row in pick_examples(8, draw=1):
    print(row["message"], "\n   →", label_text(row["label"]))

# %% [markdown]
# The chat up to the real message, with any rules and any number of examples. How long do such prompts get?

# %%
SHORT = (
    "Turn the message to the support desk into one line of JSON with the fields "
    '"category", "product", "urgency", "order_id" and "mood".'
)


def prefix(text, count, draw=1, answer=label_text):
    turns = [{"role": "system", "content": text}]
    for row in pick_examples(count, draw):
        turns.append({"role": "user", "content": row["message"]})
        turns.append({"role": "assistant", "content": answer(row["label"])})
    return turns


for count in (0, 4, 8):
    print(f"{count} examples: {len(tokenizer.apply_chat_template(prefix(SHORT, count))['input_ids'])} tokens")

# %% [markdown]
# ### The long prompt, computed once
#
# Rules and examples are the same for every message, and they are most of the text. In each layer a **transformer**
# (the kind of model that ours is) makes two lists of numbers from every token: a **key**, which says what the token
# has to offer, and a **value**, which is what it hands on. Later tokens look for keys that suit them and collect
# their values; earlier ones never change for it. So the keys and values of the shared part can be computed once and
# kept, in a **cache**.

# %%
from transformers import DynamicCache

few = prefix(SHORT, 6)
shared = tokenizer(tokenizer.apply_chat_template(few, tokenize=False), return_tensors="pt").to(hw.device)
start = time.perf_counter()
with torch.inference_mode():
    kept = model(**shared, past_key_values=DynamicCache(), logits_to_keep=1).past_key_values
print(f"{kept.get_seq_length()} tokens computed and kept, in {time.perf_counter() - start:.2f} s")

# %% [markdown]
# `generate` takes such a cache as `past_key_values` and computes only what comes after it. Each message needs its own
# copy, because the model writes into it.

# %%
import copy


def ask(message, cache):
    chat = few + [{"role": "user", "content": message}]
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    start = time.perf_counter()
    output = model.generate(**ids.to(hw.device), past_key_values=cache, max_new_tokens=ROOM, do_sample=False)
    text = tokenizer.decode(output[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
    return text, time.perf_counter() - start


rows = []
for message in messages_of(sets["validation_handwritten"][:2]):
    (plain, slow), (again, fast) = ask(message, None), ask(message, copy.deepcopy(kept))
    rows.append({"prompt anew (s)": slow, "prompt kept (s)": fast, "same answer": plain == again, "answer": plain})
pd.DataFrame(rows).round(2)

# %% [markdown]
# The same answers in less time. (In `bfloat16` a rounding difference may tip a token now and then.) For hundreds of
# messages `answer_all` goes on from here: messages of like length share a batch, a finished answer leaves its batch,
# and the kept prompt is stored once for the whole batch and not once per message. It should still say the same.

# %%
from finetune_course.generation import answer_all

hand = sets["validation_handwritten"]
batched = answer_all(model, tokenizer, few, messages_of(hand[:2]), batch_size=hw.eval_batch, max_new_tokens=ROOM)
print([text == row["answer"] for text, row in zip(batched.texts, rows, strict=True)])

# %% [markdown]
# ### Choosing the prompt, on validation
#
# The page of rules with four examples, or the short rule with eight? And which of the three draws? Here are six
# candidates on the same validation messages, half of them hand-written. Few answers will be right in full, so the
# choice falls on a finer measure: **macro F1**, averaged over the five fields. (The plain share of right fields would
# reward a model that answers the commonest value every time, as "no thought" does.) An answer that does not begin
# with a brace cannot become a record, so it is given up at once.


# %%
def ask_all(messages, chat, **more):
    return answer_all(model, tokenizer, chat, messages, batch_size=hw.eval_batch, max_new_tokens=ROOM, **more)


choosing = sets["validation_handwritten"][:20] + sets["validation"][:20]
rule_texts = {"short": SHORT, "long": instructions()}
candidates = {
    (name, shots, draw): prefix(rule_texts[name], shots, draw)
    for name, shots in (("short", 8), ("long", 4))
    for draw in (1, 2, 3)
}
trials = {key: ask_all(messages_of(choosing), chat, must_begin="{") for key, chat in candidates.items()}

# %% [markdown]
# The table, best first, with "no thought" for comparison.

# %%
tried = {key: trial.texts for key, trial in trials.items()}
tried["no thought", 0, 0] = opponents["no thought"](choosing)
trial_scores = {key: score(texts, choosing) for key, texts in tried.items()}
fields_right = {key: table[list(FIELDS)].mean(axis=1) for key, table in trial_scores.items()}  # one share a message
table = pd.DataFrame(
    {
        "macro F1": {key: field_f1(texts, choosing)["f1"].mean() for key, texts in tried.items()},
        "fields right": {key: percent(*interval(shares)) for key, shares in fields_right.items()},
        "valid": {key: percent(*interval(table["valid"])) for key, table in trial_scores.items()},
        "exact": {key: percent(*interval(table["exact"])) for key, table in trial_scores.items()},
        "tokens of prompt": {key: f"{np.mean(trial.prompt_tokens):.0f}" for key, trial in trials.items()},
    }
).rename_axis(["rules", "examples", "draw"])
table.sort_values("macro F1", ascending=False).round(2).fillna("–")

# %% [markdown]
# Look at one kind of prompt and its three draws. Nobody would have called one set of examples better than another,
# and yet the share of valid answers moves by tens of points: that is the luck of the draw, and whoever reports
# few-shot with one draw reports that luck. The prompt with the highest F1 goes on to the test. Forty messages make
# this a rough choice; what matters is where it was made. Had we chosen on the test set, its number would be flattered
# by the choice: the best of several draws looks better than it is.
#
# Claim C20 asks about the *form* alone. For it another prompt is chosen: the one with the most valid answers.

# %%
(best_rules, best_shots, best_draw) = best = table["macro F1"].loc[list(candidates)].idxmax()
few_shot = candidates[best]
safest = max(candidates, key=lambda key: (trial_scores[key]["valid"].mean(), table["macro F1"][key]))
print("chosen for form: the {} rules with {} examples, draw {}".format(*safest))
print(f"chosen for content: the {best_rules} rules with the {best_shots} examples of draw {best_draw}, which are")
for row in pick_examples(best_shots, best_draw):
    print(row["message"], "\n   →", label_text(row["label"]))

# %% [markdown]
# ## A decoder that cannot break the format
#
# A prompt *asks* for JSON. The decoder can *insist* on it. At each step the model scores all 49,152 tokens; a
# **grammar** made from the **schema** (the written rules for a record: its fields and the values they may have) says
# which of them can still lead to a valid record, and the others are struck out before one is chosen. The library here
# is `llguidance`. Watch it at the start of a record: how many tokens are allowed, and which are the first eight?
# (Where only one text is possible, it allows the one token that the tokenizer itself would use: `{"`, not `{` and
# then `"`.)

# %% tags=["nbval-check-output"]
import llguidance.hf
import llguidance.numpy
from llguidance import LLMatcher

from finetune_course.constrained import schema_grammar

grammar = schema_grammar(label_schema())
tokens = llguidance.hf.from_tokenizer(tokenizer)
for begun in ("", '{"category":"', '{"category":"f', '{"category":"faulty","product":"tent","urgency":"'):
    matcher, bits = LLMatcher(tokens, grammar), llguidance.numpy.allocate_token_bitmask(1, len(tokenizer))
    matcher.consume_tokens(tokens.tokenize_str(begun))
    llguidance.numpy.fill_next_token_bitmask(matcher, bits)
    allowed = np.flatnonzero(np.unpackbits(bits.view(np.uint8), bitorder="little"))
    print(f"{begun or '(nothing)'}  →  {len(allowed)} tokens:", *map(repr, tokenizer.batch_decode(allowed[:8, None])))

# %% [markdown]
# Where only one way is left, the model need not be asked at all: `"urgency":"` writes itself. `Constraint` uses that,
# so a constrained answer takes fewer steps than a free one. The zero-shot prompt that only apologised now has to
# answer:

# %%
from finetune_course.constrained import Constraint

constraint = Constraint(tokenizer, grammar)
forced = answer_all(model, tokenizer, rules, messages_of(hand[:4]), constraint=constraint)
for record, text in zip(hand, forced.texts, strict=False):
    print(record["message"], f"\n   right:  {label_text(record['label'])}\n   answer: {text}\n")

# %% [markdown]
# Every answer parses. Compare the lines, though: a *valid* record and a *right* record are two different things. The
# grammar knows what a record looks like, and it has not read the message.

# %% [markdown]
# ### The errors themselves
#
# Numbers say how often, and only reading says *how*. Errors are read on **validation** messages: whoever reads the test
# set's errors and then mends the prompt has trained on the test set, by hand. Here the chosen prompt, constrained, on
# twenty hand-written validation messages: a few wrong fields, one from each message.

# %%
from finetune_course.evaluate import errors_table

read = hand[:20]
constrained = ask_all(messages_of(read), few_shot, constraint=constraint).texts
errors = errors_table(constrained, read)
print(f"{len(errors)} wrong fields in {errors['id'].nunique()} of {len(read)} messages")
errors.groupby("id").nth(0).head(6).set_index("id")

# %% [markdown]
# Look for a habit. Count what is answered most often in each field, and how often it ought to be. Then look for those
# values among the examples of the chosen prompt, printed where it was chosen: where the favourites come from one and
# the same example, the model copies it, whatever the message says.

# %%
given = [parse_label(text) for text in constrained]
rows = {}
for field in FIELDS:
    value, times = Counter(label[field] for label in given).most_common(1)[0]
    due = np.mean([record["label"][field] == value for record in read])
    rows[field] = {"favourite answer": str(value), "given": f"{times / len(given):.0%}", "due": f"{due:.0%}"}
pd.DataFrame(rows).T

# %% [markdown]
# ## A narrower task
#
# "Define the task narrowly" is common advice (claim C28). We can test it: ask for the category alone, or for the
# whole record, and see how often the *category* is right. To be fair, the two must differ in nothing else: the same
# rules cut down to one field, the same examples with one field of their records, the same decoder, and later the same
# messages. One limit: the few-shot prompt was picked from six for the whole record, and the narrow one is its copy, not
# picked for itself.

# %%
lines = instructions().split("\n")
category_rule = next(line for line in lines if line.startswith('"category"'))
narrow_rules = {
    "short": 'Turn the message to the support desk into one line of JSON with the field "category".',
    "long": lines[0].replace("these five fields", "this one field") + "\n" + category_rule,
}


def category_only(label):
    return json.dumps({"category": label["category"]}, separators=(",", ":"))


whole_schema = label_schema()
one_field = {
    **whole_schema,
    "properties": {"category": whole_schema["properties"]["category"]},
    "required": ["category"],
}
narrow = {
    "zero-shot": prefix(narrow_rules["long"], 0),
    "few-shot": prefix(narrow_rules[best_rules], best_shots, best_draw, category_only),
}
print(narrow_rules["long"][:200], "…")

# %% [markdown]
# One message, asked four ways. The category is the first field of the record, so both decoders begin at the same place;
# the prompt is what differs.

# %%
only_category = Constraint(tokenizer, schema_grammar(one_field))
one = messages_of(hand[:1])
for shots, whole in {"zero-shot": rules, "few-shot": few_shot}.items():
    print(f"{shots}, whole record:  ", ask_all(one, whole, constraint=constraint).texts[0])
    print(f"{shots}, category alone:", ask_all(one, narrow[shots], constraint=only_category).texts[0])

# %% [markdown]
# ## One look at the test sets
#
# Everything is chosen: the rules, the number of examples, the schema. Now the test messages, once. Three prompts run
# free and two constrained; zero-shot and few-shot each have their narrow rival. The one that will stand for prompting
# in claim C10 is named **now**: few-shot, constrained, which has both the examples and the grammar. It gets both test
# sets; the others, for the time it takes, get every second hand-written message. This is the longest cell of the
# notebook.

# %%
from tqdm.auto import tqdm

methods = {
    "zero-shot": dict(chat=rules, must_begin="{"),
    "few-shot": dict(chat=few_shot, must_begin="{"),
    "few-shot, chosen for form": dict(chat=candidates[safest], must_begin="{"),
    "zero-shot, constrained": dict(chat=rules, constraint=constraint),
    "few-shot, constrained": dict(chat=few_shot, constraint=constraint),
}
hand_test = sets["test_handwritten"]
named, half = "few-shot, constrained", hand_test[::2]
runs = {}
for method, how in tqdm(methods.items(), unit="prompt"):
    runs[method] = ask_all(messages_of(hand_test + sets["test"] if method == named else half), **how)
narrow_runs = {shots: ask_all(messages_of(half), narrow[shots], constraint=only_category) for shots in narrow}
everything = [*runs.values(), *narrow_runs.values()]
print(f"{sum(len(run.texts) for run in everything):,} answers in {sum(run.seconds for run in everything):.0f} s")

# %% [markdown]
# The opponents get the same messages, and all go through the same harness.

# %%
tested = {(method, "test_handwritten"): (run.texts, half) for method, run in runs.items()}
tested[named, "test_handwritten"] = runs[named].texts[: len(hand_test)], hand_test
tested[named, "test"] = runs[named].texts[len(hand_test) :], sets["test"]
for method, answer in opponents.items():
    tested |= {(method, name): (answer(sets[name]), sets[name]) for name in ("test_handwritten", "test")}
results = {key: score(texts, records) for key, (texts, records) in tested.items()}
overall = summary(results).replace({"set": {"test_handwritten": "hand-written", "test": "template-made"}})
percent_table(overall)

# %% [markdown]
# The same as a picture.

# %%
from finetune_course import plots

figure = plots.interval_plot(overall, title="Whole records right, test messages")
plots.show(
    figure, alt=f"Dots with 95% intervals: share of records right in every field. {plots.describe_intervals(overall)}."
)

# %% [markdown]
# Two intervals that overlap may still belong to methods that differ, because both were tried on the same messages. So
# we look closer, and at the fields too.
#
# ### Two methods, the same messages
#
# A hard message is hard for both methods. A **paired** comparison takes the difference message by message; what made a
# message hard for both cancels out. A difference is no share, so it needs another interval, the **bootstrap**: if I
# drew as many messages again, from ones like these, what would I get? `paired_difference` draws 10,000 times from the
# messages at hand, each with both its results, and reports where the middle 95% of the mean differences lie. An
# interval that excludes 0 says that the methods differ on messages like these. Two cautions: where only a handful of
# messages differ, the bootstrap is too sure (four against none happens once in eight by pure chance); and of twenty
# intervals about one excludes 0 by accident. Here are differences in percentage points, on the hand-written messages
# that both methods were asked.

# %%
from finetune_course.evaluate import Interval, paired_difference, points


def compare(first, second, measure):
    a, b = (results[method, "test_handwritten"].set_index("id")[measure] for method in (first, second))
    both = a.index.intersection(b.index)
    return points(*paired_difference(a[both], b[both]))


pairs = [
    ("few-shot", "zero-shot"),
    ("few-shot, constrained", "few-shot"),
    ("few-shot, constrained", "zero-shot, constrained"),
    ("few-shot, constrained", "no thought"),
    ("linear classifier, trained", "few-shot, constrained"),
]
pd.DataFrame(
    {m: {f"{a} − {b}": compare(a, b, m) for a, b in pairs} for m in ("valid", "exact", "category", "order_id")}
)

# %% [markdown]
# ### Exercise 3.4 — the paired bootstrap
#
# Difficulty ●●● · importance ●●● · about 15 minutes
#
# Write it yourself. `a` and `b` are lists of 0 and 1: two methods on the same messages. Draw messages with
# replacement, as many as there are, `draws` times. For each draw take the mean of `a` minus the mean of `b` **on the
# messages drawn**. Return the 2.5th and the 97.5th percentile of these differences. Use one random generator, made
# from `seed`.
#
# **Expected output**
#
# ```
# paired_interval([1, 1, 0, 1] * 50, [1, 0, 0, 1] * 50)  →  about (0.19, 0.31)
# ```
#
# <details><summary>Hint 1</summary>
#
# Which is drawn at random: the results of `a` and of `b`, or the messages? One draw of messages gives a number for
# both.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `np.random.default_rng(seed).integers(len(a), size=(draws, len(a)))` gives the numbers of the drawn messages, one
# draw a row. A NumPy array can be indexed with it.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With `difference = np.array(a) - np.array(b)`: `means = difference[rows].mean(axis=1)`, then `np.percentile(means,
# [2.5, 97.5])`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-3-4", "locked": false, "schema_version": 3, "solution": true, "task": false}
def paired_interval(a, b, draws=2000, seed=0):
    """Ends of the 95% bootstrap interval of the mean of a - b, with the same messages drawn for both."""
    ### BEGIN SOLUTION
    difference = np.array(a) - np.array(b)
    rows = np.random.default_rng(seed).integers(len(difference), size=(draws, len(difference)))
    low, high = np.percentile(difference[rows].mean(axis=1), [2.5, 97.5])
    return low, high
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-3-4-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_03.paired_interval(paired_interval)
### BEGIN HIDDEN TESTS
low, high = paired_interval([1, 1, 0, 1] * 50, [1, 0, 0, 1] * 50, draws=4000, seed=5)
assert abs(low - 0.19) < 0.015 and abs(high - 0.31) < 0.015
low, high = paired_interval([1, 1, 0, 1, 0] * 80, [0, 1, 0, 1, 0] * 80, draws=3000, seed=8)
assert 0.071 < high - low < 0.0845 and abs(low + high - 0.4) < 0.01
low, high = paired_interval([0, 1] * 30, [0, 1] * 30, draws=500, seed=2)
assert low == high == 0
low, high = paired_interval([0] * 40, [1, 1] + [0] * 38, draws=900, seed=4)
assert high <= 0 and abs(low + 0.125) < 0.03
hidden_ends = {tuple(paired_interval([1, 0, 0, 1, 1] * 9, [0, 1, 0, 1, 0] * 9, draws=50, seed=6)) for _ in range(12)}
assert len(hidden_ends) == 1
hidden_ends = [tuple(paired_interval([1, 0, 0, 1, 1] * 9, [0, 1, 0, 1, 0] * 9, 1, seed)) for seed in range(9)]
assert all(low == high for low, high in hidden_ends) and len(set(hidden_ends)) > 1
### END HIDDEN TESTS

# %% [markdown]
# ### Field by field
#
# Where does a record fail? F1 for each field, on the hand-written messages. For order ids it counts the ids found.

# %%
f1 = {method: field_f1(*tested[method, "test_handwritten"])["f1"] for method in [*methods, *opponents]}
pd.DataFrame(f1).T.round(2)

# %% [markdown]
# ## What a call costs
#
# A prompt is paid for with every call. A model that was *trained* on the task needs no rules at all: notebook 06 bakes
# them in and leaves a system message of one word. Here are the tokens of a prompt on average, and the seconds per
# message that this machine took.

# %%
from finetune_course.training import triage_settings

one_word = [{"role": "system", "content": triage_settings()["system_prompt"]}]


def prompt_tokens(chat):
    """Tokens of the prompt of a call, one number for each hand-written test message."""
    chats = [[*chat, {"role": "user", "content": text}] for text in messages_of(hand_test)]
    return np.array([len(ids) for ids in tokenizer.apply_chat_template(chats, add_generation_prompt=True)["input_ids"]])


cost = pd.DataFrame(
    {
        "tokens of prompt": {name: prompt_tokens(method["chat"]).mean() for name, method in methods.items()},
        "new tokens": {name: np.mean(run.new_tokens) for name, run in runs.items()},
        "seconds per message": {name: run.seconds / len(run.texts) for name, run in runs.items()},
    }
)
cost.insert(1, "times the one-word prompt", cost["tokens of prompt"] / prompt_tokens(one_word).mean())
cost.round(2)

# %% [markdown]
# A free answer that does not begin with a brace is given up at once here, so the cost of the zero-shot prompt is
# understated. And the seconds profit from computing the shared prompt once: a server that does not do so computes all
# the tokens for every call.
#
# Claim C11 is about the *instructions*: the page of rules against the one word, which notebook 06 counts in the same
# way. Both are means over the same messages, and their ratio gets a bootstrap interval that draws messages for both.

# %%
from scipy import stats

long_and_short = prompt_tokens(rules), prompt_tokens(one_word)
drawn = stats.bootstrap(
    long_and_short, lambda a, b, axis=-1: a.mean(axis) / b.mean(axis), paired=True, method="percentile", rng=0
).confidence_interval
times_fewer = Interval(long_and_short[0].mean() / long_and_short[1].mean(), drawn.low, drawn.high)
print(f"With the rules trained in, a prompt has {times_fewer.mean:.1f} times fewer tokens;", end=" ")
print(f"95% interval {times_fewer.low:.1f} to {times_fewer.high:.1f}.")

# %% [markdown]
# ## Is there anything a prompt is enough for?
#
# The triage task takes a page to explain. Claim C08 is about behaviour that is *easy to describe*. So take rules of
# one sentence, whose keeping a program can judge, and count how often the model keeps them. Each judge gets the answer
# and whether it came to its end by itself, since an answer that was cut off has kept no limit. Judges are programs and
# can be wrong, so they are tried first on answers whose verdict you know.

# %% tags=["nbval-check-output"]
one_sentence = {
    "Begin your answer with the word Noted.": lambda text, ended: text.lstrip(" \"'*").startswith("Noted"),
    "Answer in capital letters only.": lambda text, ended: text.isupper(),  # False for a text without any letter
    "Answer in at most ten words.": lambda text, ended: ended and 1 <= len(text.split()) <= 10,
}
made_up = {"Noted. We will send a tent.": True, "OPEN TILL 5 PM.": True, "12345 !?": True, "I am so sorry to": False}
judged = {rule: [kept(*answer) for answer in made_up.items()] for rule, kept in one_sentence.items()}
pd.DataFrame(judged, index=list(made_up))

# %% [markdown]
# The last one was cut off. Now the model's own answers, to twenty hand-written test messages (nothing was chosen here:
# the three rules are the first that came to mind). 32 tokens are room enough for ten words.

# %%
kept_rules = {}
for rule, is_kept in one_sentence.items():
    chat = [{"role": "system", "content": rule}]
    run = answer_all(model, tokenizer, chat, messages_of(hand_test[:20]), batch_size=hw.eval_batch, max_new_tokens=32)
    ended = [count < 32 for count in run.new_tokens]
    kept_rules[rule] = [bool(is_kept(*pair)) for pair in zip(run.texts, ended, strict=True)]
    print(f"{percent(*interval(kept_rules[rule])):13s} {rule}  For example: {run.texts[0]!r}")

# %% [markdown]
# ## What we measured
#
# One claim still lacks its number: does the narrow task help (C28)? The category alone against the category within
# the whole record, on the hand-written test messages, paired; once without examples and once with them. For comparison:
# always naming the same category would be right as often as the line "no thought" says.

# %%
alone = {
    shots: [json.loads(text)["category"] == record["label"]["category"] for text, record in zip(run.texts, half)]
    for shots, run in narrow_runs.items()
}
in_record = {shots: results[f"{shots}, constrained", "test_handwritten"].set_index("id")["category"] for shots in alone}
within = {shots: in_record[shots][[record["id"] for record in half]] for shots in alone}
narrow_gain = {shots: paired_difference(alone[shots], within[shots]) for shots in alone}
rows = {
    shots: {
        "category alone": percent(*interval(alone[shots])),
        "within the record": percent(*interval(within[shots])),
        "difference, points": points(*narrow_gain[shots]),
    }
    for shots in alone
}
print("no thought:", percent(*interval(results["no thought", "test_handwritten"]["category"])))
pd.DataFrame(rows).T

# %% [markdown]
# Now the claims of the ledger that this notebook can speak to. A verdict stands only where the interval supports it;
# three of the five wait for the fine-tuned model of notebook 06.


# %%
def against(found, threshold):
    """What an interval says about 'at least threshold'."""
    if found.low >= threshold:
        return "holds"
    return "fails here" if found.high < threshold else "not decided by this many messages"


def agreed(found, threshold):
    """One verdict from several results, none of which was picked: theirs where they agree."""
    each = {name: against(one, threshold) for name, one in found.items()}
    if len(set(each.values())) == 1:
        return next(iter(each.values()))
    return "; ".join(f"{name}: {verdict}" for name, verdict in each.items())


def on_hand(method, measure):
    return interval(results[method, "test_handwritten"][measure])


print(f"prompting, as named beforehand: {named}, {percent(*on_hand(named, 'exact'))} exact")

# %% [markdown]
# Each claim with its number, its interval, and what follows.

# %%
by_rule = {rule.removeprefix("Answer ").rstrip("."): interval(kept) for rule, kept in kept_rules.items()}
few_valid, forced_valid = on_hand("few-shot, chosen for form", "valid"), on_hand(named, "valid")
gains = ", ".join(f"{points(*gain)} ({shots})" for shots, gain in narrow_gain.items())
verdicts = {
    "C08": (f"rules kept: {', '.join(percent(*found) for found in by_rule.values())}", agreed(by_rule, 0.9)),
    "C10": (f"{named}: {percent(*on_hand(named, 'exact'))} exact", "06 decides: is it within 10 points of the LoRA?"),
    "C11": (
        f"{times_fewer.mean:.1f} [{times_fewer.low:.1f}, {times_fewer.high:.1f}] times fewer tokens",
        f"a fifth or less: {against(times_fewer, 5)}; 06 adds whether the records are as good",
    ),
    "C20": (
        f"valid: {percent(*few_valid)} free, {percent(*forced_valid)} constrained",
        "06 decides: how often is the LoRA's answer valid?",
    ),
    "C28": (f"category alone: {gains} points", f"10 points or more: {agreed(narrow_gain, 0.1)}"),
}
claims = {claim.id: claim.text for claim in load_claims()}
ledger = [(name, claims[name], *row) for name, row in verdicts.items()]
pd.DataFrame(ledger, columns=["id", "claim", "measured", "verdict"]).set_index("id")

# %% [markdown]
# The key numbers go into the table of `start.py run`.

# %%
from finetune_course.keynumbers import publish

for method in ("zero-shot", "few-shot", "few-shot, constrained", "linear classifier, trained"):
    found = on_hand(method, "exact")
    publish(f"exact, {method}", found.mean, interval=(found.low, found.high))
for method, found in {"zero-shot": on_hand("zero-shot", "valid"), "few-shot": few_valid}.items():
    publish(f"valid, {method}", found.mean, interval=(found.low, found.high))
publish("prompt with rules against one word", times_fewer.mean, "×", interval=(times_fewer.low, times_fewer.high))
publish("few-shot prompt", cost.loc["few-shot", "tokens of prompt"], unit="tokens")

# %% [markdown]
# ## In a nutshell
#
# - A harness comes first: the same messages for every method, an answer that does not parse is wrong, and each number
#   has its interval. What is chosen is chosen on validation.
# - Zero-shot, this 135M model does not even try. A handful of examples brings answers into the format (how many depends
#   on which examples they are), and hardly ever the right content.
# - Constrained decoding makes every answer **valid**, by construction. It does not make it **right**.
# - Opponents without a language model belong in every table. Here a regular expression reads the order ids better
#   than any prompt, and a linear classifier, trained in seconds, beats all prompting of this model. Whatever is
#   trained in notebook 06 has to beat *it*.
# - What was not tried here: examples picked anew for each message, by likeness. That is retrieval, and it comes in
#   notebook 09.
# - A few-shot prompt is paid for with every call. Keeping its keys and values makes it affordable in seconds, not
#   free.
# - All this is said of a model with 135 million parameters. On a large one the same notebook gives other numbers: set
#   `COURSE_MODEL` and look.

# %% [markdown]
# ## What to read next
#
# - Next in the course: [**04 Data**](04_data.ipynb) looks at the rows that a model learns from; [**06 The TRL
#   run**](06_trl_run.ipynb) then trains the same model on them and asks the same harness.
# - On few-shot prompting: Brown and others (2020), *Language models are few-shot learners*. On its habit of repeating
#   what stands in the examples: Zhao and others (2021), *Calibrate before use*.
# - On constrained decoding: Willard and Louf (2023), *Efficient guided generation for large language models*; the
#   documentation of `llguidance`.
# - On the bootstrap: Efron and Tibshirani (1993), *An introduction to the bootstrap*.
