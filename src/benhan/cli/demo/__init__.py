"""The demo province: its processes, its invented people, its story."""
