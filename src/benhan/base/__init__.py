"""Ground without domain knowledge: errors, clock, ids, settings, doors for JSON and XML, Vietnamese text.

Import from the modules of this room (``benhan.base.errors`` …); it is the only room without a single face.
"""
