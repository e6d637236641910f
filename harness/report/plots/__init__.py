"""Figures: pure functions of results that return inline SVG whose colours are CSS variables of the page."""
