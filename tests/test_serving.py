"""The server as a process of its own, with a stand-in for the model: started, healthy, ended, and asked by many."""

import http.server
import os
import sys
import threading
import time
import urllib.request

import pytest

from finetune_course import serving
from finetune_course.serving import HOST, Server, ServerError, free_port, serve_command, under_load

STAND_IN = """
import http.server, os, sys, time
time.sleep(float(sys.argv[2]))
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = f"{os.getcwd()}|{os.environ['HF_HUB_OFFLINE']}".encode()
        self.send_response(200 if self.path in ("/health", "/where") else 404)
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
"""


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "models" / "triage"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    return folder


def stand_in(model, port, *options):
    return [sys.executable, "-c", STAND_IN, str(port), *(options or ("0",))]


def test_it_runs_beside_the_folder_offline_and_ends(model):
    with Server(model, "0.5", command=stand_in) as server:
        assert server.model == "triage" and server.address == f"http://{HOST}:{server.port}/v1"
        assert 0.5 < server.seconds_to_start < 60
        answer = urllib.request.urlopen(f"http://{HOST}:{server.port}/where", timeout=5).read().decode()
        assert answer == f"{model.parent}|1"
        process = server.process
        assert process.poll() is None
    assert process.poll() is not None and server.process is None
    with pytest.raises(OSError):
        urllib.request.urlopen(f"http://{HOST}:{server.port}/health", timeout=5)


def test_an_error_inside_ends_the_server_too(model):
    with pytest.raises(KeyError):
        with Server(model, command=stand_in) as server:
            process = server.process
            raise KeyError("inside")
    assert process.poll() is not None


def test_a_server_that_ends_at_once_is_told_with_its_last_line(model):
    def broken(model, port, *options):
        return [sys.executable, "-c", "print('first'); print('no such model: triage'); raise SystemExit(3)"]

    with pytest.raises(ServerError, match=r"ended at once \(code 3\): no such model: triage"):
        Server(model, command=broken).start()


def test_a_server_that_never_answers_is_given_up(model):
    server = Server(model, "60", command=stand_in, patience=0.4)
    with pytest.raises(ServerError, match="did not answer within 0 s: it wrote nothing"):
        server.start()
    assert server.process is None


def test_a_folder_without_a_model_is_told(tmp_path):
    with pytest.raises(ServerError, match="holds no model"):
        Server(tmp_path, command=stand_in).start()


def test_the_command_is_transformers_own_and_stays_on_this_computer(monkeypatch):
    monkeypatch.setattr(serving, "find_spec", lambda name: object())
    command = serve_command("triage", 8123, "--dtype", "float32")
    assert command[0] == sys.executable and "transformers.cli.transformers" in command[2]
    assert command[3:] == ["serve", "triage", "--host", "127.0.0.1", "--port", "8123", "--dtype", "float32"]
    monkeypatch.setattr(serving, "find_spec", lambda name: None if name == "openai" else object())
    with pytest.raises(ServerError, match="needs openai: run 'pip install -r requirements.txt'"):
        serve_command("triage", 8123)


def test_a_free_port_is_free():
    with http.server.HTTPServer((HOST, free_port()), http.server.BaseHTTPRequestHandler) as taken:
        assert free_port() != taken.server_port


def test_latency_counts_the_queue_and_answers_keep_their_order():
    """One worker behind a lock: with three clients a call waits for two others, and no more answers a second come."""
    lock, together = threading.Lock(), []

    def ask(question):
        together.append(threading.active_count())
        with lock:
            time.sleep(0.05)
        return question * 2

    alone, three = under_load(ask, range(6), 1), under_load(ask, range(6), 3)
    assert alone.answers == three.answers == [0, 2, 4, 6, 8, 10]
    # Latencies summed and divided by the run's seconds are the calls under way at a time, however busy the machine is.
    assert len(alone.latencies) == 6 and sum(alone.latencies) <= 1.01 * alone.seconds
    assert sum(three.latencies) > 1.5 * three.seconds
    assert three.row["clients"] == 3 and three.seconds >= 6 * 0.05  # the lock lets one answer at a time
    assert max(together) >= min(together) + 1


@pytest.mark.parametrize(("questions", "clients"), [([], 1), ([1], 0)])
def test_nothing_to_ask_is_told(questions, clients):
    with pytest.raises(ValueError, match="at least one of each"):
        under_load(print, questions, clients)


def test_the_environment_of_this_process_stays(model):
    before = dict(os.environ)
    with Server(model, command=stand_in, environment={"HF_HUB_OFFLINE": "0"}) as server:
        answer = urllib.request.urlopen(f"http://{HOST}:{server.port}/where", timeout=5).read().decode()
    assert answer.endswith("|0") and dict(os.environ) == before
