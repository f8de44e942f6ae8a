"""The model supply chain: what a file is, who vouches for it, and whether it may come in. Never imports torch."""
