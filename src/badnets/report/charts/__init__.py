"""Charts as inline SVG that take the colours of the page around them."""
