"""What is done with the result of each study: one module for each, imported when such a result is read."""
