"""What weir costs, measured on the machine at hand: `python -m bench`."""
