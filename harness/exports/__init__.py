"""A store's results in the formats of others: tables, MLPerf's energy fields, AI Energy Score, model card, SCI.

Reads records and answers only; nothing here runs or measures anything.
"""
