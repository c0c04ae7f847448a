"""``transformers serve`` with a tiny random model, asked by the official client: its answers are the model's own."""

import pytest
import torch
from tiny_training import tiny_model, tiny_tokenizer

from finetune_course.serving import Server, under_load

CHAT = [{"role": "system", "content": "Triage."}, {"role": "user", "content": "Where is it?"}]


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    tiny_model().eval().save_pretrained(folder)
    tiny_tokenizer().save_pretrained(folder)
    with Server(folder) as server:
        yield server


@pytest.fixture(scope="module")
def client(served):
    from openai import OpenAI

    return OpenAI(base_url=served.address, api_key="none", max_retries=0)


def own_answer(chat, room):
    tokenizer, model = tiny_tokenizer(), tiny_model().eval()
    ids = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    with torch.inference_mode():
        written = model.generate(**ids, max_new_tokens=room, do_sample=False)
    asked = ids["input_ids"].shape[1]
    return tokenizer.decode(written[0, asked:], skip_special_tokens=True), asked


@pytest.mark.slow
def test_the_client_gets_the_models_answer(served, client):
    expected, prompt_tokens = own_answer(CHAT, 12)
    reply = client.chat.completions.create(model=served.model, messages=CHAT, temperature=0, max_tokens=12)
    assert reply.choices[0].message.content == expected and expected
    assert reply.usage.prompt_tokens == prompt_tokens and 0 < reply.usage.completion_tokens <= 12


@pytest.mark.slow
def test_streamed_pieces_make_up_the_same_answer(served, client):
    chunks = client.chat.completions.create(
        model=served.model, messages=CHAT, temperature=0, max_tokens=12, stream=True
    )
    pieces = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(pieces) > 1 and "".join(pieces) == own_answer(CHAT, 12)[0]


@pytest.mark.slow
def test_several_clients_get_their_own_answers(served, client):
    chats = [[CHAT[0], {"role": "user", "content": "Hm" + "?" * number}] for number in range(6)]

    def ask(chat):
        reply = client.chat.completions.create(model=served.model, messages=chat, temperature=0, max_tokens=8)
        return reply.choices[0].message.content

    load = under_load(ask, chats, clients=4)
    assert load.answers == [own_answer(chat, 8)[0] for chat in chats]


@pytest.mark.slow
def test_a_wrong_name_is_refused(served, client):
    from openai import BadRequestError

    with pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(model="gpt-4.1", messages=CHAT)
    assert "pinned to 'tiny'" in caught.value.response.json()["detail"]
