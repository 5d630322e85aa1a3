"""Why an image is in no split."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from pipeline.domain.statuses import ExclusionKind


@dataclass(frozen=True)
class SplitExclusion:
    """Why an image is in no split.

    Attributes:
        kind: the reason.
        path: the image in `split` that it would leak to, if it would leak.
        split: train or test, if it would leak.
        condition: the condition of `split.train_where` that it does not meet.
    """

    kind: ExclusionKind
    path: str | None = None
    split: str | None = None
    condition: str | None = None

    def dump_json(self) -> str:
        """Return the reason as JSON."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def parse_json(cls, text: str) -> SplitExclusion:
        """Return the reason that `dump_json` wrote."""
        values = json.loads(text)
        return cls(**values | {"kind": ExclusionKind(values["kind"])})
