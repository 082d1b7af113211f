"""The algorithms whose runs are measured: each a module with zipline's functions and `DATA`."""
