"""The figures of reliability: each a measurement with a target, whose faults must be seen to have happened."""
