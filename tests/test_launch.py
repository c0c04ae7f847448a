"""One settings file for several starters: TRL's own parser and accelerate's own parser read what the course writes.

The slow test trains: ``accelerate launch`` with two CPU processes against ``trl sft`` in one.
"""

import json
import os
import subprocess
import sys

import pytest
import yaml

from finetune_course import launch
from finetune_course.launch import LAUNCHERS, launch_command, launcher, trl_config, write_rows, write_trl_config
from finetune_course.memory import kill_tree
from finetune_course.training import triage_settings

CARDS = {"ddp": (4, 1), "fsdp": (4, 1), "several_nodes": (8, 2), "two_cpus": (2, 1)}
"""Processes and machines of each accelerate configuration."""


def parsed(path):
    """What TRL's SFT script makes of a configuration file: script, training, model and data-set arguments."""
    from trl.scripts.sft import make_parser

    return make_parser().parse_args_and_config(["--config", str(path)])


def test_every_setting_of_the_file_arrives_in_trl(tmp_path):
    write_trl_config(tmp_path / "run.yaml", "model", "rows", tmp_path / "out", use_cpu=True, bf16=False)
    script, training, model, _ = parsed(tmp_path / "run.yaml")
    settings = triage_settings()
    for name, value in settings["trainer"].items():
        found = getattr(training, name)
        assert found == value or found == [] and value == "none" or str(getattr(found, "value", found)) == str(value)
    assert script.dataset_name == "rows" and model.model_name_or_path == "model" and model.use_peft
    lora = settings["lora"]
    assert (model.lora_r, model.lora_alpha, model.lora_dropout) == (lora["r"], lora["lora_alpha"], lora["lora_dropout"])


def test_the_file_says_what_it_leaves_out(tmp_path):
    write_trl_config(tmp_path / "run.yaml", "model", "rows", "out")
    text = (tmp_path / "run.yaml").read_text()
    assert "change that file, not this one" in text and "loraplus_lr_ratio" in text
    carried = {"r", "lora_alpha", "lora_dropout", "target_modules", "layers_to_transform", "task_type"}
    settings = triage_settings()
    beside_the_run = {"lora", "trainer", "system_prompt", "live", "recorded"}
    assert (set(settings["lora"]) - carried) | (set(settings) - beside_the_run) == set(launch.NOT_CARRIED)


def test_the_same_layers_get_an_adapter(tmp_path):
    """PEFT adapts the very layers that notebook 06 adapts, named there by number and here by an expression."""
    import torch
    from peft import LoraConfig, get_peft_model
    from trl import get_peft_config

    from finetune_course.model_sizes import SIZES, on_meta

    write_trl_config(tmp_path / "run.yaml", "model", "rows", tmp_path / "out", use_cpu=True, bf16=False)
    wanted = LoraConfig(**triage_settings()["lora"])
    found = get_peft_config(parsed(tmp_path / "run.yaml")[2])
    names = []
    for config in (wanted, found):
        with torch.device("meta"):
            adapted = get_peft_model(on_meta(SIZES["SmolLM2-135M"]), config)
        names.append(sorted(name for name, weight in adapted.named_parameters() if weight.requires_grad))
    assert names[0] == names[1] and len(names[0]) == 15 * 7 * 2


def test_the_batch_is_shared_out():
    batch = triage_settings()["trainer"]["per_device_train_batch_size"]
    assert trl_config("m", "r", "o", processes=2)["per_device_train_batch_size"] == batch // 2
    with pytest.raises(ValueError, match="cannot be shared out evenly among 3 processes"):
        trl_config("m", "r", "o", processes=3)
    with pytest.raises(ValueError, match="no option for the LoRA setting 'bias'"):
        trl_config("m", "r", "o", settings={**triage_settings(), "lora": {**triage_settings()["lora"], "bias": "all"}})


def test_rows_are_written_for_datasets(tmp_path):
    rows = [{"prompt": [{"role": "user", "content": "Zoë?"}], "completion": [{"role": "assistant", "content": "{}"}]}]
    assert write_rows(tmp_path / "rows", rows) == 1
    assert [json.loads(line) for line in (tmp_path / "rows" / "train.jsonl").open(encoding="utf-8")] == rows
    with pytest.raises(ValueError, match="no rows"):
        write_rows(tmp_path / "none", [])
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_accelerates_own_parser_reads_the_configuration(name):
    from accelerate.commands.config.config_args import ClusterConfig, load_config_from_file
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser

    config = load_config_from_file(str(launcher(name)))  # refuses a key that accelerate does not know
    assert isinstance(config, ClusterConfig)
    processes, machines = CARDS[name]
    assert (config.num_processes, config.num_machines) == (processes, machines)
    assert config.use_cpu is (name == "two_cpus")
    parser = launch_command_parser()
    arguments = parser.parse_args(["--config_file", str(launcher(name)), "script.py"])
    known = set(vars(arguments))
    assert {key if key.startswith("fsdp") else f"fsdp_{key}" for key in config.fsdp_config} <= known
    checked, _, _ = _validate_launch_command(arguments)
    assert checked.use_fsdp is (name == "fsdp") and checked.multi_gpu is (name != "fsdp")
    assert checked.num_processes == processes and checked.num_machines == machines
    if machines > 1:
        assert checked.main_process_ip and checked.main_process_port == 29500 and checked.machine_rank == 0


def test_fsdps_settings_are_accelerates(monkeypatch):
    """The FSDP plugin, made from the variables that ``accelerate launch`` sets, has the file's values."""
    from accelerate import FullyShardedDataParallelPlugin
    from accelerate.commands.launch import _validate_launch_command, launch_command_parser
    from accelerate.utils.launch import prepare_multi_gpu_env

    arguments = launch_command_parser().parse_args(["--config_file", str(launcher("fsdp")), "script.py"])
    for key, value in prepare_multi_gpu_env(_validate_launch_command(arguments)[0]).items():
        monkeypatch.setenv(key, value)
    plugin = FullyShardedDataParallelPlugin()
    assert (
        plugin.fsdp_version == 2 and plugin.reshard_after_forward is True and plugin.activation_checkpointing is False
    )
    assert plugin.state_dict_type.name == "FULL_STATE_DICT"


def test_an_unknown_configuration_is_told():
    with pytest.raises(ValueError, match="no accelerate configuration 'tpu': choose one of ddp"):
        launcher("tpu")
    assert {path.stem for path in launcher("ddp").parent.glob("*.yaml")} == set(LAUNCHERS)


def test_only_processes_without_cards_get_another_end():
    assert launch_command("run.yaml", "ddp")[-4:] == ["-m", "trl.scripts.sft", "--config", "run.yaml"]
    assert launch_command("run.yaml", "two_cpus")[-4:] == ["-m", "finetune_course.sft_on_cpus", "--config", "run.yaml"]


def test_processes_without_cards_are_told_so_whatever_the_file_says(tmp_path, monkeypatch):
    """Otherwise each of them trains alone, on all rows, and nothing says so."""
    from trl.scripts import sft

    from finetune_course import sft_on_cpus

    write_trl_config(tmp_path / "run.yaml", "model", "rows", tmp_path / "out", processes=2, bf16=False, use_cpu=False)
    monkeypatch.setattr("sys.argv", ["sft_on_cpus", "--config", str(tmp_path / "run.yaml")])
    given = []
    monkeypatch.setattr(sft, "main", lambda *arguments: given.extend(arguments))
    sft_on_cpus.main()
    assert given[1].use_cpu is True and given[1].per_device_train_batch_size == 2


LONGEST = 900
"""Seconds for two processes: a minute on two free cores, most of it imports; many times that on busy ones."""


def ended(command, environment, folder):
    """Run a command that starts processes of its own; at the time limit all of them are ended, and the test fails."""
    with (folder / "output.txt").open("w+") as output:
        process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output)
        try:
            code = process.wait(LONGEST)
        except BaseException:  # Ctrl-C too: nothing of it may stay behind
            kill_tree(process.pid)
            process.wait()
            raise
        finally:
            output.seek(0)
            told = output.read()[-2000:]
    assert code == 0, told


def losses(output):
    """The loss of each step, and how many processes wrote their random state, from a run's checkpoint."""
    checkpoint = max(output.glob("checkpoint-*"), key=lambda folder: int(folder.name.rpartition("-")[2]))
    history = json.loads((checkpoint / "trainer_state.json").read_text())["log_history"]
    return [row["loss"] for row in history if "loss" in row], len(list(checkpoint.glob("rng_state*.pth")))


@pytest.mark.slow
def test_two_processes_have_the_losses_of_one(tmp_path):
    """``accelerate launch`` with two CPU processes (gloo), half the batch each, has step for step the losses of one."""
    from tiny_training import tiny_model, tiny_rows, tiny_tokenizer

    tiny_model().save_pretrained(tmp_path / "model")
    tiny_tokenizer().save_pretrained(tmp_path / "model")
    write_rows(tmp_path / "rows", tiny_rows(16))
    settings = triage_settings()
    tiny = {**settings, "lora": {**settings["lora"], "layers_to_transform": [1]}}
    # group_by_length makes its groups from one process's batch, so it would put other rows together
    same = {"train_sampling_strategy": "random", "bf16": False, "save_strategy": "epoch", "seed": 0}
    same |= {"learning_rate": 0.02, "num_train_epochs": 2}  # a loss that hardly moves would be the same in any case
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hub"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    found = {}
    for processes in (1, 2):
        config, output = tmp_path / f"{processes}.yaml", tmp_path / f"out{processes}"
        places = (tmp_path / "model", tmp_path / "rows", output)
        # what two processes need for finding each other on CPUs, the command adds to a file that does not say it
        alone = {"use_cpu": True} if processes == 1 else {}
        changes = same | alone | {"activation_checkpointing": False}
        write_trl_config(config, *places, processes=processes, settings=tiny, **changes)
        command = [sys.executable, "-m", "trl.scripts.sft", "--config", str(config)]
        if processes == 2:
            command = [sys.executable, "-m", "accelerate.commands.launch", *launch_command(config, "two_cpus")[2:]]
        ended(command, environment, tmp_path)
        found[processes], ranks = losses(output)
        assert ranks == processes
        assert (output / "adapter_model.safetensors").is_file()
    assert len(found[1]) == 8 and found[1][-1] < found[1][0] - 0.05
    assert found[2] == pytest.approx(found[1], abs=1e-3)
    assert yaml.safe_load((tmp_path / "2.yaml").read_text())["per_device_train_batch_size"] == 2
