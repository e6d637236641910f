"""What a step of inference costs by bytes and FLOPs: constants fitted to windows, and one arm predicted by another's.

The rest of `harness.analysis` measures; `harness.analysis.projection` assumes. Here the form that the projection
assumes is fitted to a study's own windows and held against the arm that it was not fitted on.
"""
