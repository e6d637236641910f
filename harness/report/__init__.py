"""From records and verdicts to one self-contained HTML page. Imports neither torch nor hydra."""
