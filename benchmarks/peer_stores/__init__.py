"""Other stores of vectors on PostgreSQL, one a file, each used as its documentation says.

Their requirements contradict each other, so each has an environment of its own: nothing here may
import anything of the engine's, and `run.py` is what runs there.
"""
