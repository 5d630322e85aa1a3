"""Airflow looks at a config's data again and again, and starts a run when it changed and came to rest.

The look is Nightshift's own (`nightshift datasets changed`), in its own environment; this runs in Airflow's triggerer,
which must find the folder above this one on its `PYTHONPATH`.
"""

import asyncio
import json

from airflow.triggers.base import BaseEventTrigger, TriggerEvent


class DataChanged(BaseEventTrigger):
    """An event for each change of the data, once it is whole. It is taken only after it was told, so none is lost;
    those that come while a run works start one more, of all of them: so Airflow does at `max_active_runs`."""

    def __init__(self, command: str, config: str, folder: str, seconds: float):
        """command: nightshift. config: the YAML. folder: where commands run. seconds: between two looks."""
        super().__init__()
        self.command, self.config, self.folder, self.seconds = command, config, folder, seconds

    def serialize(self):
        """Where Airflow finds this class, and how it was made."""
        made = {
            "command": self.command,
            "config": self.config,
            "folder": self.folder,
            "seconds": self.seconds,
        }
        return "dags.watch.DataChanged", made

    async def _call(self, *more: str):
        line = [self.command, "datasets", "changed", "-c", self.config, *more]
        pipes = {"stdout": asyncio.subprocess.PIPE, "stderr": asyncio.subprocess.PIPE}
        process = await asyncio.create_subprocess_exec(*line, cwd=self.folder, **pipes)
        out, problem = await process.communicate()
        if process.returncode not in (0, 1):
            self.log.warning("%s: %s", self.config, problem.decode(errors="replace").strip()[-500:])
        return out.decode() if process.returncode == 0 else ""

    async def run(self):
        """Look, tell, take; for ever."""
        while True:
            if said := await self._call("--json"):
                found = json.loads(said)
                yield TriggerEvent(found)
                await self._call("--take", found["mark"])
            await asyncio.sleep(self.seconds)
