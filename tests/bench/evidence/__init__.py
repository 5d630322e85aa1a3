"""What the rules of evidence decide on simulated models: false alarms, power, coverage."""
