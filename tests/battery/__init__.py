"""The statistical battery of the stream: does what the kernels make follow its distributions?

    python tests/battery                        the short form: three minutes on two cores
    python tests/battery --full                 2^32 samples and more: up to two hours on two cores
    python tests/battery --controls             the faults that the battery must find: half a minute
    python tests/battery --only "moments normal float32"
    python tests/battery --list

The exit status is 0 if nothing failed.  The short and the full form write report.md beside this
file (or where --report says); with --only and --controls nothing is written.

A test fills parts of an array of its own seed, adds up what it counts, and returns named p-values.
All are two-sided, but for those of Kolmogorov and Smirnov, where only large distances count.
plan.py declares before anything runs which tests there are, their sizes, their seeds, and how
many p-values each gives.  The rules are those of engine.py:

  * A p-value below 1e-9 is a failure.
  * One below 1e-4 has its test run again, once, with eight times the samples and on the next
    declared seed.  If that p-value is below 1e-4 again, it is a failure.
  * At the end the p-values of the run must be uniform, as engine.py says.

So of N p-values of a right stream one fails with a probability of N (1e-9 + 1e-8) at most.

The expectations are those of include/fastinit.h, not of a similar distribution: expected.py says
what is exact, and how far the rest is from it.
"""
