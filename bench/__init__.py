"""The performance suite: `python -m bench` measures, `python -m bench.soak` runs for long.

parent  -> environments -> workers, one process for each contender -> rounds, taken in turn -> figures -> one table
worker  -> contender -> case: answers first, which all contenders must share; then rounds of the same operation

Only ratios within one run mean anything: all times are taken on one core, contender after contender, round by round.
"""
