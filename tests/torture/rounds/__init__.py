"""The kinds of rounds: of each, `plan(draw)` says all that will happen, as plain data, and `play(folder, tally, plan)` does it."""
