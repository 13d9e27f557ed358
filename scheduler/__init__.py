"""Pure decisions: chunk plan, worker plan, dispatch core. No Ray, no I/O but the ledger."""
