"""Problems of other projects: what is to be computed, candidates for it, and two opinions on each candidate.

A problem is a KernelBench file, a definition of flashinfer-bench or SOL-ExecBench with its workloads, or a folder of
GPU MODE. Its code runs in a process of its own (`host`), never in the supervisor; candidates run in an ordinary worker,
which sees neither the problem's answers nor the process that has them. Every candidate is judged by the rule of its
source, as the source's own checker would, and by ours.
"""
