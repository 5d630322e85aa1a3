"""Messages from Airflow, sent by `nightshift notify` in Nightshift's own environment.

A message that cannot be sent is a warning in Airflow's log, and fails nothing.
"""

import logging
import subprocess

MAX_TEXT = 2000  # characters of a reason: a command line holds no whole log
SECONDS_TO_SEND = 120
_log = logging.getLogger("nightshift")


def run_name(config, run_id):
    """Return the name of the run's folder for a run of Airflow."""
    return f"{config}-{run_id.replace(':', '').replace('+', '-')}"


def send_message(command, config, event, text, run, *, details=(), folder=None):
    """Call `nightshift notify`.

    Args:
        command: Nightshift's command.
        config: The path of the YAML.
        event: failure | deadline.
        text: What happened.
        run: The run's name.
        details: Further lines.
        folder: Where the command runs.
    """
    more = [part for line in details for part in ("--detail", line)]
    line = [
        command,
        "notify",
        "--run",
        run,
        "--config",
        config,
        *more,
        "--",
        event,
        text[:MAX_TEXT],
    ]
    try:
        done = subprocess.run(
            line, cwd=folder, capture_output=True, text=True, timeout=SECONDS_TO_SEND, check=False
        )
        if done.stderr or done.returncode:
            _log.warning("notify: exit code %d: %s", done.returncode, done.stderr.strip())
    except (OSError, subprocess.SubprocessError) as error:
        _log.warning("notify: %s could not be called: %s", command, error)


def send_deadline(minutes, command, config, folder, context):
    """Report a run that was not done when its deadline passed; Airflow calls it with the context.

    Airflow 3.3 calls it also for a run that failed before its deadline. That was reported already,
    so it is skipped.
    """
    run = context["dag_run"]
    if run["state"] != "failed":
        name, text = run["dag_id"], f"{run['dag_id']}: not done after {minutes:g} minutes"
        send_message(
            command, config, "deadline", text, run_name(name, run["dag_run_id"]), folder=folder
        )
