"""Messages from Airflow, sent by `nightshift notify` in Nightshift's own environment.

A message that cannot be sent is a warning in Airflow's log, and fails nothing.
"""

import logging
import subprocess

MAX_TEXT = 2000  # characters of a reason: a command line cannot hold a whole log
SECONDS_TO_SEND = 120  # a mail server may greet a sender only after a minute
_log = logging.getLogger("nightshift")


def build_run_name(config, run_id):
    """Return the name of the run folder for a run of Airflow."""
    return f"{config}-{run_id.replace(':', '').replace('+', '-')}"


def send_message(command, config, event, text, run, *, details=(), folder=None):
    """Call `nightshift notify`.

    Args:
        command: path of the command nightshift.
        config: path of the YAML config.
        event: failure | deadline.
        text: the message.
        run: the run's name.
        details: further lines.
        folder: working directory of the command.
    """
    detail_options = []
    for line in details:
        detail_options += ["--detail", line]
    line = [
        command,
        "notify",
        "--run",
        run,
        "--config",
        config,
        *detail_options,
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
    """Report a run that was unfinished at its deadline; Airflow calls this.

    Airflow 3.3 calls it for a run that failed before its deadline, too. That failure was reported
    already, so it is skipped.

    Args:
        minutes: the deadline.
        command: path of the command nightshift.
        config: path of the YAML config.
        folder: working directory of the command.
        context: Airflow's context of the run.
    """
    run = context["dag_run"]
    if run["state"] != "failed":
        name, text = run["dag_id"], f"{run['dag_id']}: not done after {minutes:g} minutes"
        send_message(
            command,
            config,
            "deadline",
            text,
            build_run_name(name, run["dag_run_id"]),
            folder=folder,
        )
