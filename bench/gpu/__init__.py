"""All that is done on one CUDA card, in steps that can be stopped and gone on with: `make gpu`."""
