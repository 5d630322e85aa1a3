"""A trigger that starts a run after a config's data changed and stopped changing.

The check is `nightshift datasets changed`, in Nightshift's environment. This module runs in
Airflow's triggerer, whose `PYTHONPATH` must contain the folder above this one.
"""

import asyncio
import json

from airflow.triggers.base import BaseEventTrigger, TriggerEvent


class DatasetTrigger(BaseEventTrigger):
    """Yields an event for each change of the data, once it is complete.

    A change is marked as used only after its event, so none is lost. Changes that come while a run
    works start one more run for all of them, since Airflow queues them at `max_active_runs`.
    """

    def __init__(self, command: str, config: str, folder: str, seconds: float):
        """Store how to check.

        Args:
            command: path of the command nightshift.
            config: path of the YAML config.
            folder: working directory of the command.
            seconds: pause between two checks.
        """
        super().__init__()
        self.command = command
        self.config = config
        self.folder = folder
        self.seconds = seconds

    def serialize(self):
        """Return the path of this class and its arguments, from which Airflow makes it again."""
        arguments = {
            "command": self.command,
            "config": self.config,
            "folder": self.folder,
            "seconds": self.seconds,
        }
        return "dags.watch.DatasetTrigger", arguments

    async def _call(self, *options: str):
        """Return the output of a check; empty if the data did not change."""
        process = await asyncio.create_subprocess_exec(
            self.command,
            *("datasets", "changed", "-c", self.config),
            *options,
            cwd=self.folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, problem = await process.communicate()
        if process.returncode not in (0, 1):
            self.log.warning("%s: %s", self.config, problem.decode(errors="replace").strip()[-500:])
        return output.decode() if process.returncode == 0 else ""

    async def run(self):
        """Check, yield an event and mark the change as used, for ever."""
        while True:
            output = await self._call("--json")
            if output:
                change = json.loads(output)
                yield TriggerEvent(change)
                await self._call("--take", change["mark"])
            await asyncio.sleep(self.seconds)
