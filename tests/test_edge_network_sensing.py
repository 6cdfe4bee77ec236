"""What this device knows of its network and its battery; the files and programs that tell are real ones, in a folder of the test."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from edge.network.conditions import UNKNOWN, Conditions
from edge.network.sensing import VARIABLE, read_battery, read_conditions


def supply(folder: Path, name: str, **files: object) -> None:
    (folder / name).mkdir(parents=True)
    for file, text in files.items():
        (folder / name / file).write_text(f"{text}\n")


def program(folder: Path, name: str, text: str) -> dict[str, str]:
    """The variables of somebody who has a program of that name, which says this whatever it is asked."""
    folder.mkdir(exist_ok=True)
    file = folder / name
    file.write_text(f"#!{sys.executable}\nprint({text!r})\n")
    file.chmod(0o755)
    return {"PATH": str(folder)}


def test_where_nobody_tells_nothing_is_known(tmp_path: Path) -> None:
    assert read_conditions({}, power=tmp_path / "none") == UNKNOWN == Conditions(None, None, None, "nobody told")


@pytest.mark.parametrize(
    ("files", "watts"),
    [
        ({"status": "Discharging", "power_now": 8_500_000}, 8.5),
        ({"status": "Discharging", "power_now": -8_500_000}, 8.5),
        ({"status": "Discharging", "current_now": 700_000, "voltage_now": 12_000_000}, 8.4),
        ({"status": "Discharging", "power_now": 0}, None),
        ({"status": "Discharging", "current_now": 700_000}, None),
        ({"status": "Charging", "power_now": 20_000_000}, None),
    ],
)
def test_a_battery_tells_what_it_gives(tmp_path: Path, files: dict[str, object], watts: float | None) -> None:
    supply(tmp_path, "BAT0", type="Battery", **files)
    assert read_conditions({}, power=tmp_path).watts == watts
    assert read_conditions({VARIABLE: "battery 40% 3.5W"}, power=tmp_path).watts == 3.5


def test_the_variable_counts_before_the_command_and_that_before_the_system(tmp_path: Path) -> None:
    supply(tmp_path / "power", "BAT0", type="Battery", status="Discharging", capacity=40)
    power = tmp_path / "power"
    assert read_conditions({}, power=power) == Conditions(None, True, 0.4, "system")
    assert read_conditions({}, "echo metered mains", power=power) == Conditions(True, False, None, "command")
    assert "perhaps" in read_conditions({VARIABLE: "perhaps"}, "echo metered mains", power=power).unheard
    both = read_conditions({VARIABLE: "unmetered"}, "echo metered 80%", power=power)
    assert both == Conditions(False, True, 0.8, f"{VARIABLE}, command, system")


@pytest.mark.parametrize(("status", "metered"), [(0, False), (1, True)])
def test_a_command_without_words_says_it_by_its_status(tmp_path: Path, status: int, metered: bool) -> None:
    command = f"{sys.executable} -c 'raise SystemExit({status})'"
    assert read_conditions({}, command, power=tmp_path) == Conditions(metered, None, None, "command")


@pytest.mark.parametrize("command", ["/nowhere/at/all", "sh -c 'exit 7'", "echo perhaps", "echo 'open"])
def test_a_command_that_cannot_tell_is_named_and_nothing_follows(tmp_path: Path, command: str) -> None:
    found = read_conditions({"PATH": os.environ["PATH"]}, command, power=tmp_path)
    assert (found.on_battery, found.charge) == (None, None)
    assert command in found.source or command == "echo perhaps"
    assert "did not tell" in found.source
    assert found.unheard == found.source


def test_a_command_does_not_see_the_token(tmp_path: Path) -> None:
    script = tmp_path / "hook.py"
    script.write_text("import os\nprint('metered' if 'GRAPHFERRY_TOKEN' in os.environ else 'unmetered')\n")
    assert read_conditions({"GRAPHFERRY_TOKEN": "t"}, f"{sys.executable} {script}", power=tmp_path).metered is False


@pytest.mark.parametrize(
    ("supplies", "found"),
    [
        ({"AC": {"type": "Mains", "online": 1}}, (False, None)),
        (
            {"AC": {"type": "Mains", "online": 0}, "BAT0": {"type": "Battery", "status": "Discharging", "capacity": 12}},
            (True, 0.12),
        ),
        ({"AC": {"type": "Mains", "online": 0}, "BAT0": {"type": "Battery", "status": "Unknown", "capacity": 12}}, (True, 0.12)),
        ({"AC": {"type": "Mains", "online": 1}, "BAT0": {"type": "Battery", "status": "Discharging"}}, (False, None)),
        ({"BAT0": {"type": "Battery", "status": "Charging", "capacity": 99}}, (False, 0.99)),
        ({"mouse": {"type": "Battery", "scope": "Device", "status": "Discharging", "capacity": 5}}, (None, None)),
        (
            {
                "BAT0": {"type": "Battery", "status": "Discharging", "energy_now": 10, "energy_full": 100},
                "BAT1": {"type": "Battery", "status": "Unknown", "energy_now": 0, "energy_full": 20},
            },
            (True, 10 / 120),
        ),
    ],
)
def test_the_battery_is_read_from_the_kernel(tmp_path: Path, supplies: dict[str, dict[str, object]], found: object) -> None:
    for name, files in supplies.items():
        supply(tmp_path / "power", name, **files)
    told = read_conditions({}, power=tmp_path / "power")
    assert (told.on_battery, told.charge) == found


@pytest.mark.parametrize(("answer", "metered"), [("u 1", True), ("u 2", False), ("u 3", True), ("u 4", False), ("u 0", None)])
def test_network_manager_says_whether_the_network_is_metered(tmp_path: Path, answer: str, metered: bool | None) -> None:
    assert read_conditions(program(tmp_path / "bin", "busctl", answer), power=tmp_path).metered is metered


def test_where_there_is_only_nmcli_the_device_counts_that_leads_anywhere(tmp_path: Path) -> None:
    text = (
        "GENERAL.METERED:no (guessed)\nIP4.GATEWAY:\nIP6.GATEWAY:\n\n"
        "GENERAL.METERED:yes (guessed)\nIP4.GATEWAY:192.168.1.1\nIP6.GATEWAY:\n\nGENERAL.METERED:unknown\n"
    )
    assert read_conditions(program(tmp_path / "bin", "nmcli", text), power=tmp_path).metered is True
    assert read_conditions(program(tmp_path / "bin", "nmcli", text.replace("192.168.1.1", "")), power=tmp_path).metered is None


def test_of_the_battery_alone_no_program_is_asked(tmp_path: Path) -> None:
    told = read_battery({VARIABLE: "battery 12%"}, power=tmp_path)
    assert (told.on_battery, told.charge) == (True, 0.12)
    assert read_battery({}, power=tmp_path) == UNKNOWN
    supply(tmp_path, "BAT0", type="Battery", status="Discharging", capacity=40)
    assert read_battery({}, power=tmp_path) == Conditions(None, True, 0.4, "system")
