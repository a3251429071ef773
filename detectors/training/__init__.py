"""How the shipped weights are made; the only place that imports scikit-learn, and torch but for Detoxify."""
