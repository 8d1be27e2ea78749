"""What BENCHMARKS.md reports, measured on loopback: `python -m benchmarks`."""
