"""What makes evidence: training, evaluation, benchmarks, documentation pictures. Runs from a checkout and is never shipped."""
