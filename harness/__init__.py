"""isojoule: energy and compute of dense and sparse-expert language models at matched quality.

`run` turns a configuration into one immutable run record; `match`, `claims` and `report` read records and
never run anything.
"""

__version__ = "0.1.0"
