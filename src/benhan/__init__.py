"""Bệnh Án: the electronic medical record of a Vietnamese province and the hub that connects it."""

__version__ = "0.1.0"
