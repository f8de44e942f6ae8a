"""Model files judged without loading them: a file passes only when every byte of it is explained."""
