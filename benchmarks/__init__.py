"""Benchmarks: one script a claim. Each prints ratios to a bound taken in the same run; results are kept in benchmarks/RESULTS.md."""
