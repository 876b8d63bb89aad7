"""Imported last by a process that is there to be forked.

What it has loaded is nothing that Python's collector would look through: else each fork would, when the program sets
aside what its start has made, and to look at an object is to write to it, so that the whole memory were copied.
"""

import gc

gc.collect()
gc.freeze()
