"""How pytest is extended: options, the gate, the diagnosis report."""
