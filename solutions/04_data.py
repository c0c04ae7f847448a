# %% [markdown]
# # 04 · Data
#
# A fine-tune learns what stands in its rows: the right answers, the wrong ones, the copies, the telephone numbers, and,
# where nobody looked, the test set. This notebook looks. You will see one training row token by token, take a messy
# export apart, and measure what leaks, wrong labels and careful picking do to a score.

# %% [markdown]
# ## What you will be able to do
#
# At the end of this notebook you will
#
# - see, token by token, which part of a row is learned, and notice when it is nothing;
# - find exact and near duplicates, leaks and wrong labels, and know how many you missed;
# - find and mask personal data, with a measured recall instead of a good feeling;
# - run a cleaning pipeline that says for each row what it did and why;
# - say from numbers whether few careful rows beat many careless ones.
#
# It takes about 3 minutes of computing on 2 CPU cores, an hour of your time, and up to 2 GB of memory. In the small
# profile, on one core as on Binder, it took 2 minutes and 1.6 GB.

# %% [markdown]
# ## Before you start
#
# You should have seen [notebook 03](03_prompting_first.ipynb): the triage task, its five fields, the linear
# classifier, intervals and paired differences. First the versions; the cell also brings what the exercises need.

# %% tags=["exercise-setup"]
import json
import re
from importlib.metadata import version

import numpy as np
import pandas as pd

from finetune_course import checks_04
from finetune_course.hardware import inspect_hardware

inspect_hardware()  # in the small profile (notebook 00) this process spares memory from here on
pd.set_option("display.max_colwidth", 300)
libraries = ["torch", "transformers", "scikit-learn", "datasketch"]
pd.DataFrame({"version": {name: version(name) for name in libraries}})

# %% [markdown]
# ## What a training example is
#
# A line of the training file is a message with its **label**, the record that a person wrote by the rules. Which fields
# there are, and which values they may take, is fixed by a **schema**. Here are three rows.

# %% tags=["nbval-check-output"]
from finetune_course.triage import allowed_values, label_text, load_split

train = load_split("train")
three = [row for row in train if len(row["message"]) < 60 and row["label"]["order_id"]][:3]
for row in three:
    print(row["message"], "→", label_text(row["label"]))
print("\nurgency may be", " or ".join(allowed_values("urgency")))

# %% [markdown]
# The model sees neither message nor record, but a row of tokens. The **chat template** puts both into one text, with
# markers that say who speaks. The rest is a decision of ours: the loss shall count the assistant's tokens alone. The
# others get the label -100, which the loss leaves out. This is the **loss mask**.
#
# In the picture every chip is one token: grey ones are read, **coloured, bold and underlined ones are learned**.

# %%
from transformers import AutoTokenizer

from finetune_course.token_colours import show_mask
from finetune_course.training import prompt_completion, quiet_libraries
from finetune_course.weights import weights

quiet_libraries()
tokenizer = AutoTokenizer.from_pretrained(weights())


def ids_and_labels(row):
    """Token ids of a row, and their labels: -100 on the prompt."""
    chat = prompt_completion(row)
    prompt = tokenizer.apply_chat_template(chat["prompt"], add_generation_prompt=True)["input_ids"]
    whole = tokenizer.apply_chat_template(chat["prompt"] + chat["completion"])["input_ids"]
    return whole, [-100] * len(prompt) + whole[len(prompt) :]


for row in three:
    show_mask(tokenizer, *ids_and_labels(row))

# %% [markdown]
# The end marker `<|im_end|>` after the record is learned too: a model that never learns it never stops. (So is the line
# break that the template puts after it.) And the record
# begins only after `assistant` and its line break, which will stand in the prompt when the model is asked. How much of
# our text teaches?

# %% tags=["nbval-check-output"]
labels = [ids_and_labels(row)[1] for row in train[:200]]
learned = sum(label != -100 for row in labels for label in row)
total = sum(map(len, labels))
print(f"{learned / total:.0%} of the tokens of 200 rows are learned; the others are only read")

# %% [markdown]
# ### Two mistakes in a row's form
#
# A library can make the mask itself, if the template marks the assistant's part with `{% generation %}`. The template of
# this tokenizer does not. So what does it answer when it is asked for the mask?

# %% tags=["nbval-check-output"]
chat = prompt_completion(three[0])
turns = chat["prompt"] + chat["completion"]
made = tokenizer.apply_chat_template(turns, return_dict=True, return_assistant_tokens_mask=True)
print("learned with the library's own mask:", sum(made["assistant_masks"]), "of", len(made["input_ids"]), "tokens")

# %% [markdown]
# Zero: a training loop of your own would learn nothing from that. (transformers only warns, and we asked for quiet above; TRL
# refuses such rows.) The other one is a row that never went through the
# template. Its text looks harmless, and it holds none of the markers with which the model will be asked.

# %% tags=["nbval-check-output"]
plain = f"{three[0]['message']}\n{label_text(three[0]['label'])}"
for name, ids in {"with template": made["input_ids"], "without": tokenizer(plain)["input_ids"]}.items():
    marks = sum(token in tokenizer.all_special_ids for token in ids)
    print(f"{name:13}: {len(ids)} tokens, {marks} of them markers")

# %% [markdown]
# ### Exercise 4.1 — the mask of a conversation
#
# Difficulty ●●○ · importance ●●● · about 8 minutes
#
# A conversation has several turns, and the assistant may speak more than once. Everything that the assistant says is to
# be learned; what the customer and the system say is read only.
#
# Write `chat_labels(turns)`. `turns` is a list of pairs `(role, ids)`: who speaks, and the token ids of the turn, its end
# marker 2 included. Return two lists of equal length: all ids in a row, and their labels.
#
# **Expected output**
#
# ```
# chat_labels([("user", [5, 2]), ("assistant", [7, 2])])  →  ([5, 2, 7, 2], [-100, -100, 7, 2])
# ```
#
# <details><summary>Hint 1</summary>
#
# Go through the turns and let both lists grow. What is added to the labels depends on the role alone.
#
# </details>
# <details><summary>Hint 2</summary>
#
# `labels += ids` for the assistant, otherwise as many -100 as the turn has tokens.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `labels += ids if role == "assistant" else [-100] * len(ids)`, and `input_ids += ids` for every turn.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-4-1", "locked": false, "schema_version": 3, "solution": true, "task": false}
def chat_labels(turns):
    """Token ids of a conversation, and their labels: -100 on every turn that is not the assistant's."""
    ### BEGIN SOLUTION
    input_ids, labels = [], []
    for role, ids in turns:
        input_ids += ids
        labels += ids if role == "assistant" else [-100] * len(ids)
    return input_ids, labels
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-4-1-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_04.chat_labels(chat_labels)
### BEGIN HIDDEN TESTS
given = [("system", [1, 2]), ("user", [3, 4, 2]), ("assistant", [3, 2]), ("user", [6, 2]), ("assistant", [8, 9, 2])]
ids, labels = (list(part) for part in chat_labels(given))
assert ids == [1, 2, 3, 4, 2, 3, 2, 6, 2, 8, 9, 2]
assert labels == [-100] * 5 + [3, 2] + [-100] * 2 + [8, 9, 2]
### END HIDDEN TESTS

# %% [markdown]
# ## An export as it comes
#
# The shop's support desk exported its mail, with the labels that whoever was on duty had given. Nobody has touched it
# since. (The course built this file from its own training messages and *planted* the faults, so there is a key that says
# what is wrong with each line. It stays closed until the pipeline is done.) Look at bytes first, not at rows.

# %% tags=["nbval-check-output"]
from finetune_course.curation import Curation, export_key, export_lines, pipeline_score

lines = export_lines()
print(len(lines), "lines")
for number, raw in [lines[0], next(line for line in lines if b"{" not in line[1])]:
    print(number, raw[:110])

# %% [markdown]
# A rule is a small function: it looks at a row and gives a reason to drop it, or None. `Curation` keeps the books. A rule
# may also *mend* a row, and gives the mended one. First rule: bytes become text. What is not UTF-8 comes, on a support
# desk's Windows machines, from the code page 1252.

# %%
def as_text(line, raw):
    try:
        return {"line": line, "text": raw.decode("utf-8"), "mended": False}
    except UnicodeDecodeError:
        return {"line": line, "text": raw.decode("cp1252"), "mended": True}


work = Curation([as_text(*line) for line in lines])
work.mend("encoding", lambda row: row if row["mended"] else None)
print(sum(row["mended"] for row in work.rows), "lines were not UTF-8; the first:")
print(next(row["text"][:90] for row in work.rows if row["mended"]))

# %% [markdown]
# Second rule: each line is to be one JSON object. What is not goes, and the reason says where the parser stopped.

# %%
def not_json(row):
    try:
        json.loads(row["text"])
    except ValueError as error:
        return f"no JSON: {error.msg}"


work.drop("broken line", not_json)
work.rows = [{"line": row["line"], **json.loads(row["text"])} for row in work.rows]
dropped = [entry for entry in work.log if entry["what"] == "dropped"]
pd.DataFrame([{"why": entry["why"], "text": entry["row"]["text"][:70]} for entry in dropped]).head(4)

# %% [markdown]
# Third, **garbled characters**: text that was UTF-8, was read as code page 1252 and saved again. The way back is the same
# mistake reversed, and on text that was never garbled it fails or changes nothing. So it is safe to try on every message.

# %%
def ungarbled(row):
    try:
        message = row.get("message", "").encode("cp1252").decode("utf-8")
    except UnicodeError:
        return None
    return {**row, "message": message} if message != row.get("message", "") else None


work.mend("garbled characters", ungarbled)
before = work.log[-1]["row"]
after = ungarbled(before)
at = next(place for place, pair in enumerate(zip(before["message"], after["message"])) if len(set(pair)) > 1)
print(before["message"][max(at - 30, 0) : at + 30], "→", after["message"][max(at - 30, 0) : at + 30], sep="\n")

# %% [markdown]
# Fourth, **spelling of values**: `Order Change` is `order_change`, `HIGH` is `high`, `#40718` is `WW-40718`. Mend what is
# certain, and only that.

# %%
def plainly(field, value):
    if not isinstance(value, str) or field == "product":
        return value
    return value.replace("#", "WW-") if field == "order_id" else value.lower().replace(" ", "_")


def respelt(row):
    label = {field: plainly(field, value) for field, value in row.get("label", {}).items()}
    return {**row, "label": label} if label != row.get("label", {}) else None


work.mend("spelling of values", respelt)
work.report().tail(1)

# %% [markdown]
# Fifth, the **schema**: every field there, no value outside the lists. `refund` is no category, and to guess what was
# meant is not our business. The library `jsonschema` finds the faults and words the reasons.

# %%
from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from finetune_course.triage import label_schema

row_schema = {
    "properties": {"message": {"type": "string"}, "label": label_schema()}, "required": ["message", "label"],
}
validator = Draft202012Validator(row_schema)


def against_schema(row):
    fault = best_match(validator.iter_errors(row))
    return f"{'.'.join(map(str, fault.absolute_path)) or 'row'}: {fault.message[:60]}" if fault else None


work.drop("schema", against_schema)
pd.Series([entry["why"] for entry in work.log if entry["rule"] == "schema"]).value_counts().head(4).rename("rows").to_frame()

# %% [markdown]
# Sixth and seventh: **no message at all**, and **another language**. Our model is to serve English. A crude test does for
# whole messages: what share of the words are among the commonest English ones? Below 12%, which we set by eye, a message
# goes. That is wrong about some short ones; the key will tell how often.

# %%
COMMON = set(
    "the a an and or but to of in on at is it its my i you your we our for from with was not no has have got this that be "
    "me can are do what how when who why if just so there one please thanks am im ive as by up out any will".split()
)


def words_of(row):
    return re.findall(r"[^\W\d_]+", row["message"].lower().replace("'", "").replace("’", ""))


def not_english(row):
    share = np.mean([word in COMMON for word in words_of(row)])
    return f"{share:.0%} common English words" if share < 0.12 else None


work.drop("empty message", lambda row: "fewer than 3 words" if len(words_of(row)) < 3 else None)
work.drop("other language", not_english)
work.report().tail(2)

# %% [markdown]
# ## The same message again
#
# Customers write twice, agents forward, exports overlap. A copy costs time and makes one case count double; worse, two
# copies may end up on both sides of a split. **Exact** duplicates are easy: the same text, whatever the capitals and
# the white space.

# %%
seen = {}


def said_before(row):
    words = " ".join(row["message"].casefold().split())
    first = seen.setdefault(words, row["line"])
    return f"same text as line {first}" if first != row["line"] else None


work.drop("exact duplicate", said_before)
work.report().tail(1)

# %% [markdown]
# A **near** duplicate is the same message with a slip mended, another number, "Second try." before it. How alike are two
# texts? Cut each into **shingles**, runs of three words, and compare the two sets: what they share, divided by all that
# stands in either. This is the **Jaccard similarity**, 0 for nothing in common and 1 for the same.

# %% [markdown]
# ### Exercise 4.2 — how alike are two messages?
#
# Difficulty ●●○ · importance ●●○ · about 10 minutes
#
# Write `similarity(a, b, n=3)`: the Jaccard similarity of the sets of `n`-word shingles of two texts. Words are what
# `split()` gives, in lower case. A text of fewer than `n` words is one shingle, all its words.
#
# **Expected output**
#
# ```
# similarity("my tent leaks badly", "My tent leaks a lot")  →  0.25   (1 shingle shared, 4 in all)
# similarity("a b c", "a b c")                              →  1.0
# ```
#
# <details><summary>Hint 1</summary>
#
# Write a small function that gives the *set* of shingles of one text. Two sets have `&` (in both) and `|` (in either).
#
# </details>
# <details><summary>Hint 2</summary>
#
# A text of w words has w - n + 1 shingles, `tuple(words[i : i + n])` each. Take at least one: `max(w - n + 1, 1)`.
#
# </details>
# <details><summary>Hint 3</summary>
#
# With the sets `left` and `right`: `return len(left & right) / len(left | right)`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-4-2", "locked": false, "schema_version": 3, "solution": true, "task": false}
def similarity(a, b, n=3):
    """Jaccard similarity of the sets of n-word shingles of two texts, 0 to 1; capitals do not matter."""
    ### BEGIN SOLUTION
    def shingles(text):
        words = text.lower().split()
        return {tuple(words[at : at + n]) for at in range(max(len(words) - n + 1, 1))}

    left, right = shingles(a), shingles(b)
    return len(left & right) / len(left | right)
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-4-2-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_04.similarity(similarity)
### BEGIN HIDDEN TESTS
assert abs(similarity("one two three four five", "ONE two three four six") - 2 / 4) < 1e-9
assert similarity("hello", "Hello") == 1 and similarity("hello", "hello there") == 0
assert abs(similarity("a b a b a", "a b", n=2) - 1 / 2) < 1e-9
### END HIDDEN TESTS

# %% [markdown]
# All pairs of 500 messages are 125,000 comparisons; of a million they are hopeless. **MinHash** makes of each set a short
# row of numbers such that two rows agree in about the share of places that the Jaccard similarity says. The library is
# `datasketch`. Three sentences first: the estimate beside the true value.

# %% tags=["nbval-check-output"]
from datasketch import MinHash

from finetune_course.leakage import near_duplicates

texts = ["my tent leaks at the seam after one night", "My tent leaks at the seam after two nights", "where is my kayak"]


def shingle_set(text):
    words = text.lower().split()
    return {" ".join(words[at : at + 3]) for at in range(max(len(words) - 2, 1))}


sketches = MinHash.bulk([[shingle.encode() for shingle in shingle_set(text)] for text in texts], num_perm=200)
for other in (1, 2):
    shared, either = shingle_set(texts[0]) & shingle_set(texts[other]), shingle_set(texts[0]) | shingle_set(texts[other])
    print(f"Jaccard {len(shared) / len(either):.2f}, estimated {sketches[0].jaccard(sketches[other]):.2f}")

# %% [markdown]
# The sketches are put into an index by bands (`MinHashLSH`), so that only pairs which agree in a whole band are ever
# compared. `near_duplicates` does that and then works out the true similarity of each candidate; numbers and order ids
# are masked before. From a similarity of 0.3 on we call two messages near duplicates. Of a pair the earlier row stays.

# %%
def messages_of(rows):
    return [row["message"] for row in rows]


rows = work.rows
reasons = {
    rows[pair.right]["line"]: f"{pair.similarity:.2f} like line {rows[pair.left]['line']}"
    for pair in reversed(near_duplicates(messages_of(rows)))  # the most alike last, so that its reason stays
}
work.drop_lines("near duplicate", reasons)
entry = next(entry for entry in work.log if entry["rule"] == "near duplicate")
original = next(row for row in rows if str(row["line"]) == entry["why"].split()[-1])
print(entry["why"], original["message"], entry["row"]["message"], sep="\n")

# %% [markdown]
# ## The test set among the training rows
#
# The worst duplicate is one of a message that you test with: it can raise the score without making the model better. So each
# row is compared with every held-out message, exact and near at once.

# %%
HELD_OUT = ("validation", "validation_handwritten", "test", "test_handwritten")
held_out = [record for name in HELD_OUT for record in load_split(name)]
reasons = {
    work.rows[pair.left]["line"]: f"{pair.similarity:.2f} like {held_out[pair.right]['id']}"
    for pair in reversed(near_duplicates(messages_of(work.rows), messages_of(held_out)))
}
work.drop_lines("leak", reasons)
work.report().tail(1)

# %% [markdown]
# ### What would a leak have done?
#
# Let us do on purpose what was just prevented. A classifier is trained on 300 clean rows, and on top of them on a share
# of the hand-written *validation* messages with their right records. Then it is scored on all of these. Two classifiers
# are tried: the linear one of notebook 03 (without the pieces of words that it looks at there: faster, a little worse), and one that does nothing but look up the most similar training message and
# repeat its record (the **nearest neighbour**).

# %%
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.neighbors import NearestNeighbors

from finetune_course.evaluate import interval, percent, score
from finetune_course.linear_triage import LinearTriage

validation = load_split("validation_handwritten")


def linear(rows, asked):
    return LinearTriage(pieces=False).fit(rows).answers(asked)


def neighbour(rows, asked):
    vectors = TfidfVectorizer().fit(messages_of(rows))
    index = NearestNeighbors(n_neighbors=1).fit(vectors.transform(messages_of(rows)))
    nearest = index.kneighbors(vectors.transform(messages_of(asked)), return_distance=False)[:, 0]
    return [label_text(rows[place]["label"]) for place in nearest]


shares = (0, 0.1, 0.25, 0.5, 1)
leaked = {
    (name, share): score(answers(train[:300] + validation[: int(share * len(validation))], validation), validation)["exact"]
    for name, answers in {"linear": linear, "neighbour": neighbour}.items()
    for share in shares
}
table = {name: [percent(*interval(leaked[name, share])) for share in shares] for name in ("linear", "neighbour")}
pd.DataFrame(table, index=[f"{share:.0%} leaked" for share in shares])

# %% [markdown]
# Exact records, and each column climbs to (nearly) 100%. What was *learned* shows only on the messages that did not leak.

# %%
from finetune_course import plots

fig, ax = plots.figure()
for place, name in enumerate(("linear", "neighbour")):
    found = [interval(leaked[name, share]) for share in shares]
    mean, low, high = 100 * np.array(found).T
    ax.errorbar(100 * np.array(shares) + place, mean, [mean - low, high - mean], label=name,
                color=plots.COLOURS[place], marker=plots.MARKERS[place], capsize=3)
clean = [interval(leaked["linear", share][int(share * len(validation)) :]) for share in shares[:-1]]
mean, low, high = 100 * np.array(clean).T
ax.errorbar(100 * np.array(shares[:-1]) - 1, mean, [mean - low, high - mean], fmt="--", color=plots.COLOURS[7],
            capsize=3, label="linear, on what did not leak")
ax.set(xlabel="share of the scored messages that leaked (%)", ylabel="messages right in every field (%)")
ax.legend()
spoken = "; ".join(f"{name} {share:.0%} leaked: {leaked[name, share].mean():.0%}" for name, share in leaked)
unleaked = ", ".join(f"{share:.0%} leaked: {found.mean:.0%}" for share, found in zip(shares, clean))
plots.show(fig, alt=f"Exact records against the share of scored messages that leaked into training. {spoken}. Linear, on "
           f"the messages that did not leak: {unleaked}.")

# %% [markdown]
# ### Five scores of one classifier
#
# Leaks are not always copies. The template-made training messages come from some four thousand sentences with slots, and
# some sentences were filled more than once: two such messages are **kin**, near duplicates once products are masked. Train
# the classifier on nine tenths of these messages and score it on five sets:
#
# 1. the very rows it was trained on;
# 2. the other tenth, split off **at random**: new messages, but some have kin among the training rows;
# 3. the same tenth, after their kin left the training rows: a split **by group**;
# 4. the template-made validation messages, whose sentences occur nowhere in training;
# 5. hand-written messages.

# %%
from finetune_course.leakage import product_wordings

part = [row for row in train if "-made-" in row["id"]]
tenth = len(part) // 10
alike = near_duplicates(messages_of(part[-tenth:]), messages_of(part[:-tenth]), wordings=product_wordings())
kin, with_kin = {pair.right for pair in alike}, np.isin(range(tenth), [pair.left for pair in alike])
ungrouped = LinearTriage(pieces=False).fit(part[:-tenth])
grouped = LinearTriage(pieces=False).fit([row for place, row in enumerate(part[:-tenth]) if place not in kin])
print(f"{len(kin)} of {len(part) - tenth} training rows are kin of {with_kin.sum()} of the {tenth} messages that were split off")

# %% [markdown]
# The five scores:

# %%
ladder = [
    ("1 trained on", ungrouped, part[:-tenth]),
    ("2 split at random", ungrouped, part[-tenth:]),
    ("3 split by group", grouped, part[-tenth:]),
    ("4 other templates", ungrouped, load_split("validation")),
    ("5 hand-written", ungrouped, validation),
]
exact_on = {name: score(model.answers(asked), asked)["exact"].to_numpy() for name, model, asked in ladder}
steps = pd.DataFrame([(name, "linear", "exact", *interval(found)) for name, found in exact_on.items()],
                     columns=["method", "set", "measure", "mean", "low", "high"])
plots.show(plots.interval_plot(steps), alt="Share of exact records of one classifier on five sets. " + plots.describe_intervals(steps))

# %% [markdown]
# The first number says nothing about new messages: an almost perfect score is compatible with each of the others.
# Steps 2 and 3 are the same messages, so their difference can be paired: what did kin in training add?

# %%
from finetune_course.evaluate import paired_difference, points

random_split, group_split = exact_on["2 split at random"], exact_on["3 split by group"]
print("split at random, minus split by group, in points:", points(*paired_difference(random_split, group_split)))
print("on the messages that have kin alone:", points(*paired_difference(random_split[with_kin], group_split[with_kin])))

# %% [markdown]
# A random split flatters as far as there are kin, and on those messages. How the other steps differ, and in which direction, is a matter of the data: the sets are not equally hard, and a set that
# is honest need not give the lowest score.
#
# For the ledger (claim C29) we keep the gap between the first and hand-written *test* messages. The two scores
# are of different messages, so nothing can be paired: the bootstrap draws from each set on its own.

# %%
from scipy import stats

from finetune_course.evaluate import Interval

test = load_split("test_handwritten")


def unpaired(first, second):
    """Difference of two means over different messages, with its bootstrap interval."""
    samples = [np.asarray(values, dtype=float) for values in (first, second)]
    ends = stats.bootstrap(
        samples, lambda a, b, axis: a.mean(axis) - b.mean(axis), method="percentile", batch=100, rng=0
    ).confidence_interval
    return Interval(samples[0].mean() - samples[1].mean(), ends.low, ends.high)


on_test = score(ungrouped.answers(test), test)["exact"]
gap = unpaired(exact_on["1 trained on"], on_test)
print("trained on, minus hand-written test, in points:", points(*gap))

# %% [markdown]
# ## Personal data
#
# People write telephone numbers, card numbers and addresses into messages. A fine-tuned model can repeat what stood in its
# rows, and short of training again nobody can make an adapter forget one customer. So personal data is masked **before**
# training. Patterns find much of it. A card number ends in a check digit, which nine of ten other numbers of that length
# fail.

# %% [markdown]
# ### Exercise 4.3 — is it a card number?
#
# Difficulty ●●○ · importance ●●○ · about 10 minutes
#
# Luhn's check (1954): take the digits **from the right**. Every second one, beginning with the second from the right, is
# doubled; from a double above 9 you subtract 9. If the sum of all is divisible by 10, the number passes.
#
# Write `is_card(text)`: True if the digits in `text` (everything that is no digit is left out) are 13 to 19 and pass,
# otherwise False.
#
# **Expected output**
#
# ```
# is_card("4242 4242 4242 4242")  →  True
# is_card("4242 4242 4242 4243")  →  False
# is_card("18")                   →  False   (the check passes, but it is too short)
# ```
#
# <details><summary>Hint 1</summary>
#
# `[int(letter) for letter in text if letter.isdigit()]` are the digits. Turn them round before you count.
#
# </details>
# <details><summary>Hint 2</summary>
#
# In the reversed list, the places 1, 3, 5, … (from 0) are doubled. A double such as 14 counts as 1 + 4, which is 14 - 9.
#
# </details>
# <details><summary>Hint 3</summary>
#
# `doubled = [d * 2 if place % 2 else d for place, d in enumerate(reversed(digits))]`, then the sum of
# `d - 9 if d > 9 else d`, and `% 10 == 0`.
#
# </details>


# %% nbgrader={"grade": false, "grade_id": "ex-4-3", "locked": false, "schema_version": 3, "solution": true, "task": false}
def is_card(text):
    """Whether the digits of a text are 13 to 19 and pass Luhn's check."""
    ### BEGIN SOLUTION
    digits = [int(letter) for letter in text if letter.isdigit()]
    doubled = [digit * 2 if place % 2 else digit for place, digit in enumerate(reversed(digits))]
    total = sum(digit - 9 if digit > 9 else digit for digit in doubled)
    return 13 <= len(digits) <= 19 and total % 10 == 0
    ### END SOLUTION


# %% nbgrader={"grade": true, "grade_id": "ex-4-3-test", "locked": true, "points": 2, "schema_version": 3, "solution": false, "task": false}
checks_04.is_card(is_card)
### BEGIN HIDDEN TESTS
assert is_card("3782 822463 10005") is True and is_card("no. 6011-0009-9013-9424, thanks") is True
assert is_card("30432193 30005") is True and is_card("353011133330000 0555") is True
assert is_card("601100099014") is False and is_card("3530 1113 3330 0000 1230") is False
assert is_card("0000 0000 0091") is False and is_card("0" * 14 + "91") is True
assert is_card("4000 1234 5678 9018") is False and is_card("order 40718") is False and is_card("") is False
### END HIDDEN TESTS

# %% [markdown]
# The patterns, in the open. In `name` the group in brackets is what counts; the words before it are only the clue.

# %%
from finetune_course.personal_data import find_spans, found_table, marked_messages, mask

PATTERNS = {
    "email": r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+",
    "card": r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)",  # and Luhn's check
    "phone": r"(?<![\d-])(?:\+61[ -]?|\(?0)\d\)?(?:[ -]?\d){8}(?!\d)",
    "address": r"\b(?:PO Box \d+|(?:Unit )?\d[\d/]*(?:, \d+)?(?: [A-Z][a-z]+){1,3} (?:Street|Lane|Crescent|Rise|Parade|Way|Road))"
    r"(?:, [A-Z][a-z]+(?: [A-Z][a-z]+)*)?(?: [A-Z]{2,3})?(?: \d{4})?",
    "name": r"(?:[Mm]y name is|[Rr]egards,|[Cc]heers,|I'm|its) ([A-Z][\w-]+(?: [A-Z][\w-]+)*)",
}
tried = "Cheers, Beau Lantern, 0491 570 156. Card 4242 4242 4242 4242, order 40718, write to beau@example.org"
print(mask(tried, find_spans(tried, PATTERNS)))

# %% [markdown]
# The order number stays: it is part of the task. Do the patterns work? A small file of messages was labelled by hand, and we
# score span by span, since half a message masked is half a message learned. A span is *found* if it is masked in full, *in
# part* if something is left to read, *missed* if it stands there as before. A mask that also hides what is no personal data
# is *too much*.

# %%
def share_of(hits, total):
    return percent(*interval([True] * hits + [False] * (total - hits))) if total else "–"


table = found_table(PATTERNS, marked_messages())
table["recall"] = [share_of(row.found, row.labelled) for row in table.itertuples()]
table["share of masks too much"] = [share_of(*counts) for counts in zip(table["too much"], table["masks"])]
table

# %% [markdown]
# What has a form is mostly found, and what is only a word is not. What was left to read, and the message as it would be
# learned, tell why:

# %% tags=["nbval-check-output"]
for text, spans in marked_messages():
    matches = find_spans(text, PATTERNS)
    left = [text[s:e] for kind, s, e in spans if not any(a <= s and e <= b for _, a, b in matches)]
    if left and len(text) < 90:
        print(left, "in:", mask(text, matches))

# %% [markdown]
# Numbers in words, an *at* and *dot* written out, what has no pattern at all (a birthday), and most names. Names need a model that recognises them
# (spaCy, Microsoft's Presidio), and those have a recall of their own to be measured. The patterns were written with such
# messages in mind and the file is small, so expect less on real mail. Masking is a rule that mends:

# %%
def without_personal_data(row):
    message = mask(row["message"], find_spans(row["message"], PATTERNS))
    return {**row, "message": message} if message != row["message"] else None


work.mend("personal data", without_personal_data)
masked = [row["message"] for row in work.rows if "<phone>" in row["message"]]
print(*[f"… {text[max(text.index('<phone>') - 45, 0) : text.index('<phone>') + 30]} …" for text in masked[:4]], sep="\n")

# %% [markdown]
# ## Wrong labels
#
# No pattern finds a wrong label, but the other rows can raise a suspicion. Train a classifier on four fifths, let it judge
# the last fifth, and go round (**cross-validation**). Where it is much surer of another class than of the one given, a
# person should look. How often is such a suspicion right? That depends on how much the classifier could learn. So we try
# it twice: on the rows of the export, and on 3,000 training rows in which we mislabel 10% ourselves.

# %%
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.svm import LinearSVC

from finetune_course.label_noise import noisy


def suspicion(rows, field="category"):
    """For each row: by how much the best other class beats the given one, by classifiers that did not see the row."""
    given = np.array([str(row["label"][field]) for row in rows])
    machine = make_pipeline(TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True), LinearSVC(random_state=0))
    scores = cross_val_predict(machine, messages_of(rows), given, cv=5, method="decision_function")
    own = np.unique(given)[None, :] == given[:, None]
    return np.where(own, -np.inf, scores).max(axis=1) - scores[own]


spoiled = noisy(train[:3000], 0.2, "careless", seed=4)  # half of the careless mistakes hit the category
doubt = suspicion(spoiled)
wrong = np.array([a["label"]["category"] != b["label"]["category"] for a, b in zip(spoiled, train)])
for first in (50, 150, 300):
    hits = wrong[np.argsort(-doubt)[:first]]
    print(f"{first:3} most suspicious: {percent(*interval(hits))} wrong; of all {len(wrong)}: {wrong.mean():.0%}")

# %% [markdown]
# Here are the four most suspicious rows of the export. It has a sixth of the rows, so the classifier knows less. Decide for
# yourself which of them are wrong; the key will say.

# %%
doubt_export = suspicion(work.rows)
top = [work.rows[place] for place in np.argsort(-doubt_export)]
pd.DataFrame([{"message": row["message"], "category given": row["label"]["category"]} for row in top[:4]])

# %% [markdown]
# The pipeline sets the 40 most suspicious aside for a person. That is its last rule.

# %%
work.drop_lines("suspicious label", {row["line"]: "surer of another category" for row in top[:40]})
work.report(28)

# %% [markdown]
# ## Was the pipeline any good?
#
# Now the key. For each planted fault: how many lines were dropped, mended, or went through untouched? The first line,
# the good ones, is the price: what was dropped there was lost for nothing. (What was mended there are names and telephone
# numbers that ordinary messages have too.) "Mended" counts only the rule that mends this fault.

# %% tags=["nbval-check-output"]
key = export_key()
pipeline_score(key, work.log)

# %% [markdown]
# For personal data "mended" is too kind a word: the rule touched the line, but did it mask all that was planted there? The
# key has the places, so the rows that are left can be scored span by span.

# %%
left = {row["line"] for row in work.rows}
planted = [(json.loads(raw)["message"], key[line]["spans"]) for line, raw in lines if line in left and "spans" in key[line]]
by_span = found_table(PATTERNS, planted)[["labelled", "found", "in part", "missed"]]
by_span["recall"] = [share_of(row.found, row.labelled) for row in by_span.itertuples()]
by_span

# %% [markdown]
# What is missed are names, in a line whose e-mail address was masked: "Beau Lantern, <email>" has no clue before the
# name. The others were planted in a few sentences with which the patterns were written, so this recall is a best case; the
# hand-labelled file above is nearer to real mail. Was too much masked? The key does not know what ordinary messages hold,
# so look at each mask that is not on a planted span:

# %% tags=["nbval-check-output"]
besides = {}
for entry in work.log:
    if entry["rule"] == "personal data":
        message, spans = entry["row"]["message"], key[entry["line"]].get("spans", [])
        for kind, start, end in find_spans(message, PATTERNS):
            if [kind, start, end] not in spans:
                besides.setdefault(kind, []).append(message[start:end])
for kind, texts in besides.items():
    print(f"{kind}, {len(texts)} times:", ", ".join(sorted(set(texts))))

# %% [markdown]
# Read them: are these telephone numbers and names? Then nothing was lost that the task needs.
#
# Which rules cost good lines? And how often was a suspicion right?

# %%
lost = pd.Series([entry["rule"] for entry in work.log if entry["what"] == "dropped" and not key[entry["line"]]["faults"]])
hits = ["wrong label" in key[row["line"]]["faults"] for row in top[:40]]
print(f"of the 40 suspicious labels {percent(*interval(hits))} were wrong; the first four: {hits[:4]}")
lost.value_counts().rename("good lines lost").to_frame()

# %% [markdown]
# Whatever has a form is mostly caught. Wrong labels are not: most of them are still in. Our suspicion looked at the category
# alone, and about half of the wrong labels have the right category and another field wrong. A person with the labelling
# guide has to read; the list only says where to begin.
#
# ## How much does label noise cost?
#
# Now with training messages in plenty. **Careless** noise: two of the fields get another value, any value. **Misread**: the
# same rules broken every time that a record is misread, as by a diligent person who never read the guide. One record first:

# %% tags=["nbval-check-output"]
import random

from finetune_course.label_noise import KINDS, spoil

print("right   ", label_text(three[1]["label"]))
for kind in KINDS:
    print(f"{kind:8}", label_text(spoil(three[1]["label"], kind, random.Random(1))))

# %% [markdown]
# Then one point of a grid, live: the linear classifier on 640 rows, without and with 40% wrong records, scored on the
# validation messages.

# %%
import torch

drawn = [train[place] for place in torch.randperm(len(train), generator=torch.Generator().manual_seed(0)).tolist()[:640]]
exact = {
    name: score(LinearTriage().fit(rows).answers(validation), validation)["exact"]
    for name, rows in {"right": drawn, **{kind: noisy(drawn, 0.4, kind, 0) for kind in KINDS}}.items()
}
for kind in KINDS:
    print(f"{kind:8}: {percent(*interval(exact[kind]))}, right: {percent(*interval(exact['right']))}, "
          f"difference {points(*paired_difference(exact[kind], exact['right']))} points")

# %% [markdown]
# The whole grid was recorded with the same code (`benchmarks/record_curation_grid.py`): seven sizes, five shares of noise,
# two kinds, three seeds each, scored on the test messages. Follow a line of noise to the right: when does it reach the
# height of a smaller, clean set? (Means over three seeds; with 200 test messages a share is good to about 6 points.)

# %%
from finetune_course.curation_grid import from_bits, load_grid

grid = load_grid("linear")
if grid is None:
    print("The recorded grid is not there yet: make it with 'python benchmarks/record_curation_grid.py linear'.")
else:
    runs = pd.DataFrame(grid["runs"])
    fig, axes = plots.figure(9, 3.8, ncols=2, sharey=True)
    for ax, kind in zip(axes, KINDS):
        for place, share in enumerate(sorted(runs["share"].unique())):
            some = runs[(runs["share"] == share) & ((runs["kind"] == kind) | (share == 0))]
            means = some.groupby("size")["test_handwritten"].agg(lambda bits: 100 * from_bits(list(bits)).mean())
            ax.plot(means.index, means, color=plots.COLOURS[place], marker=plots.MARKERS[place], label=f"{share:.0%}")
        ax.set(xscale="log", xlabel="training rows", title=kind)
    axes[0].set(ylabel="messages right in every field (%)")
    axes[1].legend(title="wrong records")
    largest = runs[runs["size"] == runs["size"].max()].groupby(["kind", "share"])["test_handwritten"]
    best = largest.agg(lambda bits: from_bits(list(bits)).mean())
    told = ", ".join(f"{kind} {share:.0%}: {value:.0%}" for (kind, share), value in best.items())
    plots.show(fig, alt="Exact records of hand-written test messages against the number of training rows, a line for "
               f"each share of wrong records, one panel for each kind. At the largest size: {told}.")

# %% [markdown]
# In figures: a noisy set at its largest, and the smallest clean set that does as well.

# %%
if grid is not None:
    at_size = {key: from_bits(list(bits)).mean() for key, bits in runs.groupby(["kind", "share", "size"])["test_handwritten"]}
    clean_at = {size: value for (_, share, size), value in at_size.items() if share == 0}
    for kind in KINDS:
        for share in (0.2, 0.4, 0.6):
            reached = at_size[kind, share, max(clean_at)]
            enough = min(size for size, value in clean_at.items() if value >= reached or size == max(clean_at))
            print(f"{kind:8} {share:.0%} wrong, {max(clean_at)} rows: {reached:.0%}; as good as {enough} clean rows ({clean_at[enough]:.0%})")

# %% [markdown]
# ## Few and careful, or many and careless?
#
# The claim to be tested (C07): *a small curated set beats a far larger noisy one*. Say the shop has 500 messages as
# they come: two in five records wrong, half of those carelessly and half misread, and 15% copies. Instead of using them as
# they are, somebody takes 100 of them and sets every label right. Which set makes the better model?
#
# Three sets from one draw: **as found** (500 rows), **curated** (100 of them, right), and **cleaned** (all of them, without
# the copies, right), which shows what full cleaning would bring.

# %% tags=["nbval-check-output"]
from finetune_course.curation_grid import ARMS, rows_of, settings_of, train_category

right = {row["id"]: row["label"] for row in train}
sets = {arm: rows_of(arm, train, seed=0) for arm in ARMS}
for arm, some in sets.items():
    records = np.mean([row["label"] != right[row["id"]] for row in some])
    categories = np.mean([row["label"]["category"] != right[row["id"]]["category"] for row in some])
    print(f"{arm:8}: {len(some)} rows, {records:.0%} of the records wrong, {categories:.0%} of the categories")

# %% [markdown]
# First the linear classifier, which takes a second: three draws (seeds), each set scored on the hand-written test messages.
# A message's score is its mean over the three.

# %%
def mean_score(arm, measure, seeds=(0, 1, 2)):
    models = [LinearTriage(pieces=False).fit(rows_of(arm, train, seed)) for seed in seeds]
    return np.mean([score(model.answers(test), test)[measure] for model in models], axis=0)


linear_scores = {(arm, measure): mean_score(arm, measure) for arm in ARMS for measure in ("exact", "category")}
pd.DataFrame({m: {arm: percent(*interval(linear_scores[arm, m])) for arm in ARMS} for m in ("exact", "category")})

# %% [markdown]
# Then the language model. To keep it to a minute it learns one field, the category, with a LoRA (rank 16) in its
# upper eight blocks; what the frozen blocks below make of each row is computed once (notebook 05 shows how such a run
# works). The curated rows are seen five times, so that the three sets cost about the same training (65, 63 and 54 steps).
# One run, live: the curated set.

# %%
import time

from transformers import AutoModelForCausalLM

from finetune_course.allocator import free_memory
from finetune_course.curation_grid import BATCH, FIRST_BLOCK, rows_hash
from finetune_course.short_runs import UpperBlocks, category_batches

free_memory()  # what the classifiers left
start = time.perf_counter()
model = AutoModelForCausalLM.from_pretrained(weights(), dtype=torch.float32)
stage = UpperBlocks(
    model, FIRST_BLOCK,
    curated=category_batches(tokenizer, sets["curated"], BATCH), test=category_batches(tokenizer, test, 20),
)
losses = train_category(stage, "curated", seed=0, **settings_of("curated"))
live = {"own rows": stage.held_out("curated")[1], "hand-written test": stage.held_out("test")[1]}
print(f"{len(losses)} steps and two scorings in {time.perf_counter() - start:.0f} s")
print({name: percent(*interval(hits)) for name, hits in live.items()})

# %% [markdown]
# Look at the two numbers: the rows that it was trained on, and the ones that count. The recorded grid holds this run
# too; is it the same?

# %%
lora = load_grid("lora")
if lora is None:
    print("The recorded grid is not there yet: make it with 'python benchmarks/record_curation_grid.py lora'.")
else:
    stored = next(run for run in lora["runs"] if (run["name"], run["seed"]) == ("curated", 0))
    assert stored["rows_sha256"] == rows_hash(sets["curated"]), "The record is of other rows: make it again."
    recorded_hits = [int(bit) for bit in stored["test_handwritten"]]
    same = np.mean(np.array(recorded_hits) == live["hand-written test"])
    print(f"recorded: {percent(*interval(recorded_hits))}; {same:.0%} of the messages have the same outcome")

# %% [markdown]
# Another processor rounds differently, so a few outcomes may differ. Now all the runs: three sets, three seeds each, and
# for the set as found the settings that one might turn instead of cleaning: rank, learning rate, epochs. The best of
# these was picked on *validation* messages. Each number is a mean over seeds.

# %%
def lora_scores(name, split="test_handwritten", seed=None):
    """Mean over seeds of each message's outcome in the recorded runs of that name."""
    wanted = [run[split] for run in lora["runs"] if run["name"] == name and seed in (None, run["seed"])]
    return from_bits(wanted)


if lora is not None:
    picked = lora["settings"]["best_variant"]
    names = [*ARMS, picked]
    table = [(name, "LoRA", "category", *interval(lora_scores(name))) for name in names]
    table += [(arm, "linear", "category", *interval(linear_scores[arm, "category"])) for arm in ARMS]
    table = pd.DataFrame(table, columns=["method", "set", "measure", "mean", "low", "high"])
    figure = plots.interval_plot(table, measure="category", label="hand-written test messages, category right (%)")
    figure.axes[0].get_legend().set_title("model")
    plots.show(figure, alt="Category right on hand-written test messages. " + plots.describe_intervals(table, "category"))
else:
    print("No figure without the recorded grid.")

# %% [markdown]
# An interval speaks for other test messages. What another draw of rows and another start would do, the seeds say: the same
# test messages, seed by seed.

# %%
if lora is not None:
    by_seed = {f"seed {s}": {name: f"{lora_scores(name, seed=s).mean():.0%}" for name in names} for s in (0, 1, 2)}
    print(pd.DataFrame(by_seed))
else:
    print("No table without the recorded grid.")

# %% [markdown]
# The settings that were tried, on the validation messages with seed 0, beside the usual ones:

# %%
if lora is not None:
    tried = ["as found", *lora["settings"]["variants"]]
    column = {name: percent(*interval(lora_scores(name, "validation_handwritten", seed=0))) for name in tried}
    print(pd.DataFrame({"category right, validation, seed 0": column}))
else:
    print("No table without the recorded grid.")

# %% [markdown]
# ## What we measured
#
# Differences between sets, on the same 200 hand-written test messages, paired. An interval speaks for other messages; the
# seeds are averaged.

# %%
def gains(first, second):
    """Paired differences first - second: LoRA's category where recorded, the linear classifier's two measures."""
    found = {f"linear, {m}": paired_difference(linear_scores[first, m], linear_scores[second, m]) for m in ("exact", "category")}
    if lora is not None:
        found["LoRA, category"] = paired_difference(lora_scores(first), lora_scores(second))
    return found


careful, cleaning = gains("curated", "as found"), gains("cleaned", "as found")
if lora is not None:
    turning = paired_difference(lora_scores(picked), lora_scores("as found"))
    print(f"best setting ({picked}), LoRA, category: {points(*turning)}")
both = {"curated − as found": careful, "cleaned − as found": cleaning}
pd.DataFrame({column: {name: points(*value) for name, value in found.items()} for column, found in both.items()})

# %% [markdown]
# And the verdicts, in the words of the ledger. What each claim must show was written down before anything was measured.
# C29 holds where the gap is 5 points or more and its interval excludes zero. It fails where the whole interval lies below 5
# points; between the two, this many messages do not decide.
#
# C30 speaks of *whole records*, and holds cleaning against rank, learning rate and epochs. Two halves of that were measured:
#
# - with **LoRA, one field** (the category): cleaning, and the best of the settings that were tried, and their difference;
# - with the **linear classifier, whole records**: what cleaning gains. It has no rank, learning rate or epochs to hold that
#   against.
#
# Whole records under LoRA, cleaned against as found, were not measured: so the verdict is one about the category, and the
# claim itself stays open.
#
# Two more limits: "the best setting" is the best of the few tried; and the LoRA runs are short, about 60 steps, after which
# the model has not even learned its own rows: look at what a second epoch did. Where training stops so early, more of it can
# matter more than the labels do. The linear classifier, which always trains to its end, tells the two apart.

# %%
from finetune_course.claims import load_claims
from finetune_course.keynumbers import publish


def said(found, threshold=0.0):
    """What an interval says about 'above the threshold'."""
    if found.low > threshold:
        return "holds"
    return "fails here" if found.high <= threshold else "not decided by this many messages"


def together(found):
    each = {name: said(value) for name, value in found.items()}
    if len(set(each.values())) == 1:
        return next(iter(each.values()))
    return ("holds in part: " if "holds" in each.values() else "") + "; ".join(f"{n}: {v}" for n, v in each.items())


told = ", ".join(f"{points(*value)} ({name})" for name, value in careful.items())
verdicts = {"C07": (f"curated − five times as many as found: {told}", together(careful))}
told = f"trained on − hand-written: {points(*gap)} points, linear, exact"
open_or_not = "fails here" if gap.high < 0.05 else "not decided by this many messages"
verdicts["C29"] = (told, "holds" if gap.mean >= 0.05 and gap.low > 0 else open_or_not)
if lora is None:
    told = ", ".join(f"{points(*value)} ({name})" for name, value in cleaning.items())
    verdicts["C30"] = (f"cleaned − as found: {told}", "not measured here: waits for the recorded grid")
else:
    beyond = paired_difference(lora_scores("cleaned"), lora_scores(picked))
    told = f"one field, LoRA: cleaning {points(*cleaning['LoRA, category'])}, {picked} {points(*turning)}, "
    told += f"difference {points(*beyond)}; whole records, linear: cleaning {points(*cleaning['linear, exact'])}"
    verdicts["C30"] = (told, f"one field, LoRA: {said(beyond)}; whole records, LoRA: not measured")
claims = {claim.id: claim.text for claim in load_claims()}
ledger = [(name, claims[name], *verdicts[name]) for name in sorted(verdicts)]
pd.DataFrame(ledger, columns=["id", "claim", "measured", "verdict"]).set_index("id")

# %% [markdown]
# The key numbers for the course's table.

# %%
for measure in ("LoRA, category", "linear, exact"):
    if measure in careful:
        publish(f"curated − as found, {measure}", careful[measure].mean, interval=careful[measure][1:])
publish("trained on − hand-written, exact", gap.mean, interval=(gap.low, gap.high))
publish("rows left of the export", len(work.rows), unit=f"of {len(lines)}")

# %% [markdown]
# ## In a nutshell
#
# - Look at tokens and mask before you train. Not every tool stops at a mask of zeros, and none at a row without template.
# - A pipeline is a list of small rules, each with a reason for each row, and it is scored like a model: what it caught,
#   and how many good rows it cost.
# - Form can be checked by programs: encoding, schema, duplicates, leaks, card numbers. Meaning cannot: many names and most
#   wrong labels went through. Score a masking rule by spans: a message that it touched may still hold a name.
# - A leak raises the score; on the messages that did not leak we saw no gain. Only messages that share nothing with training tell.
# - Whether few careful rows beat many careless ones is a question of how many, how careless, and which kind of mistake: the
#   tables above answer it for this task.

# %% [markdown]
# ## What to read next
#
# - Next in the course: [**05 LoRA by hand**](05_lora_by_hand.ipynb) opens the layer that the run above has trained.
# - On near duplicates: Broder (1997), *On the resemblance and containment of documents*; Lee and others (2022),
#   *Deduplicating training data makes language models better*. The documentation of `datasketch`.
# - On wrong labels: Northcutt, Jiang and Chuang (2021), *Confident learning*, and their library `cleanlab`.
# - On small curated sets: Zhou and others (2023), *LIMA: less is more for alignment*.
