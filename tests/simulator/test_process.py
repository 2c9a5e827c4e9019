"""The child process: ready line, control calls, TLS, state, and that it always ends."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from click.testing import CliRunner

from simulator.cli import simulate
from simulator.dials import Dials
from simulator.faults import Fault
from simulator.platform import LOGIN
from simulator.process import SimulatorProcess

START = "2026-03-04T12:00:00Z"
FROZEN = Dials(tasks=200, start=START, speed=0)


def log_in(simulator, **options):
    with requests.Session() as session:
        session.trust_env = False
        form = {"appId": simulator.app_id, "secret": simulator.secret}
        return session.post(simulator.base_url + LOGIN, data=form, timeout=5, **options).status_code


def test_every_control_call_has_a_method():
    with SimulatorProcess(FROZEN) as simulator:
        truth = [json.loads(record) for record in simulator.operations()]
        assert len(truth) == simulator.statistics()["operations"] == 200
        made = simulator.create(3)
        assert simulator.hasten(made) == made
        assert simulator.remove(made[:1]) == made[:1]
        failed = [record["operationId"] for record in truth if record["status"].lower().startswith("fail")]
        assert set(simulator.retry([record["operationId"] for record in truth])) == set(failed)
        assert simulator.advance(3600) == "2026-03-04T13:00:00Z"
        simulator.set_drift(insertions=1.5)
        simulator.kill_token()
        assert {"model", "success_rate"} <= set(simulator.true_rates()[0])
        simulator.set_faults([Fault("http_error", status=502)])
        assert log_in(simulator) == 502
        with pytest.raises(ValueError, match="no such call"):
            simulator._call("GET", "nonsense")
        with pytest.raises(ValueError, match="missing required field"):
            simulator._call("POST", "advance", {})


def test_a_plan_given_at_the_start_holds_from_the_first_call():
    with SimulatorProcess(FROZEN, [Fault("http_error", status=503, times=1)]) as simulator:
        assert [log_in(simulator), log_in(simulator)] == [503, 200]


def test_https_is_verified_with_the_authority_made_at_the_start():
    with SimulatorProcess(FROZEN, tls=True) as simulator:
        assert simulator.base_url.startswith("https://127.0.0.1:")
        assert set(simulator.settings) == {"IODM_BASE_URL", "IODM_APP_ID", "IODM_SECRET", "IODM_CA_FILE"}
        assert log_in(simulator, verify=simulator.ca_file) == 200
        with pytest.raises(requests.exceptions.SSLError):
            log_in(simulator)


def test_a_client_certificate_can_be_required(tmp_path):
    with SimulatorProcess(FROZEN, tls=True, client_certificate=True, tls_folder=tmp_path) as simulator:
        assert Path(simulator.ca_file).parent == tmp_path
        assert log_in(simulator, verify=simulator.ca_file, cert=(simulator.client_cert, simulator.client_key)) == 200
        with pytest.raises(requests.ConnectionError):
            log_in(simulator, verify=simulator.ca_file)
        assert simulator.statistics()["logins"] == 1


def test_the_certificate_can_carry_another_name_than_the_address():
    with SimulatorProcess(FROZEN, tls=True, certificate_name="iot.example") as simulator:
        assert simulator.tls_server_name == "iot.example"
        with pytest.raises(requests.exceptions.SSLError, match=r"match|mismatch"):
            log_in(simulator, verify=simulator.ca_file)
        assert simulator.statistics()["operations"] == 200


def test_a_reset_works_on_https_too():
    with SimulatorProcess(FROZEN, [Fault("reset", times=1)], tls=True) as simulator:
        with pytest.raises(requests.ConnectionError):
            log_in(simulator, verify=simulator.ca_file)
        assert log_in(simulator, verify=simulator.ca_file) == 200


def test_a_state_file_carries_time_and_interventions_over_a_crash(tmp_path):
    state = tmp_path / "state.json"
    with SimulatorProcess(FROZEN, state_file=state) as simulator:
        simulator.advance(86_400)
        simulator.remove(simulator.create(3)[:1])
        expected = list(simulator.operations())
    with SimulatorProcess(FROZEN, state_file=state) as simulator:
        assert list(simulator.operations()) == expected
        simulator.kill()
    with SimulatorProcess(FROZEN, state_file=state) as simulator:
        assert list(simulator.operations()) == expected
    with (
        pytest.raises(RuntimeError, match="belongs to another fleet"),
        SimulatorProcess(Dials(tasks=7), state_file=state),
    ):
        pass


def test_two_processes_with_the_same_dials_serve_the_same_fleet():
    with SimulatorProcess(FROZEN) as one, SimulatorProcess(FROZEN, prerender=True) as two:
        assert list(one.operations()) == list(two.operations())


def start_child(*arguments):
    command = [sys.executable, "-m", "simulator", "--port=0", "--tasks=10", *arguments]
    root = Path(__file__).parents[2]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=root)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_and_removes_its_certificates(number):
    with start_child("--tls") as child:
        ready = json.loads(child.stdout.readline())
        assert Path(ready["ca_file"]).exists()
        child.send_signal(number)
        child.communicate(timeout=10)
    assert not Path(ready["ca_file"]).exists()


def test_it_ends_when_its_standard_input_closes():
    with start_child("--until-stdin-closes") as child:
        json.loads(child.stdout.readline())
        _, errors = child.communicate(timeout=10)
    assert (child.returncode, errors) == (0, b"")


def test_a_port_in_use_is_named_with_what_to_do():
    with SimulatorProcess(FROZEN) as simulator:
        port = simulator.base_url.rsplit(":", 1)[1]
        result = CliRunner().invoke(simulate, ["--tasks=1", f"--port={port}"])
    assert result.exit_code == 2
    assert "try --port 0" in result.output


def test_a_port_that_there_can_not_be_is_refused():
    result = CliRunner().invoke(simulate, ["--tasks=1", "--port=99999"])
    assert result.exit_code == 2
    assert "99999 is not in the range 0<=x<=65535" in result.output


def test_a_broken_plan_is_refused_with_the_place(tmp_path):
    plan = tmp_path / "plan.json"
    plan.write_text('[{"action": "explode"}]')
    result = CliRunner().invoke(simulate, [f"--faults={plan}"])
    assert result.exit_code == 2
    assert "$[0].action" in result.output


@pytest.mark.parametrize("option", ["--quirks=2", "--tasks=-1", "--start=soon", "--since=soon", "--order=sideways"])
def test_a_dial_that_makes_no_sense_is_refused_before_anything_is_served(option):
    result = CliRunner().invoke(simulate, [option])
    assert result.exit_code == 2
    assert option.split("=")[1] in result.output


def test_help_shows_every_dial_with_its_default():
    text = CliRunner().invoke(simulate, ["--help"], terminal_width=200).output
    for name in Dials.__dataclass_fields__:
        assert f"--{name.replace('_', '-')}" in text
    assert "[default: 20000]" in text
    assert "until-stdin-closes" not in text
