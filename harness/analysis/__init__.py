"""Records in, answers out: multipliers at matched loss, energy per task, fairness checks and verdicts; no torch."""
