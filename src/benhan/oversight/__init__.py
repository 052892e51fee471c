"""How the province stands: figures for the Department of Health, by status and never by content. Reads only."""

from benhan.oversight.dashboard import Dashboard, FacilityLine, dashboard, drill_down

__all__ = ["Dashboard", "FacilityLine", "dashboard", "drill_down"]
