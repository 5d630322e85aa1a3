"""The failure loop in Airflow: one DAG for each config, one task for each stage.

The edges come from `pipeline.graph`; this file names no stage. The configs are the YAML files in
the folder NIGHTSHIFT_CONFIGS.

Exit codes of a task's command:

- 1: the run made its report, but a condition failed. That is a good end; the return value is
  "refused".
- 2: bad config or input. The task fails at once. Other failures are tried again, and a retried or
  cleared task continues the same run.
- 75: a killed task's process still works in the run. The task is tried again later.

One process at a time holds a run, so one task runs at a time. A config that cannot be used becomes
a DAG that fails every night with the reason. Messages about failures, deadlines and new slices go
to the places in `schedule.notify`; see `dags.messages`.
"""

import os
from dataclasses import replace
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

from dags.config_files import (
    MAX_REASON,
    OVERRIDE_PATTERN,
    ConfigFile,
    quote_template,
    read_config_files,
)
from dags.messages import FailureReporter, build_run_name
from dags.watch import DatasetTrigger
from pipeline.config import GeneralSettings, ScheduleSettings
from pipeline.graph import STAGES, list_upstream_stages

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / os.environ.get("NIGHTSHIFT_CONFIGS", "configs")
NIGHTSHIFT = os.environ.get("NIGHTSHIFT", str(ROOT / ".venv/bin/nightshift"))
COMMAND = """
readarray -t more < <(printf '%s' "$OVERRIDES")
"$NIGHTSHIFT" stage "$STAGE" --run "$RUN" -c "$CONFIG" -- "${more[@]}" || code=$?
[ "${code:-0}" = 1 ] && { echo "refused: a condition failed, see the report"; exit 0; }
exit "${code:-0}"
"""
RUN = "{{ build_run_name(dag.dag_id, run_id) }}"
OVERRIDES = Param(
    [],
    type="array",
    items={"type": "string", "pattern": OVERRIDE_PATTERN, "maxLength": 1000},
    maxItems=100,
    description="Settings that override the file's: stage.key=value",
)


class ReportLink(BaseOperatorLink):
    """A link to the run's report."""

    name = "Report"

    def get_link(self, operator, *, ti_key):
        """Return the report's address: under the config's `reports_url`, else the file's."""
        return f"{operator.reports}/{operator.env['RUN']}/index.html"


class StageOperator(BashOperator):
    """Runs a stage; bad input fails the task without another try."""

    operator_extra_links = (ReportLink(),)

    def __init__(self, *, reports: str = "", **kwargs):
        """Store the address of the reports' folder."""
        super().__init__(
            bash_command=COMMAND, append_env=True, cwd=str(ROOT), skip_on_exit_code=None, **kwargs
        )
        self.reports = reports

    def _run_inline_command(self, bash_path, env):
        result = super()._run_inline_command(bash_path, env)
        if result.exit_code == 2:
            raise AirflowFailException(f"bad config or input, not tried again: {result.output}")
        if result.exit_code:
            raise AirflowException(f"exit code {result.exit_code}: {result.output}")
        return result


def build_deadline(plan: ScheduleSettings, config: Path) -> DeadlineAlert | None:
    """Return the alert for a run that takes too long, or None without a deadline."""
    if plan.deadline_minutes is None:
        return None
    arguments = {
        "minutes": plan.deadline_minutes,
        "command": NIGHTSHIFT,
        "config": str(config),
        "folder": str(ROOT),
    }
    callback = SyncCallback("dags.messages.send_deadline", arguments)
    interval = timedelta(minutes=plan.deadline_minutes)
    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, interval, callback)


def build_schedule(general: GeneralSettings, config: Path):
    """Return a cron expression or preset, or an asset for the data, which is checked regularly."""
    plan = general.schedule
    if plan.when == "time":
        return plan.schedule
    trigger = DatasetTrigger(
        command=NIGHTSHIFT, config=str(config), folder=str(ROOT), seconds=plan.look_seconds
    )
    watcher = AssetWatcher(f"check the data of {general.name}", trigger)
    return [Asset(f"data of {general.name}", watchers=[watcher])]


def select_gpu_options(plan: ScheduleSettings, needs_gpu: bool) -> dict:
    """Return Airflow's pool and queue of a stage."""
    options = {"pool": plan.gpu_pool, "queue": plan.gpu_queue} if needs_gpu else {}
    return {key: value for key, value in options.items() if value}


def build_dag(file: ConfigFile) -> DAG:
    """Return the DAG of one config."""
    general, config = file.settings, file.path.absolute()
    plan = general.schedule
    reports = (plan.reports_url or "").rstrip("/") or (ROOT / general.reports).as_uri()
    task_defaults = {
        "owner": plan.owner,
        "retries": plan.retries,
        "retry_delay": timedelta(seconds=plan.retry_seconds),
    }
    reporter = FailureReporter(NIGHTSHIFT, config, str(ROOT))
    if plan.notify:
        task_defaults["on_failure_callback"] = reporter.report_task
    with DAG(
        general.name,
        schedule=build_schedule(general, config),
        start_date=datetime(2025, 1, 1),
        catchup=False,
        max_active_tasks=1,
        max_active_runs=1,
        default_args=task_defaults,
        params={"overrides": OVERRIDES},
        tags=["nightshift"],
        deadline=build_deadline(plan, config),
        on_failure_callback=reporter.report_run if plan.notify else None,
        user_defined_macros={"build_run_name": build_run_name},
    ) as dag:
        tasks = {}
        for stage in STAGES:
            environment = {
                "NIGHTSHIFT": NIGHTSHIFT,
                "STAGE": stage.name,
                "RUN": RUN,
                "CONFIG": quote_template(str(config)),
                "OVERRIDES": "{{ params.overrides | join('\n') }}",
            }
            options = select_gpu_options(plan, stage.needs_gpu)
            tasks[stage.name] = StageOperator(
                task_id=stage.name, env=environment, reports=reports, **options
            )
        for name, task in tasks.items():
            task.set_upstream([tasks[other] for other in list_upstream_stages(name)])
    return dag


def build_broken_dag(file: ConfigFile) -> DAG:
    """Return a DAG for a config that cannot be used; it fails with the reason."""
    with DAG(
        file.dag_id,
        schedule="@daily",
        start_date=datetime(2025, 1, 1),
        catchup=False,
        tags=["broken"],
    ) as dag:
        BashOperator(
            task_id="config",
            bash_command='echo "$REASON"; exit 2',
            env={"REASON": quote_template(file.reason)},
            append_env=True,
        )
    return dag


for file in read_config_files(CONFIGS):
    try:
        dag = build_dag(file) if file.settings else build_broken_dag(file)
        dag.validate()
    except Exception as error:  # such as a schedule that Airflow cannot read
        dag = build_broken_dag(replace(file, reason=f"{file.path}: {error}"[:MAX_REASON]))
    globals()[f"dag_{file.dag_id}"] = dag
