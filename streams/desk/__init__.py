"""The desk: pages for people who want to see what happens, why, and say whether it was right."""
