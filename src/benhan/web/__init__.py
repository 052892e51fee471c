"""Pages: Vietnamese, server-rendered, usable without scripts. Thin: handlers parse, call a room, draw.

``create_app(store, settings=None, jobs=None) -> Starlette``: all pages, ``/static``, ``/oauth``, and the FHIR door at
``/fhir``. ``node_app(settings, guards=(closed_record_guard, sensitivity_guard)) -> ASGIApp``: the same, opening its own
store at start.
``serve.run(settings)``: Granian over ``node_app`` (HTTPS for any address but localhost).
"""

from benhan.web.app import create_app, node_app

__all__ = ["create_app", "node_app"]
