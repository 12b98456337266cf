"""Other vector stores on PostgreSQL, one per file, used as their documentation says.

Their requirements contradict each other, so each has an environment of its own: nothing here may
import anything of the engine's, and `run.py` is what runs there.
"""
