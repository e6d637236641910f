"""Results of other people's serving benchmarks, read into one table and put beside our energy."""
