"""The commands of test networks."""
