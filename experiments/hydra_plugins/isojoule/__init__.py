"""The BlockSweeper of isojoule for Hydra."""
