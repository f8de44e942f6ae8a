"""Tables, figures, and one page for each study that needs nothing beside itself."""
