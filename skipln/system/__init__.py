"""The edge to the machine: files, processes, memory, terminals, and what is read from files of anybody."""
