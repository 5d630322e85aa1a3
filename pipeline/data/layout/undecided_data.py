"""The error of a data set that can be read in several ways."""

from __future__ import annotations

from collections.abc import Sequence

from pipeline.contracts import InputError


class UndecidedDataError(InputError):
    """Bad input: the data set can be read in several ways, and the config chooses none.

    Attributes:
        settings: lines of the config's section `ingest` that would each decide it.
    """

    def __init__(self, message: str, settings: Sequence[str] = ()) -> None:
        """Create the error.

        Args:
            message: what was found, what was expected, and the setting that decides.
            settings: lines of the config's section `ingest` that would each decide it.
        """
        super().__init__(message)
        self.settings = tuple(settings)
