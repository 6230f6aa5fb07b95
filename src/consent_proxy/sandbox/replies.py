"""JSON replies as the providers write them."""

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response


def json_reply(
    body: Any,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    media_type: str = "application/json",
) -> Response:
    """UTF-8 JSON; a lone surrogate that a caller sent is echoed as `?`."""
    data = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
    return Response(data, status_code=status, headers=headers, media_type=media_type)
