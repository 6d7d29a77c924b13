"""A million photographs: the same engine over folders and object stores, on this machine or on Ray."""
