"""Messages from Airflow, sent by `nightshift notify` in Nightshift's own environment.

A message that cannot be sent is a warning in Airflow's log, and fails nothing.
"""

import hashlib
import logging
import re
import subprocess

MAX_TEXT = 2000  # characters of a reason: a command line cannot hold a whole log
MAX_RUN_ID = 90  # characters: with the config's name a run's name stays under 200
SECONDS_TO_SEND = 120  # a mail server may greet a sender only after a minute
_log = logging.getLogger("nightshift")


def build_run_name(config, run_id):
    """Return the name of the run folder for a run of Airflow, whose id may be any text."""
    usual = run_id.replace(":", "").replace("+", "-")
    plain = re.sub(r"[^A-Za-z0-9._-]", "-", usual)[:MAX_RUN_ID]
    if plain == usual:
        return f"{config}-{plain}"
    return f"{config}-{plain}-{hashlib.sha256(run_id.encode()).hexdigest()[:8]}"


class FailureReporter:
    """Sends a message when a stage has failed for good.

    The task itself reports its failure. If its process was killed, the DAG reports it.
    """

    def __init__(self, command, config, folder):
        """Store the command nightshift, the config, which lists the places, and the root folder."""
        self.command, self.config, self.folder = command, str(config), folder

    def report_task(self, context):
        """Report a failed task; Airflow calls this in the task's process."""
        self._send(context, context.get("exception") or "no reason is known")
        context["ti"].xcom_push("is_reported", True)

    def report_run(self, context):
        """Report a failed run whose task could not report itself."""
        task = context.get("ti")
        if task is None or not task.xcom_pull(task_ids=task.task_id, key="is_reported"):
            self._send(context, "Airflow lost its process, which was killed")

    def _send(self, context, reason):
        name, task = context["dag"].dag_id, context.get("ti")
        text = f"{name}: {task.task_id if task else 'the run'} failed: {reason}"
        log = [f"Its log: {task.log_url}"] if task else []
        run = build_run_name(name, context["run_id"])
        send_message(
            self.command, self.config, "failure", text, run, details=log, folder=self.folder
        )


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
        text.replace("\0", " ")[:MAX_TEXT],
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
