"""What is looked at for alerts: checks, runs, tasks, silence; and the sensor that tells of it."""
