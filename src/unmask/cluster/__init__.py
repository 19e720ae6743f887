"""One job, many workers: who answers, here or on the machines of a Ray cluster."""
