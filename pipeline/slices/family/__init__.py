"""One family of candidate rules, enumerated without outcomes and tested on all of validation."""
