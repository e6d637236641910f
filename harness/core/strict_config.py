"""How pydantic reads what people write by hand, such as claims and profiles: nothing unknown, nothing infinite."""

from __future__ import annotations

from pydantic import ConfigDict

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
