"""Hardware choices from faked machines: precision by capability or measured rate, batches by profile, memory limits."""

from dataclasses import replace

import psutil
import pytest
import torch
from trl import SFTConfig

from finetune_course import hardware
from finetune_course.hardware import UnknownProfile, choose_precision, inspect_hardware, measure_rates

FAST_BF16 = {"float32": 230.0, "bfloat16": 700.0}
SLOW_BF16 = {"float32": 230.0, "bfloat16": 115.0}
GPU_RATES = {"float32": 8_000.0, "float16": 60_000.0, "bfloat16": 4_000.0}
BF16, FP16, FP32 = {"bf16": True, "fp16": False}, {"bf16": False, "fp16": True}, {"bf16": False, "fp16": False}


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch):
    for name in ("COURSE_PROFILE", "MEM_LIMIT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def machine(monkeypatch):
    """Make this machine look like another one; ``steps`` lists what inspecting it did, in order."""
    steps = []
    monkeypatch.setattr(hardware, "spare_memory", lambda: steps.append("spare memory"))

    def measure(rates):
        steps.append("measure")
        return rates

    def fake(device="cpu", capability=None, rates=FAST_BF16, memory=16e9):
        monkeypatch.setattr(hardware, "_device", lambda: device)
        monkeypatch.setattr(hardware, "_cuda_capability", lambda _: capability)
        monkeypatch.setattr(hardware, "measure_rates", lambda _: measure(rates))
        monkeypatch.setattr(hardware, "_memory_bytes", lambda: memory)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Faked card")

    fake.steps = steps
    return fake


@pytest.mark.parametrize(
    ("card", "capability", "dtype", "precision", "why"),
    [
        ("T4", (7, 5), torch.float16, FP16, "7.5, below 8.0: no bfloat16, so float16 with loss scaling"),
        ("V100", (7, 0), torch.float16, FP16, "7.0, below 8.0"),
        ("A100", (8, 0), torch.bfloat16, BF16, "8.0: bfloat16 is there"),
        ("L4", (8, 9), torch.bfloat16, BF16, "8.9: bfloat16 is there"),
        ("H100", (9, 0), torch.bfloat16, BF16, "9.0: bfloat16 is there"),
        ("B200", (10, 0), torch.bfloat16, BF16, "10.0: bfloat16 is there"),
        ("unknown", None, torch.float16, FP16, "unknown, below 8.0"),
    ],
)
@pytest.mark.parametrize("profile", hardware.PROFILES)
def test_a_cards_capability_decides(card, capability, dtype, precision, why, profile):
    """Not its measured rate: a T4 computes bfloat16 products too, slowly, and would be chosen wrongly."""
    chosen = choose_precision("cuda", GPU_RATES, capability, profile)
    assert chosen[:2] == (dtype, precision)
    assert why in chosen[2]


@pytest.mark.parametrize(
    ("rates", "profile", "dtype", "precision", "why"),
    [
        (FAST_BF16, "standard", torch.bfloat16, BF16, "bfloat16, because here a matrix product runs at 700 GFLOP/s in"),
        (FAST_BF16, "small", torch.bfloat16, BF16, "bfloat16, because here"),
        (SLOW_BF16, "standard", torch.float32, FP32, "at 115 GFLOP/s in bfloat16 and 230 in float32"),
        (SLOW_BF16, "small", torch.bfloat16, BF16, "for its half memory, although here"),
        ({"float32": 200.0, "bfloat16": 230.0}, "standard", torch.float32, FP32, "float32, because"),  # not worth it
    ],
)
def test_a_processors_measured_rate_decides(rates, profile, dtype, precision, why):
    chosen = choose_precision("cpu", rates, None, profile)
    assert chosen[0] == dtype
    assert chosen[1] == precision | ({"use_cpu": True} if precision["bf16"] else {})
    assert why in chosen[2]


@pytest.mark.parametrize("rates", [FAST_BF16, SLOW_BF16])
@pytest.mark.parametrize("profile", ["standard", "small"])
def test_the_trainers_own_configuration_takes_a_processors_switches(rates, profile, tmp_path):
    """transformers refuses bf16 on a machine without a GPU unless it is told that the CPU is meant."""
    dtype, precision, _ = choose_precision("cpu", rates, None, profile)
    arguments = SFTConfig(output_dir=str(tmp_path), report_to="none", **precision)
    assert arguments.bf16 == (dtype is torch.bfloat16)


def test_apples_gpu_trains_in_float32():
    dtype, precision, why = choose_precision("mps", {"float32": 2000.0, "float16": 4000.0}, None, "standard")
    assert (dtype, precision) == (torch.float32, FP32) and "float32" in why


def test_never_both_kinds_of_half_precision():
    for device, capability in (("cuda", (7, 5)), ("cuda", (8, 0)), ("cpu", None), ("mps", None)):
        for rates in (FAST_BF16, SLOW_BF16):
            for profile in hardware.PROFILES:
                dtype, precision, _ = choose_precision(device, rates, capability, profile)
                assert precision["bf16"] + precision["fp16"] <= 1
                assert precision["bf16"] == (dtype == torch.bfloat16) and precision["fp16"] == (dtype == torch.float16)


@pytest.mark.parametrize(
    ("faked", "profile", "batch", "checkpointing"),
    [
        ({"device": "cpu"}, "standard", 32, False),
        ({"device": "cpu", "memory": 2e9}, "small", 4, True),
        ({"device": "cpu", "memory": 3.99e9}, "small", 4, True),
        ({"device": "cpu", "memory": 4e9}, "standard", 32, False),
        ({"device": "cuda", "capability": (7, 5), "rates": GPU_RATES}, "standard", 64, False),
        ({"device": "cuda", "capability": (7, 5), "rates": GPU_RATES, "memory": 2e9}, "small", 4, True),
    ],
)
def test_profile_and_batch_follow_from_the_machine(machine, faked, profile, batch, checkpointing):
    machine(**faked)
    found = inspect_hardware()
    assert (found.profile, found.eval_batch) == (profile, batch)
    assert found.gradient_checkpointing is checkpointing
    assert machine.steps == (["spare memory"] if profile == "small" else []) + ["measure"]
    assert found.device == faked["device"]
    assert (found.name == "Faked card") == (found.device == "cuda")
    assert found.memory_gb == pytest.approx(faked.get("memory", 16e9) / 1e9)
    assert f"{batch} messages are answered together" in found.reasons[3]
    assert len(found.reasons) == 4 and all(reason.endswith(".") for reason in found.reasons)


def test_the_small_profile_can_be_asked_for(machine, monkeypatch):
    machine(rates=SLOW_BF16)
    assert inspect_hardware().dtype == torch.float32
    monkeypatch.setenv("COURSE_PROFILE", " small ")
    found = inspect_hardware()
    assert (found.profile, found.dtype, found.eval_batch) == ("small", torch.bfloat16, 4)
    assert "The small profile, as COURSE_PROFILE says." in found.reasons
    assert inspect_hardware("standard").profile == "standard"  # the argument goes before the environment
    monkeypatch.setenv("COURSE_PROFILE", "")
    found = inspect_hardware()
    assert found.profile == "standard"
    assert "The standard profile, because this process may use 16.0 GB." in found.reasons


@pytest.mark.parametrize("wrong", ["tiny", "Small", "small,standard"])
def test_an_unknown_profile_is_one_sentence(machine, monkeypatch, wrong):
    machine()
    sentence = f"There is no profile '{wrong}': set COURSE_PROFILE to standard or small, or unset it."
    with pytest.raises(UnknownProfile) as caught:
        inspect_hardware(wrong)
    assert str(caught.value) == sentence
    monkeypatch.setenv("COURSE_PROFILE", wrong)
    with pytest.raises(ValueError) as caught:
        inspect_hardware()
    assert caught.value._render_traceback_() == [f"UnknownProfile: {sentence}"]


@pytest.mark.parametrize("file", ["memory.max", "memory/memory.limit_in_bytes"], ids=["cgroup v2", "cgroup v1"])
def test_a_containers_limit_is_honoured(tmp_path, file):
    total = psutil.virtual_memory().total
    assert hardware._memory_bytes(tmp_path) == total  # no such files
    path = tmp_path / file
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{total // 2}\n")
    assert hardware._memory_bytes(tmp_path) == total // 2
    for unlimited in ("max\n", "9223372036854771712\n", ""):
        path.write_text(unlimited)
        assert hardware._memory_bytes(tmp_path) == total


def test_jupyterhubs_limit_is_honoured(tmp_path, monkeypatch):
    monkeypatch.setenv("MEM_LIMIT", "2147483648")
    assert hardware._memory_bytes(tmp_path) == min(2147483648, psutil.virtual_memory().total)
    (tmp_path / "memory.max").write_text("1000000000")
    assert hardware._memory_bytes(tmp_path) == 1_000_000_000  # the lowest limit counts
    monkeypatch.setenv("MEM_LIMIT", "2G")
    assert hardware._memory_bytes(tmp_path) == 1_000_000_000


def test_this_machine_can_be_inspected():
    """The real thing, without fakes: facts that hold on every machine."""
    found = inspect_hardware("small")
    assert found.device in ("cuda", "mps", "cpu") and found.cores >= 1
    assert 0 < found.memory_gb <= psutil.virtual_memory().total / 1e9
    assert all(rate > 0 for rate in found.rates.values()) and "float32" in found.rates
    table = found.table()
    assert list(table.columns) == ["value"]
    assert table.loc["answered together", "value"] == "4 messages"
    assert not any("training" in row for row in table.index)  # the recipe decides, not the machine
    assert table.loc["profile", "value"] == "small"
    assert table.loc["gradient checkpointing", "value"] == "on"
    assert table.loc["matrix product in float32", "value"] == f"{found.rates['float32']:,.0f} GFLOP/s"


def test_rates_count_operations(monkeypatch):
    """2·m·n·k operations a product: with a clock that ticks a tenth of a second a look, the rate is known."""
    ticks = iter(range(1000))
    monkeypatch.setattr(hardware.time, "perf_counter", lambda: next(ticks) / 10)
    rates = measure_rates("cpu", seconds=0.45)
    # Looks at 0 (start), then 0.1 … 0.5: four products were begun before 0.45 s, and the last look says 0.6 s.
    operations = 4 * 2 * 800 * 576 * 1536
    assert rates == {kind: pytest.approx(operations / 0.6 / 1e9) for kind in ("float32", "bfloat16")}


def test_the_record_is_frozen(machine):
    machine()
    found = inspect_hardware()
    with pytest.raises(AttributeError):
        found.eval_batch = 64
    assert replace(found, eval_batch=2).eval_batch == 2
