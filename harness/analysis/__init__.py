"""From records to statistics, quality matching, fairness checks and claim verdicts; imports no torch, runs nothing."""
