"""Tests of connections: identities, initial states and golden numbers."""

from skipln import skips

IN_RESNETS = [name for name in skips.names() if not skips.registry.find(name).kind.not_in_resnets]
