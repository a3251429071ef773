"""How work on a batch is done: in lanes with a budget, and no sooner than it is asked for."""
