"""The failure loop as Airflow runs it: one task a stage, edges derived from the graph page. It names no stage.

A refusal (exit 1: it ran to its report, but a condition failed) is a good end. Bad input (2) and a crash fail the
task, and nothing that needs it starts. A run is held by one process at a time, so one task runs at a time.
"""

import os
from pathlib import Path

from airflow.providers.standard.operators.bash import BashOperator
from airflow.sdk import DAG

from pipeline.graph import STAGES, upstream

ROOT = Path(__file__).resolve().parents[1]
NIGHTSHIFT = os.environ.get("NIGHTSHIFT", str(ROOT / ".venv/bin/nightshift"))
COMMAND = '"$NIGHTSHIFT" stage {} --run "$RUN" -c "$CONFIG" || {{ [ $? = 1 ] && echo "{}: refused, see the report"; }}'
WITH = {
    "NIGHTSHIFT": NIGHTSHIFT,
    "RUN": "{{ run_id | replace(':', '') | replace('+', '-') }}",
    "CONFIG": "{{ params.config }}",
}

with DAG("failure_loop", params={"config": "configs/demo.yaml"}, max_active_tasks=1, max_active_runs=1):
    tasks = {
        s.name: BashOperator(
            task_id=s.name, bash_command=COMMAND.format(s.name, s.name), env=WITH, append_env=True, cwd=str(ROOT)
        )
        for s in STAGES
    }
    for name, task in tasks.items():
        task.set_upstream([tasks[other] for other in upstream(name)])
