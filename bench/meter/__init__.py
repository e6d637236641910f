"""The meter against its peers on waveforms whose energy is known."""
