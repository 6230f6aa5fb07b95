"""A page for each problem: what it means, what the likely cause is, what to do."""

from html import escape

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from consent_proxy.api.problem_texts import TEXTS
from consent_proxy.api.problems import STATUS
from consent_proxy.api.routing import not_found
from consent_proxy.domain.refusals import Reason


def routes() -> list[BaseRoute]:
    """The pages' one route; no credential is needed."""
    return [Route("/problems/{slug}", endpoint=_page, methods=["GET"], name="problems", include_in_schema=False)]


async def _page(request: Request) -> Response:
    slug = request.path_params["slug"]
    if slug not in set(Reason):
        raise not_found("problem")
    reason = Reason(slug)
    meaning, cause, remedy = TEXTS[reason]
    if "text/html" not in request.headers.get("accept", ""):
        document = {"slug": slug, "status": STATUS[reason], "meaning": meaning, "cause": cause, "remedy": remedy}
        return JSONResponse(document)
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{slug}</title>"
        f"<h1>{slug} <small>{STATUS[reason]}</small></h1><p>{escape(meaning)}</p>"
        f"<h2>Likely cause</h2><p>{escape(cause)}</p><h2>What to do</h2><p>{escape(remedy)}</p></html>",
        headers={"content-security-policy": "default-src 'none'"},
    )
