"""The interface to the machine: files, processes, memory, terminals, and untrusted files."""
