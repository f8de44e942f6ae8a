"""One self-contained HTML page for each study: inline pictures and charts, no script, nothing from the network."""
