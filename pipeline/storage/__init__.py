"""Files of runs: artifacts, champion pointers, the test ledger, review decisions."""
