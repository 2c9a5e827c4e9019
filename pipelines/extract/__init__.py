"""Sweeps over lists, the durable raw store, and a whole sync with its grade. How one request is made: `platform`."""
