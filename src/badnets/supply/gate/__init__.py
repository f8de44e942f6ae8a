"""The gate: what is known of a model, what a policy makes of it, and a signed verdict that other machines enforce."""
