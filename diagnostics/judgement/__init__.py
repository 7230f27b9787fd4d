"""From readings to verdicts: scores, exits, intervals, and the three-valued judgement of every link."""
