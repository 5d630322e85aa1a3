"""The failure loop as Airflow runs it: one DAG a config, one task a stage, edges derived from the graph page. It names
no stage.

The configs are the YAML files in the folder NIGHTSHIFT_CONFIGS. A refusal (exit 1: it ran to its report, but a
condition failed) is a good end, and the task's return value says "refused". Bad input (2) fails at once, whatever
else is tried again: a retried or cleared task goes on with the same run. A run is held by one process at a time, so
one task runs at a time; where a killed one still works (75), it is tried again later. A config that cannot be read is a
DAG that fails every night with the line that says why. `schedule.notify` lists the places that get messages of
failures, deadlines and new slices; see `dags.messages`.
"""

import os
from datetime import datetime, timedelta
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import (
    DAG,
    Asset,
    AssetWatcher,
    BaseOperatorLink,
    DeadlineAlert,
    DeadlineReference,
    Param,
    SyncCallback,
)
from airflow.sdk.exceptions import AirflowException, AirflowFailException

from dags.messages import run_name, send_message
from dags.watch import DataChanged
from pipeline.config import GeneralSettings, ScheduleSettings, read_general_settings
from pipeline.contracts import InputError
from pipeline.graph import STAGES, list_upstream_stages

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / os.environ.get("NIGHTSHIFT_CONFIGS", "configs")
NIGHTSHIFT = os.environ.get("NIGHTSHIFT", str(ROOT / ".venv/bin/nightshift"))
COMMAND = """
readarray -t more < <(printf '%s' "$OVERRIDES")
"$NIGHTSHIFT" stage "$STAGE" --run "$RUN" -c "$CONFIG" "${more[@]}" || code=$?
[ "${code:-0}" = 1 ] && { echo "refused: a condition failed, see the report"; exit 0; }
exit "${code:-0}"
"""
RUN = "{{ run_name(dag.dag_id, run_id) }}"
OVERRIDES = Param(
    [],
    type="array",
    items={"type": "string"},
    description="Settings over the file's: stage.key=value",
)


class ReportLink(BaseOperatorLink):
    """The run's report."""

    name = "Report"

    def get_link(self, operator, *, ti_key):
        """Its address: under the config's `reports_url`, else the file."""
        return f"{operator.reports}/{operator.env['RUN']}/index.html"


class Stage(BashOperator):
    """A stage; bad input fails it without another try."""

    operator_extra_links = (ReportLink(),)

    def __init__(self, *, reports: str = "", **kwargs):
        """reports: the address under which the reports' folder is."""
        super().__init__(
            bash_command=COMMAND, append_env=True, cwd=str(ROOT), skip_on_exit_code=None, **kwargs
        )
        self.reports = reports

    def _run_inline_command(self, bash_path, env):
        result = super()._run_inline_command(bash_path, env)
        if result.exit_code == 2:
            raise AirflowFailException(f"bad config or input, so no other try: {result.output}")
        if result.exit_code:
            raise AirflowException(f"exit code {result.exit_code}: {result.output}")
        return result


class Failure:
    """Reports that a stage failed for good: its task does at once, the DAG where the task itself was killed."""

    def __init__(self, config: Path):
        """config: the YAML, which lists the places."""
        self.config = str(config)

    def of_task(self, context):
        """What Airflow calls in the task's process."""
        self._tell(context, context.get("exception") or "it says no reason")
        context["ti"].xcom_push("told", True)

    def of_run(self, context):
        """What Airflow calls when the run failed, wherever."""
        task = context.get("ti")
        if task is None or not task.xcom_pull(task_ids=task.task_id, key="told"):
            self._tell(context, "Airflow lost its process, which was killed")

    def _tell(self, context, why):
        config, task = context["dag"].dag_id, context.get("ti")
        text = f"{config}: {task.task_id if task else 'the run'} failed: {why}"
        log = [f"Its log: {task.log_url}"] if task else []
        run = run_name(config, context["run_id"])
        send_message(NIGHTSHIFT, self.config, "failure", text, run, details=log, folder=str(ROOT))


def _deadline(plan: ScheduleSettings, config: Path) -> DeadlineAlert | None:
    if plan.deadline_minutes is None:
        return None
    call = {
        "minutes": plan.deadline_minutes,
        "command": NIGHTSHIFT,
        "config": str(config),
        "folder": str(ROOT),
    }
    callback = SyncCallback("dags.messages.send_deadline", call)
    return DeadlineAlert(
        DeadlineReference.DAGRUN_QUEUED_AT, timedelta(minutes=plan.deadline_minutes), callback
    )


def _when(general: GeneralSettings, config: Path):
    """A cron expression or preset, or the data itself, which is looked at again and again."""
    plan = general.schedule
    if plan.when == "time":
        return plan.schedule
    look = DataChanged(
        command=NIGHTSHIFT, config=str(config), folder=str(ROOT), seconds=plan.look_seconds
    )
    return [
        Asset(
            f"data of {general.name}",
            watchers=[AssetWatcher(f"look at the data of {general.name}", look)],
        )
    ]


def _options(plan: ScheduleSettings, gpu: bool) -> dict:
    options = {"pool": plan.gpu_pool, "queue": plan.gpu_queue} if gpu else {}
    return {key: value for key, value in options.items() if value}


def build(general: GeneralSettings, config: Path) -> DAG:
    """The DAG of one config."""
    plan = general.schedule
    reports = (plan.reports_url or "").rstrip("/") or (ROOT / general.reports).as_uri()
    retry = {
        "owner": plan.owner,
        "retries": plan.retries,
        "retry_delay": timedelta(seconds=plan.retry_seconds),
    }
    failure = Failure(config)
    retry |= {"on_failure_callback": failure.of_task} if plan.notify else {}
    more = "{{ params.overrides | join('\n') }}"
    with DAG(
        general.name, schedule=_when(general, config), start_date=datetime(2025, 1, 1), catchup=False,
        max_active_tasks=1, max_active_runs=1, default_args=retry, params={"overrides": OVERRIDES}, tags=["nightshift"],
        deadline=_deadline(plan, config), on_failure_callback=failure.of_run if plan.notify else None,
        user_defined_macros={"run_name": run_name},
    ) as dag:  # fmt: skip
        tasks = {}
        for item in STAGES:
            env = {
                "NIGHTSHIFT": NIGHTSHIFT,
                "STAGE": item.name,
                "RUN": RUN,
                "CONFIG": str(config),
                "OVERRIDES": more,
            }
            tasks[item.name] = Stage(
                task_id=item.name, env=env, reports=reports, **_options(plan, item.needs_gpu)
            )
        for name, task in tasks.items():
            task.set_upstream([tasks[other] for other in list_upstream_stages(name)])
    return dag


def broken(config: Path, why: str) -> DAG:
    """A DAG in place of one whose config cannot be read: it fails, with the line that says why."""
    with DAG(
        config.stem,
        schedule="@daily",
        start_date=datetime(2025, 1, 1),
        catchup=False,
        tags=["broken"],
    ) as dag:
        BashOperator(
            task_id="config", bash_command='echo "$WHY"; exit 2', env={"WHY": why}, append_env=True
        )
    return dag


for path in sorted(CONFIGS.glob("*.yaml")):
    try:
        general = read_general_settings(path, [s.name for s in STAGES])
        if f"dag_{general.name}" in globals():
            raise InputError(
                f"{path}: name: another config here is called {general.name} too; name it otherwise"
            )
        found = build(general, path.absolute())
    except (InputError, ValueError) as error:  # ValueError: a schedule that Airflow cannot read
        found = broken(path, str(error))
    globals()[f"dag_{found.dag_id}"] = found
